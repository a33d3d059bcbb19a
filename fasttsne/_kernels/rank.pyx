"""Exact distances of the candidates that a search kept, and the nearest of them in order.

Differences do not cancel as |x|^2 + |y|^2 - 2 x.y does: equal rows are at distance
0, and neighbours far from the origin keep their order.
"""

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from fasttsne._kernels.keys cimport as_key, score_of, sort_keys
from fasttsne._kernels.lanes cimport f8, f8_add, f8_fma, f8_load, f8_set1, f8_sub, f8_sum


cdef inline float squared_distance(const float *a, const float *b, Py_ssize_t d) noexcept nogil:
    cdef Py_ssize_t c
    cdef float rest = 0
    cdef f8 u, v, s = f8_set1(0), t = f8_set1(0)
    for c in range(0, d // 16 * 16, 16):
        u = f8_sub(f8_load(a + c), f8_load(b + c))
        v = f8_sub(f8_load(a + c + 8), f8_load(b + c + 8))
        s = f8_fma(u, u, s)
        t = f8_fma(v, v, t)
    for c in range(d // 16 * 16, d):
        rest = rest + (a[c] - b[c]) * (a[c] - b[c])
    return f8_sum(f8_add(s, t)) + rest


cdef void rank_row(
    const float *query, const float *points, Py_ssize_t d, uint64_t *keys, Py_ssize_t count,
    Py_ssize_t k, int32_t *indices, float *distances,
) noexcept nogil:
    cdef Py_ssize_t j
    cdef uint32_t column
    for j in range(count):
        column = <uint32_t> keys[j]
        keys[j] = as_key(squared_distance(query, points + d * <int64_t> column, d), column)
    sort_keys(keys, count)
    for j in range(k):
        indices[j] = <int32_t> <uint32_t> keys[j]
        distances[j] = <float> sqrt(score_of(keys[j]))


def rank(
    const float[:, ::1] queries,  # IN (rows, d)
    const float[:, ::1] points,  # IN (n, d)
    uint64_t[:, ::1] keys,  # INOUT (rows, capacity): candidates, then sorted
    int32_t[::1] counts,  # IN (rows,), all >= k
    Py_ssize_t k,
    int32_t[:, ::1] indices, float[:, ::1] distances,  # OUT (rows, k), nearest first
    int n_threads,
):
    """Euclidean distances of each row's candidates; the k nearest, sorted. O(rows kept d)."""
    cdef Py_ssize_t r
    for r in prange(queries.shape[0], nogil=True, schedule="dynamic", chunksize=8,
                    num_threads=n_threads):
        rank_row(
            &queries[r, 0], &points[0, 0], queries.shape[1], &keys[r, 0], counts[r], k,
            &indices[r, 0], &distances[r, 0],
        )


def rename(
    uint64_t[:, ::1] keys,  # INOUT (rows, capacity)
    const int32_t[::1] counts,  # IN (rows,)
    const int32_t[::1] names,  # IN
):
    """Replace each candidate's number by ``names[number]``."""
    cdef Py_ssize_t r, j
    with nogil:
        for r in range(keys.shape[0]):
            for j in range(counts[r]):
                keys[r, j] = keys[r, j] >> 32 << 32 | <uint32_t> names[<uint32_t> keys[r, j]]


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
