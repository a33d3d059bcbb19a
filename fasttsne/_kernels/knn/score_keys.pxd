"""Keys of candidates: a score and a number in 64 bits, and selection among them.

The score's float32 bits, made to sort as an integer, are above the number, so
keys sort by score and ties fall to the smaller number: every answer is unique,
in whatever order candidates come.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy


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


cdef inline Py_ssize_t partition(uint64_t *keys, Py_ssize_t low, Py_ssize_t high) noexcept nogil:
    """Lomuto's partition of low..high (inclusive) around the median of three, without branches.

    Returns the place of the median: smaller keys are before it, others after it.
    """
    cdef Py_ssize_t middle = low + (high - low) // 2, i = low, j
    cdef uint64_t pivot, key
    if keys[middle] < keys[low]:
        swap(keys + middle, keys + low)
    if keys[high] < keys[middle]:
        swap(keys + high, keys + middle)
        if keys[middle] < keys[low]:
            swap(keys + middle, keys + low)
    swap(keys + middle, keys + high)
    pivot = keys[high]
    for j in range(low, high):
        key = keys[j]
        keys[j] = keys[i]
        keys[i] = key
        i += key < pivot
    swap(keys + i, keys + high)
    return i


cdef inline void select_smallest(uint64_t *keys, Py_ssize_t count, Py_ssize_t k) noexcept nogil:
    """Reorder so that the k smallest come first and keys[k - 1] is the largest of them."""
    cdef Py_ssize_t low = 0, high = count - 1, place
    while low < high:
        place = partition(keys, low, high)
        if k - 1 == place:
            return
        if k - 1 < place:
            high = place - 1
        else:
            low = place + 1


cdef inline void sort_keys(uint64_t *keys, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef uint64_t key
    if count > 24:
        i = partition(keys, 0, count - 1)
        sort_keys(keys, i)
        sort_keys(keys + i + 1, count - i - 1)
        return
    for i in range(1, count):
        key = keys[i]
        j = i
        while j > 0 and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            j -= 1
        keys[j] = key
