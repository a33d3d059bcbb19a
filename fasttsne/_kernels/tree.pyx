"""Barnes-Hut repulsion: far cells act as one point at their centre of mass.

The tree is an array of nodes in depth-first order over points sorted by Morton
code.  A node is a run of points; its ``skip`` is the node that follows its
subtree, so a walk needs no stack.  Chains of cells with a single child are
skipped over, which bounds the depth by the bits of the codes and the number of
nodes by 2 n.

Points ask in groups, one leaf at a time: a walk collects the cells that are
far from all points of the group (width < theta * distance) and the points that
are near, and the list is then summed in vectors for each point.  A whole group
is stricter than its points, so the error is below that of the usual walk at
the same theta; it falls as theta^2.

Points that share one code (duplicates, in practice) form a leaf of any size,
which counts as one mass at their centre for everyone, themselves included.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, uint64_t

import numpy as np

from fasttsne._kernels.pairwise cimport repel

from fasttsne._kernels.curve import BITS

LEAF_SIZE = 32
cdef int LEAF = LEAF_SIZE

cdef enum:
    LIST = 1024  # sources gathered before they are summed
    GROUP = 32  # targets that share a walk, at most


cdef struct Nodes:
    int32_t *start
    int32_t *stop
    int32_t *skip
    float *centre  # d a node
    float *width
    int32_t count


cdef int shared_digits(uint64_t a, uint64_t b, int d, int bits) noexcept nogil:
    """How many leading d-bit digits two codes share: the depth of their smallest common cell."""
    cdef int depth = bits
    cdef uint64_t different = a ^ b
    while different:
        different >>= d
        depth -= 1
    return depth


cdef int32_t end_of_child(
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


cdef void add_node(
    Nodes *nodes, const uint64_t *codes, const double *prefix, int32_t start, int32_t stop,
    int d, int bits, double extent,
) noexcept nogil:
    """Append the node of the points start..stop, and its subtree."""
    cdef int32_t node = nodes.count, child
    cdef int c, depth = shared_digits(codes[start], codes[stop - 1], d, bits)
    nodes.count += 1
    nodes.start[node] = start
    nodes.stop[node] = stop
    nodes.width[node] = <float> (extent / (<uint64_t> 1 << depth))
    for c in range(d):
        nodes.centre[node * d + c] = <float> (
            (prefix[stop * d + c] - prefix[start * d + c]) / (stop - start)
        )
    if stop - start > LEAF and depth < bits:
        while start < stop:
            child = end_of_child(codes, start, stop, d * (bits - depth - 1))
            add_node(nodes, codes, prefix, start, child, d, bits, extent)
            start = child
    nodes.skip[node] = nodes.count


def build_tree(
    const float[:, ::1] y,  # IN (n, d), in the order of the curve
    const uint64_t[:, ::1] codes,  # IN row 0: (n,), ascending
    double extent,  # side of the root cell
    double[:, ::1] prefix,  # SCRATCH (n + 1, d)
    int32_t[:, ::1] ranges,  # OUT (3, 2 n): start, stop, skip
    float[:, ::1] centre,  # OUT (2 n, d)
    float[::1] width,  # OUT (2 n,)
):
    """Build the nodes over the sorted points; return how many there are."""
    cdef Py_ssize_t n = y.shape[0], i
    cdef int d = <int> y.shape[1], c
    cdef int bits = BITS[d]
    cdef Nodes nodes
    nodes.start, nodes.stop, nodes.skip = &ranges[0, 0], &ranges[1, 0], &ranges[2, 0]
    nodes.centre, nodes.width, nodes.count = &centre[0, 0], &width[0], 0
    with nogil:
        for c in range(d):
            prefix[0, c] = 0
        for i in range(n):
            for c in range(d):
                prefix[i + 1, c] = prefix[i, c] + y[i, c]
        add_node(&nodes, &codes[0, 0], &prefix[0, 0], 0, <int32_t> n, d, bits, extent)
    return nodes.count


cdef void flush(
    const float *points, Py_ssize_t n_points, float *source, float *mass,
    Py_ssize_t count, int d, float dof, double *force, double *z,
) noexcept nogil:
    """Pad the list to a multiple of eight with zero masses and sum it for every point."""
    cdef Py_ssize_t i
    cdef int c
    while count % 8:
        for c in range(d):
            source[c * LIST + count] = 0
        mass[count] = 0
        count += 1
    for i in range(n_points):
        repel(points + i * d, source, LIST, mass, count, d, dof, force + i * d, z)


cdef double repel_group(
    const Nodes *nodes, const float *y, int32_t first, int32_t last, int d, float dof,
    float theta2, double *force,
) noexcept nogil:
    """Forces on the points first..last, at most GROUP of them; returns their share of Z."""
    cdef float source[3 * LIST]
    cdef float mass[LIST]
    cdef float low[3]
    cdef float high[3]
    cdef float r2, gap
    cdef double z = 0
    cdef Py_ssize_t count = 0, i
    cdef int32_t node = 0, size
    cdef int c
    for i in range((last - first) * d):
        force[i] = 0
    for c in range(d):
        low[c] = high[c] = y[first * d + c]
    for i in range(first + 1, last):
        for c in range(d):
            low[c] = min(low[c], y[i * d + c])
            high[c] = max(high[c], y[i * d + c])
    while node < nodes.count:
        r2 = 0
        for c in range(d):
            gap = max(low[c] - nodes.centre[node * d + c], nodes.centre[node * d + c] - high[c])
            gap = max(gap, <float> 0)
            r2 = r2 + gap * gap
        size = nodes.stop[node] - nodes.start[node]
        if count + LEAF > LIST:
            flush(y + first * d, last - first, source, mass, count, d, dof, force, &z)
            count = 0
        if nodes.width[node] * nodes.width[node] < theta2 * r2 or (
            size > LEAF and nodes.skip[node] == node + 1
        ):
            for c in range(d):
                source[c * LIST + count] = nodes.centre[node * d + c]
            mass[count] = size
            count += 1
            node = nodes.skip[node]
        elif nodes.skip[node] == node + 1:
            for i in range(nodes.start[node], nodes.stop[node]):
                for c in range(d):
                    source[c * LIST + count] = y[i * d + c]
                mass[count] = 1
                count += 1
            node = node + 1
        else:
            node = node + 1
    flush(y + first * d, last - first, source, mass, count, d, dof, force, &z)
    return z


cdef double repel_leaf(
    const Nodes *nodes, int32_t leaf, const float *y, const int32_t *order, float *out,
    int d, float dof, float theta2,
) noexcept nogil:
    """Forces on the points of a leaf, in the caller's order of points."""
    cdef double force[3 * GROUP]
    cdef double z = 0
    cdef int32_t first, last, i
    cdef int c
    first = nodes.start[leaf]
    while first < nodes.stop[leaf]:
        last = min(first + GROUP, nodes.stop[leaf])
        z += repel_group(nodes, y, first, last, d, dof, theta2, force)
        for i in range(first, last):
            for c in range(d):
                out[order[i] * d + c] = <float> force[(i - first) * d + c]
        first = last
    return z


def tree_repulsion(
    const float[:, ::1] y,  # IN (n, d), in the order of the curve
    const int32_t[:, ::1] order,  # IN row 0: (n,), the caller's number of each point
    int32_t[:, ::1] ranges, float[:, ::1] centre, float[::1] width, int n_nodes,  # IN the tree
    float[:, ::1] out,  # OUT (n, d), in the caller's order
    float dof,
    float theta,
    int n_threads,
):
    """Write the repulsive forces, not yet divided by Z, to ``out``; return Z."""
    cdef Nodes nodes
    cdef int d = <int> y.shape[1]
    cdef Py_ssize_t leaf, n_leaves
    nodes.start, nodes.stop, nodes.skip = &ranges[0, 0], &ranges[1, 0], &ranges[2, 0]
    nodes.centre, nodes.width, nodes.count = &centre[0, 0], &width[0], n_nodes
    skips = np.asarray(ranges)[2, :n_nodes]
    cdef int32_t[::1] leaves = np.flatnonzero(
        skips == np.arange(1, n_nodes + 1)
    ).astype(np.int32)
    n_leaves = leaves.shape[0]
    cdef double[::1] partial = np.zeros(n_leaves)
    for leaf in prange(n_leaves, nogil=True, schedule="dynamic", chunksize=8,
                       num_threads=n_threads):
        partial[leaf] = repel_leaf(
            &nodes, leaves[leaf], &y[0, 0], &order[0, 0], &out[0, 0], d, dof, theta * theta
        )
    return float(np.sum(partial)) - y.shape[0]
