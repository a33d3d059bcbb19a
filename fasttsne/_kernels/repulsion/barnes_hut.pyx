"""Barnes-Hut repulsion: far cells act as one point at their center of mass.

    out_i = sum_j w_ij q_ij (y_i - y_j),    Z = sum_{i != j} w_ij

The tree is an array of nodes in depth-first order over points sorted by Morton
code.  A node is a run of points; its ``skip`` is the node that follows its
subtree, so a traversal needs no stack.  Chains of cells with a single child are
left out, which bounds the depth by the bits of the codes and the number of
nodes by 2 n.

The points of a leaf traverse the tree together, as a group.  A traversal sorts what it
finds into three lists, each summed in vectors:

- points that are near: for every point of the group;
- cells far from all points of the group (width < ratio * distance): for
  every point of the group;
- cells so far that the group, too, is small beside the distance (width + the
  group's width < ratio * distance): once for the group's center, with the
  derivatives of the force, from which each point takes its own value.

``opening_ratio`` says what the ratio is.  The force of a cell includes the second moment
of its points as if it were the same in all directions (``pairwise.pxd``), so that Z is
hardly biased.  The error falls at least as theta^2.  O(n log n).

Points that share one code (duplicates, in practice) form a leaf of any size,
which counts as one cell for everyone, themselves included.

Source: Barnes & Hut 1986; for t-SNE, van der Maaten 2014.
"""

from cython.parallel cimport prange
from libc.math cimport fabsf
from libc.stdint cimport int32_t, uint64_t

import numpy as np

from fasttsne._kernels.optimize.morton_bits cimport bits_for
from fasttsne._kernels.optimize.row_task cimport RowTask, as_capsule, new_task
from fasttsne._kernels.repulsion.interaction_lists cimport LIST_SIZE, add_cell, add_points
from fasttsne._kernels.repulsion.point_group cimport (
    GROUP_SIZE, PointGroup, apply_far_cells, bound_points, start_group, sum_cells, sum_far_cells,
    sum_points,
)
from fasttsne._kernels.repulsion.tree_nodes cimport LEAF_SIZE, Node, Points, add_node

# With their second moments, cells may be this much nearer than theta says and be
# as accurate as cells of masses alone would be at theta, by dimensions: benchmarks/forces.py.
THETA_FACTOR = {1: 1.3, 2: 1.6, 3: 1.5}
# A kernel with light tails changes more across a cell.
LIGHT_TAIL_EXPONENT = 0.25

NODE_FLOATS = sizeof(Node) // sizeof(float)


def opening_ratio(d, dof, theta):
    """The largest width of a cell for its distance, by dimensions and degrees of freedom."""
    return THETA_FACTOR[d] * theta / max(dof, 1.0) ** LIGHT_TAIL_EXPONENT


def build_tree(
    const float[:, ::1] points,  # IN (n, d), in the caller's order
    const int32_t[:, ::1] order,  # IN row 0: (n,), the caller's number of each point
    const uint64_t[:, ::1] codes,  # IN row 0: (n,), ascending
    double extent,  # side of the root cell
    double[:, ::1] prefix,  # SCRATCH (n + 1, d + 1)
    float[:, ::1] y,  # OUT (n, d), the points in the order of the curve
    float[:, ::1] nodes,  # OUT (2 n, NODE_FLOATS), each row a Node
):
    """Sort the points and build the nodes over them; return how many there are. O(n)."""
    cdef Py_ssize_t n = y.shape[0], i, count
    cdef int d = <int> y.shape[1], c
    cdef double square
    cdef Points data
    data.y, data.codes, data.prefix = &y[0, 0], &codes[0, 0], &prefix[0, 0]
    data.d, data.bits, data.extent = d, bits_for(d), extent
    prefix[0, :] = 0
    with nogil:
        for i in range(n):
            square = 0
            for c in range(d):
                y[i, c] = points[order[0, i], c]
                prefix[i + 1, c] = prefix[i, c] + y[i, c]
                square += <double> y[i, c] * y[i, c]
            prefix[i + 1, d] = prefix[i, d] + square
        count = add_node(<Node *> &nodes[0, 0], 0, &data, 0, <int32_t> n)
    return count


cdef inline void traverse(
    PointGroup *group, const Node *nodes, Py_ssize_t n_nodes, const float *y, int d, float dof,
    float theta2,
) noexcept nogil:
    """Sort every node into one of the lists, or open it; ``d`` is a literal at each call."""
    cdef float near2, far2, gap
    cdef const Node *node = nodes
    cdef const Node *end = nodes + n_nodes
    cdef bint leaf
    cdef int c
    bound_points(group, d)
    while node < end:
        near2 = far2 = 0
        for c in range(d):
            gap = fabsf(node.center[c] - group.center[c])
            far2 = far2 + gap * gap
            gap = max(gap - group.half[c], <float> 0)
            near2 = near2 + gap * gap
        leaf = node.skip == node - nodes + 1
        if (node.width + group.width) * (node.width + group.width) < theta2 * far2:
            add_cell(&group.far_cells, node, d)
            node = nodes + node.skip
            if group.far_cells.count == LIST_SIZE:
                sum_far_cells(group, d, dof)
        elif node.width * node.width < theta2 * near2 or (
            leaf and node.stop - node.start > LEAF_SIZE
        ):
            add_cell(&group.cells, node, d)
            node = nodes + node.skip
            if group.cells.count == LIST_SIZE:
                sum_cells(group, d, dof)
        else:
            if leaf:
                add_points(&group.points, y, node.start, node.stop, d)
                if group.points.count + LEAF_SIZE > LIST_SIZE:
                    sum_points(group, d, dof)
            node += 1


cdef void sum_group(
    PointGroup *group, const Node *nodes, Py_ssize_t n_nodes, const float *y, int d, float dof,
    float theta2,
) noexcept nogil:
    """All forces on the group."""
    if d == 1:
        traverse(group, nodes, n_nodes, y, 1, dof, theta2)
    elif d == 2:
        traverse(group, nodes, n_nodes, y, 2, dof, theta2)
    else:
        traverse(group, nodes, n_nodes, y, 3, dof, theta2)
    sum_points(group, d, dof)
    sum_cells(group, d, dof)
    sum_far_cells(group, d, dof)
    apply_far_cells(group, d)


cdef double repel_leaf(
    const Node *nodes, Py_ssize_t n_nodes, const Node *leaf, const float *y, const int32_t *order,
    float *out, int d, float dof, float theta2,
) noexcept nogil:
    """Forces on the points of a leaf, in the caller's order of points; returns its share of Z."""
    cdef PointGroup group
    cdef double z = 0
    cdef Py_ssize_t first = leaf.start, last, i, point  # n d may be beyond int32
    cdef int c
    while first < leaf.stop:
        last = min(first + GROUP_SIZE, <Py_ssize_t> leaf.stop)
        start_group(&group, y + first * d, last - first, d)
        sum_group(&group, nodes, n_nodes, y, d, dof, theta2)
        z += group.z
        for i in range(first, last):
            point = order[i]
            for c in range(d):
                out[point * d + c] = <float> group.force[(i - first) * d + c]
        first = last
    return z


def tree_repulsion(
    const float[:, ::1] y,  # IN (n, d), in the order of the curve
    const int32_t[:, ::1] order,  # IN row 0: (n,), the caller's number of each point
    const float[:, ::1] nodes, Py_ssize_t n_nodes,  # IN the tree
    float[:, ::1] out,  # OUT (n, d), in the caller's order
    float dof,
    float theta,
    double[::1] z_sums,  # SCRATCH (n_nodes,)
    int n_threads,
):
    """Write the repulsive forces, not yet divided by Z, to ``out``; return Z. O(n log n)."""
    cdef const Node *tree = <const Node *> &nodes[0, 0]
    cdef int d = <int> y.shape[1]
    cdef Py_ssize_t i
    cdef float theta2 = opening_ratio(d, dof, theta) ** 2
    z_sums[:n_nodes] = 0  # of nodes that are not leaves
    for i in prange(n_nodes, nogil=True, schedule="dynamic", chunksize=16, num_threads=n_threads):
        if tree[i].skip == i + 1:
            z_sums[i] = repel_leaf(
                tree, n_nodes, tree + i, &y[0, 0], &order[0, 0], &out[0, 0], d, dof, theta2
            )
    return float(np.sum(z_sums[:n_nodes])) - y.shape[0]


cdef void repel_point(
    const Node *nodes, Py_ssize_t n_nodes, const float *y, const float *point, float *out,
    double *z, int d, float dof, float theta2,
) noexcept nogil:
    """The forces on one point, which is a group by itself."""
    cdef PointGroup group
    cdef int c
    start_group(&group, point, 1, d)
    sum_group(&group, nodes, n_nodes, y, d, dof, theta2)
    for c in range(d):
        out[c] = <float> group.force[c]
    z[0] = group.z


def tree_repulsion_at(
    const float[:, ::1] points,  # IN (m, d), not among those of the tree
    const float[:, ::1] y,  # IN (n, d), those of the tree, in the order of the curve
    const float[:, ::1] nodes, Py_ssize_t n_nodes,  # IN the tree
    float[:, ::1] out,  # OUT (m, d), sum_j w q (point_i - y_j)
    double[::1] z,  # OUT (m,), sum_j w
    float dof,
    float theta,
    int n_threads,
):
    """Write the forces on other points, each of which traverses alone, and their Z. O(m log n)."""
    cdef const Node *tree = <const Node *> &nodes[0, 0]
    cdef int d = <int> y.shape[1]
    cdef Py_ssize_t i
    cdef float theta2 = opening_ratio(d, dof, theta) ** 2
    for i in prange(points.shape[0], nogil=True, schedule="dynamic", chunksize=16,
                    num_threads=n_threads):
        repel_point(tree, n_nodes, &y[0, 0], &points[i, 0], &out[i, 0], &z[i], d, dof, theta2)


cdef struct TreeTask:
    RowTask task
    const Node *nodes
    Py_ssize_t n_nodes
    const float *y
    const float *points
    float *out
    double *z
    int d
    float dof
    float theta2


cdef bint run_task(const void *task, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef const TreeTask *t = <const TreeTask *> task
    cdef Py_ssize_t i
    for i in range(first, last):
        repel_point(
            t.nodes, t.n_nodes, t.y, t.points + i * t.d, t.out + i * t.d, t.z + i, t.d, t.dof,
            t.theta2,
        )
    return False


def row_task(
    const float[:, ::1] points,  # as for `tree_repulsion_at`
    const float[:, ::1] y,
    const float[:, ::1] nodes, Py_ssize_t n_nodes,
    float[:, ::1] out,
    double[::1] z,
    float dof,
    float theta,
):
    """``tree_repulsion_at`` as a task: see ``row_task.pxd``."""
    cdef TreeTask *task = <TreeTask *> new_task(sizeof(TreeTask), run_task)
    task.nodes, task.n_nodes = <const Node *> &nodes[0, 0], n_nodes
    task.y, task.points, task.out, task.z = &y[0, 0], &points[0, 0], &out[0, 0], &z[0]
    task.d, task.dof = <int> y.shape[1], dof
    task.theta2 = opening_ratio(task.d, dof, theta) ** 2
    return as_capsule(task)
