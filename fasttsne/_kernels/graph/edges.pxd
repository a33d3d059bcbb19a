"""The edges of a graph in few bytes, as ``packed_edges.pyx`` writes them.

The columns of a row that are near it in the order of points are distances of 16 bits from
the row's own number; the others are numbers of 32 bits.  Values have 16 bits (``f8_decode``).
Rows of either kind come padded to whole groups of eight, so that loops have no tail.  Padding has
the value 0 and, in a graph of one set of points, the row's own number.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint16_t


cdef struct Edges:
    const int64_t *near_indptr  # (n + 1,), multiples of 8
    const int16_t *offsets  # (near edges,), column - row
    const uint16_t *near_values  # (near edges,)
    const int64_t *far_indptr  # (n + 1,), multiples of 8
    const int32_t *columns  # (far edges,)
    const uint16_t *far_values  # (far edges,)
    float smallest  # of the values, see `f8_decode`


cdef inline Edges edges_of(
    const int64_t[::1] near_indptr, const int16_t[::1] offsets, const uint16_t[::1] near_values,
    const int64_t[::1] far_indptr, const int32_t[::1] columns, const uint16_t[::1] far_values,
    float smallest,
) noexcept:
    cdef Edges edges
    edges.near_indptr, edges.far_indptr = &near_indptr[0], &far_indptr[0]
    edges.offsets = &offsets[0] if offsets.shape[0] else NULL
    edges.near_values = &near_values[0] if near_values.shape[0] else NULL
    edges.columns = &columns[0] if columns.shape[0] else NULL
    edges.far_values = &far_values[0] if far_values.shape[0] else NULL
    edges.smallest = smallest
    return edges
