"""The convolution of the particle mesh: what happens between spreading and gathering.

The grid's rows are transformed (``execute_all``), then, some columns of the
spectrum at a time, its other axes; there the spectrum is multiplied by the
influence function, and all goes back the way it came.

The padded grid is twice as long along each axis as the part that points can
touch.  Only that part is stored: what is zero before, and not wanted after, lives
in buffers that stay in a core's own cache.  In 2-D the columns go straight
through such a buffer.  In 3-D they do so along the rows, wait in a thread's array
of half the layers, and go through another buffer along the layers.
"""

from cython.parallel cimport parallel, prange
from libc.string cimport memcpy, memset

import numpy as np

cdef extern from "threads.h" nogil:
    int omp_get_thread_num()

cdef enum:
    COLUMNS = 16  # transformed together
    LINE = 2 * COLUMNS  # floats of so many complex numbers
    # Places in the list of plans; the backward plan follows.
    ROWS_FORWARD = 0
    LAYERS_FORWARD = 2

COLUMN_WIDTH = COLUMNS


def execute_all(list plans, int n_threads):
    """Execute independent FFT plans (anything with ``execute()``) on the threads.

    The lock of the interpreter is held only to make the call: FFTW lets go of
    it while it transforms.  Plans are the same for any number of threads.
    """
    cdef Py_ssize_t i, n = len(plans)
    for i in prange(n, nogil=True, schedule="dynamic", num_threads=n_threads):
        with gil:
            plans[i].execute()


cdef struct Lines:  # some numbers of the spectrum, or what waits of it
    float *first
    Py_ssize_t step  # floats from place to place along the axis that is transformed
    Py_ssize_t across  # floats from neighbour to neighbour
    Py_ssize_t count  # of neighbours
    Py_ssize_t used  # places along the axis that are not zero before, or wanted after


cdef struct Buffer:  # (length, group) lines, transformed along the length
    float *first
    Py_ssize_t length
    Py_ssize_t group


cdef void load(const Buffer *buffer, const Lines *lines) noexcept nogil:
    """Fill the buffer, beyond what is used with zeros."""
    cdef Py_ssize_t k, g, place = buffer.group * LINE
    for k in range(lines.used):
        for g in range(lines.count):
            memcpy(
                buffer.first + k * place + g * LINE,
                lines.first + k * lines.step + g * lines.across, LINE * sizeof(float),
            )
    memset(
        buffer.first + lines.used * place, 0,
        (buffer.length - lines.used) * place * sizeof(float),
    )


cdef void store(const Buffer *buffer, const Lines *lines) noexcept nogil:
    """Write what is used of the buffer."""
    cdef Py_ssize_t k, g, place = buffer.group * LINE
    for k in range(lines.used):
        for g in range(lines.count):
            memcpy(
                lines.first + k * lines.step + g * lines.across,
                buffer.first + k * place + g * LINE, LINE * sizeof(float),
            )


cdef struct Modes:  # of the influence function, for one block of columns
    const float *first
    Py_ssize_t step  # floats from mode to mode along the last axis
    Py_ssize_t across  # floats from mode to mode along the axis before
    Py_ssize_t length  # of the axis before, padded
    const float *counted  # how many modes a column stands for, 0 in padding


cdef double multiply(
    const Buffer *buffer, Py_ssize_t first, Py_ssize_t count, const Modes *modes
) noexcept nogil:
    """Multiply a buffer by the influence; return sum |rho|^2 G, each mode as often as it counts.

    The influence is even along every axis, so only its first half is kept.  The
    buffer's lines are those from ``first`` on of the axis before.
    """
    cdef Py_ssize_t k, g, neighbour
    cdef int c
    cdef const float *influence
    cdef float *x
    cdef float energy[COLUMNS]
    cdef double total = 0
    for c in range(COLUMNS):
        energy[c] = 0
    for k in range(buffer.length):
        for g in range(count):
            neighbour = min(first + g, modes.length - first - g)
            influence = modes.first + neighbour * modes.across
            influence += min(k, buffer.length - k) * modes.step
            x = buffer.first + (k * buffer.group + g) * LINE
            for c in range(COLUMNS):
                energy[c] = energy[c] + influence[c] * (
                    x[2 * c] * x[2 * c] + x[2 * c + 1] * x[2 * c + 1]
                )
                x[2 * c] = x[2 * c] * influence[c]
                x[2 * c + 1] = x[2 * c + 1] * influence[c]
    for c in range(COLUMNS):
        total += <double> energy[c] * modes.counted[c]
    return total


cdef struct Block:  # some columns of the spectrum, and a thread's scratch
    float *spectrum
    Py_ssize_t layers
    Py_ssize_t layer_step  # floats
    Py_ssize_t rows
    Py_ssize_t row_step
    Buffer row_buffer
    Buffer layer_buffer
    float *waiting  # (layers, padded rows) lines, in 3-D
    Modes modes


cdef int execute(list plans, int which, int thread) except -1 nogil:
    with gil:
        plans[which][thread].execute()
    return 0


cdef double through_last_axis(
    const Buffer *buffer, const Lines *lines, Py_ssize_t first, const Modes *modes, list plans,
    int forward, int thread,
) except? -1 nogil:
    """Transform along the last axis, multiply, transform back; return the energy."""
    cdef double energy
    load(buffer, lines)
    if buffer.length > 1:
        execute(plans, forward, thread)
    energy = multiply(buffer, first, lines.count, modes)
    if buffer.length > 1:
        execute(plans, forward + 1, thread)
    store(buffer, lines)
    return energy


cdef double convolve_rows(const Block *block, list plans, int thread) except? -1 nogil:
    """Convolve a block of a 2-D spectrum, or of the single row of a 1-D one."""
    cdef Lines lines
    lines.first, lines.step, lines.across = block.spectrum, block.row_step, 0
    lines.count, lines.used = 1, block.rows
    return through_last_axis(
        &block.row_buffer, &lines, 0, &block.modes, plans, ROWS_FORWARD, thread
    )


cdef Py_ssize_t groups(Py_ssize_t count, const Buffer *buffer) noexcept nogil:
    """How often a buffer must be filled with so many lines."""
    return (count + buffer.group - 1) // buffer.group


cdef void some_layers(
    const Block *block, Py_ssize_t group, Lines *spectrum, Lines *waiting
) noexcept nogil:
    """The rows of a group of layers, and where their transforms wait."""
    cdef Py_ssize_t first = group * block.row_buffer.group
    cdef Py_ssize_t layer = block.row_buffer.length * LINE
    spectrum.first = block.spectrum + first * block.layer_step
    spectrum.step, spectrum.across, spectrum.used = block.row_step, block.layer_step, block.rows
    spectrum.count = waiting.count = min(block.row_buffer.group, block.layers - first)
    waiting.first = block.waiting + first * layer
    waiting.step, waiting.across, waiting.used = LINE, layer, block.row_buffer.length


cdef Lines some_rows(const Block *block, Py_ssize_t group) noexcept nogil:
    """The layers of a group of transformed rows."""
    cdef Lines lines
    cdef Py_ssize_t first = group * block.layer_buffer.group
    lines.first, lines.across = block.waiting + first * LINE, LINE
    lines.step, lines.used = block.row_buffer.length * LINE, block.layers
    lines.count = min(block.layer_buffer.group, block.row_buffer.length - first)
    return lines


cdef double convolve_layers(const Block *block, list plans, int thread) except? -1 nogil:
    """Convolve a block of a 3-D spectrum."""
    cdef Lines spectrum, waiting
    cdef Py_ssize_t group
    cdef double energy = 0
    for group in range(groups(block.layers, &block.row_buffer)):
        some_layers(block, group, &spectrum, &waiting)
        load(&block.row_buffer, &spectrum)
        execute(plans, ROWS_FORWARD, thread)
        store(&block.row_buffer, &waiting)
    for group in range(groups(block.row_buffer.length, &block.layer_buffer)):
        waiting = some_rows(block, group)
        energy += through_last_axis(
            &block.layer_buffer, &waiting, group * block.layer_buffer.group, &block.modes, plans,
            LAYERS_FORWARD, thread,
        )
    for group in range(groups(block.layers, &block.row_buffer)):
        some_layers(block, group, &spectrum, &waiting)
        load(&block.row_buffer, &waiting)
        execute(plans, ROWS_FORWARD + 1, thread)
        store(&block.row_buffer, &spectrum)
    return energy


cdef Buffer as_buffer(float[:, :, ::1] buffers, int thread) noexcept nogil:
    cdef Buffer buffer
    buffer.first, buffer.length = &buffers[thread, 0, 0], buffers.shape[1]
    buffer.group = buffers.shape[2] // LINE
    return buffer


cdef Block as_block(
    float[:, :, ::1] spectrum, const float[:, :, ::1] influence, const float[::1] counted,
    float[:, :, ::1] row_buffers, float[:, :, ::1] layer_buffers, float[:, ::1] waiting,
    Py_ssize_t number, int thread,
) noexcept nogil:
    cdef Block block
    cdef Py_ssize_t influence_row = influence.shape[2]
    cdef Py_ssize_t influence_layer = influence.shape[1] * influence_row
    block.spectrum = &spectrum[0, 0, number * LINE]
    block.layers, block.rows = spectrum.shape[0], spectrum.shape[1]
    block.row_step = spectrum.shape[2]
    block.layer_step = block.rows * block.row_step
    block.row_buffer = as_buffer(row_buffers, thread)
    block.layer_buffer = as_buffer(layer_buffers, thread)
    block.waiting = &waiting[thread, 0]
    block.modes.first = &influence[0, 0, number * COLUMNS]
    block.modes.counted = &counted[number * COLUMNS]
    if block.layer_buffer.length > 1:
        block.modes.step, block.modes.across = influence_layer, influence_row
        block.modes.length = block.row_buffer.length
    else:
        block.modes.step, block.modes.across, block.modes.length = influence_row, 0, 1
    return block


def convolve_columns(
    float[:, :, ::1] spectrum,  # INOUT (layers, rows, LINE * blocks), complex pairs
    const float[:, :, ::1] influence,  # IN (.., .., COLUMNS * blocks), half the modes of each axis
    const float[::1] counted,  # IN (COLUMNS * blocks,): modes a column stands for, 0 in padding
    float[:, :, ::1] row_buffers,  # SCRATCH (threads, padded rows, LINE * group)
    float[:, :, ::1] layer_buffers,  # SCRATCH (threads, padded layers, LINE * group)
    float[:, ::1] waiting,  # SCRATCH (threads, layers * padded rows * LINE), in 3-D
    list plans,  # rows forward, backward, layers forward, backward: lists, one a thread
    int n_threads,
):
    """Transform each column, multiply by the influence, transform back; return the energy.

    A column of the spectrum is all its rows and layers.  The energy is
    sum |rho_k|^2 G_k.
    """
    cdef Block block
    cdef Py_ssize_t b, blocks = spectrum.shape[2] // LINE
    cdef int thread
    cdef double[::1] energy = np.zeros(blocks)
    with nogil, parallel(num_threads=n_threads):
        thread = omp_get_thread_num()
        for b in prange(blocks, schedule="dynamic"):
            block = as_block(
                spectrum, influence, counted, row_buffers, layer_buffers, waiting, b, thread
            )
            if block.layer_buffer.length > 1:
                energy[b] = convolve_layers(&block, plans, thread)
            else:
                energy[b] = convolve_rows(&block, plans, thread)
    return float(np.sum(energy))
