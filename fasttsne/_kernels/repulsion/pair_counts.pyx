"""How many pairs of a map's points share a cell, for cells of several sizes, from a sample.

Points are drawn by a hash of their place in the sample: which ones does not depend on the order of
the points along a curve, which would hide the near pairs from a regular sample.
"""

from libc.math cimport floorf
from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memset

cdef struct Slot:
    uint64_t key
    int32_t count


cdef inline uint64_t mixed(uint64_t x) noexcept nogil:
    """A number that depends on all bits of ``x``. Source: Steele et al. 2014, SplitMix64."""
    x += <uint64_t> 0x9E3779B97F4A7C15
    x = (x ^ (x >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t> 0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline uint64_t cell_of(
    const float *y, const float *origin, float inverse_side, int d
) noexcept nogil:
    """The cell's number in 21 bits for each axis: points of cells that are far away may share."""
    cdef uint64_t key = 0
    cdef int c
    for c in range(d):
        key = (key << 21) | (<uint64_t> <long long> floorf((y[c] - origin[c]) * inverse_side)
                             & <uint64_t> 0x1FFFFF)
    return key + 1


def count_pairs(
    const float[:, ::1] y,  # IN (n, d), d <= 3
    const float[::1] origin,  # IN (d,), the lowest corner of the points' box
    const float[::1] sides,  # IN (k,), of cells
    float[:, ::1] drawn,  # OUT (m, d), points at random, with repetition; each once if m is n
    unsigned char[::1] scratch,  # SCRATCH, SLOT_BYTES for each slot; a power of two of slots, more
    # than the points that are drawn
    double[::1] squares,  # OUT (k,), sum over the cells of the squared number of points
):
    """Count the points that are drawn by cells. O(k m)."""
    cdef Py_ssize_t n = y.shape[0], m = drawn.shape[0], i, j, at
    cdef Py_ssize_t slots = scratch.shape[0] // <Py_ssize_t> sizeof(Slot)
    cdef Slot *table = <Slot *> &scratch[0]
    cdef int d = <int> y.shape[1], k, c
    cdef uint64_t key
    cdef float inverse
    with nogil:
        for i in range(m):
            j = i
            if m < n:
                j = <Py_ssize_t> (mixed(<uint64_t> i) % <uint64_t> n)
            for c in range(d):
                drawn[i, c] = y[j, c]
        for k in range(<int> sides.shape[0]):
            memset(table, 0, slots * sizeof(Slot))
            inverse = 1 / sides[k]
            squares[k] = 0
            for i in range(m):
                key = cell_of(&drawn[0, 0] + i * d, &origin[0], inverse, d)
                at = <Py_ssize_t> (mixed(key) & <uint64_t> (slots - 1))
                while table[at].count and table[at].key != key:
                    at = (at + 1) & (slots - 1)
                table[at].key = key
                squares[k] += 2 * table[at].count + 1
                table[at].count += 1


SLOT_BYTES = sizeof(Slot)
