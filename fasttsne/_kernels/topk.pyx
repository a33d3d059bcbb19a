"""The k nearest of many: selection from tiles of scores, and exact distances of the selected.

A score and its column are one 64-bit key (the float's bits, made to sort as an
integer, above the column), so ties fall to the smaller column and every answer
is unique.  A row keeps a buffer of keys and a threshold, the k-th smallest so
far: nearly all scores are rejected eight at a time against the threshold.
"""

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fasttsne._kernels.lanes cimport (
    f8, f8_fma, f8_less, f8_load, f8_set1, f8_store, f8_sub, f8_sum, f8_add,
)


cdef inline uint64_t as_key(float score, uint32_t column) noexcept nogil:
    cdef uint32_t bits
    memcpy(&bits, &score, 4)
    bits = ~bits if bits >> 31 else bits | <uint32_t> 0x80000000
    return <uint64_t> bits << 32 | column


cdef inline float score_of(uint64_t key) noexcept nogil:
    cdef uint32_t bits = <uint32_t> (key >> 32)
    cdef float score
    bits = bits & <uint32_t> 0x7FFFFFFF if bits >> 31 else ~bits
    memcpy(&score, &bits, 4)
    return score


cdef inline void swap(uint64_t *a, uint64_t *b) noexcept nogil:
    cdef uint64_t t = a[0]
    a[0] = b[0]
    b[0] = t


cdef Py_ssize_t partition(uint64_t *keys, Py_ssize_t low, Py_ssize_t high) noexcept nogil:
    """Hoare's partition of low..high (inclusive) around the median of three."""
    cdef Py_ssize_t middle = low + (high - low) // 2, i = low - 1, j = high + 1
    cdef uint64_t pivot
    if keys[middle] < keys[low]:
        swap(keys + middle, keys + low)
    if keys[high] < keys[middle]:
        swap(keys + high, keys + middle)
        if keys[middle] < keys[low]:
            swap(keys + middle, keys + low)
    pivot = keys[middle]
    while True:
        i += 1
        while keys[i] < pivot:
            i += 1
        j -= 1
        while keys[j] > pivot:
            j -= 1
        if i >= j:
            return j
        swap(keys + i, keys + j)


cdef void select_smallest(uint64_t *keys, Py_ssize_t count, Py_ssize_t k) noexcept nogil:
    """Reorder so that the k smallest come first and keys[k - 1] is the largest of them."""
    cdef Py_ssize_t low = 0, high = count - 1, split
    while low < high:
        split = partition(keys, low, high)
        if k - 1 <= split:
            high = split
        else:
            low = split + 1


cdef void sort_keys(uint64_t *keys, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i, j, split
    cdef uint64_t key
    if count > 24:
        split = partition(keys, 0, count - 1)
        sort_keys(keys, split + 1)
        sort_keys(keys + split + 1, count - split - 1)
        return
    for i in range(1, count):
        key = keys[i]
        j = i
        while j > 0 and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            j -= 1
        keys[j] = key


cdef void offer_row(
    const float *products, const float *norms, Py_ssize_t n_columns, Py_ssize_t first,
    Py_ssize_t excluded, Py_ssize_t k, Py_ssize_t capacity,
    uint64_t *keys, int32_t *count, float *threshold,
) noexcept nogil:
    """Offer one row of a tile: score = norm - 2 product."""
    cdef Py_ssize_t j, column
    cdef int below, lane
    cdef float scores[8]
    cdef float limit = threshold[0], score
    cdef f8 s
    for j in range(0, n_columns, 8):
        if j + 8 <= n_columns:
            s = f8_fma(f8_set1(-2), f8_load(products + j), f8_load(norms + j))
            below = f8_less(s, f8_set1(limit))
            if below == 0:
                continue
            f8_store(scores, s)
        else:
            below = (1 << (n_columns - j)) - 1
            for lane in range(<int> (n_columns - j)):
                scores[lane] = norms[j + lane] - 2 * products[j + lane]
        for lane in range(8):
            score = scores[lane]
            column = first + j + lane
            if below >> lane & 1 and score < limit and column != excluded:
                keys[count[0]] = as_key(score, <uint32_t> column)
                count[0] += 1
                if count[0] == capacity:
                    select_smallest(keys, capacity, k)
                    count[0] = <int32_t> k
                    limit = score_of(keys[k - 1])
    threshold[0] = limit


def offer(
    const float[:, ::1] products,  # IN (rows, columns), inner products of queries and points
    const float[::1] norms,  # IN (columns,), squared norms of the points
    Py_ssize_t first_column,  # the number of the first point
    Py_ssize_t first_excluded,  # row r does not take column first_excluded + r; or far below 0
    Py_ssize_t k,
    uint64_t[:, ::1] keys,  # INOUT (rows, capacity), capacity > k
    int32_t[::1] counts,  # INOUT (rows,), how many keys are kept
    float[::1] thresholds,  # INOUT (rows,), inf at first
    int n_threads,
):
    """Offer a tile to the rows' buffers; afterwards each still holds its k smallest."""
    cdef Py_ssize_t r
    for r in prange(products.shape[0], nogil=True, schedule="dynamic", chunksize=8,
                    num_threads=n_threads):
        offer_row(
            &products[r, 0], &norms[0], products.shape[1], first_column, first_excluded + r, k,
            keys.shape[1], &keys[r, 0], &counts[r], &thresholds[r],
        )


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
    """Euclidean distances of the kept candidates, by differences; the k nearest, sorted.

    Differences do not cancel as |x|^2 + |y|^2 - 2 x.y does: duplicates are at
    distance 0, neighbours far from the origin keep their order.
    """
    cdef Py_ssize_t r
    for r in prange(queries.shape[0], nogil=True, schedule="dynamic", chunksize=8,
                    num_threads=n_threads):
        rank_row(
            &queries[r, 0], &points[0, 0], queries.shape[1], &keys[r, 0], counts[r], k,
            &indices[r, 0], &distances[r, 0],
        )
