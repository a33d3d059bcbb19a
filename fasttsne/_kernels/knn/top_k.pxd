"""The best candidates of each row so far: a buffer of keys, cut back to the k smallest when full.

What is kept in the end does not depend on the order in which candidates come,
so neither does it on threads.
"""

from libc.math cimport sqrt
from libc.stdint cimport int32_t, uint32_t, uint64_t

from fasttsne._kernels.knn.score_keys cimport as_key, score_of, select_smallest, sort_keys


cdef struct Best:
    uint64_t *keys  # (rows, capacity)
    int32_t *counts
    float *thresholds  # a score that is not below its row's is not offered
    Py_ssize_t capacity
    Py_ssize_t k


cdef inline void offer(
    const Best *best, Py_ssize_t row, float score, Py_ssize_t number
) noexcept nogil:
    cdef uint64_t *keys = best.keys + row * best.capacity
    keys[best.counts[row]] = as_key(score, <uint32_t> number)
    best.counts[row] += 1
    if best.counts[row] == best.capacity:
        select_smallest(keys, best.capacity, best.k)
        best.counts[row] = <int32_t> best.k
        best.thresholds[row] = score_of(keys[best.k - 1])


cdef inline Py_ssize_t cut(uint64_t *keys, Py_ssize_t count, Py_ssize_t kept) noexcept nogil:
    """Move the ``kept`` best to the front; return how many are left."""
    if count <= kept:
        return count
    select_smallest(keys, count, kept)
    return kept


cdef inline void write_nearest(
    uint64_t *keys, Py_ssize_t count, Py_ssize_t k, int32_t *indices, float *distances
) noexcept nogil:
    """Sort keys whose scores are squared distances, and write the first k."""
    cdef Py_ssize_t j
    sort_keys(keys, count)
    for j in range(k):
        indices[j] = <int32_t> <uint32_t> keys[j]
        distances[j] = <float> sqrt(score_of(keys[j]))
