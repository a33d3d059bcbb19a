"""Points sorted by tiles of the grid, in parallel, so that threads never add to the same cell.

A tile is some rows and layers of the grid, more than a spline is wide: points of tiles that are
not neighbours touch different cells.  The order of a tile's points is that of their numbers, for
any number of threads.
"""

from libc.math cimport floorf
from libc.stdint cimport int32_t
from libc.string cimport memset

cdef enum:
    TILE_SIDE = 16  # rows, and layers, of a tile
    CHUNKS = 16  # parts of the points that are counted side by side
    SPLINE_WIDTH = 8  # lanes that hold a spline's weights, of which the first p are not zero


cdef struct GridSpec:
    Py_ssize_t size[3]  # columns, rows, layers that points can touch
    Py_ssize_t step[3]  # floats from node to node along each axis
    float origin[3]
    float inverse_spacing
    const float *weights  # (p, SPLINE_WIDTH)
    const float *slopes  # (p - 1, SPLINE_WIDTH)
    int order  # p
    int dimensions


cdef inline Py_ssize_t tiles_along(const GridSpec *spec, int axis) noexcept nogil:
    return (spec.size[axis] + TILE_SIDE - 1) // TILE_SIDE


cdef inline Py_ssize_t tile_of(const GridSpec *spec, const float *y) noexcept nogil:
    """The tile of a point's first node: by layers, then by rows."""
    cdef Py_ssize_t tile = 0
    cdef float node
    cdef int c
    for c in range(spec.dimensions - 1, 0, -1):
        node = floorf((y[c] - spec.origin[c]) * spec.inverse_spacing)
        tile = tile * tiles_along(spec, c) + <Py_ssize_t> node // TILE_SIDE
    return tile


cdef inline Py_ssize_t chunk_start(Py_ssize_t chunk, Py_ssize_t n) noexcept nogil:
    return chunk * n // CHUNKS


cdef inline void count_points(
    const GridSpec *spec, const float *y, Py_ssize_t n, Py_ssize_t chunk, int32_t *counts,
    Py_ssize_t n_tiles, int32_t *tile_numbers,
) noexcept nogil:
    """The tile of each point of a chunk, and how many of them each tile has."""
    cdef Py_ssize_t i, t
    memset(counts + chunk * n_tiles, 0, n_tiles * sizeof(int32_t))
    for i in range(chunk_start(chunk, n), chunk_start(chunk + 1, n)):
        t = tile_of(spec, y + i * spec.dimensions)
        tile_numbers[i] = <int32_t> t
        counts[chunk * n_tiles + t] += 1


cdef inline void counts_to_starts(
    int32_t *counts, Py_ssize_t n_tiles, int32_t *tiles
) noexcept nogil:
    """The first place of each tile, and of each chunk's points within it."""
    cdef Py_ssize_t t, chunk
    cdef int32_t total = 0, size
    for t in range(n_tiles):
        tiles[t] = total
        for chunk in range(CHUNKS):
            size = counts[chunk * n_tiles + t]
            counts[chunk * n_tiles + t] = total
            total += size
    tiles[n_tiles] = total


cdef inline void place_points(
    Py_ssize_t n, Py_ssize_t chunk, int32_t *starts, Py_ssize_t n_tiles,
    const int32_t *tile_numbers, int32_t *points,
) noexcept nogil:
    """Write the numbers of a chunk's points to the places of their tiles."""
    cdef Py_ssize_t i
    cdef int32_t *cursor = starts + chunk * n_tiles
    for i in range(chunk_start(chunk, n), chunk_start(chunk + 1, n)):
        points[cursor[tile_numbers[i]]] = <int32_t> i
        cursor[tile_numbers[i]] += 1


cdef inline Py_ssize_t tiles_of_color(const GridSpec *spec, int color) noexcept nogil:
    """A color is every second tile along the rows, and along the layers."""
    return ((tiles_along(spec, 1) + 1 - color % 2) // 2) * (
        (tiles_along(spec, 2) + 1 - color // 2) // 2
    )


cdef inline Py_ssize_t tile_number(
    const GridSpec *spec, int color, Py_ssize_t number
) noexcept nogil:
    """The number of a color's tile among all tiles."""
    cdef Py_ssize_t tile_rows = tiles_along(spec, 1), in_row = (tile_rows + 1 - color % 2) // 2
    cdef Py_ssize_t layer = color // 2 + number // in_row * 2
    return layer * tile_rows + color % 2 + number % in_row * 2
