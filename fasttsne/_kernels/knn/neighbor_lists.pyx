"""Lists of neighbours into which new rows are taken."""

from cython cimport floating
from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memmove


cdef Py_ssize_t place_after(const floating *row, Py_ssize_t k, double far) noexcept nogil:
    """How many of k rising distances are not above ``far``."""
    cdef Py_ssize_t low = 0, high = k, middle
    while low < high:
        middle = (low + high) // 2
        if row[middle] <= far:
            low = middle + 1
        else:
            high = middle
    return low


def take_in(
    int32_t[:, ::1] indices, floating[:, ::1] distances,  # INOUT (n, k), nearest first
    const int32_t[:, ::1] found, const double[:, ::1] far,  # IN (m, any), pairs of new rows
    const uint8_t[:, ::1] is_old,  # IN (m, any), which pairs are with old rows
    const int32_t[::1] numbers,  # IN (m,), of the new rows
):
    """Put new rows into the lists of old ones to which they are nearer than the last neighbour.

    Each comes after those that are as far, and the last one leaves.  O(pairs * k).
    """
    cdef Py_ssize_t k = indices.shape[1], i, c, place
    cdef int32_t row
    with nogil:
        for i in range(found.shape[0]):
            for c in range(found.shape[1]):
                row = found[i, c]
                if not is_old[i, c] or not far[i, c] < distances[row, k - 1]:
                    continue
                place = place_after(&distances[row, 0], k, far[i, c])
                if place == k:
                    continue
                memmove(
                    &indices[row, place + 1], &indices[row, place],
                    (k - 1 - place) * sizeof(int32_t),
                )
                memmove(
                    &distances[row, place + 1], &distances[row, place],
                    (k - 1 - place) * sizeof(floating),
                )
                indices[row, place] = numbers[i]
                distances[row, place] = <floating>far[i, c]
