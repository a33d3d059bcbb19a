"""The nodes of a Barnes-Hut tree over points in Morton order, and how they are laid out."""

from libc.stdint cimport int32_t, uint64_t


cdef enum:
    LEAF = 48  # points of a leaf, at most, unless they share one code


cdef struct Node:  # 32 bytes: a walk reads half a cache line for each
    float centre[3]
    float width
    float spread  # mean squared distance of the points from the centre
    int32_t start
    int32_t stop
    int32_t skip


cdef inline int shared_digits(uint64_t a, uint64_t b, int d, int bits) noexcept nogil:
    """How many leading d-bit digits two codes share: the depth of their smallest common cell."""
    cdef int depth = bits
    cdef uint64_t different = a ^ b
    while different:
        different >>= d
        depth -= 1
    return depth


cdef inline int32_t end_of_child(
    const uint64_t *codes, int32_t start, int32_t stop, int shift
) noexcept nogil:
    """The first place whose code has another digit at ``shift`` than the code at ``start``."""
    cdef uint64_t digit = codes[start] >> shift
    cdef int32_t middle
    while start < stop:
        middle = start + (stop - start) // 2
        if codes[middle] >> shift == digit:
            start = middle + 1
        else:
            stop = middle
    return start


cdef inline int32_t add_node(
    Node *nodes, int32_t count, const uint64_t *codes, const double *prefix, int32_t start,
    int32_t stop, int d, int bits, double extent,
) noexcept nogil:
    """Append the node of the points start..stop, and its subtree; return how many there are."""
    cdef int depth = shared_digits(codes[start], codes[stop - 1], d, bits)
    cdef Node *node = nodes + count
    cdef double mean, spread, square = 0
    cdef int32_t child
    cdef int c, sums = d + 1
    node.start, node.stop = start, stop
    node.width = <float> (extent / (<uint64_t> 1 << depth))
    for c in range(d):
        mean = (prefix[stop * sums + c] - prefix[start * sums + c]) / (stop - start)
        node.centre[c] = <float> mean
        square += mean * mean
    spread = (prefix[stop * sums + d] - prefix[start * sums + d]) / (stop - start) - square
    node.spread = <float> max(spread, 0.0)
    count += 1
    if stop - start > LEAF and depth < bits:
        while start < stop:
            child = end_of_child(codes, start, stop, d * (bits - depth - 1))
            count = add_node(nodes, count, codes, prefix, start, child, d, bits, extent)
            start = child
    node.skip = count
    return count
