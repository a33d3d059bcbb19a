"""Sparse graphs as compressed rows (CSR): transpose and add.

Row pointers are int64, columns int32, values float32.  Every function fills
arrays that the caller allocated, in an order that does not depend on threads.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t


cdef void transpose_range(
    const int64_t *indptr, const int32_t *columns, const float *values, Py_ssize_t n,
    int64_t *cursor, int32_t *out_columns, float *out_values, int32_t low, int32_t high,
) noexcept nogil:
    """Move the edges that end in low..high; row after row, so that results come sorted."""
    cdef Py_ssize_t i, e
    cdef int32_t j
    for i in range(n):
        for e in range(indptr[i], indptr[i + 1]):
            j = columns[e]
            if low <= j < high:
                out_columns[cursor[j]] = <int32_t> i
                out_values[cursor[j]] = values[e]
                cursor[j] += 1


def transpose(
    const int64_t[::1] indptr, const int32_t[::1] columns, const float[::1] values,  # IN (n, m)
    int64_t[::1] out_indptr,  # OUT (m + 1,)
    int64_t[::1] cursor,  # SCRATCH (m,)
    int32_t[::1] out_columns, float[::1] out_values,  # OUT (edges,)
    int n_threads,
):
    """Transpose; rows of the result have ascending columns. O(edges) a thread.

    Each thread owns a range of the result's rows and reads all edges.
    """
    cdef Py_ssize_t n = indptr.shape[0] - 1, m = cursor.shape[0], e, j, t
    if columns.shape[0] == 0:
        out_indptr[:] = 0
        return
    with nogil:
        out_indptr[:] = 0
        for e in range(columns.shape[0]):
            out_indptr[columns[e] + 1] += 1
        for j in range(m):
            out_indptr[j + 1] += out_indptr[j]
            cursor[j] = out_indptr[j]
        for t in prange(n_threads, schedule="static", num_threads=n_threads):
            transpose_range(
                &indptr[0], &columns[0], &values[0], n, &cursor[0], &out_columns[0],
                &out_values[0], <int32_t> (t * m // n_threads),
                <int32_t> ((t + 1) * m // n_threads),
            )


cdef inline int64_t merge_rows(
    const int32_t *a, const float *a_values, int64_t a_count,
    const int32_t *b, const float *b_values, int64_t b_count,
    float scale, bint largest, int32_t *out, float *out_values,
) noexcept nogil:
    """Merge two rows with ascending columns; with ``out`` NULL only count."""
    cdef int64_t x = 0, y = 0, count = 0
    cdef int32_t column
    cdef float value
    while x < a_count or y < b_count:
        if y == b_count or (x < a_count and a[x] <= b[y]):
            column = a[x]
        else:
            column = b[y]
        value = 0
        if x < a_count and a[x] == column:
            value = a_values[x]
            x += 1
        if y < b_count and b[y] == column:
            value = max(value, b_values[y]) if largest else value + b_values[y]
            y += 1
        if out != NULL:
            out[count] = column
            out_values[count] = scale * value
        count += 1
    return count


def count_merged(
    const int64_t[::1] a_indptr, const int32_t[::1] a, const float[::1] a_values,  # IN (n, m)
    const int64_t[::1] b_indptr, const int32_t[::1] b, const float[::1] b_values,  # IN (n, m)
    int64_t[::1] indptr,  # OUT (n + 1,)
    int n_threads,
):
    """Write row pointers of the sum of two graphs with ascending columns. O(edges)."""
    cdef Py_ssize_t i, n = indptr.shape[0] - 1
    indptr[0] = 0
    if a.shape[0] == 0 or b.shape[0] == 0:
        raise ValueError("a graph without edges has nothing to merge")
    with nogil:
        for i in prange(n, schedule="static", num_threads=n_threads):
            indptr[i + 1] = merge_rows(
                &a[0] + a_indptr[i], &a_values[0] + a_indptr[i], a_indptr[i + 1] - a_indptr[i],
                &b[0] + b_indptr[i], &b_values[0] + b_indptr[i], b_indptr[i + 1] - b_indptr[i],
                1, False, NULL, NULL,
            )
        for i in range(n):
            indptr[i + 1] += indptr[i]


def merge(
    const int64_t[::1] a_indptr, const int32_t[::1] a, const float[::1] a_values,  # IN (n, m)
    const int64_t[::1] b_indptr, const int32_t[::1] b, const float[::1] b_values,  # IN (n, m)
    float scale,
    const int64_t[::1] indptr,  # IN (n + 1,), from count_merged
    int32_t[::1] columns, float[::1] values,  # OUT (edges,)
    int n_threads,
    bint largest=False,
):
    """Write scale * (A + B), or scale * max(A, B), for two graphs with ascending columns.

    Values must not be negative for the largest.  O(edges).
    """
    cdef Py_ssize_t i, n = indptr.shape[0] - 1
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        merge_rows(
            &a[0] + a_indptr[i], &a_values[0] + a_indptr[i], a_indptr[i + 1] - a_indptr[i],
            &b[0] + b_indptr[i], &b_values[0] + b_indptr[i], b_indptr[i + 1] - b_indptr[i],
            scale, largest, &columns[0] + indptr[i], &values[0] + indptr[i],
        )
