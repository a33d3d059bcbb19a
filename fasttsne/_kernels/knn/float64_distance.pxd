"""The distance of two rows in float64, directly from the caller's numbers.

Rows are dense or CSR, float32 or float64.  A row may have a frame: the number x stands for the
coordinate (x / unit - shift) / scale, which makes rows of length one for angular metrics.
"""

from libc.math cimport INFINITY, fabs, frexp, ldexp, sqrt
from libc.stdint cimport int32_t, int64_t

cdef enum:
    FRAME = 3  # numbers of a row's frame: unit, shift, scale

ctypedef fused real:
    float
    double

ctypedef fused other:
    float
    double


cdef struct Values:
    const float *singles  # one of the two is NULL
    const double *doubles
    const int64_t *indptr  # NULL where rows are dense
    const int32_t *columns
    const double *frames  # NULL where values are taken as they are
    Py_ssize_t d


cdef struct Frame:
    double unit
    double shift
    double scale


cdef inline Frame frame_of(const Values *rows, Py_ssize_t i) noexcept nogil:
    cdef Frame frame
    frame.unit, frame.shift, frame.scale = 1, 0, 1
    if rows.frames != NULL:
        frame.unit = rows.frames[FRAME * i]
        frame.shift = rows.frames[FRAME * i + 1]
        frame.scale = rows.frames[FRAME * i + 2]
    return frame


cdef inline double coordinate(double value, const Frame *frame) noexcept nogil:
    return (value / frame.unit - frame.shift) / frame.scale


cdef inline double difference(
    const real *x, const other *y, const Frame *f, const Frame *g, bint plain
) noexcept nogil:
    if plain:
        return <double> x[0] - <double> y[0]
    return coordinate(x[0], f) - coordinate(y[0], g)


cdef inline double sum_of_squares(
    const real *x, const other *y, const Frame *f, const Frame *g, bint plain, Py_ssize_t d
) noexcept nogil:
    """Summed in four parts, columns c, c + 4, c + 8 ... in each, for the compiler's vectors."""
    cdef Py_ssize_t c, whole = d // 4 * 4
    cdef inline double s0 = 0, s1 = 0, s2 = 0, s3 = 0, v0, v1, v2, v3
    for c in range(0, whole, 4):
        v0 = difference(x + c, y + c, f, g, plain)
        v1 = difference(x + c + 1, y + c + 1, f, g, plain)
        v2 = difference(x + c + 2, y + c + 2, f, g, plain)
        v3 = difference(x + c + 3, y + c + 3, f, g, plain)
        s0 += v0 * v0
        s1 += v1 * v1
        s2 += v2 * v2
        s3 += v3 * v3
    if whole < d:
        v0 = difference(x + whole, y + whole, f, g, plain)
        s0 += v0 * v0
    if whole + 1 < d:
        v1 = difference(x + whole + 1, y + whole + 1, f, g, plain)
        s1 += v1 * v1
    if whole + 2 < d:
        v2 = difference(x + whole + 2, y + whole + 2, f, g, plain)
        s2 += v2 * v2
    return (s0 + s1) + (s2 + s3)


cdef inline double dense_distance(
    const real *x, const other *y, const Frame *f, const Frame *g, bint plain, Py_ssize_t d
) noexcept nogil:
    cdef Py_ssize_t c
    cdef inline double total, largest = 0
    # With the constant, the compiler makes a loop without frames.
    total = sum_of_squares(x, y, f, g, 1, d) if plain else sum_of_squares(x, y, f, g, 0, d)
    if 1e-280 < total < 1e280:
        return sqrt(total)
    # Squares may have overflowed or vanished: sum them relative to the largest difference.
    for c in range(d):
        largest = max(largest, fabs(difference(x + c, y + c, f, g, plain)))
    return scaled_distance(x, y, f, g, plain, d, largest)


cdef inline double scaled_distance(
    const real *x, const other *y, const Frame *f, const Frame *g, bint plain, Py_ssize_t d,
    double largest,
) noexcept nogil:
    cdef Py_ssize_t c
    cdef inline double value, total = 0
    cdef int exponent
    if largest == 0 or largest == INFINITY:
        return largest
    frexp(largest, &exponent)
    for c in range(d):
        value = ldexp(difference(x + c, y + c, f, g, plain), -exponent)
        total += value * value
    return ldexp(sqrt(total), exponent)


cdef inline double entry(const Values *rows, Py_ssize_t e) noexcept nogil:
    return rows.singles[e] if rows.singles != NULL else rows.doubles[e]


cdef inline double sparse_sum(
    const Values *a, Py_ssize_t i, const Values *b, Py_ssize_t j, int exponent, double *largest
) noexcept nogil:
    """The sum of squared differences, divided by 2^exponent before they are squared.

    Columns that neither row stores contribute the difference of their zeros' coordinates.
    """
    cdef Py_ssize_t x = a.indptr[i], x_end = a.indptr[i + 1], n_columns = 0
    cdef Py_ssize_t y = b.indptr[j], y_end = b.indptr[j + 1]
    cdef Frame f = frame_of(a, i), g = frame_of(b, j)
    cdef inline double p, q, value, total = 0, scale = ldexp(1, -exponent)
    largest[0] = 0
    while x < x_end or y < y_end:
        p = q = 0
        if y == y_end or (x < x_end and a.columns[x] <= b.columns[y]):
            p = entry(a, x)
            if y < y_end and a.columns[x] == b.columns[y]:
                q = entry(b, y)
                y += 1
            x += 1
        else:
            q = entry(b, y)
            y += 1
        value = coordinate(p, &f) - coordinate(q, &g)
        largest[0] = max(largest[0], fabs(value))
        total += (value * scale) * (value * scale)
        n_columns += 1
    value = coordinate(0, &f) - coordinate(0, &g)
    return total + (a.d - n_columns) * (value * value)


cdef inline double sparse_distance(
    const Values *a, Py_ssize_t i, const Values *b, Py_ssize_t j
) noexcept nogil:
    cdef inline double largest, total = sparse_sum(a, i, b, j, 0, &largest)
    cdef int exponent
    # Rows with frames are not longer than 1.
    if 1e-280 < total < 1e280 or a.frames != NULL:
        return sqrt(total)
    if largest == 0 or largest == INFINITY:
        return largest
    frexp(largest, &exponent)
    exponent = max(-1000, min(exponent, 1000))
    return ldexp(sqrt(sparse_sum(a, i, b, j, exponent, &largest)), exponent)


cdef inline double distance(
    const Values *a, Py_ssize_t i, const Values *b, Py_ssize_t j
) noexcept nogil:
    cdef Frame f, g
    cdef bint plain = a.frames == NULL and b.frames == NULL
    cdef Py_ssize_t d = a.d
    if a.indptr != NULL:
        return sparse_distance(a, i, b, j)
    f, g = frame_of(a, i), frame_of(b, j)
    if a.singles != NULL and b.singles != NULL:
        return dense_distance(a.singles + i * d, b.singles + j * d, &f, &g, plain, d)
    if a.singles != NULL:
        return dense_distance(a.singles + i * d, b.doubles + j * d, &f, &g, plain, d)
    if b.singles != NULL:
        return dense_distance(a.doubles + i * d, b.singles + j * d, &f, &g, plain, d)
    return dense_distance(a.doubles + i * d, b.doubles + j * d, &f, &g, plain, d)
