"""Candidates for the nearest neighbours, by products of all rows with all others.

    score of point j for row i = |y_j|^2 - 2 x_i . y_j,

which orders the points as their distance from x_i does.  Rows come packed in
panels of eight, depth by depth, so that the products of two panels are eight
running sums of vectors (``f8_panel_products``).  The 64 products are compared in
registers with a threshold for each row, the score of its k-th best candidate so
far; almost all are rejected there and never written to memory.

What becomes of a candidate that is not rejected is in ``top_k.pxd``.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint64_t

from fasttsne._kernels.knn.top_k cimport TopK, push
from fasttsne._kernels.simd.simd8 cimport f8, f8_fma, f8_less, f8_load, f8_set1, f8_store
from fasttsne._kernels.linalg.gemm_panels cimport PANEL, TILE, tile_products

PANEL_ROWS = PANEL
TILE_ROWS = PANEL * TILE


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


cdef inline void push_lanes(
    const TopK *top, int below, f8 scores, Py_ssize_t row, Py_ssize_t number, int by_row,
    Py_ssize_t excluded,
) noexcept nogil:
    """Push candidates whose bits are set: eight points to one row, or one point to eight rows."""
    cdef float score[8]
    cdef int lane
    f8_store(score, scores)
    for lane in range(8):
        if below >> lane & 1:
            if by_row:
                if number + lane != excluded and score[lane] < top.thresholds[row]:
                    push(top, row, score[lane], number + lane)
            elif score[lane] < top.thresholds[row + lane]:
                push(top, row + lane, score[lane], number)


cdef inline void push_panel(
    const TopK *top, f8 products, Py_ssize_t row, float row_norm, Py_ssize_t first_point,
    const float *norms, bint both, Py_ssize_t excluded,
) noexcept nogil:
    """Compare eight points with one row and, if ``both``, the row with the eight points."""
    cdef f8 scores = f8_fma(f8_set1(-2), products, f8_load(norms))
    cdef int below = f8_less(scores, f8_set1(top.thresholds[row]))
    if below:
        push_lanes(top, below, scores, row, first_point, True, excluded)
    if both:
        scores = f8_fma(f8_set1(-2), products, f8_set1(row_norm))
        below = f8_less(scores, f8_load(top.thresholds + first_point))
        if below:
            push_lanes(top, below, scores, first_point, row, False, -1)


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


cdef void search_for_panel(
    const TopK *top, const float *rows, Py_ssize_t first_row, const float *points,
    Py_ssize_t panels, const float *norms, Py_ssize_t depth, Py_ssize_t block,
    const int32_t *blocks, const int32_t *masks, Py_ssize_t count,
) noexcept nogil:
    """Compare blocks of points with those of a panel's eight rows whose bits are set."""
    cdef Py_ssize_t i, q, tile, last
    cdef f8 products[PANEL * TILE]
    cdef int r, t
    for i in range(count):
        last = min((blocks[i] + 1) * block // PANEL, panels)
        for tile in range(blocks[i] * block // (PANEL * TILE), last // TILE):
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
    const float[:, :, ::1] points,  # IN (point panels, depth, 8), a multiple of TILE panels
    const float[::1] norms,  # IN (8 * point panels,), infinite beyond the last point
    Py_ssize_t block,  # points of a block, a multiple of TILE_ROWS
    const int64_t[::1] starts,  # IN (row panels + 1,), into the next two
    const int32_t[::1] blocks,  # IN, the blocks that rows of a panel probe
    const int32_t[::1] masks,  # IN, which of the eight rows: bits, none beyond the last row
    Py_ssize_t k,
    uint64_t[:, ::1] keys, int32_t[::1] counts, float[::1] thresholds,  # INOUT, for the rows
    int n_threads,
):
    """Compare each row with the points of the blocks that it probes.

    A panel computes the products that any of its rows wants; a row gets its
    own only, so that it does not depend on its neighbours in the panel.
    """
    cdef Py_ssize_t p
    cdef TopK top
    top.keys, top.counts, top.thresholds = &keys[0, 0], &counts[0], &thresholds[0]
    top.capacity, top.k = keys.shape[1], k
    for p in prange(starts.shape[0] - 1, nogil=True, schedule="dynamic", num_threads=n_threads):
        search_for_panel(
            &top, &rows[p, 0, 0], PANEL * p, &points[0, 0, 0], points.shape[0], &norms[0],
            rows.shape[1], block, &blocks[0] + starts[p], &masks[0] + starts[p],
            starts[p + 1] - starts[p],
        )


cdef void project_row(
    const float *row, const float *origin, const float *directions, Py_ssize_t d, Py_ssize_t width,
    float *out,
) noexcept nogil:
    cdef Py_ssize_t c, v
    cdef f8 sums[8]
    cdef f8 x
    cdef const float *line
    for v in range(8):
        sums[v] = f8_set1(0)
    for c in range(d):
        x = f8_set1(row[c] - origin[c])
        line = directions + c * width
        for v in range(8):
            sums[v] = f8_fma(x, f8_load(line + 8 * v), sums[v])
    for v in range(8):
        f8_store(out + 8 * v, sums[v])


def project(
    const float[:, ::1] rows,  # IN (m, d)
    const float[::1] origin,  # IN (d,)
    const float[:, ::1] directions,  # IN (d, 64)
    float[:, ::1] out,  # OUT (m, 64)
    int n_threads,
):
    """out = (rows - origin) directions, each row by itself: no row depends on another."""
    cdef Py_ssize_t i
    if directions.shape[1] != 64 or out.shape[1] != 64:
        raise ValueError("there must be 64 directions")
    for i in prange(rows.shape[0], nogil=True, schedule="dynamic", chunksize=16,
                    num_threads=n_threads):
        project_row(
            &rows[i, 0], &origin[0], &directions[0, 0], rows.shape[1], 64, &out[i, 0]
        )
