"""Comparison of the products of panels with the rows' thresholds; see ``knn_dense.pyx``."""

from fasttsne._kernels.knn.top_k cimport TopK, push
from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_fma, f8_less, f8_load, f8_set1, f8_store, lowest_bit,
)


cdef inline void push_lanes(
    const TopK *top, int below, f8 scores, Py_ssize_t row, Py_ssize_t number, int by_row,
    Py_ssize_t excluded,
) noexcept nogil:
    """Push candidates whose bits are set: eight points to one row, or one point to eight rows."""
    cdef float score[8]
    cdef int lane
    f8_store(score, scores)
    while below:
        lane = lowest_bit(below)
        below &= below - 1
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
