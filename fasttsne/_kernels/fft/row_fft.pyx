"""Fourier transforms of the rows of a grid, real numbers, sixteen rows at a time.

Two rows a and b make one complex line z = a + i b, whose transform Z tells theirs apart:

    2 A_k = Z_k + conj Z_(n-k),    2 i B_k = Z_k - conj Z_(n-k),    Z_k = A_k + i B_k,

and eight such lines are what ``fourier.pxd`` transforms side by side.  Only the first half
of a row can hold points, and only the first half of its spectrum, n / 2 + 1 modes, is stored.
"""

from cython.parallel cimport parallel, prange
from libc.string cimport memset

from fasttsne._kernels.fft.fourier cimport (
    N_LINES, ELEMENT, StridedLines, FFTPlan, as_plan, backward, forward, strided_lines,
)
from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_load, f8_mul, f8_set1, f8_store, f8_sub, f8_transpose,
)

cdef extern from "threads.h" nogil:
    int omp_get_thread_num()


cdef struct Rows:  # at most sixteen, one below the other
    float *cells
    Py_ssize_t step  # floats
    float *spectrum
    Py_ssize_t spectrum_step
    Py_ssize_t count
    Py_ssize_t half  # cells of a row that can hold points


cdef inline Py_ssize_t round_up(Py_ssize_t count) noexcept nogil:
    """The next multiple of eight."""
    return (count + N_LINES - 1) // N_LINES * N_LINES


cdef void load_cells(const Rows *rows, float *lines) noexcept nogil:
    """Cells, row by row, to elements of a row and the eighth after it."""
    cdef Py_ssize_t k, row
    cdef int side, lane
    cdef f8 block[N_LINES]
    for k in range(0, rows.half, 8):
        for side in range(2):
            for lane in range(N_LINES):
                row = N_LINES * side + lane
                block[lane] = f8_set1(0)
                if row < rows.count:
                    block[lane] = f8_load(rows.cells + row * rows.step + k)
            f8_transpose(block)
            for lane in range(N_LINES):
                f8_store(lines + (k + lane) * ELEMENT + N_LINES * side, block[lane])


cdef void store_cells(const Rows *rows, const float *lines) noexcept nogil:
    """The way back."""
    cdef Py_ssize_t k, row
    cdef int side, lane
    cdef f8 block[N_LINES]
    for k in range(0, rows.half, 8):
        for side in range(2):
            for lane in range(N_LINES):
                block[lane] = f8_load(lines + (k + lane) * ELEMENT + N_LINES * side)
            f8_transpose(block)
            for lane in range(N_LINES):
                row = N_LINES * side + lane
                if row < rows.count:
                    f8_store(rows.cells + row * rows.step + k, block[lane])


cdef inline void store_modes(
    const Rows *rows, Py_ssize_t first_row, Py_ssize_t k, f8 *re, f8 *im
) noexcept nogil:
    """Eight modes of eight lines, a mode a vector, to elements of eight modes, a row each."""
    cdef int lane
    cdef float *element
    f8_transpose(re)
    f8_transpose(im)
    for lane in range(min(<Py_ssize_t> N_LINES, rows.count - first_row)):
        element = rows.spectrum + (first_row + lane) * rows.spectrum_step + 2 * k
        f8_store(element, re[lane])
        f8_store(element + N_LINES, im[lane])


cdef inline void load_modes(
    const Rows *rows, Py_ssize_t first_row, Py_ssize_t k, f8 *re, f8 *im
) noexcept nogil:
    """The way back; rows that are not there are zero."""
    cdef int lane
    cdef const float *element
    for lane in range(N_LINES):
        re[lane] = im[lane] = f8_set1(0)
        if first_row + lane < rows.count:
            element = rows.spectrum + (first_row + lane) * rows.spectrum_step + 2 * k
            re[lane], im[lane] = f8_load(element), f8_load(element + N_LINES)
    f8_transpose(re)
    f8_transpose(im)


cdef void split_spectra(const Rows *rows, const float *z, Py_ssize_t length) noexcept nogil:
    """The spectra of both rows of each line; modes beyond the half are zero."""
    cdef Py_ssize_t k
    cdef int lane
    cdef f8 re, im, mirror_re, mirror_im, half = f8_set1(0.5)
    cdef f8 a_re[N_LINES]
    cdef f8 a_im[N_LINES]
    cdef f8 b_re[N_LINES]
    cdef f8 b_im[N_LINES]
    cdef const float *mirror
    for k in range(0, rows.half + 1, 8):
        for lane in range(N_LINES):
            a_re[lane] = a_im[lane] = b_re[lane] = b_im[lane] = f8_set1(0)
            if k + lane <= rows.half:
                mirror = z + (length - k - lane if k + lane else 0) * ELEMENT
                re = f8_load(z + (k + lane) * ELEMENT)
                im = f8_load(z + (k + lane) * ELEMENT + N_LINES)
                mirror_re, mirror_im = f8_load(mirror), f8_load(mirror + N_LINES)
                a_re[lane] = f8_mul(half, f8_add(re, mirror_re))
                a_im[lane] = f8_mul(half, f8_sub(im, mirror_im))
                b_re[lane] = f8_mul(half, f8_add(im, mirror_im))
                b_im[lane] = f8_mul(half, f8_sub(mirror_re, re))
        store_modes(rows, 0, k, a_re, a_im)
        store_modes(rows, N_LINES, k, b_re, b_im)


cdef void merge_spectra(const Rows *rows, float *z, Py_ssize_t length) noexcept nogil:
    """The way back: Z, both halves, from the halves of A and B."""
    cdef Py_ssize_t k
    cdef int lane
    cdef f8 a_re[N_LINES]
    cdef f8 a_im[N_LINES]
    cdef f8 b_re[N_LINES]
    cdef f8 b_im[N_LINES]
    cdef float *mirror
    for k in range(0, rows.half + 1, 8):
        load_modes(rows, 0, k, a_re, a_im)
        load_modes(rows, N_LINES, k, b_re, b_im)
        for lane in range(min(<Py_ssize_t> N_LINES, rows.half + 1 - k)):
            if k + lane:
                mirror = z + (length - k - lane) * ELEMENT
                f8_store(mirror, f8_add(a_re[lane], b_im[lane]))
                f8_store(mirror + N_LINES, f8_sub(b_re[lane], a_im[lane]))
            f8_store(z + (k + lane) * ELEMENT, f8_sub(a_re[lane], b_im[lane]))
            f8_store(z + (k + lane) * ELEMENT + N_LINES, f8_add(a_im[lane], b_re[lane]))


cdef Rows rows_of(
    float[:, :, ::1] cells, float[:, :, ::1] spectrum, Py_ssize_t block, Py_ssize_t half
) noexcept nogil:
    cdef Rows rows
    rows.step, rows.spectrum_step, rows.half = cells.shape[2], spectrum.shape[2], half
    rows.cells = &cells[0, 0, 0] + block * ELEMENT * rows.step
    rows.spectrum = &spectrum[0, 0, 0] + block * ELEMENT * rows.spectrum_step
    rows.count = min(<Py_ssize_t> ELEMENT, cells.shape[0] * cells.shape[1] - block * ELEMENT)
    return rows


def work_size(Py_ssize_t columns):
    """Floats of scratch that a thread needs for rows of this padded length."""
    return ELEMENT * (2 * columns + round_up(columns // 2))


def transform_rows(
    float[:, :, ::1] cells,  # IN or OUT (layers, rows, at least half the padded length, and 8)
    float[:, :, ::1] spectrum,  # OUT or IN (layers, rows, ELEMENT * blocks of eight modes)
    plan,  # IN fasttsne.repulsion.mesh.grid.FFTPlan for the padded columns
    float[:, ::1] work,  # SCRATCH (threads, work_size)
    bint inverse,
    int n_threads,
):
    """Transform each row of the cells to the first half of its spectrum; or the inverse.

    Nothing is divided by the length.  O(rows n log n).
    """
    cdef FFTPlan view = as_plan(plan)
    cdef Py_ssize_t block, n = view.length
    cdef Py_ssize_t blocks = (cells.shape[0] * cells.shape[1] + ELEMENT - 1) // ELEMENT
    cdef Rows rows
    cdef StridedLines half
    cdef float *lines
    cdef float *z
    cdef float *scratch
    with nogil, parallel(num_threads=n_threads):
        z = &work[omp_get_thread_num(), 0]
        scratch, lines = z + n * ELEMENT, z + 2 * n * ELEMENT
        half = strided_lines(lines, ELEMENT)
        for block in prange(blocks, schedule="dynamic"):
            rows = rows_of(cells, spectrum, block, n // 2)
            if inverse:
                merge_spectra(&rows, z, n)
                memset(lines, 0, round_up(rows.half) * ELEMENT * sizeof(float))
                backward(&view, z, scratch, &half)
                store_cells(&rows, lines)
            else:
                load_cells(&rows, lines)
                forward(&view, &half, z, scratch)
                split_spectra(&rows, z, n)
