"""The top-k of each row so far: a buffer of keys, truncated to the k smallest when full.

What is left in the end does not depend on the order in which candidates come,
so neither does it on threads.
"""

from libc.math cimport INFINITY, nextafterf, sqrt
from libc.stdint cimport int32_t, uint32_t, uint64_t

from fasttsne._kernels.knn.score_keys cimport as_key, score_of, select_smallest, sort_keys


cdef struct TopK:
    uint64_t *keys  # (rows, capacity)
    int32_t *counts
    float *thresholds  # a score that is not below its row's is not pushed
    Py_ssize_t capacity
    Py_ssize_t k


cdef inline void push(
    const TopK *top, Py_ssize_t row, float score, Py_ssize_t number
) noexcept nogil:
    """Add a candidate whose score is below the row's threshold."""
    cdef uint64_t *keys = top.keys + row * top.capacity
    keys[top.counts[row]] = as_key(score, <uint32_t> number)
    top.counts[row] += 1
    if top.counts[row] == top.capacity:
        select_smallest(keys, top.capacity, top.k)
        top.counts[row] = <int32_t> top.k
        # Points with this score itself are pushed, too: one of a smaller number is better.
        top.thresholds[row] = nextafterf(score_of(keys[top.k - 1]), INFINITY)


cdef inline Py_ssize_t truncate(
    uint64_t *keys, Py_ssize_t count, Py_ssize_t n_candidates, float *threshold
) noexcept nogil:
    """Move the best ``n_candidates`` to the front; return how many are left.

    The threshold becomes the score of the last of them, below which no other point lies.
    """
    if count <= n_candidates:
        return count
    select_smallest(keys, count, n_candidates)
    threshold[0] = min(threshold[0], score_of(keys[n_candidates - 1]))
    return n_candidates


cdef inline void write_nearest(
    uint64_t *keys, Py_ssize_t count, Py_ssize_t k, int32_t *indices, float *distances
) noexcept nogil:
    """Sort keys whose scores are squared distances, and write the first k."""
    cdef Py_ssize_t j
    sort_keys(keys, count)
    for j in range(k):
        indices[j] = <int32_t> <uint32_t> keys[j]
        distances[j] = <float> sqrt(score_of(keys[j]))
