"""How neighbourhoods of all sizes agree: the larger of a neighbour's ranks in two spaces.

    counts_k = #{j : max(rank of j in the first space, rank of j in the second) = k}

for each of some rows, whose others are ranked by their squared distances, ties by number, from 1.
The sum of the counts up to k is how many of the k nearest the two spaces have in common.  Of the
others that are among the k nearest in one space only, the ranks beyond k in the other are summed.
A row's others are sorted as keys of 64 bits, by radix: distance above, number below.
"""

from cython.parallel cimport parallel, prange
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fasttsne._kernels.knn.distance cimport squared_distance
from fasttsne._kernels.knn.score_keys cimport as_key

cdef enum:
    DIGIT_BITS = 11
    DIGITS = 2048
    PASSES = 3  # digits of the distance; numbers are in order already
    TILE_POINTS = 64  # that stay in the second cache while all rows are compared with them
    TILE_ROWS = 8  # that stay in the first


cdef void sort_by_distance(uint64_t *keys, uint64_t *spare, Py_ssize_t n) noexcept nogil:
    """Sort keys whose lower halves ascend; the result is in ``spare``. O(n)."""
    cdef uint32_t starts[PASSES * DIGITS]
    cdef uint32_t total, count
    cdef uint64_t *swap
    cdef uint32_t *start
    cdef Py_ssize_t i
    cdef int digit, sweep
    memset(starts, 0, sizeof(starts))
    for i in range(n):
        for sweep in range(PASSES):
            starts[sweep * DIGITS + ((keys[i] >> (32 + sweep * DIGIT_BITS)) & (DIGITS - 1))] += 1
    for sweep in range(PASSES):
        start = starts + sweep * DIGITS
        total = 0
        for digit in range(DIGITS):
            count = start[digit]
            start[digit] = total
            total += count
        for i in range(n):
            digit = <int> ((keys[i] >> (32 + sweep * DIGIT_BITS)) & (DIGITS - 1))
            spare[start[digit]] = keys[i]
            start[digit] += 1
        swap = keys
        keys = spare
        spare = swap


cdef void rank_row(
    const float *distances, Py_ssize_t n, Py_ssize_t own, uint64_t *keys, int32_t *ranks
) noexcept nogil:
    """The rank of every other row, from 1; the row itself comes last."""
    cdef Py_ssize_t i
    for i in range(n):
        keys[i] = as_key(distances[i] if i != own else <float> INFINITY, <uint32_t> i)
    sort_by_distance(keys, keys + n, n)
    keys += n
    for i in range(n):
        ranks[keys[i] & <uint64_t> 0xFFFFFFFF] = <int32_t> (i + 1)


cdef void count_row(
    const int32_t *first, const int32_t *second, Py_ssize_t n, int32_t k, int32_t *counts,
    int64_t *excess,
) noexcept nogil:
    cdef Py_ssize_t i
    excess[0] = excess[1] = 0
    for i in range(n):
        counts[max(first[i], second[i]) - 1] += 1
        if second[i] <= k and first[i] > k:
            excess[0] += first[i] - k
        elif first[i] <= k and second[i] > k:
            excess[1] += second[i] - k


def distances_to_all(
    const float[:, ::1] points,  # IN (n, d)
    const int32_t[::1] rows,  # IN (m,)
    float[:, ::1] out,  # OUT (m, n), squared distances of differences
    int n_threads,
):
    """Write the squared distances of rows to all. O(m n d)."""
    cdef Py_ssize_t n = points.shape[0], d = points.shape[1], m = rows.shape[0], t, r, i, b
    cdef Py_ssize_t tiles = (n + TILE_POINTS - 1) // TILE_POINTS, last
    for t in prange(tiles, nogil=True, schedule="dynamic", num_threads=n_threads):
        last = min((t + 1) * TILE_POINTS, n)
        for b in range((m + TILE_ROWS - 1) // TILE_ROWS):
            for i in range(t * TILE_POINTS, last):
                for r in range(b * TILE_ROWS, min((b + 1) * TILE_ROWS, m)):
                    out[r, i] = squared_distance(&points[rows[r], 0], &points[i, 0], d)


def max_rank_counts(
    const float[:, ::1] first,  # IN (m, n), what grows with the distances of the rows to all
    const float[:, ::1] second,  # IN (m, n), the same in the other space
    const int32_t[::1] rows,  # IN (m,), the number of each row among all
    int k,
    int32_t[:, ::1] counts,  # OUT (m, n), of rank 1 first; the last is of the row itself
    int64_t[:, ::1] excess,  # OUT (m, 2), sums of max(0, rank - k) in the first space over the k
    # nearest of the second, and the reverse
    int n_threads,
):
    """Write how many others have each largest rank. O(m n)."""
    cdef Py_ssize_t m = first.shape[0], n = first.shape[1], r
    cdef uint64_t *keys
    cdef int32_t *ranks
    counts[:] = 0
    with nogil, parallel(num_threads=n_threads):
        keys = <uint64_t *> malloc(2 * n * sizeof(uint64_t))
        ranks = <int32_t *> malloc(2 * n * sizeof(int32_t))
        for r in prange(m, schedule="dynamic"):
            rank_row(&first[r, 0], n, rows[r], keys, ranks)
            rank_row(&second[r, 0], n, rows[r], keys, ranks + n)
            count_row(ranks, ranks + n, n, k, &counts[r, 0], &excess[r, 0])
        free(keys)
        free(ranks)
