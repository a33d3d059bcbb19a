"""Candidates and exact distances for rows that are mostly zeros (CSR).

For one query x the scores of all points,

    score of point j = |y_j|^2 - 2 x . y_j + 2 d mean(x) mean(y_j),

start as the squared lengths; then each non-zero of x visits the points that share
its column.  The last term is there for correlation, where rows count as centered
but are not stored so; elsewhere the means are zero.  Cost for a row: one pass over
n scores, and the non-zeros of its columns.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

import numpy as np

from fasttsne._kernels.knn.top_k cimport TopK, push, truncate, write_nearest
from fasttsne._kernels.knn.score_keys cimport as_key
from fasttsne._kernels.simd.simd8 cimport f8_less, f8_load, f8_set1


cdef struct Rows:  # rows in CSR, each less its mean
    const int64_t *indptr
    const int32_t *columns
    const float *values
    const float *means


cdef void search_row(
    const TopK *top, Py_ssize_t row, const Rows *queries, Py_ssize_t query,
    const int64_t *indptr, const int32_t *points, const float *values,
    const float *norms, const float *means, Py_ssize_t n, Py_ssize_t d, float *scores,
) noexcept nogil:
    cdef Py_ssize_t j, e, f
    cdef int lane, below
    cdef float factor = 2 * d * queries.means[query]
    for j in range(n):
        scores[j] = norms[j] + factor * means[j]
    for e in range(queries.indptr[query], queries.indptr[query + 1]):
        factor = 2 * queries.values[e]
        for f in range(indptr[queries.columns[e]], indptr[queries.columns[e] + 1]):
            scores[points[f]] -= factor * values[f]
    for j in range(0, n // 8 * 8, 8):
        below = f8_less(f8_load(scores + j), f8_set1(top.thresholds[row]))
        if below:
            for lane in range(8):
                if below >> lane & 1 and scores[j + lane] < top.thresholds[row]:
                    push(top, row, scores[j + lane], j + lane)
    for j in range(n // 8 * 8, n):
        if scores[j] < top.thresholds[row]:
            push(top, row, scores[j], j)


def search_sparse(
    const int64_t[::1] query_indptr, const int32_t[::1] query_columns,
    const float[::1] query_values,  # IN, CSR (any, d)
    const float[::1] query_means,  # IN (any,)
    const int32_t[::1] rows,  # IN (rows,), the query of each row of keys
    const int64_t[::1] indptr, const int32_t[::1] points, const float[::1] values,  # IN, CSC (n, d)
    const float[::1] norms, const float[::1] means,  # IN (n,), squared length, mean
    Py_ssize_t k,
    uint64_t[:, ::1] keys, int32_t[::1] counts, float[::1] thresholds,  # INOUT, for the rows
    int n_threads,
):
    """Compare every point with every row. O(rows n) and the products that are not zero."""
    cdef Py_ssize_t r
    cdef TopK top
    cdef Rows queries
    cdef float[:, ::1] scratch = np.empty((n_threads, norms.shape[0]), np.float32)
    top.keys, top.counts, top.thresholds = &keys[0, 0], &counts[0], &thresholds[0]
    top.capacity, top.k = keys.shape[1], k
    queries.indptr, queries.means = &query_indptr[0], &query_means[0]
    queries.columns, queries.values = &query_columns[0], &query_values[0]
    for r in prange(rows.shape[0], nogil=True, schedule="dynamic", chunksize=16,
                    num_threads=n_threads):
        search_row(
            &top, r, &queries, rows[r], &indptr[0], &points[0], &values[0], &norms[0], &means[0],
            norms.shape[0], indptr.shape[0] - 1, &scratch[threadid(), 0],
        )


cdef double squared_distance(
    const Rows *a, Py_ssize_t i, const Rows *b, Py_ssize_t j, Py_ssize_t d
) noexcept nogil:
    """Columns that neither row has differ by the means alone."""
    cdef int64_t x = a.indptr[i], y = b.indptr[j], x_end = a.indptr[i + 1], y_end = b.indptr[j + 1]
    cdef double shift = <double> a.means[i] - b.means[j], difference, total = 0
    cdef Py_ssize_t n_columns = 0
    while x < x_end or y < y_end:
        if y == y_end or (x < x_end and a.columns[x] < b.columns[y]):
            difference = a.values[x]
            x += 1
        elif x == x_end or b.columns[y] < a.columns[x]:
            difference = -b.values[y]
            y += 1
        else:
            difference = <double> a.values[x] - b.values[y]
            x += 1
            y += 1
        total += (difference - shift) * (difference - shift)
        n_columns += 1
    return total + (d - n_columns) * shift * shift


cdef void rerank_row(
    const Rows *queries, Py_ssize_t query, const Rows *points, Py_ssize_t d, const int32_t *names,
    uint64_t *keys, Py_ssize_t count, float *threshold, Py_ssize_t n_candidates, Py_ssize_t k,
    int32_t *indices, float *distances,
) noexcept nogil:
    cdef Py_ssize_t j
    cdef int32_t name
    count = truncate(keys, count, n_candidates, threshold)
    for j in range(count):
        name = names[<uint32_t> keys[j]]
        keys[j] = as_key(
            <float> squared_distance(queries, query, points, name, d), <uint32_t> name
        )
    write_nearest(keys, count, k, indices, distances)


def rerank_sparse(
    const int64_t[::1] query_indptr, const int32_t[::1] query_columns,
    const float[::1] query_values, const float[::1] query_means,  # IN, CSR (any, d), sorted rows
    const int64_t[::1] indptr, const int32_t[::1] columns, const float[::1] values,
    const float[::1] means,  # IN, CSR (any, d), sorted rows
    Py_ssize_t d,
    const int32_t[::1] rows, const int32_t[::1] names,  # IN, as for rerank.rerank
    uint64_t[:, ::1] keys, const int32_t[::1] counts, float[::1] thresholds,  # as for rerank.rerank
    Py_ssize_t n_candidates, Py_ssize_t k,
    int32_t[:, ::1] indices, float[:, ::1] distances,  # OUT (any, k), nearest first, by query
    int n_threads,
):
    """Euclidean distances of each row's candidates; the k nearest, sorted."""
    cdef Py_ssize_t r
    cdef int32_t q
    cdef Rows queries, points
    queries.indptr, queries.means = &query_indptr[0], &query_means[0]
    queries.columns, queries.values = &query_columns[0], &query_values[0]
    points.indptr, points.columns, points.values = &indptr[0], &columns[0], &values[0]
    points.means = &means[0]
    for r in prange(rows.shape[0], nogil=True, schedule="dynamic", chunksize=32,
                    num_threads=n_threads):
        q = rows[r]
        rerank_row(
            &queries, q, &points, d, &names[0], &keys[r, 0], counts[r], &thresholds[r],
            n_candidates, k, &indices[q, 0], &distances[q, 0],
        )
