"""Candidates for the nearest neighbours, by products of all rows with all others.

    score of point j for row i = |y_j|^2 - 2 x_i . y_j,

which orders the points as their distance from x_i does.  Rows come packed in
panels of eight, depth by depth, so that the products of two panels are eight
running sums of vectors (``f8_panel_products``).  The 64 products are compared in
registers with a threshold for each row, the score of its k-th best candidate so
far; almost all are rejected there and never written to memory.

What becomes of a candidate that is not rejected is in ``top_k.pxd``.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

import numpy as np

from fasttsne._kernels.knn.cell_search cimport (
    MAX_CELL_ROWS as CELL_ROWS, NEAR_CENTROID as NEAR, REFERENCE_CELLS as REFERENCE,
    RESOLUTION as LEAST, ROOM, Cells, search_cell,
)
from fasttsne._kernels.knn.push_panel cimport push_panel
from fasttsne._kernels.knn.top_k cimport TopK
from fasttsne._kernels.simd.simd8 cimport f8, f8_fma, f8_load, f8_set1, f8_store
from fasttsne._kernels.linalg.gemm_panels cimport PANEL, TILE, tile_products

cdef enum:
    VECTORS = 4  # of eight directions of a projection, at a time

PANEL_ROWS = PANEL
TILE_ROWS = PANEL * TILE
MAX_CELL_ROWS, NEAR_CENTROID, REFERENCE_CELLS = CELL_ROWS, NEAR, REFERENCE
RESOLUTION = LEAST


cdef void pack_panel(
    const float *points, const int32_t *order, const float *origin, Py_ssize_t first,
    Py_ssize_t count, Py_ssize_t depth, float *panel, float *norms,
) noexcept nogil:
    """Write up to eight rows, less the origin, depth by depth, and their squared lengths."""
    cdef Py_ssize_t r, c
    cdef const float *row
    cdef float value
    cdef double norm
    for r in range(count):
        row = points + depth * <Py_ssize_t> order[first + r]
        norm = 0
        for c in range(depth):
            value = row[c] - origin[c]
            panel[PANEL * c + r] = value
            norm += value * value
        norms[r] = <float> norm


def pack(
    const float[:, ::1] points,  # IN (n, depth)
    const int32_t[::1] order,  # IN (rows,), which rows in which order
    const float[::1] origin,  # IN (depth,), subtracted from each row
    float[:, :, ::1] panels,  # OUT (panels, depth, 8), zeros beyond the last row
    float[::1] norms,  # OUT (8 * panels,), infinite beyond the last row
    int n_threads,
):
    """Pack rows as the other functions read them. O(rows depth)."""
    cdef Py_ssize_t p, n = order.shape[0], full = (n + PANEL - 1) // PANEL
    norms[n:] = float("inf")
    panels[n // PANEL:] = 0
    for p in prange(full, nogil=True, schedule="static", num_threads=n_threads):
        pack_panel(
            &points[0, 0], &order[0], &origin[0], p * PANEL, min(<Py_ssize_t> PANEL, n - p * PANEL),
            points.shape[1], &panels[p, 0, 0], &norms[p * PANEL],
        )


cdef void search_block_pair(
    const TopK *top, const float *packed, const float *norms, Py_ssize_t n, Py_ssize_t panels,
    Py_ssize_t depth, Py_ssize_t block, Py_ssize_t a, Py_ssize_t b,
) noexcept nogil:
    """All pairs of a block's rows with another's, or within one block."""
    cdef Py_ssize_t p, q, tile, last_p, last_q
    cdef f8 products[PANEL * TILE]
    cdef int r, t
    last_p = min((a + 1) * block // PANEL, panels)
    last_q = min((b + 1) * block // PANEL, panels)
    for p in range(a * block // PANEL, last_p):
        # Within a block each pair of panels is compared once: q starts at p's own tile.
        for tile in range(p // TILE if a == b else b * block // (PANEL * TILE), last_q // TILE):
            q = TILE * tile
            tile_products(
                packed + p * PANEL * depth, packed + q * PANEL * depth, depth, products
            )
            for r in range(min(<Py_ssize_t> PANEL, n - PANEL * p)):
                for t in range(TILE):
                    if a != b or q + t >= p:
                        push_panel(
                            top, products[TILE * r + t], PANEL * p + r, norms[PANEL * p + r],
                            PANEL * (q + t), norms + PANEL * (q + t), p != q + t,
                            PANEL * p + r,
                        )


def search_pairs(
    const float[:, :, ::1] packed,  # IN (panels, depth, 8), a multiple of TILE panels
    const float[::1] norms,  # IN (8 * panels,), squared; infinite beyond the last row
    Py_ssize_t n,  # rows
    Py_ssize_t block,  # rows of a block, a multiple of TILE_ROWS
    const int32_t[:, ::1] pairs,  # IN (pairs, 2), blocks; no block is in two pairs
    Py_ssize_t k,
    uint64_t[:, ::1] keys, int32_t[::1] counts,  # INOUT (n, capacity) and (n,), capacity > k
    float[::1] thresholds,  # INOUT (8 * panels,), inf at first, -inf beyond the last row
    int n_threads,
):
    """Compare the rows of pairs of blocks, both ways at the price of one.

    O(pairs block^2 depth).
    """
    cdef Py_ssize_t p
    cdef TopK top
    top.keys, top.counts, top.thresholds = &keys[0, 0], &counts[0], &thresholds[0]
    top.capacity, top.k = keys.shape[1], k
    for p in prange(pairs.shape[0], nogil=True, schedule="dynamic", num_threads=n_threads):
        search_block_pair(
            &top, &packed[0, 0, 0], &norms[0], n, packed.shape[0], packed.shape[1], block,
            pairs[p, 0], pairs[p, 1],
        )


cdef void search_range(
    const TopK *top, const float *rows, Py_ssize_t n_rows, Py_ssize_t first, Py_ssize_t last,
    const float *points, Py_ssize_t panels, const float *norms, Py_ssize_t depth,
    Py_ssize_t first_point,
) noexcept nogil:
    """Compare all points with the row panels first..last."""
    cdef Py_ssize_t p, q, tile
    cdef f8 products[PANEL * TILE]
    cdef int r, t
    for tile in range(panels // TILE):
        q = TILE * tile
        for p in range(first, last):
            tile_products(rows + p * PANEL * depth, points + q * PANEL * depth, depth, products)
            for r in range(min(<Py_ssize_t> PANEL, n_rows - PANEL * p)):
                for t in range(TILE):
                    push_panel(
                        top, products[TILE * r + t], PANEL * p + r, 0,
                        first_point + PANEL * (q + t), norms + PANEL * (q + t), False, -1,
                    )


def search_all(
    const float[:, :, ::1] rows,  # IN (row panels, depth, 8)
    Py_ssize_t n_rows,
    const float[:, :, ::1] points,  # IN (point panels, depth, 8), a multiple of TILE panels
    const float[::1] norms,  # IN (8 * point panels,), infinite beyond the last point
    Py_ssize_t first,  # the number of the first point
    Py_ssize_t k,
    uint64_t[:, ::1] keys, int32_t[::1] counts, float[::1] thresholds,  # INOUT, for the rows
    int n_threads,
):
    """Compare every point with every row. O(rows points depth)."""
    cdef Py_ssize_t task, panels = rows.shape[0], step = 8, tasks = (panels + step - 1) // step
    cdef TopK top
    top.keys, top.counts, top.thresholds = &keys[0, 0], &counts[0], &thresholds[0]
    top.capacity, top.k = keys.shape[1], k
    for task in prange(tasks, nogil=True, schedule="dynamic", num_threads=n_threads):
        search_range(
            &top, &rows[0, 0, 0], n_rows, task * step, min((task + 1) * step, panels),
            &points[0, 0, 0], points.shape[0], &norms[0], rows.shape[1], first,
        )


def search_cells(
    const float[:, :, ::1] points,  # IN (panels, depth, 8), cell by cell, whole tiles
    const float[::1] norms,  # IN (8 * panels,), infinite where there is no point
    const int32_t[::1] starts,  # IN (cells + 1,), first tile of each cell
    const int32_t[::1] firsts,  # IN (cells + 1,), first row of each cell; up to MAX_CELL_ROWS
    const float[:, ::1] centroids,  # IN (cells, depth)
    const float[::1] centroid_norms,  # IN (cells,), squared
    const float[::1] radii,  # IN (cells,)
    Py_ssize_t first,  # the first of the cells whose rows search
    const int32_t[:, ::1] near,  # IN (cells that search, any), those that their rows may probe;
                                 # unless rows go on, their own first, the farthest last
    float reach, float pull, float width,  # which of them they probe: cell_search.pxd
    Py_ssize_t k,
    # For the rows of these cells in order:
    float[::1] reaches,  # OUT, the first of the three limits; IN where rows go on
    uint8_t[::1] is_open,  # OUT, whether a row may find more beyond them; IN where rows go on
    bint goes_on,  # whether only rows that are open search, which have candidates already
    uint64_t[:, ::1] keys, int32_t[::1] counts, float[::1] thresholds,  # INOUT
    int n_threads,
):
    """Compare the rows of some cells with the points of the cells that they probe.

    O(rows (near + probed points) depth).
    """
    cdef Py_ssize_t i, depth = points.shape[1], n_near = near.shape[1], size = near.shape[0]
    cdef TopK top
    cdef Cells cells
    cdef float[:, ::1] panels = np.empty((n_threads, PANEL * depth), np.float32)
    cdef float[:, ::1] packed = np.zeros((n_threads, ROOM * depth if goes_on else 1), np.float32)
    cdef float[:, ::1] squares = np.empty((n_threads, ROOM * n_near), np.float32)
    top.keys, top.counts, top.thresholds = &keys[0, 0], &counts[0], &thresholds[0]
    top.capacity, top.k = keys.shape[1], k
    cells.points, cells.norms, cells.depth = &points[0, 0, 0], &norms[0], depth
    cells.starts, cells.firsts, cells.radii = &starts[0], &firsts[0], &radii[0]
    cells.centroids, cells.centroid_norms = &centroids[0, 0], &centroid_norms[0]
    cells.n_near, cells.reach, cells.pull, cells.width = n_near, reach, pull, width
    for i in prange(size, nogil=True, schedule="dynamic", num_threads=n_threads):
        search_cell(
            &top, &cells, first + i, firsts[first + i] - firsts[first], &near[i, 0], &reaches[0],
            &is_open[0], goes_on, &panels[threadid(), 0], &packed[threadid(), 0],
            &squares[threadid(), 0],
        )


cdef void search_for_panel(
    const TopK *top, const float *rows, Py_ssize_t first_row, const float *points,
    const float *norms, Py_ssize_t depth, const int32_t *starts, const int32_t *cells,
    const int32_t *masks, Py_ssize_t count,
) noexcept nogil:
    """Compare cells of points with those of a panel's eight rows whose bits are set."""
    cdef Py_ssize_t i, q, tile
    cdef f8 products[PANEL * TILE]
    cdef int r, t
    for i in range(count):
        for tile in range(starts[cells[i]], starts[cells[i] + 1]):
            q = TILE * tile
            tile_products(rows, points + q * PANEL * depth, depth, products)
            for r in range(PANEL):
                if masks[i] >> r & 1:
                    for t in range(TILE):
                        push_panel(
                            top, products[TILE * r + t], first_row + r, 0, PANEL * (q + t),
                            norms + PANEL * (q + t), False, -1,
                        )


def search_probed(
    const float[:, :, ::1] rows,  # IN (row panels, depth, 8)
    const float[:, :, ::1] points,  # IN (point panels, depth, 8), cell by cell, whole tiles
    const float[::1] norms,  # IN (8 * point panels,), infinite where there is no point
    const int32_t[::1] cell_starts,  # IN (cells + 1,), first tile of each cell
    const int64_t[::1] starts,  # IN (row panels + 1,), into the next two
    const int32_t[::1] cells,  # IN, the cells that rows of a panel probe
    const int32_t[::1] masks,  # IN, which of the eight rows: bits, none beyond the last row
    Py_ssize_t k,
    uint64_t[:, ::1] keys, int32_t[::1] counts, float[::1] thresholds,  # INOUT, for the rows
    int n_threads,
):
    """Compare each row with the points of the cells that it probes.

    A panel computes the products that any of its rows wants; a row gets its
    own only, so that it does not depend on its neighbours in the panel.
    """
    cdef Py_ssize_t p
    cdef TopK top
    top.keys, top.counts, top.thresholds = &keys[0, 0], &counts[0], &thresholds[0]
    top.capacity, top.k = keys.shape[1], k
    for p in prange(starts.shape[0] - 1, nogil=True, schedule="dynamic", num_threads=n_threads):
        search_for_panel(
            &top, &rows[p, 0, 0], PANEL * p, &points[0, 0, 0], &norms[0], rows.shape[1],
            &cell_starts[0], &cells[0] + starts[p], &masks[0] + starts[p],
            starts[p + 1] - starts[p],
        )


cdef void project_pair(
    const float *a, const float *b, const float *origin, const float *directions, Py_ssize_t d,
    Py_ssize_t width, float *out_a, float *out_b,
) noexcept nogil:
    """Project two rows, so that enough sums run side by side."""
    cdef Py_ssize_t block, first, c, v
    cdef f8 s[VECTORS]
    cdef f8 t[VECTORS]
    cdef f8 x, y, line
    for block in range(width // (8 * VECTORS)):
        first = 8 * VECTORS * block
        for v in range(VECTORS):
            s[v] = t[v] = f8_set1(0)
        for c in range(d):
            x, y = f8_set1(a[c] - origin[c]), f8_set1(b[c] - origin[c])
            for v in range(VECTORS):
                line = f8_load(directions + c * width + first + 8 * v)
                s[v] = f8_fma(x, line, s[v])
                t[v] = f8_fma(y, line, t[v])
        for v in range(VECTORS):
            f8_store(out_a + first + 8 * v, s[v])
            f8_store(out_b + first + 8 * v, t[v])


def project(
    const float[:, ::1] rows,  # IN (m, d)
    const float[::1] origin,  # IN (d,)
    const float[:, ::1] directions,  # IN (d, width), a multiple of 32
    float[:, ::1] out,  # OUT (m, width)
    int n_threads,
):
    """out = (rows - origin) directions, each row by itself: no row depends on another."""
    cdef Py_ssize_t i, j, width = directions.shape[1], m = rows.shape[0]
    if width % (8 * VECTORS) != 0 or out.shape[1] != width:
        raise ValueError("the directions must be a multiple of 32, as many as columns of out")
    for i in prange((m + 1) // 2, nogil=True, schedule="dynamic", chunksize=8,
                    num_threads=n_threads):
        j = min(2 * i + 1, m - 1)
        project_pair(
            &rows[2 * i, 0], &rows[j, 0], &origin[0], &directions[0, 0], rows.shape[1], width,
            &out[2 * i, 0], &out[j, 0],
        )
