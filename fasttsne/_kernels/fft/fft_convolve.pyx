"""The convolution of the particle mesh: what happens between spreading and gathering.

The grid's rows are transformed (``rows.pyx``), then, eight columns of the spectrum at a
time, its other axes (``fourier.pxd``); there the spectrum is multiplied by the influence
function, and all goes back the way it came.

The padded grid is twice as long along each axis as the part that points can touch.  Only
that part is stored: what is zero before, and not wanted after, is never computed.  In 2-D
the columns are transformed along the rows in arrays that stay in a core's own cache.  In
3-D they wait there, half the layers, to be transformed along the layers.
"""

from cython.parallel cimport parallel, prange

from fasttsne._kernels.fft.fourier cimport (
    LINES, PLACE, Half, Passes, as_passes, backward, forward, half_of,
)
from fasttsne._kernels.simd.simd8 cimport f8, f8_fma, f8_load, f8_mul, f8_set1, f8_store, f8_sum

import numpy as np

cdef extern from "threads.h" nogil:
    int omp_get_thread_num()

COLUMNS = LINES  # of the spectrum in one place


cdef struct Modes:  # of the influence function, for one block of columns
    const float *first
    Py_ssize_t step  # floats from mode to mode along the axis that is transformed last
    Py_ssize_t across  # floats from mode to mode along the axis before
    f8 counted  # how many modes a column stands for, 0 in padding


cdef struct Block:  # some columns of the spectrum, and a thread's scratch
    float *spectrum
    Py_ssize_t layers
    Py_ssize_t layer_step  # floats
    Py_ssize_t row_step
    Passes along_rows
    Passes along_layers
    float *transformed  # places of the longer axis
    float *scratch
    float *waiting  # (layers, padded rows) places, in 3-D
    Modes modes


cdef inline f8 times_influence(
    float *place, const float *influence, f8 energy
) noexcept nogil:
    """Multiply eight modes; add |rho|^2 G to the energy."""
    cdef f8 g = f8_load(influence), re = f8_load(place), im = f8_load(place + LINES)
    energy = f8_fma(g, f8_fma(re, re, f8_mul(im, im)), energy)
    f8_store(place, f8_mul(re, g))
    f8_store(place + LINES, f8_mul(im, g))
    return energy


cdef double multiply(
    float *places, Py_ssize_t length, Py_ssize_t other, const Modes *modes
) noexcept nogil:
    """Multiply by the influence; return sum |rho|^2 G, each mode as often as it counts.

    The influence is even along every axis, so only its first half is kept; ``other`` is
    the mode along the axis before.
    """
    cdef Py_ssize_t k
    cdef const float *influence = modes.first + other * modes.across
    cdef f8 energy = f8_set1(0)
    for k in range(length):
        energy = times_influence(
            places + k * PLACE, influence + min(k, length - k) * modes.step, energy
        )
    return f8_sum(f8_mul(energy, modes.counted))


cdef double through(
    const Block *block, const Passes *passes, const Half *half, Py_ssize_t other
) noexcept nogil:
    """Transform along an axis, multiply, transform back; return the energy."""
    cdef double energy
    forward(passes, half, block.transformed, block.scratch)
    energy = multiply(block.transformed, passes.length, other, &block.modes)
    backward(passes, block.transformed, block.scratch, half)
    return energy


cdef double convolve_rows(const Block *block) noexcept nogil:
    """A block of a 2-D spectrum."""
    cdef Half half = half_of(block.spectrum, block.row_step)
    return through(block, &block.along_rows, &half, 0)


cdef double convolve_layers(const Block *block) noexcept nogil:
    """A block of a 3-D spectrum."""
    cdef Half half
    cdef Py_ssize_t layer, row, rows = block.along_rows.length
    # An odd number of cache lines: places of different layers then do not share their sets.
    cdef Py_ssize_t waiting_step = PLACE * (rows + 1)
    cdef double energy = 0
    for layer in range(block.layers):
        half = half_of(block.spectrum + layer * block.layer_step, block.row_step)
        forward(
            &block.along_rows, &half, block.waiting + layer * waiting_step, block.scratch
        )
    for row in range(rows):
        half = half_of(block.waiting + row * PLACE, waiting_step)
        energy += through(block, &block.along_layers, &half, min(row, rows - row))
    for layer in range(block.layers):
        half = half_of(block.spectrum + layer * block.layer_step, block.row_step)
        backward(
            &block.along_rows, block.waiting + layer * waiting_step, block.scratch, &half
        )
    return energy


cdef Block of_columns(
    const Block *all_columns, Py_ssize_t number, const float[::1] counted, float *work,
    Py_ssize_t longest,
) noexcept nogil:
    """One block of columns, and the scratch of a thread."""
    cdef Block block = all_columns[0]
    block.spectrum += number * PLACE
    block.modes.first += number * LINES
    block.modes.counted = f8_load(&counted[number * LINES])
    block.transformed, block.scratch = work, work + longest * PLACE
    block.waiting = work + 2 * longest * PLACE
    return block


def work_size(Py_ssize_t layers, Py_ssize_t rows):
    """Floats of scratch that a thread needs for a padded grid of this size."""
    waiting = (layers // 2) * (rows + 1) if layers > 1 else 0
    return PLACE * (2 * max(layers, rows) + waiting)


def convolve_columns(
    float[:, :, ::1] spectrum,  # INOUT (layers, rows, PLACE * blocks)
    const float[:, :, ::1] influence,  # IN (.., .., LINES * blocks), half the modes of each axis
    const float[::1] counted,  # IN (LINES * blocks,): modes a column stands for, 0 in padding
    row_passes,  # fasttsne.repulsion.mesh.fft_plan.Passes for the padded rows
    layer_passes,  # of the padded layers
    float[:, ::1] work,  # SCRATCH (threads, work_size)
    int n_threads,
):
    """Transform each column, multiply by the influence, transform back; return the energy.

    A column of the spectrum is all its rows and layers.  The energy is
    sum |rho_k|^2 G_k.
    """
    cdef Block whole, block
    cdef Py_ssize_t b, blocks = spectrum.shape[2] // PLACE
    cdef double[::1] energy = np.zeros(blocks)
    cdef Py_ssize_t longest, influence_row = influence.shape[2]
    cdef int thread
    whole.along_rows, whole.along_layers = as_passes(row_passes), as_passes(layer_passes)
    longest = max(whole.along_rows.length, whole.along_layers.length)
    whole.spectrum, whole.layers = &spectrum[0, 0, 0], spectrum.shape[0]
    whole.row_step = spectrum.shape[2]
    whole.layer_step = spectrum.shape[1] * whole.row_step
    whole.modes.first = &influence[0, 0, 0]
    if whole.along_layers.length > 1:
        whole.modes.step = influence.shape[1] * influence_row
        whole.modes.across = influence_row
    else:
        whole.modes.step, whole.modes.across = influence_row, 0
    with nogil, parallel(num_threads=n_threads):
        thread = omp_get_thread_num()
        for b in prange(blocks, schedule="dynamic"):
            block = of_columns(&whole, b, counted, &work[thread, 0], longest)
            if block.along_layers.length > 1:
                energy[b] = convolve_layers(&block)
            elif block.along_rows.length > 1:
                energy[b] = convolve_rows(&block)
            else:  # the single row of a 1-D spectrum has no further axis
                energy[b] = multiply(block.spectrum, 1, 0, &block.modes)
    return float(np.sum(energy))
