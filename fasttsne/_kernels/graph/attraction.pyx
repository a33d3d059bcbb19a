"""Attractive forces: one pass over the edges of the affinity graph.

    out_i = sum_j p_ij q_ij (y_i - y_j),    q_ij = 1 / (1 + |y_i - y_j|^2 / dof)

which is a quarter of the attractive half of the gradient of the KL divergence,
for any number of degrees of freedom.  On request the same pass returns

    cross = dof * sum_ij p_ij log(1 + |y_i - y_j|^2 / dof),

the part of the KL divergence that depends on single edges:
KL = sum p log p + cross + log Z.

``attraction_to`` does the same for points that are attracted by others than themselves.

    edges: p_ij, see ``edges.pxd``;    y: y_i;    others: y_j

Cost: one read of the edges, which is what bounds it; points should be numbered
along a space-filling curve so that the gathered coordinates are in the cache.
Float32 sums over one row, float64 over blocks.
"""

from cython.parallel cimport parallel, prange
from libc.stdint cimport int16_t, int32_t, int64_t, uint16_t

import numpy as np

from fasttsne._kernels.graph.edges cimport Edges, edges_of
from fasttsne._kernels.optimize.row_task cimport RowTask, as_capsule, new_task
from fasttsne._kernels.pieces cimport PIECE_ROWS, PyErr_CheckSignals
from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_decode, f8_fma, f8_gather, f8_gather_near, f8_mul, f8_set1, f8_sub, f8_sum,
)
from fasttsne._kernels.simd.student cimport student_log, student_q

cdef extern from "threads.h" nogil:
    int64_t take_one(int64_t *counter)

cdef Py_ssize_t BLOCK = 256  # rows a task


cdef inline void attract_eight(
    const f8 *own, f8 *difference, f8 p, int d, float inverse_dof, bint with_cross,
    f8 *force, f8 *cross,
) noexcept nogil:
    """Add what eight edges contribute; ``difference`` has the points at their ends."""
    cdef int c
    cdef f8 strength, r2 = f8_set1(0)
    for c in range(d):
        difference[c] = f8_sub(own[c], difference[c])
        r2 = f8_fma(difference[c], difference[c], r2)
    strength = f8_mul(p, student_q(r2, inverse_dof))
    for c in range(d):
        force[c] = f8_fma(strength, difference[c], force[c])
    if with_cross:
        cross[0] = f8_fma(p, student_log(r2, inverse_dof), cross[0])


cdef inline double attract_rows(
    const Edges *edges, const float *y, const float *others, float *out,
    Py_ssize_t first, Py_ssize_t last, int d, float dof, bint with_cross,
    const int32_t *numbers, float *row_cross,
) noexcept nogil:
    """Forces of ``others`` on the rows first..last of y, or on those with these numbers.

    ``d`` and ``with_cross`` are literals at each call.
    """
    cdef Py_ssize_t i, e, own_row
    cdef int c
    cdef f8 own[3]
    cdef f8 difference[3]
    cdef f8 force[3]
    cdef f8 p, cross
    cdef float inverse_dof = 1 / dof
    cdef double total = 0
    for i in range(first, last):
        own_row = i if numbers == NULL else numbers[i]
        cross = f8_set1(0)
        for c in range(d):
            own[c] = f8_set1(y[own_row * d + c])
            force[c] = f8_set1(0)
        for e in range(edges.near_indptr[i], edges.near_indptr[i + 1], 8):
            f8_gather_near(others + own_row * d, edges.offsets + e, d, difference)
            p = f8_decode(edges.near_values + e, edges.smallest)
            attract_eight(own, difference, p, d, inverse_dof, with_cross, force, &cross)
        for e in range(edges.far_indptr[i], edges.far_indptr[i + 1], 8):
            f8_gather(others, edges.columns + e, d, difference)
            p = f8_decode(edges.far_values + e, edges.smallest)
            attract_eight(own, difference, p, d, inverse_dof, with_cross, force, &cross)
        for c in range(d):
            out[i * d + c] = f8_sum(force[c])
        if with_cross:
            total += f8_sum(cross)
            if row_cross != NULL:
                row_cross[i] = f8_sum(cross)
    return total * dof


cdef double attract_block(
    const Edges *edges, const float *y, const float *others, float *out,
    Py_ssize_t first, Py_ssize_t last, int d, float dof, bint with_cross,
    const int32_t *rows=NULL, float *row_cross=NULL,
) noexcept nogil:
    """One compiled loop for each dimension, with and without the cross term."""
    if d == 1:
        if with_cross:
            return attract_rows(edges, y, others, out, first, last, 1, dof, True, rows, row_cross)
        return attract_rows(edges, y, others, out, first, last, 1, dof, False, rows, row_cross)
    if d == 2:
        if with_cross:
            return attract_rows(edges, y, others, out, first, last, 2, dof, True, rows, row_cross)
        return attract_rows(edges, y, others, out, first, last, 2, dof, False, rows, row_cross)
    if with_cross:
        return attract_rows(edges, y, others, out, first, last, 3, dof, True, rows, row_cross)
    return attract_rows(edges, y, others, out, first, last, 3, dof, False, rows, row_cross)


cdef void attract_blocks(
    const Edges *edges, const float *y, const float *others, float *out, Py_ssize_t n, int d,
    float dof, bint with_cross, double *partial_sums, int64_t *next_block, Py_ssize_t at_most,
) noexcept nogil:
    """Take blocks from a counter until there are no more, or so many are done."""
    cdef Py_ssize_t first, _
    for _ in range(at_most):
        first = take_one(next_block) * BLOCK
        if first >= n:
            return
        partial_sums[first // BLOCK] = attract_block(
            edges, y, others, out, first, min(first + BLOCK, n), d, dof, with_cross
        )


cdef struct AttractionTask:
    RowTask task
    Edges edges
    const float *y, *others
    float *out
    int d
    float dof


cdef bint run_task(const void *task, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    t = <const AttractionTask *> task
    attract_block(&t.edges, t.y, t.others, t.out, first, last, t.d, t.dof, False)
    return False


def count_blocks(Py_ssize_t n):
    """How many blocks of rows n points make: the length of the scratch array."""
    return (n + BLOCK - 1) // BLOCK


def attraction(
    const int64_t[::1] near_indptr, const int16_t[::1] offsets,  # IN, see `edges.pxd`
    const uint16_t[::1] near_values,
    const int64_t[::1] far_indptr, const int32_t[::1] columns, const uint16_t[::1] far_values,
    float smallest,
    const float[:, ::1] y,  # IN (n, d), d <= 3
    float[:, ::1] out,  # OUT (n, d)
    float dof,
    bint with_cross,
    int n_threads,
    double[::1] partial_sums=None,  # SCRATCH (count_blocks(n),), allocated here if not given
    int64_t[::1] next_block=None,  # INOUT (1,), as for `attraction_to`
):
    """Write the attractive forces to ``out``; return the cross term, or 0.0 if not wanted.

    O(edges).
    """
    return attraction_to(
        near_indptr, offsets, near_values, far_indptr, columns, far_values, smallest, y, y, out,
        dof, with_cross, n_threads, partial_sums, next_block
    )


def attraction_to(
    const int64_t[::1] near_indptr, const int16_t[::1] offsets,  # IN as for `attraction`
    const uint16_t[::1] near_values,
    const int64_t[::1] far_indptr, const int32_t[::1] columns, const uint16_t[::1] far_values,
    float smallest,
    const float[:, ::1] y,  # IN (n, d), d <= 3
    const float[:, ::1] others,  # IN (any, d), what the columns number
    float[:, ::1] out,  # OUT (n, d)
    float dof, bint with_cross, int n_threads,
    double[::1] partial_sums=None,  # SCRATCH as for `attraction`
    int64_t[::1] next_block=None,  # INOUT (1,), the first block that nobody has taken; None: 0
):
    """As ``attraction``, for edges from the points y to others.

    Several calls, each in a thread of its own, share the work if they are given one counter and the
    same arrays.  The cross term is the sum of ``partial_sums`` after the last of them.
    """
    cdef Py_ssize_t n = y.shape[0], n_blocks = (n + BLOCK - 1) // BLOCK
    cdef Py_ssize_t at_most = 4 * PIECE_ROWS // BLOCK // n_threads
    cdef int d = <int> y.shape[1]
    cdef Edges edges
    if n == 0 or columns.shape[0] + offsets.shape[0] == 0:
        out[:] = 0
        return 0.0
    if partial_sums is None:
        partial_sums = np.empty(n_blocks)
    if next_block is None:
        next_block = np.zeros(1, np.int64)
    edges = edges_of(
        near_indptr, offsets, near_values, far_indptr, columns, far_values, smallest
    )
    while next_block[0] < n_blocks:
        with nogil, parallel(num_threads=n_threads):
            attract_blocks(
                &edges, &y[0, 0], &others[0, 0], &out[0, 0], n, d, dof, with_cross,
                &partial_sums[0], &next_block[0], at_most,
            )
        PyErr_CheckSignals()
    return float(np.sum(partial_sums[:n_blocks]))


def row_task(
    const int64_t[::1] near_indptr, const int16_t[::1] offsets,  # IN as for `attraction`
    const uint16_t[::1] near_values,
    const int64_t[::1] far_indptr, const int32_t[::1] columns, const uint16_t[::1] far_values,
    float smallest,
    const float[:, ::1] y, const float[:, ::1] others, float[:, ::1] out,  # as `attraction_to`
    float dof,
):
    """``attraction_to`` without cross term, as a task: see ``row_task.pxd``."""
    cdef AttractionTask *task = <AttractionTask *> new_task(sizeof(AttractionTask), run_task)
    task.edges = edges_of(near_indptr, offsets, near_values, far_indptr, columns, far_values,
                          smallest)
    task.y, task.others, task.out = &y[0, 0], &others[0, 0], &out[0, 0]
    task.d, task.dof = <int> y.shape[1], dof
    return as_capsule(task)


def attraction_of(
    const int64_t[::1] near_indptr, const int16_t[::1] offsets,  # IN as for `attraction`, m rows
    const uint16_t[::1] near_values,
    const int64_t[::1] far_indptr, const int32_t[::1] columns, const uint16_t[::1] far_values,
    float smallest,
    const int32_t[::1] numbers,  # IN (m,), the point that each row is, below n
    const float[:, ::1] y,  # IN (n, d), d <= 3
    float[:, ::1] out,  # OUT (m, d)
    float[::1] cross,  # OUT (m,), what each row adds to the cross term, over dof; or None
    float dof,
    int n_threads,
):
    """As ``attraction``, for some of the points; their bits are the same."""
    cdef Py_ssize_t m = out.shape[0], b, n_blocks = (m + BLOCK - 1) // BLOCK
    cdef Py_ssize_t piece, stop, size = 4 * PIECE_ROWS // BLOCK
    cdef int d = <int> y.shape[1]
    cdef bint with_cross = cross is not None
    cdef float *row_cross = &cross[0] if with_cross and m else NULL
    cdef Edges edges
    if m == 0 or columns.shape[0] + offsets.shape[0] == 0:
        out[:] = 0
        if with_cross:
            cross[:] = 0
        return
    edges = edges_of(
        near_indptr, offsets, near_values, far_indptr, columns, far_values, smallest
    )
    for piece in range(0, n_blocks, size):
        stop = min(piece + size, n_blocks)
        for b in prange(piece, stop, nogil=True, schedule="dynamic", num_threads=n_threads):
            attract_block(
                &edges, &y[0, 0], &y[0, 0], &out[0, 0], b * BLOCK, min((b + 1) * BLOCK, m), d,
                dof, with_cross, &numbers[0], row_cross,
            )
        PyErr_CheckSignals()


cdef inline void moments_of_eight(
    const f8 *own, const f8 *own_v, f8 *difference, f8 *difference_v, f8 p, int d,
    float inverse_dof, f8 *degree, f8 *moment, f8 *product,
) noexcept nogil:
    """Add what eight edges contribute; the differences have what is at their ends."""
    cdef int a, b, k = 0
    cdef f8 weight, r2 = f8_set1(0)
    for a in range(d):
        difference[a] = f8_sub(own[a], difference[a])
        difference_v[a] = f8_sub(own_v[a], difference_v[a])
        r2 = f8_fma(difference[a], difference[a], r2)
    weight = f8_mul(p, student_q(r2, inverse_dof))
    degree[0] = f8_add(degree[0], weight)
    for a in range(d):
        product[a] = f8_fma(weight, difference_v[a], product[a])
        for b in range(a, d):
            moment[k] = f8_fma(weight, f8_mul(difference[a], difference[b]), moment[k])
            k = k + 1


cdef inline void moments_of_rows(
    const Edges *edges, const float *y, const float *v, float *degree, float *moments,
    float *product, Py_ssize_t first, Py_ssize_t last, int d, float dof, const int32_t *numbers,
) noexcept nogil:
    """``d`` is a literal at the call that has to be fast, for maps in two dimensions."""
    cdef Py_ssize_t i, e, row
    cdef int a, k, size = d * (d + 1) // 2
    cdef f8 own[3]
    cdef f8 own_v[3]
    cdef f8 difference[3]
    cdef f8 difference_v[3]
    cdef f8 moment[6]
    cdef f8 sums[3]
    cdef f8 p, total
    cdef float inverse_dof = 1 / dof
    for i in range(first, last):
        row = i if numbers == NULL else numbers[i]
        total = f8_set1(0)
        for a in range(d):
            own[a], own_v[a] = f8_set1(y[row * d + a]), f8_set1(v[row * d + a])
            sums[a] = f8_set1(0)
        for k in range(size):
            moment[k] = f8_set1(0)
        for e in range(edges.near_indptr[i], edges.near_indptr[i + 1], 8):
            f8_gather_near(y + row * d, edges.offsets + e, d, difference)
            f8_gather_near(v + row * d, edges.offsets + e, d, difference_v)
            p = f8_decode(edges.near_values + e, edges.smallest)
            moments_of_eight(
                own, own_v, difference, difference_v, p, d, inverse_dof, &total, moment, sums
            )
        for e in range(edges.far_indptr[i], edges.far_indptr[i + 1], 8):
            f8_gather(y, edges.columns + e, d, difference)
            f8_gather(v, edges.columns + e, d, difference_v)
            p = f8_decode(edges.far_values + e, edges.smallest)
            moments_of_eight(
                own, own_v, difference, difference_v, p, d, inverse_dof, &total, moment, sums
            )
        degree[i] = f8_sum(total)
        for a in range(d):
            product[i * d + a] = f8_sum(sums[a])
        for k in range(size):
            moments[i * size + k] = f8_sum(moment[k])


def edge_moments(
    const int64_t[::1] near_indptr, const int16_t[::1] offsets,  # IN as for `attraction`
    const uint16_t[::1] near_values,
    const int64_t[::1] far_indptr, const int32_t[::1] columns, const uint16_t[::1] far_values,
    float smallest,
    const float[:, ::1] y,  # IN (n, d), d <= 3
    const float[:, ::1] v,  # IN (n, d)
    float dof,
    float[::1] degree,  # OUT (n,)
    float[:, ::1] moments,  # OUT (n, d (d + 1) / 2)
    float[:, ::1] product,  # OUT (n, d)
    int n_threads,
    const int32_t[::1] numbers=None,  # IN (m,), of some of the points, whose rows the edges are
):
    """What the curvature of the attraction is made of, in one pass over the edges.

        degree_i  = sum_j p_ij q_ij
        moments_i = sum_j p_ij q_ij (y_i - y_j) (y_i - y_j)^T, the upper half, row by row
        product_i = sum_j p_ij q_ij (v_i - v_j)
    """
    cdef Py_ssize_t n = degree.shape[0], b, n_blocks = (n + BLOCK - 1) // BLOCK, first, last
    cdef const int32_t *own = NULL if numbers is None or n == 0 else &numbers[0]
    cdef Py_ssize_t piece, stop, size = 4 * PIECE_ROWS // BLOCK
    cdef int d = <int> y.shape[1]
    cdef Edges edges
    if n == 0 or columns.shape[0] + offsets.shape[0] == 0:
        degree[:], moments[:], product[:] = 0, 0, 0
        return
    edges = edges_of(
        near_indptr, offsets, near_values, far_indptr, columns, far_values, smallest
    )
    for piece in range(0, n_blocks, size):
        stop = min(piece + size, n_blocks)
        for b in prange(piece, stop, nogil=True, schedule="dynamic", num_threads=n_threads):
            first, last = b * BLOCK, min((b + 1) * BLOCK, n)
            if d == 2:
                moments_of_rows(&edges, &y[0, 0], &v[0, 0], &degree[0], &moments[0, 0],
                                &product[0, 0], first, last, 2, dof, own)
            else:
                moments_of_rows(&edges, &y[0, 0], &v[0, 0], &degree[0], &moments[0, 0],
                                &product[0, 0], first, last, d, dof, own)
        PyErr_CheckSignals()
