"""Candidates for the nearest neighbours, by products of all rows with all others.

    score of point j for row i = |y_j|^2 - 2 x_i . y_j,

which orders the points as their distance from x_i does.  Rows come packed in
panels of eight, depth by depth, so that the products of two panels are eight
running sums of vectors (``f8_panel_products``).  The 64 products are compared in
registers with a threshold for each row, the score of its k-th best candidate so
far; almost all are rejected there and never written to memory.

What becomes of a candidate that is not rejected stands in ``best.pxd``.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint64_t

from fasttsne._kernels.knn.top_k cimport Best, offer
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


cdef inline void offer_lanes(
    const Best *best, int below, f8 scores, Py_ssize_t row, Py_ssize_t number, int by_row,
    Py_ssize_t excluded,
) noexcept nogil:
    """Offer the lanes whose bits are set: to one row eight points, or to eight rows one point."""
    cdef float score[8]
    cdef int lane
    f8_store(score, scores)
    for lane in range(8):
        if below >> lane & 1:
            if by_row:
                if number + lane != excluded and score[lane] < best.thresholds[row]:
                    offer(best, row, score[lane], number + lane)
            elif score[lane] < best.thresholds[row + lane]:
                offer(best, row + lane, score[lane], number)


cdef inline void offer_panel(
    const Best *best, f8 products, Py_ssize_t row, float row_norm, Py_ssize_t first_point,
    const float *norms, bint both, Py_ssize_t excluded,
) noexcept nogil:
    """Offer eight points to one row and, if ``both``, the row to the eight points."""
    cdef f8 scores = f8_fma(f8_set1(-2), products, f8_load(norms))
    cdef int below = f8_less(scores, f8_set1(best.thresholds[row]))
    if below:
        offer_lanes(best, below, scores, row, first_point, True, excluded)
    if both:
        scores = f8_fma(f8_set1(-2), products, f8_set1(row_norm))
        below = f8_less(scores, f8_load(best.thresholds + first_point))
        if below:
            offer_lanes(best, below, scores, first_point, row, False, -1)


cdef void offer_block_pair(
    const Best *best, const float *packed, const float *norms, Py_ssize_t n, Py_ssize_t panels,
    Py_ssize_t depth, Py_ssize_t block, Py_ssize_t a, Py_ssize_t b,
) noexcept nogil:
    """All pairs of a block's rows with another's, or within one block."""
    cdef Py_ssize_t p, q, last_p, last_q
    cdef f8 products[PANEL * TILE]
    cdef int r, t
    last_p = min((a + 1) * block // PANEL, panels)
    last_q = min((b + 1) * block // PANEL, panels)
    for p in range(a * block // PANEL, last_p):
        # Within a block each pair of panels is met once: q starts at p's own tile.
        for q in range(p // 3 * 3 if a == b else b * block // PANEL, last_q, 3):
            tile_products(
                packed + p * PANEL * depth, packed + q * PANEL * depth, depth, products
            )
            for r in range(min(<Py_ssize_t> PANEL, n - PANEL * p)):
                for t in range(TILE):
                    if a != b or q + t >= p:
                        offer_panel(
                            best, products[TILE * r + t], PANEL * p + r, norms[PANEL * p + r],
                            PANEL * (q + t), norms + PANEL * (q + t), p != q + t,
                            PANEL * p + r,
                        )


def offer_pairs(
    const float[:, :, ::1] packed,  # IN (panels, depth, 8), a multiple of TILE panels
    const float[::1] norms,  # IN (8 * panels,), squared; infinite beyond the last row
    Py_ssize_t n,  # rows
    Py_ssize_t block,  # rows of a block, a multiple of TILE_ROWS
    const int32_t[:, ::1] pairs,  # IN (pairs, 2), blocks; no block stands in two pairs
    Py_ssize_t k,
    uint64_t[:, ::1] keys, int32_t[::1] counts,  # INOUT (n, capacity) and (n,), capacity > k
    float[::1] thresholds,  # INOUT (8 * panels,), inf at first, -inf beyond the last row
    int n_threads,
):
    """Offer to the rows of each block those of its partner, both ways at the price of one."""
    cdef Py_ssize_t p
    cdef Best best
    best.keys, best.counts, best.thresholds = &keys[0, 0], &counts[0], &thresholds[0]
    best.capacity, best.k = keys.shape[1], k
    for p in prange(pairs.shape[0], nogil=True, schedule="dynamic", num_threads=n_threads):
        offer_block_pair(
            &best, &packed[0, 0, 0], &norms[0], n, packed.shape[0], packed.shape[1], block,
            pairs[p, 0], pairs[p, 1],
        )


cdef void offer_range(
    const Best *best, const float *rows, Py_ssize_t n_rows, Py_ssize_t first, Py_ssize_t last,
    const float *points, Py_ssize_t panels, const float *norms, Py_ssize_t depth,
    Py_ssize_t first_point,
) noexcept nogil:
    """Offer all points to the row panels first..last."""
    cdef Py_ssize_t p, q
    cdef f8 products[PANEL * TILE]
    cdef int r, t
    for q in range(0, panels, 3):
        for p in range(first, last):
            tile_products(rows + p * PANEL * depth, points + q * PANEL * depth, depth, products)
            for r in range(min(<Py_ssize_t> PANEL, n_rows - PANEL * p)):
                for t in range(TILE):
                    offer_panel(
                        best, products[TILE * r + t], PANEL * p + r, 0,
                        first_point + PANEL * (q + t), norms + PANEL * (q + t), False, -1,
                    )


def offer_all(
    const float[:, :, ::1] rows,  # IN (row panels, depth, 8)
    Py_ssize_t n_rows,
    const float[:, :, ::1] points,  # IN (point panels, depth, 8), a multiple of TILE panels
    const float[::1] norms,  # IN (8 * point panels,), infinite beyond the last point
    Py_ssize_t first,  # the number of the first point
    Py_ssize_t k,
    uint64_t[:, ::1] keys, int32_t[::1] counts, float[::1] thresholds,  # INOUT, for the rows
    int n_threads,
):
    """Offer every point to every row."""
    cdef Py_ssize_t task, panels = rows.shape[0], step = 8, tasks = (panels + step - 1) // step
    cdef Best best
    best.keys, best.counts, best.thresholds = &keys[0, 0], &counts[0], &thresholds[0]
    best.capacity, best.k = keys.shape[1], k
    for task in prange(tasks, nogil=True, schedule="dynamic", num_threads=n_threads):
        offer_range(
            &best, &rows[0, 0, 0], n_rows, task * step, min((task + 1) * step, panels),
            &points[0, 0, 0], points.shape[0], &norms[0], rows.shape[1], first,
        )


cdef void offer_to_panel(
    const Best *best, const float *rows, Py_ssize_t first_row, const float *points,
    Py_ssize_t panels, const float *norms, Py_ssize_t depth, Py_ssize_t block,
    const int32_t *blocks, const int32_t *masks, Py_ssize_t count,
) noexcept nogil:
    """Offer blocks of points to those of a panel's eight rows whose bits are set."""
    cdef Py_ssize_t i, q, last
    cdef f8 products[PANEL * TILE]
    cdef int r, t
    for i in range(count):
        last = min((blocks[i] + 1) * block // PANEL, panels)
        for q in range(blocks[i] * block // PANEL, last, 3):
            tile_products(rows, points + q * PANEL * depth, depth, products)
            for r in range(PANEL):
                if masks[i] >> r & 1:
                    for t in range(TILE):
                        offer_panel(
                            best, products[TILE * r + t], first_row + r, 0, PANEL * (q + t),
                            norms + PANEL * (q + t), False, -1,
                        )


def offer_probed(
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
    """Offer to each row the points of the blocks that it probes.

    A panel computes the products that any of its rows wants; a row is offered its
    own only, so that it does not depend on its neighbours in the panel.
    """
    cdef Py_ssize_t p
    cdef Best best
    best.keys, best.counts, best.thresholds = &keys[0, 0], &counts[0], &thresholds[0]
    best.capacity, best.k = keys.shape[1], k
    for p in prange(starts.shape[0] - 1, nogil=True, schedule="dynamic", num_threads=n_threads):
        offer_to_panel(
            &best, &rows[p, 0, 0], PANEL * p, &points[0, 0, 0], points.shape[0], &norms[0],
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
