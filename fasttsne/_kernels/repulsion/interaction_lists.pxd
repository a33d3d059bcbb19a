"""Lists of points and cells that a traversal of the tree collects, to be summed in vectors."""

from libc.stdint cimport int32_t

from fasttsne._kernels.repulsion.pairwise cimport Sources, padding_coordinate
from fasttsne._kernels.repulsion.tree_nodes cimport Node


cdef enum:
    LIST_SIZE = 512  # sources gathered before they are summed


cdef struct InteractionList:
    float coordinates[3 * LIST_SIZE]
    float mass[LIST_SIZE]
    float second_moment[LIST_SIZE]
    Py_ssize_t count


cdef inline Sources take_sources(InteractionList *list, int d) noexcept nogil:
    """The list as sources, padded to whole vectors; it is empty afterwards."""
    cdef Sources sources
    cdef int c
    while list.count % 8:
        for c in range(d):
            list.coordinates[c * LIST_SIZE + list.count] = padding_coordinate()
        list.mass[list.count] = list.second_moment[list.count] = 0
        list.count += 1
    sources.coordinates, sources.mass = list.coordinates, list.mass
    sources.second_moment = list.second_moment
    sources.capacity, sources.count = LIST_SIZE, list.count
    list.count = 0
    return sources


cdef inline void add_cell(InteractionList *list, const Node *node, int d) noexcept nogil:
    cdef Py_ssize_t place = list.count
    cdef int c
    for c in range(d):
        list.coordinates[c * LIST_SIZE + place] = node.center[c]
    list.mass[place] = node.stop - node.start
    list.second_moment[place] = node.second_moment
    list.count = place + 1


cdef inline void add_points(
    InteractionList *list, const float *y, int32_t start, int32_t stop, int d
) noexcept nogil:
    cdef Py_ssize_t i, count = stop - start  # i * d may be beyond int32
    cdef float *out = list.coordinates + list.count
    cdef int c
    y += start * <Py_ssize_t> d
    for c in range(d):
        for i in range(count):
            out[c * LIST_SIZE + i] = y[i * d + c]
    list.count += count
