"""The nodes of a Barnes-Hut tree over points in Morton order, and how they are laid out."""

from libc.stdint cimport int32_t, uint32_t, uint64_t


cdef enum:
    LEAF_SIZE = 64  # points of a leaf at most, unless they share one code


cdef struct Node:  # 32 bytes: a traversal reads half a cache line for each
    float center[3]
    float width
    float second_moment  # mean squared distance of the points from the center
    int32_t start
    int32_t stop
    uint32_t skip  # the node after the subtree; up to 2 n nodes do not fit int32


cdef struct Points:  # in Morton order, with what nodes are made of
    const float *y  # (n, d)
    const uint64_t *codes  # (n,)
    const double *prefix  # (n + 1, d + 1), sums of y and of |y|^2
    int d
    int bits
    double extent  # side of the root cell


cdef inline int shared_digits(uint64_t a, uint64_t b, int d, int bits) noexcept nogil:
    """How many leading d-bit digits two codes share: the depth of their smallest common cell."""
    cdef int depth = bits
    cdef uint64_t different = a ^ b
    while different:
        different >>= d
        depth -= 1
    return depth


cdef inline int32_t child_end(
    const uint64_t *codes, int32_t start, int32_t stop, int shift
) noexcept nogil:
    """The first position whose code has another digit at ``shift`` than the code at ``start``."""
    cdef uint64_t digit = codes[start] >> shift
    cdef int32_t middle
    while start < stop:
        middle = start + (stop - start) // 2
        if codes[middle] >> shift == digit:
            start = middle + 1
        else:
            stop = middle
    return start


cdef inline bint prefix_cancels(double sum_of_squares) noexcept nogil:
    """Whether differences of prefix sums are too inaccurate for second moments.

    Their error is about 2^-52 of the sum.  Up to 1e-3, in squared units of the map in which
    the kernel's width is one, it is far below the tree's own: only points some 10^6 units
    from the origin exceed that.
    """
    return sum_of_squares > 1e-3 / 2.220446049250313e-16


cdef inline void sum_moments(Node *node, const Points *points) noexcept nogil:
    """Center and second moment from offsets to the first point, without cancellation. O(points)."""
    cdef Py_ssize_t i, d = points.d
    cdef const float *origin = points.y + node.start * d
    cdef double count = node.stop - node.start, mean, offset, moment = 0
    cdef int c
    for c in range(points.d):
        mean = 0
        for i in range(node.start, node.stop):
            mean += <double> points.y[i * d + c] - origin[c]
        mean /= count
        node.center[c] = <float> (mean + origin[c])
        for i in range(node.start, node.stop):
            offset = <double> points.y[i * d + c] - origin[c] - mean
            moment += offset * offset
    node.second_moment = <float> (moment / count)


cdef inline void set_moments(Node *node, const Points *points) noexcept nogil:
    """Center and second moment, as differences of prefix sums where those are accurate. O(1)."""
    cdef Py_ssize_t sums = points.d + 1  # 64 bits: n (d + 1) may be beyond int32
    cdef const double *first = points.prefix + node.start * sums
    cdef const double *last = points.prefix + node.stop * sums
    cdef double mean, moment, square = 0
    cdef int c
    if prefix_cancels(last[points.d]):
        sum_moments(node, points)
        return
    for c in range(points.d):
        mean = (last[c] - first[c]) / (node.stop - node.start)
        node.center[c] = <float> mean
        square += mean * mean
    moment = (last[points.d] - first[points.d]) / (node.stop - node.start) - square
    node.second_moment = <float> max(moment, 0.0)


cdef inline Py_ssize_t add_node(
    Node *nodes, Py_ssize_t count, const Points *points, int32_t start, int32_t stop
) noexcept nogil:
    """Append the node of the points start..stop, and its subtree; return how many there are."""
    cdef int depth = shared_digits(
        points.codes[start], points.codes[stop - 1], points.d, points.bits
    )
    cdef Node *node = nodes + count
    cdef int32_t end
    node.start, node.stop = start, stop
    node.width = <float> (points.extent / (<uint64_t> 1 << depth))
    set_moments(node, points)
    count += 1
    if stop - start > LEAF_SIZE and depth < points.bits:
        while start < stop:
            end = child_end(points.codes, start, stop, points.d * (points.bits - depth - 1))
            count = add_node(nodes, count, points, start, end)
            start = end
    node.skip = <uint32_t> count
    return count
