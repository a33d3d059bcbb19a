"""Sparse graphs as compressed rows (CSR): rows of a transpose, sorting and adding rows.

Row pointers are int64, columns int32, values float32.  Every function fills
arrays that the caller allocated, in an order that does not depend on threads.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint32_t

from fasttsne._kernels.pieces cimport PIECE_EDGES, PIECE_ROWS, PyErr_CheckSignals, end_of_piece


cdef void count_range(
    const int32_t *columns, Py_ssize_t n_edges, int64_t *counts, int32_t low, int32_t high,
) noexcept nogil:
    cdef Py_ssize_t e
    for e in range(n_edges):
        if low <= columns[e] < high:
            counts[columns[e]] += 1


def count_columns(
    const int32_t[::1] columns,  # IN (edges,)
    int64_t[::1] counts,  # OUT (m,)
    int n_threads,
):
    """Write how many edges each column has. O(edges) a thread.

    Each thread owns a range of the columns and reads all edges.
    """
    cdef Py_ssize_t m = counts.shape[0], t, piece, size, n_edges = columns.shape[0]
    counts[:] = 0
    for piece in range(0, n_edges, PIECE_EDGES):
        size = min(<Py_ssize_t> PIECE_EDGES, n_edges - piece)
        for t in prange(n_threads, nogil=True, schedule="static", num_threads=n_threads):
            count_range(
                &columns[piece], size, &counts[0], <int32_t> (t * m // n_threads),
                <int32_t> ((t + 1) * m // n_threads),
            )
        PyErr_CheckSignals()


cdef void transpose_range(
    const int32_t *columns, const float *values, Py_ssize_t row, Py_ssize_t n, Py_ssize_t k,
    int64_t *cursor, int32_t *out_columns, float *out_values, int32_t first,
    int32_t low, int32_t high,
) noexcept nogil:
    """Move the edges of n rows, from ``row`` on, that end in low..high; so results come sorted."""
    cdef Py_ssize_t i = 0, e, group, n_edges = n * k, whole = n_edges // 8 * 8
    cdef uint32_t width = <uint32_t> (high - low)
    cdef uint32_t hits
    cdef int32_t j
    cdef int u
    for group in range(0, n_edges, 8):
        if group < whole:  # most groups have none, which a vector of them says
            hits = 0
            for u in range(8):
                hits |= <uint32_t> (columns[group + u] - low) < width
            if not hits:
                continue
        for e in range(group, min(group + 8, n_edges)):
            j = columns[e]
            if low <= j < high:
                while e >= (i + 1) * k:
                    i += 1
                out_columns[cursor[j - first]] = <int32_t> (row + i)
                out_values[cursor[j - first]] = values[e]
                cursor[j - first] += 1


def transpose_rows(
    const int32_t[:, ::1] columns, const float[:, ::1] values,  # IN (n, k)
    Py_ssize_t first,
    const int64_t[::1] out_indptr,  # IN (m + 1,), of the rows first..first + m of the transpose
    int64_t[::1] cursor,  # SCRATCH (m,)
    int32_t[::1] out_columns, float[::1] out_values,  # OUT (out_indptr[m],)
    int n_threads,
):
    """Write some rows of the transpose of a graph with k edges a row; columns are ascending.

    Each thread owns a range of the result's rows and reads all edges.  O(edges) a thread.
    """
    cdef Py_ssize_t m = cursor.shape[0], n = columns.shape[0], k = columns.shape[1], t, row
    cdef Py_ssize_t size = max(PIECE_EDGES // k, 1) if k else 1
    cdef int32_t low = <int32_t> first
    if out_columns.shape[0] == 0:
        return
    cursor[:] = out_indptr[:m]
    for row in range(0, n, size):
        for t in prange(n_threads, nogil=True, schedule="static", num_threads=n_threads):
            transpose_range(
                &columns[row, 0], &values[row, 0], row, min(size, n - row), k, &cursor[0],
                &out_columns[0], &out_values[0], low, low + <int32_t> (t * m // n_threads),
                low + <int32_t> ((t + 1) * m // n_threads),
            )
        PyErr_CheckSignals()


cdef void sort_row(int32_t *columns, float *values, Py_ssize_t k) noexcept nogil:
    """Sort by the columns: Shell's way, which is enough for a hundred edges."""
    cdef Py_ssize_t[6] gaps = [301, 132, 57, 23, 4, 1]
    cdef Py_ssize_t gap, g, i, j
    cdef int32_t column
    cdef float value
    for g in range(6):
        gap = gaps[g]
        for i in range(gap, k):
            column, value = columns[i], values[i]
            j = i
            while j >= gap and columns[j - gap] > column:
                columns[j], values[j] = columns[j - gap], values[j - gap]
                j -= gap
            columns[j], values[j] = column, value


def sort_rows(
    int32_t[:, ::1] columns, float[:, ::1] values,  # INOUT (n, k)
    int n_threads,
):
    """Sort the edges of each row by their columns."""
    cdef Py_ssize_t i, piece, n = columns.shape[0], k = columns.shape[1]
    if n == 0 or k == 0:
        return
    for piece in range(0, n, PIECE_ROWS):
        for i in prange(
            piece, end_of_piece(piece, n), nogil=True, schedule="static", num_threads=n_threads
        ):
            sort_row(&columns[i, 0], &values[i, 0], k)
        PyErr_CheckSignals()


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
    cdef Py_ssize_t i, piece, n = indptr.shape[0] - 1
    cdef const int32_t *b_columns = &b[0] if b.shape[0] else NULL
    cdef const float *b_numbers = &b_values[0] if b_values.shape[0] else NULL
    indptr[0] = 0
    if a.shape[0] == 0:
        raise ValueError("a graph without edges has nothing to merge")
    for piece in range(0, n, PIECE_ROWS):
        for i in prange(
            piece, end_of_piece(piece, n), nogil=True, schedule="static", num_threads=n_threads
        ):
            indptr[i + 1] = merge_rows(
                &a[0] + a_indptr[i], &a_values[0] + a_indptr[i], a_indptr[i + 1] - a_indptr[i],
                b_columns + b_indptr[i], b_numbers + b_indptr[i], b_indptr[i + 1] - b_indptr[i],
                1, False, NULL, NULL,
            )
        PyErr_CheckSignals()
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
    cdef Py_ssize_t i, piece, n = indptr.shape[0] - 1
    cdef const int32_t *b_columns = &b[0] if b.shape[0] else NULL
    cdef const float *b_numbers = &b_values[0] if b_values.shape[0] else NULL
    for piece in range(0, n, PIECE_ROWS):
        for i in prange(
            piece, end_of_piece(piece, n), nogil=True, schedule="static", num_threads=n_threads
        ):
            merge_rows(
                &a[0] + a_indptr[i], &a_values[0] + a_indptr[i], a_indptr[i + 1] - a_indptr[i],
                b_columns + b_indptr[i], b_numbers + b_indptr[i], b_indptr[i + 1] - b_indptr[i],
                scale, largest, &columns[0] + indptr[i], &values[0] + indptr[i],
            )
        PyErr_CheckSignals()
