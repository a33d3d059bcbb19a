"""How many points are nearer to a row than given ones: their ranks, without sorting all points.

    rank_j = 1 + #{i : |x - y_i| < |x - y_j|},    ties by number, the row itself left out

Distances are of differences, as those of the search: the nearest k have the ranks 1 to k.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, uint32_t, uint64_t

import numpy as np

from fasttsne._kernels.knn.distance cimport squared_distance
from fasttsne._kernels.knn.score_keys cimport as_key, sort_keys

cdef enum:
    TILE_ROWS = 16  # rows that a point is compared with while it is in the cache


cdef inline Py_ssize_t upper_bound(
    const uint64_t *limits, Py_ssize_t k, uint64_t key
) noexcept nogil:
    """The position of the first of k ascending limits that is greater than the key."""
    cdef Py_ssize_t low = 0, high = k, middle
    if key >= limits[k - 1]:
        return k
    while low < high:
        middle = (low + high) // 2
        if limits[middle] > key:
            high = middle
        else:
            low = middle + 1
    return low


cdef void rank_tile(
    const float *points, Py_ssize_t n, Py_ssize_t d, const int32_t *rows, Py_ssize_t count,
    Py_ssize_t k, const int32_t *others, uint64_t *limits, int32_t *ranks,
) noexcept nogil:
    cdef Py_ssize_t r, i, j, position
    cdef uint64_t key
    cdef const float *row
    for r in range(count):
        row = points + d * <Py_ssize_t> rows[r]
        for j in range(k):
            i = others[r * k + j]
            key = as_key(squared_distance(row, points + d * i, d), <uint32_t> i)
            limits[(r + count) * k + j] = limits[r * k + j] = key
            ranks[r * k + j] = 0
        sort_keys(limits + r * k, k)
    for i in range(n):
        for r in range(count):
            if i == rows[r]:
                continue
            row = points + d * <Py_ssize_t> rows[r]
            key = as_key(squared_distance(row, points + d * i, d), <uint32_t> i)
            position = upper_bound(limits + r * k, k, key)
            if position < k:
                ranks[r * k + position] += 1
    for r in range(count):
        for j in range(1, k):
            ranks[r * k + j] += ranks[r * k + j - 1]
        ranks_in_input_order(limits + r * k, limits + (r + count) * k, k, ranks + r * k)


cdef inline void ranks_in_input_order(
    const uint64_t *limits, uint64_t *keys, Py_ssize_t k, int32_t *ranks
) noexcept nogil:
    """Ranks of ascending limits, plus one, in the order in which the keys were given."""
    cdef Py_ssize_t j
    for j in range(k):
        keys[j] = 1 + ranks[upper_bound(limits, k, keys[j]) - 1]
    for j in range(k):
        ranks[j] = <int32_t> keys[j]


def ranks_of(
    const float[:, ::1] points,  # IN (n, d)
    const int32_t[::1] rows,  # IN (rows,)
    const int32_t[:, ::1] others,  # IN (rows, k), k > 0, points; none twice in a row
    int32_t[:, ::1] ranks,  # OUT (rows, k)
    int n_threads,
):
    """Write the rank of each of the other points among the neighbours of its row. O(rows n d)."""
    cdef Py_ssize_t t, n = points.shape[0], m = rows.shape[0], k = others.shape[1]
    cdef Py_ssize_t tiles = (m + TILE_ROWS - 1) // TILE_ROWS
    cdef uint64_t[:, ::1] limits = np.empty((tiles, 2 * TILE_ROWS * k), np.uint64)
    for t in prange(tiles, nogil=True, schedule="dynamic", num_threads=n_threads):
        rank_tile(
            &points[0, 0], n, points.shape[1], &rows[t * TILE_ROWS],
            min(<Py_ssize_t> TILE_ROWS, m - t * TILE_ROWS), k, &others[t * TILE_ROWS, 0],
            &limits[t, 0], &ranks[t * TILE_ROWS, 0],
        )
