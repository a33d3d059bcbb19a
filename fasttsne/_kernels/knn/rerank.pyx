"""Distances of the candidates that a search found, and the nearest of them in order.

Differences do not cancel as |x|^2 + |y|^2 - 2 x.y does: equal rows are at distance
0, and neighbours far from the origin keep their order.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from fasttsne._kernels.knn.top_k cimport truncate, write_nearest
from fasttsne._kernels.knn.distance cimport squared_distance
from fasttsne._kernels.knn.score_keys cimport as_key
from fasttsne._kernels.simd.simd8 cimport prefetch


cdef void rerank_row(
    const float *query, const float *points, Py_ssize_t d, const int32_t *names, uint64_t *keys,
    Py_ssize_t count, float *threshold, Py_ssize_t n_candidates, Py_ssize_t k, int32_t *indices,
    float *distances,
) noexcept nogil:
    cdef Py_ssize_t j
    cdef int32_t name
    cdef float r2
    count = truncate(keys, count, n_candidates, threshold)
    for j in range(count):
        keys[j] = <uint64_t> names[<uint32_t> keys[j]]
    for j in range(count):
        # Rows lie anywhere in memory: fetch the first lines of the next while this one is read.
        if j + 1 < count:
            prefetch(points + d * <int64_t> keys[j + 1], d)
        name = <int32_t> keys[j]
        r2 = squared_distance(query, points + d * <int64_t> name, d)
        keys[j] = as_key(r2, <uint32_t> name)
    write_nearest(keys, count, k, indices, distances)


def rerank(
    const float[:, ::1] queries,  # IN (any, d)
    const float[:, ::1] points,  # IN (any, d)
    const int32_t[::1] rows,  # IN (rows,), the query of each row of keys
    const int32_t[::1] names,  # IN, the point that each number in the keys stands for
    uint64_t[:, ::1] keys,  # INOUT (rows, capacity): scores of candidates; then their squared
                            # distances, sorted, and the points that they stand for
    const int32_t[::1] counts,  # IN (rows,), all >= k
    float[::1] thresholds,  # INOUT (rows,): no point that is not looked at has a lower score
    Py_ssize_t n_candidates,  # candidates of each row that are looked at, the best
    Py_ssize_t k,
    int32_t[:, ::1] indices, float[:, ::1] distances,  # OUT (any, k), nearest first, by query
    int n_threads,
):
    """Euclidean distances of each row's candidates; the k nearest, sorted. O(rows n_candidates d).

    Rows are taken in turn: where neighbours in the order are near each other,
    they share candidates, which are then in the cache.
    """
    cdef Py_ssize_t r
    cdef int32_t q
    for r in prange(rows.shape[0], nogil=True, schedule="dynamic", chunksize=32,
                    num_threads=n_threads):
        q = rows[r]
        rerank_row(
            &queries[q, 0], &points[0, 0], queries.shape[1], &names[0], &keys[r, 0], counts[r],
            &thresholds[r], n_candidates, k, &indices[q, 0], &distances[q, 0],
        )


def drop(
    uint64_t[:, ::1] keys, int32_t[::1] counts,  # INOUT
    const int32_t[::1] numbers,  # IN (rows,)
):
    """Remove a number from each row's candidates, if it is among them."""
    cdef Py_ssize_t r, j
    with nogil:
        for r in range(keys.shape[0]):
            for j in range(counts[r]):
                if <int32_t> <uint32_t> keys[r, j] == numbers[r]:
                    counts[r] -= 1
                    keys[r, j] = keys[r, counts[r]]
                    break
