"""Lists of points and cells that a walk of the tree meets, to be summed in vectors."""

from libc.stdint cimport int32_t

from fasttsne._kernels.repulsion.tree_nodes cimport Node
from fasttsne._kernels.repulsion.pairwise cimport Sources, far


cdef enum:
    LIST = 512  # sources gathered before they are summed


cdef struct List:
    float place[3 * LIST]
    float mass[LIST]
    float spread[LIST]
    Py_ssize_t count


cdef inline Sources padded(List *list, int d) noexcept nogil:
    """The list as sources, padded to whole vectors; it is empty afterwards."""
    cdef Sources sources
    cdef int c
    while list.count % 8:
        for c in range(d):
            list.place[c * LIST + list.count] = far()
        list.mass[list.count] = list.spread[list.count] = 0
        list.count += 1
    sources.place, sources.mass, sources.spread = list.place, list.mass, list.spread
    sources.capacity, sources.count = LIST, list.count
    list.count = 0
    return sources


cdef inline void add_cell(List *list, const Node *node, int d) noexcept nogil:
    cdef int c
    for c in range(d):
        list.place[c * LIST + list.count] = node.centre[c]
    list.mass[list.count] = node.stop - node.start
    list.spread[list.count] = node.spread
    list.count += 1


cdef inline void add_points(
    List *list, const float *y, int32_t start, int32_t stop, int d
) noexcept nogil:
    cdef int32_t i
    cdef int c
    for i in range(start, stop):
        for c in range(d):
            list.place[c * LIST + list.count] = y[i * d + c]
        list.count += 1
