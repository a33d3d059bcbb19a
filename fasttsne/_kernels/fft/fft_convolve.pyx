"""The convolution of the particle mesh: what happens between spreading and gathering.

The grid's rows are transformed (``row_fft.pyx``), then, eight columns of the spectrum at a
time, its other axes (``fourier.pxd``); there the spectrum is multiplied by the influence
function, and all goes back the way it came.

The padded grid is twice as long along each axis as the part that points can touch.  Only
that part is stored: what is zero before, and not wanted after, is never computed.  In 2-D
the columns are transformed along the rows in arrays that stay in a core's own cache.  In
3-D a buffer has them, half the layers, until they are
transformed along the layers.
"""

from cython.parallel cimport parallel, prange

from fasttsne._kernels.fft.fourier cimport (
    N_LINES, ELEMENT, StridedLines, FFTPlan, as_plan, backward, forward, strided_lines,
)
from fasttsne._kernels.simd.simd8 cimport f8, f8_fma, f8_load, f8_mul, f8_set1, f8_store, f8_sum

import numpy as np

cdef extern from "threads.h" nogil:
    int omp_get_thread_num()

COLUMNS = N_LINES  # of the spectrum in a block


cdef struct Modes:  # of the influence function, for one block of columns
    const float *first
    Py_ssize_t step  # floats from mode to mode along the axis that is transformed last
    Py_ssize_t across  # floats from mode to mode along the axis before
    f8 multiplicity  # how many modes a column stands for, 0 in padding


cdef struct Block:  # some columns of the spectrum, and a thread's scratch
    float *spectrum
    Py_ssize_t layers
    Py_ssize_t layer_step  # floats
    Py_ssize_t row_step
    FFTPlan row_plan
    FFTPlan layer_plan
    float *transformed  # elements of the longer axis
    float *scratch
    float *layer_buffer  # (layers, padded rows) elements, in 3-D
    Modes modes


cdef inline f8 times_influence(
    float *element, const float *influence, f8 energy
) noexcept nogil:
    """Multiply eight modes; add |rho|^2 G to the energy."""
    cdef f8 g = f8_load(influence), re = f8_load(element), im = f8_load(element + N_LINES)
    energy = f8_fma(g, f8_fma(re, re, f8_mul(im, im)), energy)
    f8_store(element, f8_mul(re, g))
    f8_store(element + N_LINES, f8_mul(im, g))
    return energy


cdef double multiply(
    float *elements, Py_ssize_t length, Py_ssize_t other, const Modes *modes
) noexcept nogil:
    """Multiply by the influence; return sum |rho|^2 G, each mode as often as it counts.

    The influence is even along every axis, so only its first half is stored; ``other`` is
    the mode along the axis before.
    """
    cdef Py_ssize_t k
    cdef const float *influence = modes.first + other * modes.across
    cdef f8 energy = f8_set1(0)
    for k in range(length):
        energy = times_influence(
            elements + k * ELEMENT, influence + min(k, length - k) * modes.step, energy
        )
    return f8_sum(f8_mul(energy, modes.multiplicity))


cdef double convolve_axis(
    const Block *block, const FFTPlan *plan, const StridedLines *half, Py_ssize_t other
) noexcept nogil:
    """Transform along an axis, multiply, transform back; return the energy."""
    cdef double energy
    forward(plan, half, block.transformed, block.scratch)
    energy = multiply(block.transformed, plan.length, other, &block.modes)
    backward(plan, block.transformed, block.scratch, half)
    return energy


cdef double convolve_rows(const Block *block) noexcept nogil:
    """A block of a 2-D spectrum."""
    cdef StridedLines half = strided_lines(block.spectrum, block.row_step)
    return convolve_axis(block, &block.row_plan, &half, 0)


cdef double convolve_layers(const Block *block) noexcept nogil:
    """A block of a 3-D spectrum."""
    cdef StridedLines half
    cdef Py_ssize_t layer, row, rows = block.row_plan.length
    # An odd number of cache lines: elements of different layers then do not share their sets.
    cdef Py_ssize_t buffer_step = ELEMENT * (rows + 1)
    cdef double energy = 0
    for layer in range(block.layers):
        half = strided_lines(block.spectrum + layer * block.layer_step, block.row_step)
        forward(
            &block.row_plan, &half, block.layer_buffer + layer * buffer_step, block.scratch
        )
    for row in range(rows):
        half = strided_lines(block.layer_buffer + row * ELEMENT, buffer_step)
        energy += convolve_axis(block, &block.layer_plan, &half, min(row, rows - row))
    for layer in range(block.layers):
        half = strided_lines(block.spectrum + layer * block.layer_step, block.row_step)
        backward(
            &block.row_plan, block.layer_buffer + layer * buffer_step, block.scratch, &half
        )
    return energy


cdef Block column_block(
    const Block *all_columns, Py_ssize_t number, const float[::1] multiplicity, float *work,
    Py_ssize_t longest,
) noexcept nogil:
    """One block of columns, and the scratch of a thread."""
    cdef Block block = all_columns[0]
    block.spectrum += number * ELEMENT
    block.modes.first += number * N_LINES
    block.modes.multiplicity = f8_load(&multiplicity[number * N_LINES])
    block.transformed, block.scratch = work, work + longest * ELEMENT
    block.layer_buffer = work + 2 * longest * ELEMENT
    return block


def work_size(Py_ssize_t layers, Py_ssize_t rows):
    """Floats of scratch that a thread needs for a padded grid of this size."""
    layer_buffer = (layers // 2) * (rows + 1) if layers > 1 else 0
    return ELEMENT * (2 * max(layers, rows) + layer_buffer)


def convolve_columns(
    float[:, :, ::1] spectrum,  # INOUT (layers, rows, ELEMENT * blocks)
    const float[:, :, ::1] influence,  # IN (.., .., COLUMNS * blocks), half the modes of each axis
    const float[::1] multiplicity,  # IN (COLUMNS * blocks,): modes of a column, 0 in padding
    row_plan,  # IN fasttsne.repulsion.mesh.grid.FFTPlan for the padded rows
    layer_plan,  # IN, of the padded layers
    float[:, ::1] work,  # SCRATCH (threads, work_size)
    double[::1] energy,  # SCRATCH (blocks,)
    int n_threads,
):
    """Transform each column, multiply by the influence, transform back; return the energy.

    A column of the spectrum is all its rows and layers.  The energy is
    sum |rho_k|^2 G_k, rho being the spectrum and G the influence.  O(M log M) for M modes.
    """
    cdef Block whole, block
    cdef Py_ssize_t b, blocks = spectrum.shape[2] // ELEMENT
    cdef Py_ssize_t longest, influence_row = influence.shape[2]
    cdef int thread
    whole.row_plan, whole.layer_plan = as_plan(row_plan), as_plan(layer_plan)
    longest = max(whole.row_plan.length, whole.layer_plan.length)
    whole.spectrum, whole.layers = &spectrum[0, 0, 0], spectrum.shape[0]
    whole.row_step = spectrum.shape[2]
    whole.layer_step = spectrum.shape[1] * whole.row_step
    whole.modes.first = &influence[0, 0, 0]
    if whole.layer_plan.length > 1:
        whole.modes.step = influence.shape[1] * influence_row
        whole.modes.across = influence_row
    else:
        whole.modes.step, whole.modes.across = influence_row, 0
    with nogil, parallel(num_threads=n_threads):
        thread = omp_get_thread_num()
        for b in prange(blocks, schedule="dynamic"):
            block = column_block(&whole, b, multiplicity, &work[thread, 0], longest)
            if block.layer_plan.length > 1:
                energy[b] = convolve_layers(&block)
            elif block.row_plan.length > 1:
                energy[b] = convolve_rows(&block)
            else:  # the single row of a 1-D spectrum has no further axis
                energy[b] = multiply(block.spectrum, 1, 0, &block.modes)
    return float(np.sum(energy[:blocks]))
