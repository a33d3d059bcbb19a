"""Distances of the candidates that a search found, and the nearest of them in order.

Differences do not cancel as |x|^2 + |y|^2 - 2 x.y does: equal rows are at distance
0, and neighbours far from the origin keep their order.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

import numpy as np

from fasttsne._kernels.knn.top_k cimport truncate, write_nearest
from fasttsne._kernels.knn.distance cimport squared_distance, squared_distance_of_bytes
from fasttsne._kernels.knn.score_keys cimport as_key
from fasttsne._kernels.simd.simd8 cimport prefetch


ctypedef fused number:
    float
    uint8_t


cdef inline float distance(const number *a, const number *b, Py_ssize_t d) noexcept nogil:
    if number is float:
        return squared_distance(a, b, d)
    return squared_distance_of_bytes(a, b, d)


cdef struct Candidates:
    const int32_t *rows
    const int32_t *names
    uint64_t *keys
    const int32_t *counts
    float *thresholds
    Py_ssize_t capacity
    Py_ssize_t n_candidates
    Py_ssize_t k
    int32_t *indices
    float *distances


cdef inline void rerank_row(
    const number *queries, const number *points, Py_ssize_t d, const Candidates *found,
    Py_ssize_t r,
) noexcept nogil:
    cdef Py_ssize_t q = found.rows[r], j, count
    cdef const number *query = queries + q * d
    cdef uint64_t *keys = found.keys + r * found.capacity
    cdef int32_t name
    count = truncate(keys, found.counts[r], found.n_candidates, found.thresholds + r)
    for j in range(count):
        keys[j] = <uint64_t> found.names[<uint32_t> keys[j]]
    for j in range(count):
        # Rows lie anywhere in memory: fetch the first lines of the next while this one is read.
        if j + 1 < count:
            prefetch(
                <const float *> (points + d * <int64_t> keys[j + 1]), d * sizeof(number) // 4
            )
        name = <int32_t> keys[j]
        keys[j] = as_key(distance(query, points + d * <int64_t> name, d), <uint32_t> name)
    write_nearest(keys, count, found.k, found.indices + q * found.k, found.distances + q * found.k)


def rerank(
    queries,  # IN (any, d) float32 or uint8; bytes may have 33,000 columns
    points,  # IN (any, d), the same
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
    cdef const float[:, ::1] query_floats, floats
    cdef const uint8_t[:, ::1] query_bytes, bytes
    cdef Py_ssize_t r
    cdef Candidates found
    if not rows.shape[0]:
        return
    found.rows, found.names, found.keys, found.counts = &rows[0], &names[0], &keys[0, 0], &counts[0]
    found.thresholds, found.capacity = &thresholds[0], keys.shape[1]
    found.n_candidates, found.k = n_candidates, k
    found.indices, found.distances = &indices[0, 0], &distances[0, 0]
    if points.dtype == np.uint8:
        query_bytes, bytes = queries, points
        for r in prange(rows.shape[0], nogil=True, schedule="dynamic", chunksize=32,
                        num_threads=n_threads):
            rerank_row(&query_bytes[0, 0], &bytes[0, 0], bytes.shape[1], &found, r)
        return
    query_floats, floats = queries, points
    for r in prange(rows.shape[0], nogil=True, schedule="dynamic", chunksize=32,
                    num_threads=n_threads):
        rerank_row(&query_floats[0, 0], &floats[0, 0], floats.shape[1], &found, r)


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
