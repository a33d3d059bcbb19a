"""Points sorted by strips of the map and, within a strip, by cells along the first coordinate.

In two dimensions a strip is a row of square cells, in three a row of cubes; in one dimension there
is one strip.  What a cell can reach is then one run of each strip near it, and vectors of a run
are loaded from where they lie.  Each strip ends with PADDING places far away.  Points of a cell
keep the order of their numbers, whatever the number of threads.
"""

from libc.math cimport floorf
from libc.stdint cimport int32_t
from libc.string cimport memset

cdef enum:
    CHUNKS = 16  # parts of the points that are counted side by side
    PADDING = 8  # places behind each strip: a vector may begin at its last point
    REACH = 2  # cells, and strips, that the cutoff of near pairs spans
    N_RUNS = (2 * REACH + 1) * (2 * REACH + 1)


cdef struct Strips:
    float origin[3]
    float inverse_side
    int32_t cells  # along the first coordinate
    int32_t rows  # strips along the second
    int32_t layers  # and along the third
    int d
    Py_ssize_t capacity
    const int32_t *starts  # (strips, cells + 1), places in the columns
    const float *columns  # (d, capacity)
    const int32_t *order  # (capacity,), number of the point at each place


cdef inline Strips make_strips(
    const float[::1] origin, float side, const int32_t[::1] shape, const int32_t[:, ::1] starts,
    const float[:, ::1] columns, const int32_t[::1] order,
) noexcept:
    cdef Strips at
    cdef int c
    at.d = <int> columns.shape[0]
    at.origin = [0, 0, 0]
    for c in range(at.d):
        at.origin[c] = origin[c]
    at.inverse_side = 1 / side
    at.cells, at.rows, at.layers = shape[0], shape[1], shape[2]
    at.capacity = columns.shape[1]
    at.starts, at.columns, at.order = &starts[0, 0], &columns[0, 0], &order[0]
    return at


cdef inline int32_t cell_along(const Strips *at, float y, int axis, int32_t size) noexcept nogil:
    cdef int32_t cell = <int32_t> floorf((y - at.origin[axis]) * at.inverse_side)
    return min(max(cell, 0), size - 1)


cdef inline int32_t row_of(const Strips *at, const float *y) noexcept nogil:
    return cell_along(at, y[1], 1, at.rows) if at.d > 1 else 0


cdef inline int32_t layer_of(const Strips *at, const float *y) noexcept nogil:
    return cell_along(at, y[2], 2, at.layers) if at.d > 2 else 0


cdef inline const int32_t *starts_of(
    const Strips *at, int32_t layer, int32_t row
) noexcept nogil:
    return at.starts + (layer * <Py_ssize_t> at.rows + row) * (at.cells + 1)


cdef inline int runs_around(const Strips *at, const float *y, int32_t *runs) noexcept nogil:
    """Write first and last place of each run within reach of a place that may be outside."""
    cdef int32_t cell = <int32_t> floorf((y[0] - at.origin[0]) * at.inverse_side)
    cdef int32_t first = max(cell - REACH, 0), last = min(cell + REACH + 1, at.cells)
    cdef int32_t row = 0, layer = 0, a, b
    cdef const int32_t *starts
    cdef int count = 0
    if at.d > 1:
        row = <int32_t> floorf((y[1] - at.origin[1]) * at.inverse_side)
    if at.d > 2:
        layer = <int32_t> floorf((y[2] - at.origin[2]) * at.inverse_side)
    if first >= last:
        return 0
    for b in range(max(layer - REACH, 0), min(layer + REACH + 1, at.layers)):
        for a in range(max(row - REACH, 0), min(row + REACH + 1, at.rows)):
            starts = starts_of(at, b, a)
            runs[2 * count], runs[2 * count + 1] = starts[first], starts[last]
            count += starts[last] > starts[first]
    return count


cdef inline void count_strips(
    const Strips *at, const float *y, Py_ssize_t first, Py_ssize_t last, int32_t *counts,
    int32_t *numbers,
) noexcept nogil:
    cdef Py_ssize_t i
    memset(counts, 0, at.rows * <Py_ssize_t> at.layers * sizeof(int32_t))
    for i in range(first, last):
        numbers[i] = layer_of(at, y + i * at.d) * at.rows + row_of(at, y + i * at.d)
        counts[numbers[i]] += 1


cdef inline void counts_to_starts(
    int32_t *counts, Py_ssize_t n_strips, int32_t *strips
) noexcept nogil:
    """Turn counts, (CHUNKS, n_strips), into first places; ``strips`` gets (n_strips + 1,)."""
    cdef Py_ssize_t t, chunk
    cdef int32_t total = 0, size
    for t in range(n_strips):
        strips[t] = total
        for chunk in range(CHUNKS):
            size = counts[chunk * n_strips + t]
            counts[chunk * n_strips + t] = total
            total += size
    strips[n_strips] = total


cdef inline void sort_strip(
    const Strips *at, const float *y, const int32_t *points, Py_ssize_t count, Py_ssize_t place,
    int32_t *starts, float *columns, int32_t *order, int32_t *cells,
) noexcept nogil:
    """Write the points of a strip, by cells, to the places from ``place`` on, and the padding."""
    cdef Py_ssize_t k, i
    cdef int32_t cell, total = <int32_t> place, size
    cdef int c
    memset(starts, 0, (at.cells + 1) * sizeof(int32_t))
    for k in range(count):
        cells[k] = cell_along(at, y[points[k] * <Py_ssize_t> at.d], 0, at.cells)
        starts[cells[k]] += 1
    for cell in range(at.cells + 1):
        size = starts[cell]
        starts[cell] = total
        total += size
    for k in range(count):
        i = starts[cells[k]]
        starts[cells[k]] += 1
        order[i] = points[k]
        for c in range(at.d):
            columns[c * at.capacity + i] = y[points[k] * <Py_ssize_t> at.d + c]
    # Each start has become the next cell's.
    for cell in range(at.cells, 0, -1):
        starts[cell] = starts[cell - 1]
    starts[0] = <int32_t> place
    for i in range(place + count, place + count + PADDING):
        order[i] = -1
        for c in range(at.d):
            columns[c * at.capacity + i] = 1e18
