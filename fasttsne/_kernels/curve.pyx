"""Points in the order of a space-filling (Morton, or Z-order) curve.

A Morton code interleaves the bits of the cell coordinates, so points that are
close on the curve are close in the map.  Sorted codes serve two masters: the
renumbering that keeps gathered coordinates in the cache, and the tree, whose
cells are the runs of codes with a common prefix.  Cost: O(n), a radix sort.
"""

from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memset


# Bits for each coordinate: as fine as 64 bits allow, which is what keeps a
# tree useful when one point lies a million times farther out than the rest.
BITS = {1: 32, 2: 31, 3: 20}


cdef inline uint64_t spread_by_two(uint64_t v) noexcept nogil:
    """Move bit b of 32 bits to bit 2 b."""
    v = (v | v << 16) & <uint64_t> 0x0000FFFF0000FFFF
    v = (v | v << 8) & <uint64_t> 0x00FF00FF00FF00FF
    v = (v | v << 4) & <uint64_t> 0x0F0F0F0F0F0F0F0F
    v = (v | v << 2) & <uint64_t> 0x3333333333333333
    return (v | v << 1) & <uint64_t> 0x5555555555555555


cdef inline uint64_t spread_by_three(uint64_t v) noexcept nogil:
    """Move bit b of 21 bits to bit 3 b."""
    v = (v | v << 32) & <uint64_t> 0x001F00000000FFFF
    v = (v | v << 16) & <uint64_t> 0x001F0000FF0000FF
    v = (v | v << 8) & <uint64_t> 0x100F00F00F00F00F
    v = (v | v << 4) & <uint64_t> 0x10C30C30C30C30C3
    return (v | v << 2) & <uint64_t> 0x1249249249249249


cdef void encode(
    const float *y, Py_ssize_t n, int d, int bits, const double *low, double scale,
    uint64_t *codes,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int c
    cdef uint64_t cell, code, largest = (<uint64_t> 1 << bits) - 1
    for i in range(n):
        code = 0
        for c in range(d):
            cell = <uint64_t> ((y[i * d + c] - low[c]) * scale)
            cell = min(cell, largest)
            if d == 2:
                cell = spread_by_two(cell)
            elif d == 3:
                cell = spread_by_three(cell)
            code |= cell << c
        codes[i] = code


cdef void radix_sort(
    uint64_t *keys, int32_t *order, uint64_t *keys_spare, int32_t *order_spare, Py_ssize_t n
) noexcept nogil:
    """Sort by key, stably, eight bits a pass; an even number of passes ends where it began."""
    cdef Py_ssize_t count[8][256]
    cdef Py_ssize_t i, total, size
    cdef int digit, value
    cdef uint64_t *keys_swap
    cdef int32_t *order_swap
    memset(count, 0, sizeof(count))
    for i in range(n):
        for digit in range(8):
            count[digit][(keys[i] >> (8 * digit)) & 255] += 1
    for digit in range(8):
        total = 0
        for value in range(256):
            size = count[digit][value]
            count[digit][value] = total
            total += size
        for i in range(n):
            value = (keys[i] >> (8 * digit)) & 255
            keys_spare[count[digit][value]] = keys[i]
            order_spare[count[digit][value]] = order[i]
            count[digit][value] += 1
        keys_swap = keys
        keys = keys_spare
        keys_spare = keys_swap
        order_swap = order
        order = order_spare
        order_spare = order_swap


def morton_order(
    const float[:, ::1] y,  # IN (n, d), d <= 3
    const double[::1] low,  # IN (d,), the least coordinates
    double extent,  # > 0, the side of the square that holds the map
    uint64_t[:, ::1] codes,  # OUT (2, n), the sorted codes in row 0; row 1 is scratch
    int32_t[:, ::1] order,  # OUT (2, n), the point at each place in row 0; row 1 is scratch
):
    """Sort the points along the curve; ties keep the order of their numbers."""
    cdef Py_ssize_t n = y.shape[0], i
    cdef int d = <int> y.shape[1]
    cdef int bits = BITS[d]
    cdef double scale = (2.0 ** bits) / extent
    if n == 0:
        return
    with nogil:
        encode(&y[0, 0], n, d, bits, &low[0], scale, &codes[0, 0])
        for i in range(n):
            order[0, i] = <int32_t> i
        radix_sort(&codes[0, 0], &order[0, 0], &codes[1, 0], &order[1, 0], n)
