"""The search of one cell's rows in the cells that are near to each of them.

A row x probes a cell with the centroid c while

    |x - c| < reach d + pull r + width s

where d is its distance from the NEAR_CENTROID-th nearest centroid, r that of the last of the
candidates that it has so far, infinite before there are enough, and s the cell's radius: rows whose
neighbours are far search on where others have ended.  Rows that chose the same cell are gathered
in panels of eight, which share its points.
"""

from libc.float cimport FLT_MIN
from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int32_t, uint8_t

from fasttsne._kernels.knn.push_panel cimport push_panel
from fasttsne._kernels.knn.top_k cimport TopK
from fasttsne._kernels.linalg.gemm_panels cimport PANEL, TILE, tile_products
from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_fma, f8_less, f8_load, f8_max, f8_min, f8_mul, f8_set1, f8_store, lowest_bit,
)

cdef enum:
    MAX_CELL_ROWS = 256
    ROOM = 264  # for its rows in whole tiles
    NEAR_CENTROID = 6
    REFERENCE_CELLS = 32  # cells of the list among which that is looked for
    RESOLUTION = 1_000_000  # squared lengths by squared distances that scores tell from nothing

cdef struct Cells:  # as ``knn_dense.search_cells`` has them
    const float *points
    const float *norms
    Py_ssize_t depth
    const int32_t *starts
    const int32_t *firsts
    const float *centroids
    const float *centroid_norms
    const float *radii
    Py_ssize_t n_near
    float reach
    float pull
    float width


cdef inline void squared_lengths(
    const float *rows, Py_ssize_t panels, Py_ssize_t depth, float *out
) noexcept nogil:
    cdef Py_ssize_t p, c
    cdef f8 total, value
    for p in range(panels):
        total = f8_set1(0)
        for c in range(depth):
            value = f8_load(rows + PANEL * (p * depth + c))
            total = f8_fma(value, value, total)
        f8_store(out + PANEL * p, total)


cdef inline void centroid_distances(
    const Cells *cells, const float *rows, Py_ssize_t tiles, const int32_t *near,
    const float *norms, float *panel, float *squares,
) noexcept nogil:
    """Squared distances of packed rows from centroids: ROOM numbers for each of these."""
    cdef Py_ssize_t j, i, c, tile, count, row
    cdef f8 products[PANEL * TILE]
    cdef f8 total
    cdef const float *centroid
    cdef int t
    for j in range(0, cells.n_near, 8):
        count = min(<Py_ssize_t> PANEL, cells.n_near - j)
        for i in range(PANEL):
            centroid = cells.centroids + cells.depth * <Py_ssize_t> near[j + min(i, count - 1)]
            for c in range(cells.depth):
                panel[PANEL * c + i] = centroid[c]
        for tile in range(tiles):
            row = PANEL * TILE * tile
            tile_products(panel, rows + row * cells.depth, cells.depth, products)
            for i in range(count):
                for t in range(TILE):
                    total = f8_add(
                        f8_load(norms + row + PANEL * t),
                        f8_set1(cells.centroid_norms[near[j + i]]),
                    )
                    f8_store(
                        squares + (j + i) * ROOM + row + PANEL * t,
                        f8_max(
                            f8_fma(f8_set1(-2), products[TILE * i + t], total),
                            f8_mul(f8_set1(1.0 / RESOLUTION), total),
                        ),
                    )


cdef inline void measure(
    const Cells *cells, const float *rows, Py_ssize_t n_rows, const int32_t *near, float *panel,
    float *norms, float *squares,
) noexcept nogil:
    """Squared lengths of packed rows, and their distances from the near centroids."""
    cdef Py_ssize_t tiles = (n_rows + PANEL * TILE - 1) // (PANEL * TILE)
    squared_lengths(rows, TILE * tiles, cells.depth, norms)
    centroid_distances(cells, rows, tiles, near, norms, panel, squares)


cdef inline void near_distances(
    const float *squares, Py_ssize_t n_near, Py_ssize_t n_rows, float factor, float *out
) noexcept nogil:
    """Each row's distance from the NEAR_CENTROID-th nearest centroid, or the last, by a factor."""
    cdef Py_ssize_t p, j, r
    cdef f8 smallest[NEAR_CENTROID]
    cdef f8 value, lower
    cdef float found[PANEL]
    cdef int i
    n_near = min(n_near, <Py_ssize_t> REFERENCE_CELLS)
    for p in range(0, n_rows, 8):
        for i in range(NEAR_CENTROID):
            smallest[i] = f8_set1(INFINITY)
        for j in range(n_near):
            value = f8_load(squares + j * ROOM + p)
            for i in range(NEAR_CENTROID):
                lower = f8_min(smallest[i], value)
                value = f8_max(smallest[i], value)
                smallest[i] = lower
        f8_store(found, smallest[min(<Py_ssize_t> NEAR_CENTROID, n_near) - 1])
        for r in range(min(<Py_ssize_t> PANEL, n_rows - p)):
            out[p + r] = factor * <float> sqrt(found[r])


cdef inline int chosen_lanes(const float *squares, const float *limits, float more) noexcept nogil:
    """The bits of eight rows whose distance is less than their limit and some more."""
    cdef f8 limit = f8_max(f8_add(f8_load(limits), f8_set1(more)), f8_set1(0))
    return f8_less(f8_load(squares), f8_mul(limit, limit))


cdef inline void mark_open(
    const Cells *cells, Py_ssize_t cell, Py_ssize_t last, Py_ssize_t n_rows, const float *squares,
    const float *limits, uint8_t *is_open,
) noexcept nogil:
    """Mark rows whose limit, at a right angle to their own centroid, is beyond the last of these.

    squares : of the distances from their own centroid.
    """
    cdef const float *own = cells.centroids + cells.depth * cell
    cdef const float *other = cells.centroids + cells.depth * last
    cdef float end = 0
    cdef Py_ssize_t r, c
    for c in range(cells.depth):
        end += (own[c] - other[c]) * (own[c] - other[c])
    for r in range(n_rows):
        is_open[r] = limits[r] > 0 and limits[r] * limits[r] + squares[r] > end


cdef inline void gather(
    const float *points, Py_ssize_t depth, const int32_t *rows, Py_ssize_t count, float *panel,
) noexcept nogil:
    """Pack up to eight of a cell's rows as one panel."""
    cdef Py_ssize_t r, c
    cdef const float *row
    for r in range(count):
        row = points + rows[r] // PANEL * PANEL * depth + rows[r] % PANEL
        for c in range(depth):
            panel[PANEL * c + r] = row[PANEL * c]


cdef inline void compare_panel(
    const TopK *top, const Cells *cells, const float *panel, const int32_t *rows,
    Py_ssize_t count, Py_ssize_t cell, Py_ssize_t first_point,
) noexcept nogil:
    """Compare gathered rows with the points of a cell; each with itself is excluded."""
    cdef Py_ssize_t tile, point
    cdef f8 products[PANEL * TILE]
    cdef int r, t
    for tile in range(cells.starts[cell], cells.starts[cell + 1]):
        point = PANEL * TILE * tile
        tile_products(panel, cells.points + point * cells.depth, cells.depth, products)
        for r in range(count):
            for t in range(TILE):
                push_panel(
                    top, products[TILE * r + t], rows[r], 0, point + PANEL * t,
                    cells.norms + point + PANEL * t, False, first_point + rows[r],
                )


cdef inline float limit_of(
    const TopK *top, const Cells *cells, Py_ssize_t row, float reach, float norm
) noexcept nogil:
    """How far a row searches, by how far its candidates are."""
    cdef float square = top.thresholds[row] + norm
    if square == INFINITY:
        return INFINITY
    if RESOLUTION * square <= norm or square < FLT_MIN:
        return -INFINITY  # equal rows, as far as scores tell
    return reach + cells.pull * <float> sqrt(square)


cdef inline void search_cell(
    const TopK *all_rows, const Cells *cells, Py_ssize_t cell, Py_ssize_t first_row,
    const int32_t *near, float *all_reaches, uint8_t *all_open, bint goes_on, float *panel,
    float *packed, float *squares,
) noexcept nogil:
    """Find the candidates of a cell's rows; near cells come first, so that few are pushed.

    all_reaches, all_open : of the rows, as ``knn_dense.search_cells`` has them.
    panel, packed, squares : room for eight rows, for all that go on, and for the squared distances
    of those that search from the centroids.
    """
    cdef Py_ssize_t i, j, r, count, n = 0
    cdef Py_ssize_t first_point = PANEL * TILE * <Py_ssize_t> cells.starts[cell]
    cdef Py_ssize_t n_rows = cells.firsts[cell + 1] - cells.firsts[cell]
    cdef const float *points = cells.points + first_point * cells.depth
    cdef float *reaches = all_reaches + first_row
    cdef uint8_t *is_open = all_open + first_row
    cdef float norms[ROOM]
    cdef float limits[ROOM]
    cdef int32_t rows[ROOM]  # that search
    cdef int32_t chosen[PANEL]
    cdef int32_t places[PANEL]
    cdef int lanes
    cdef bint is_last
    cdef TopK top
    top.keys = all_rows.keys + first_row * all_rows.capacity
    top.counts, top.thresholds = all_rows.counts + first_row, all_rows.thresholds + first_row
    top.capacity, top.k = all_rows.capacity, all_rows.k
    for r in range(n_rows):
        if is_open[r] or not goes_on:
            rows[n] = <int32_t> r
            n += 1
    if goes_on:
        for r in range(0, n, 8):
            gather(
                points, cells.depth, rows + r, min(<Py_ssize_t> PANEL, n - r),
                packed + r * cells.depth,
            )
    measure(cells, packed if goes_on else points, n, near, panel, norms, squares)
    if not goes_on:
        near_distances(squares, cells.n_near, n, cells.reach, reaches)
    for r in range(ROOM):
        limits[r] = -INFINITY
    for r in range(n):
        limits[r] = limit_of(&top, cells, rows[r], reaches[rows[r]], norms[r])
    for i in range(cells.n_near):
        count = 0
        for r in range(0, n, 8):
            lanes = chosen_lanes(
                squares + i * ROOM + r, limits + r, cells.width * cells.radii[near[i]]
            )
            is_last = r + 8 >= n
            while lanes or (is_last and count):
                if lanes:
                    places[count] = <int32_t> (r + lowest_bit(lanes))
                    chosen[count] = rows[places[count]]
                    lanes &= lanes - 1
                    count += 1
                if count == PANEL or (is_last and not lanes):
                    gather(points, cells.depth, chosen, count, panel)
                    compare_panel(&top, cells, panel, chosen, count, near[i], first_point)
                    for j in range(count):
                        limits[places[j]] = limit_of(
                            &top, cells, chosen[j], reaches[chosen[j]], norms[places[j]]
                        )
                    count = 0
    if not goes_on:
        mark_open(cells, cell, near[cells.n_near - 1], n, squares, limits, is_open)
