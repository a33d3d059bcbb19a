"""The search of one cell's rows in the cells that are near to each of them.

A row probes the cells whose centroids c have |x - c|^2 <= reach |x - c'|^2, where c' is the
NEAR_CENTROID-th nearest centroid: rows among many cells at like distances probe more of them.
Rows that chose the same cell are gathered in panels of eight, which share its points.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int32_t, uint64_t

from fasttsne._kernels.knn.push_panel cimport push_panel
from fasttsne._kernels.knn.top_k cimport TopK
from fasttsne._kernels.linalg.gemm_panels cimport PANEL, TILE, tile_products
from fasttsne._kernels.simd.simd8 cimport f8, f8_store

cdef enum:
    MAX_CELL_ROWS = 256
    MASK_WORDS = MAX_CELL_ROWS // 64  # a bit for each row
    NEAR_CENTROID = 6


cdef struct Cells:  # as ``knn_dense.search_cells`` has them
    const float *points
    const float *norms
    Py_ssize_t depth
    const int32_t *starts
    const int32_t *firsts
    const float *centroids
    const float *centroid_norms
    Py_ssize_t n_near
    Py_ssize_t n_always
    float reach


cdef inline void pack_centroids(const Cells *cells, const int32_t *near, float *out) noexcept nogil:
    """Pack the near cells' centroids as rows are packed."""
    cdef Py_ssize_t j, c
    cdef const float *centroid
    cdef float *lane
    for j in range(cells.n_near):
        centroid = cells.centroids + cells.depth * <Py_ssize_t> near[j]
        lane = out + j // PANEL * PANEL * cells.depth + j % PANEL
        for c in range(cells.depth):
            lane[PANEL * c] = centroid[c]


cdef inline float near_distance(const float *squares, Py_ssize_t n) noexcept nogil:
    """Return the NEAR_CENTROID-th smallest number, or the largest of fewer."""
    cdef float smallest[NEAR_CENTROID]
    cdef Py_ssize_t i, j, count = 0
    for i in range(n):
        if count == NEAR_CENTROID and squares[i] >= smallest[NEAR_CENTROID - 1]:
            continue
        count = min(count + 1, <Py_ssize_t> NEAR_CENTROID)
        j = count - 1
        while j > 0 and smallest[j - 1] > squares[i]:
            smallest[j] = smallest[j - 1]
            j -= 1
        smallest[j] = squares[i]
    return smallest[count - 1]


cdef inline void choose_cells(
    const Cells *cells, const float *rows, Py_ssize_t first, Py_ssize_t n_rows,
    const int32_t *near, const float *centroids, float *squares, uint64_t *masks,
) noexcept nogil:
    """Set the bits of a panel's rows, from the first on, in the masks of the cells they probe."""
    cdef Py_ssize_t j, c, tile, tiles = (cells.n_near + PANEL * TILE - 1) // (PANEL * TILE)
    cdef Py_ssize_t stride = PANEL * TILE * tiles
    cdef f8 products[PANEL * TILE]
    cdef float norms[PANEL]
    cdef float limit, norm
    cdef int r, t
    for r in range(PANEL):
        norms[r] = 0
        for c in range(cells.depth):
            norms[r] += rows[PANEL * c + r] * rows[PANEL * c + r]
    for tile in range(tiles):
        tile_products(
            rows, centroids + tile * PANEL * TILE * cells.depth, cells.depth, products
        )
        for r in range(n_rows):
            for t in range(TILE):
                f8_store(squares + r * stride + PANEL * (TILE * tile + t), products[TILE * r + t])
    for r in range(n_rows):
        for j in range(cells.n_near):
            norm = norms[r] + cells.centroid_norms[near[j]]
            # No less than its rounding error.
            squares[r * stride + j] = max(norm - 2 * squares[r * stride + j], 1e-6 * norm)
        limit = cells.reach * near_distance(squares + r * stride, cells.n_near)
        for j in range(cells.n_near):
            if squares[r * stride + j] <= limit:
                masks[MASK_WORDS * j + (first + r) // 64] |= <uint64_t> 1 << (first + r) % 64


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


cdef inline void search_cell(
    const TopK *rows, const Cells *cells, Py_ssize_t cell, Py_ssize_t first_row,
    const int32_t *near, float *scratch, float *squares, uint64_t *masks,
) noexcept nogil:
    """Find the candidates of a cell's rows; near cells come first, so that few are pushed.

    scratch, squares, masks : of the near cells, the packed centroids (later a panel), squared
    distances of eight rows, and the rows that probe each.
    """
    cdef Py_ssize_t i, r, count, first_point = PANEL * TILE * <Py_ssize_t> cells.starts[cell]
    cdef Py_ssize_t n_rows = cells.firsts[cell + 1] - cells.firsts[cell]
    cdef const float *points = cells.points + first_point * cells.depth
    cdef int32_t chosen[PANEL]
    cdef TopK top
    top.keys, top.counts = rows.keys + first_row * rows.capacity, rows.counts + first_row
    top.thresholds = rows.thresholds + first_row
    top.capacity, top.k = rows.capacity, rows.k
    for i in range(MASK_WORDS * cells.n_near):
        masks[i] = ~<uint64_t> 0 if i < MASK_WORDS * cells.n_always else 0
    pack_centroids(cells, near, scratch)
    for r in range(0, n_rows, 8):
        choose_cells(
            cells, points + r * cells.depth, r, min(<Py_ssize_t> PANEL, n_rows - r), near, scratch,
            squares, masks,
        )
    for i in range(cells.n_near):
        count = 0
        for r in range(n_rows):
            if masks[MASK_WORDS * i + r // 64] >> r % 64 & 1:
                chosen[count] = <int32_t> r
                count += 1
            if count == PANEL or (count and r == n_rows - 1):
                gather(points, cells.depth, chosen, count, scratch)
                compare_panel(&top, cells, scratch, chosen, count, near[i], first_point)
                count = 0
