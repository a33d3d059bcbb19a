"""Small passes over the points of a map."""

from libc.stdint cimport int32_t

from fasttsne._kernels.simd.simd8 cimport f8, f8_load, f8_max, f8_min, f8_store


cdef inline void bounds_of(
    const float *y, Py_ssize_t n, int d, float *low, float *high
) noexcept nogil:
    """Entries go round the coordinates: d vectors of eight come back to the first."""
    cdef f8 low_lanes[3]
    cdef f8 high_lanes[3]
    cdef float entries[8]
    cdef Py_ssize_t i, whole = n // 8 * 8
    cdef int v, lane, c
    for c in range(d):
        low[c] = high[c] = y[c]
    if whole:
        for v in range(d):
            low_lanes[v] = high_lanes[v] = f8_load(y + 8 * v)
        for i in range(8, whole, 8):
            for v in range(d):
                low_lanes[v] = f8_min(low_lanes[v], f8_load(y + d * i + 8 * v))
                high_lanes[v] = f8_max(high_lanes[v], f8_load(y + d * i + 8 * v))
        for v in range(d):
            f8_store(entries, low_lanes[v])
            for lane in range(8):
                c = (8 * v + lane) % d
                low[c] = min(low[c], entries[lane])
            f8_store(entries, high_lanes[v])
            for lane in range(8):
                c = (8 * v + lane) % d
                high[c] = max(high[c], entries[lane])
    for i in range(whole, n):
        for c in range(d):
            low[c] = min(low[c], y[i * d + c])
            high[c] = max(high[c], y[i * d + c])


def bounds(
    const float[:, ::1] y,  # IN (n, d), n >= 1, d <= 3
    float[::1] low, float[::1] high,  # OUT (d,)
):
    """The corners of the points' bounding box (NumPy's min along an axis is 40 times slower)."""
    cdef int d = <int> y.shape[1]
    with nogil:
        if d == 1:
            bounds_of(&y[0, 0], y.shape[0], 1, &low[0], &high[0])
        elif d == 2:
            bounds_of(&y[0, 0], y.shape[0], 2, &low[0], &high[0])
        else:
            bounds_of(&y[0, 0], y.shape[0], 3, &low[0], &high[0])


def gather(
    const double[:, ::1] rows,  # IN (n, d)
    const int32_t[::1] order,  # IN (n,), the row at each position
    double[:, ::1] points,  # OUT (n, d)
):
    """points[p] = rows[order[p]] (NumPy's indexing takes ten times as long)."""
    cdef Py_ssize_t p
    cdef int c
    with nogil:
        for p in range(order.shape[0]):
            for c in range(rows.shape[1]):
                points[p, c] = rows[order[p], c]


def scatter(
    const double[:, ::1] points,  # IN (n, d)
    const int32_t[::1] order,  # IN (n,), the row at each position
    double[:, ::1] rows,  # OUT (n, d)
):
    """rows[order[p]] = points[p]."""
    cdef Py_ssize_t p
    cdef int c
    with nogil:
        for p in range(order.shape[0]):
            for c in range(rows.shape[1]):
                rows[order[p], c] = points[p, c]
