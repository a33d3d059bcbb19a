"""Points in the order of a space-filling (Morton, or Z-order) curve.

A Morton code interleaves the bits of the cell coordinates, so points that are
close on the curve are close in the map.  Sorted codes have two uses: the
renumbering that keeps gathered coordinates in the cache, and the tree, whose
cells are the runs of codes with a common prefix.  Cost: O(n), a radix sort.
"""

from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memcpy, memset

from fasttsne._kernels.optimize.morton_bits cimport bits_for


BITS = {d: bits_for(d) for d in (1, 2, 3)}


cdef inline uint64_t interleave_two(uint64_t v) noexcept nogil:
    """Move bit b of 32 bits to bit 2 b."""
    v = (v | v << 16) & <uint64_t> 0x0000FFFF0000FFFF
    v = (v | v << 8) & <uint64_t> 0x00FF00FF00FF00FF
    v = (v | v << 4) & <uint64_t> 0x0F0F0F0F0F0F0F0F
    v = (v | v << 2) & <uint64_t> 0x3333333333333333
    return (v | v << 1) & <uint64_t> 0x5555555555555555


cdef inline uint64_t interleave_three(uint64_t v) noexcept nogil:
    """Move bit b of 21 bits to bit 3 b."""
    v = (v | v << 32) & <uint64_t> 0x001F00000000FFFF
    v = (v | v << 16) & <uint64_t> 0x001F0000FF0000FF
    v = (v | v << 8) & <uint64_t> 0x100F00F00F00F00F
    v = (v | v << 4) & <uint64_t> 0x10C30C30C30C30C3
    return (v | v << 2) & <uint64_t> 0x1249249249249249


cdef inline void encode_points(
    const float *y, Py_ssize_t n, int d, const double *low, double scale, double largest,
    uint64_t *codes, int32_t *order,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int c
    cdef uint64_t cell, code
    cdef double place
    for i in range(n):
        code = 0
        for c in range(d):
            place = min((y[i * d + c] - low[c]) * scale, largest)
            # What is not a number, too, needs a cell: others have digits that the tree lacks.
            cell = <uint64_t> <int32_t> (place if place > 0 else 0.0)
            if d == 2:
                cell = interleave_two(cell)
            elif d == 3:
                cell = interleave_three(cell)
            code |= cell << c
        codes[i] = code
        order[i] = <int32_t> i


cdef void encode(
    const float *y, Py_ssize_t n, int d, const double *low, double scale, double largest,
    uint64_t *codes, int32_t *order,
) noexcept nogil:
    """One compiled loop for each dimension."""
    if d == 1:
        encode_points(y, n, 1, low, scale, largest, codes, order)
    elif d == 2:
        encode_points(y, n, 2, low, scale, largest, codes, order)
    else:
        encode_points(y, n, 3, low, scale, largest, codes, order)


cdef enum:
    DIGIT_BITS = 11
    DIGITS = 1 << DIGIT_BITS
    # Leading digits that nearly always tell the points of a map apart, and those of a small one.
    LEADING = 3
    LEADING_OF_FEW = 2
    FEW_POINTS = 8192


cdef void sort_by_digit(
    const uint64_t *keys, const int32_t *order, uint64_t *keys_out, int32_t *order_out,
    Py_ssize_t n, int shift,
) noexcept nogil:
    """A stable counting sort by the digit whose lowest bit is ``shift``."""
    cdef Py_ssize_t first[DIGITS]
    cdef Py_ssize_t i, total = 0, size
    cdef int value
    memset(first, 0, sizeof(first))
    for i in range(n):
        first[(keys[i] >> shift) & (DIGITS - 1)] += 1
    for value in range(DIGITS):
        size = first[value]
        first[value] = total
        total += size
    for i in range(n):
        value = (keys[i] >> shift) & (DIGITS - 1)
        keys_out[first[value]] = keys[i]
        order_out[first[value]] = order[i]
        first[value] += 1


cdef void sort_by_digits(
    uint64_t *keys, int32_t *order, uint64_t *keys_spare, int32_t *order_spare, Py_ssize_t n,
    int low, int high,
) noexcept nogil:
    """Sort stably by the bits low..high, lowest digit first."""
    cdef int digit, shift
    cdef bint moved = False
    for digit in range((high - low + DIGIT_BITS - 1) // DIGIT_BITS):
        shift = low + DIGIT_BITS * digit
        if moved:
            sort_by_digit(keys_spare, order_spare, keys, order, n, shift)
        else:
            sort_by_digit(keys, order, keys_spare, order_spare, n, shift)
        moved = not moved
    if moved:
        memcpy(keys, keys_spare, n * sizeof(uint64_t))
        memcpy(order, order_spare, n * sizeof(int32_t))


cdef bint insertion_sort(
    uint64_t *keys, int32_t *order, Py_ssize_t n, Py_ssize_t max_moves
) noexcept nogil:
    """Sort keys that are nearly sorted, stably; return False after more than ``max_moves``."""
    cdef Py_ssize_t i, j, moves = 0
    cdef uint64_t key
    cdef int32_t point
    for i in range(1, n):
        if keys[i] >= keys[i - 1]:
            continue
        key, point = keys[i], order[i]
        j = i
        while j > 0 and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            order[j] = order[j - 1]
            j -= 1
        keys[j], order[j] = key, point
        moves += i - j
        if moves > max_moves:
            return False
    return True


cdef void sort_codes(
    uint64_t *keys, int32_t *order, uint64_t *keys_spare, int32_t *order_spare, Py_ssize_t n,
    int bits,
) noexcept nogil:
    """Sort by key; ties keep the order of their numbers.

    The leading digits first, which leaves little out of place, unless nearly all
    points lie in a few cells of a map that one outlier made wide.
    """
    cdef int leading = LEADING_OF_FEW if n <= FEW_POINTS else LEADING
    sort_by_digits(
        keys, order, keys_spare, order_spare, n, max(bits - leading * DIGIT_BITS, 0), bits
    )
    if not insertion_sort(keys, order, n, 2 * n):
        # An insertion sort that gave up left equal keys in their order.
        sort_by_digits(keys, order, keys_spare, order_spare, n, 0, bits)


def morton_order(
    const float[:, ::1] y,  # IN (n, d), d <= 3
    const double[::1] low,  # IN (d,), the smallest coordinates
    double extent,  # > 0, the side of the square that holds the map
    uint64_t[:, ::1] codes,  # OUT (2, n), the sorted codes in row 0; row 1 is scratch
    int32_t[:, ::1] order,  # OUT (2, n), the point at each position in row 0; row 1 is scratch
):
    """Sort the points along the curve; ties keep the order of their numbers."""
    cdef Py_ssize_t n = y.shape[0]
    cdef int d = <int> y.shape[1]
    cdef int bits = bits_for(d)
    cdef double cells = 2.0 ** bits
    if n == 0:
        return
    with nogil:
        encode(&y[0, 0], n, d, &low[0], cells / extent, cells - 1, &codes[0, 0], &order[0, 0])
        sort_codes(&codes[0, 0], &order[0, 0], &codes[1, 0], &order[1, 0], n, d * bits)
