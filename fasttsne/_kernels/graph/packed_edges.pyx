"""Edges in few bytes, in the order of the points of a map: see ``edges.pxd``.

The attraction reads all edges in each iteration, and on large maps waits for little else.
"""

from cython.parallel cimport prange
from libc.stdint cimport int16_t, int32_t, int64_t, uint16_t
from libc.stdlib cimport abs
from libc.string cimport memcpy

from fasttsne._kernels.simd.simd8 cimport encode


cdef enum:
    PIECE = 128  # edges of a row that are renumbered together, in a loop without branches


cdef inline void renumber(
    const int32_t *columns, int64_t count, const int32_t *position, int32_t n_columns,
    int32_t otherwise, int32_t *out,
) noexcept nogil:
    """Write the position of each column."""
    cdef int64_t e
    for e in range(count):
        # Another thread may be writing columns that were checked.
        out[e] = position[columns[e]] if 0 <= columns[e] < n_columns else otherwise


cdef inline int32_t number_of(
    Py_ssize_t r, const int32_t *own, int32_t n_columns
) noexcept nogil:
    return own[r] if own != NULL else <int32_t> min(r, <Py_ssize_t> n_columns - 1)


cdef inline Py_ssize_t place_of(Py_ssize_t r, const int32_t *places) noexcept nogil:
    return places[r] if places != NULL else r


cdef inline int64_t padded(int64_t count) noexcept nogil:
    return (count + 7) // 8 * 8


cdef int64_t count_in_row(
    const int32_t *columns, int64_t count, const int32_t *position, int32_t n_columns,
    int32_t own, int reach,
) noexcept nogil:
    cdef int64_t e, piece, start, size, near = 0
    cdef int32_t found[PIECE]
    for piece in range((count + PIECE - 1) // PIECE):
        start = piece * PIECE
        size = min(count - start, <int64_t> PIECE)
        renumber(columns + start, size, position, n_columns, own, found)
        for e in range(size):
            near += abs(found[e] - own) <= reach
    return near


def count_near(
    const int64_t[::1] indptr, const int32_t[::1] columns,  # IN (n, m)
    const int32_t[::1] order,  # IN (n,), the row at each position
    const int32_t[::1] position,  # IN (m,), the position of each column
    int reach,
    Py_ssize_t first, Py_ssize_t last,
    int64_t[::1] near_counts, int64_t[::1] far_counts,  # OUT (all,), in multiples of eight
    int n_threads,
    const int32_t[::1] own=None,  # IN (all,), below m: each place's number among the columns, or it
    const int32_t[::1] places=None,  # IN (n,), below all: of each position; None: all are n, itself
):
    """Write how many edges the rows at positions first..last have within ``reach`` of their own.

    And how many others.  O(edges).
    """
    cdef Py_ssize_t r, place
    cdef int64_t count, near
    cdef int32_t i, m = <int32_t> position.shape[0]
    cdef const int32_t *numbers = NULL if own is None else &own[0]
    cdef const int32_t *place_at = NULL if places is None else &places[0]
    if columns.shape[0] == 0:
        for r in range(first, last):
            place = place_of(r, place_at)
            near_counts[place], far_counts[place] = 0, 0
        return
    for r in prange(first, last, nogil=True, schedule="static", num_threads=n_threads):
        i, place = order[r], place_of(r, place_at)
        count = indptr[i + 1] - indptr[i]
        near = count_in_row(
            &columns[0] + indptr[i], count, &position[0], m, number_of(place, numbers, m), reach
        )
        near_counts[place], far_counts[place] = padded(near), padded(count - near)


cdef inline void encode_values(
    const float *values, int64_t count, float smallest, uint16_t *out
) noexcept nogil:
    """An edge stays one, however small its value is."""
    cdef int64_t e
    for e in range(count):
        out[e] = max(encode(values[e], smallest), <uint16_t> (values[e] > 0))


cdef inline void pack_near_row(
    const int32_t *columns, const float *values, int64_t count, const int32_t *position,
    int32_t n_columns, int32_t own, int reach, float smallest, int16_t *offsets,
    uint16_t *near_values,
) noexcept nogil:
    """Write the edges of a row without far ones, in loops without branches."""
    cdef int64_t e, piece, start, size
    cdef int32_t offset
    cdef int32_t found[PIECE]
    for piece in range((count + PIECE - 1) // PIECE):
        start = piece * PIECE
        size = min(count - start, <int64_t> PIECE)
        renumber(columns + start, size, position, n_columns, own, found)
        for e in range(size):
            offset = found[e] - own
            offsets[start + e] = <int16_t> (offset if -reach <= offset <= reach else 0)
    encode_values(values, count, smallest, near_values)


cdef void pack_row(
    const int32_t *columns, const float *values, int64_t count, const int32_t *position,
    int32_t n_columns, int32_t own, int reach, float smallest,
    int16_t *offsets, uint16_t *near_values, int64_t near_count,
    int32_t *far_columns, uint16_t *far_values, int64_t far_count,
) noexcept nogil:
    cdef int64_t e, piece, start, size, near = 0, far = 0, n_near, n_far
    cdef bint is_near
    cdef int32_t found[PIECE]
    cdef uint16_t codes[PIECE]
    cdef int16_t near_found[PIECE]
    cdef int32_t far_found[PIECE]
    cdef uint16_t near_codes[PIECE]
    cdef uint16_t far_codes[PIECE]
    if far_count == 0 and count <= near_count:
        pack_near_row(
            columns, values, count, position, n_columns, own, reach, smallest, offsets,
            near_values,
        )
        near, count = count, 0
    for piece in range((count + PIECE - 1) // PIECE):
        start = piece * PIECE
        size = min(count - start, <int64_t> PIECE)
        renumber(columns + start, size, position, n_columns, own, found)
        encode_values(values + start, size, smallest, codes)
        n_near = n_far = 0
        for e in range(size):
            is_near = abs(found[e] - own) <= reach
            near_found[n_near], near_codes[n_near] = <int16_t> (found[e] - own), codes[e]
            far_found[n_far], far_codes[n_far] = found[e], codes[e]
            n_near += is_near
            n_far += not is_near
        n_near, n_far = min(n_near, near_count - near), min(n_far, far_count - far)
        # Arrays that are empty have no address, which memcpy may not be given.
        if n_near:
            memcpy(offsets + near, near_found, n_near * sizeof(int16_t))
            memcpy(near_values + near, near_codes, n_near * sizeof(uint16_t))
        if n_far:
            memcpy(far_columns + far, far_found, n_far * sizeof(int32_t))
            memcpy(far_values + far, far_codes, n_far * sizeof(uint16_t))
        near, far = near + n_near, far + n_far
    for e in range(near, near_count):
        offsets[e], near_values[e] = 0, 0
    for e in range(far, far_count):
        far_columns[e], far_values[e] = own, 0


def pack_edges(
    const int64_t[::1] indptr, const int32_t[::1] columns, const float[::1] values,  # IN (n, m)
    const int32_t[::1] order, const int32_t[::1] position,  # IN as for `count_near`
    int reach,
    Py_ssize_t first, Py_ssize_t last,
    const int64_t[::1] near_indptr,  # IN (all + 1,), sums of the counts from `count_near`
    int16_t[::1] offsets, uint16_t[::1] near_values,  # OUT (near_indptr[all],)
    const int64_t[::1] far_indptr,  # IN (all + 1,), the same of the others
    int32_t[::1] far_columns, uint16_t[::1] far_values,  # OUT (far_indptr[all],)
    float smallest,
    int n_threads,
    const int32_t[::1] own=None, const int32_t[::1] places=None,  # IN as for `count_near`
):
    """Renumber a graph's points, and write the edges of positions first..last in few bytes.

    Near edges of a row keep their order, and so do far ones.  Between two sets of points numbers
    have no distance: ``reach`` has to be -1.
    """
    cdef Py_ssize_t r, place
    cdef int32_t i, m = <int32_t> position.shape[0]
    cdef const int32_t *numbers = NULL if own is None else &own[0]
    cdef const int32_t *place_at = NULL if places is None else &places[0]
    cdef int16_t *near_out = &offsets[0] if offsets.shape[0] else NULL
    cdef uint16_t *near_codes = &near_values[0] if near_values.shape[0] else NULL
    cdef int32_t *far_out = &far_columns[0] if far_columns.shape[0] else NULL
    cdef uint16_t *far_codes = &far_values[0] if far_values.shape[0] else NULL
    if columns.shape[0] == 0:
        return
    for r in prange(first, last, nogil=True, schedule="static", num_threads=n_threads):
        i, place = order[r], place_of(r, place_at)
        pack_row(
            &columns[0] + indptr[i], &values[0] + indptr[i], indptr[i + 1] - indptr[i],
            &position[0], m, number_of(place, numbers, m), reach, smallest,
            near_out + near_indptr[place], near_codes + near_indptr[place],
            near_indptr[place + 1] - near_indptr[place], far_out + far_indptr[place],
            far_codes + far_indptr[place], far_indptr[place + 1] - far_indptr[place],
        )
