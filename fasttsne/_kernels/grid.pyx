"""Particle-mesh repulsion: spread, convolve, gather.

The repulsive force on a point is a gradient, F = -1/2 grad phi, of the potential
phi(y) = sum_j w(|y - y_j|^2).  Points are spread to a grid with cardinal
B-splines of order p, the grid is convolved with the kernel by FFT, and phi's
gradient is gathered with the derivative of the same splines.  A grid lets a
point push itself; that force is known and taken away.  ``influence.py``
says what the grid is multiplied by in between, ``mesh.py`` owns the plans.

One code serves every dimension: a grid of d < 3 dimensions has rows of the
last one and a single layer in those that are missing.  In 2-D the grid is
(rows, columns) with the point's first coordinate along the columns, the second
along the rows.

Threads never add to the same cell: points are sorted by strips of rows, a strip
is one task, even strips go first and odd ones after.  A strip's points are
always added in the same order, so the result does not depend on the threads.
"""

from cython.parallel cimport parallel, prange
from libc.math cimport floorf
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

import numpy as np

from fasttsne._kernels.lanes cimport f8, f8_fma, f8_load, f8_mul, f8_set1, f8_store, f8_sum

cdef extern from "threads.h" nogil:
    int omp_get_thread_num()

cdef enum:
    BLOCK = 512  # points gathered by one task
    STRIP = 16  # rows of a strip: more than a spline is wide
    WIDTH = 8  # lanes that hold a spline's weights, of which the first p are not zero
    TERMS = 6  # of the polynomial of a point's force on itself
    COLUMNS = 16  # columns transformed together: as many as stay in a core's own cache

COLUMN_WIDTH = COLUMNS
MAX_ORDER = WIDTH
SELF_FORCE_TERMS = TERMS


cdef struct Mesh:
    Py_ssize_t rows  # of the grid that points can touch
    Py_ssize_t stride  # floats from row to row
    float origin[2]
    float inverse_spacing
    const float *weights  # (p, WIDTH)
    const float *slopes  # (p - 1, WIDTH)
    int order  # p
    int dimensions


cdef inline Py_ssize_t spline(
    const Mesh *mesh, float y, int axis, int p, f8 *weight, f8 *slope
) noexcept nogil:
    """The weights at the p nodes from floor(u) on and their derivatives by u.

    In the fraction t = u - floor(u) each weight is a polynomial of degree p - 1:
    Horner's rule with one node a lane.  Returns floor(u).
    """
    cdef float u = (y - mesh.origin[axis]) * mesh.inverse_spacing
    cdef float cell = floorf(u)
    cdef f8 t = f8_set1(u - cell)
    cdef int power
    weight[0] = f8_load(mesh.weights)
    for power in range(1, p):
        weight[0] = f8_fma(weight[0], t, f8_load(mesh.weights + power * WIDTH))
    slope[0] = f8_load(mesh.slopes)
    for power in range(1, p - 1):
        slope[0] = f8_fma(slope[0], t, f8_load(mesh.slopes + power * WIDTH))
    return <Py_ssize_t> cell


cdef inline void spread_points(
    const Mesh *mesh, const float *y, const int32_t *points, Py_ssize_t count, float *grid,
    int d, int p,
) noexcept nogil:
    """Add points to the grid, one after another; ``d`` and ``p`` are literals at each call."""
    cdef f8 across, unused, rows
    cdef float down[WIDTH]
    cdef float *cell
    cdef Py_ssize_t s, i
    cdef int a
    down[0] = 1
    for s in range(count):
        i = points[s] * d
        cell = grid + spline(mesh, y[i], 0, p, &across, &unused)
        if d == 2:
            cell += spline(mesh, y[i + 1], 1, p, &rows, &unused) * mesh.stride
            f8_store(down, rows)
        for a in range(p if d == 2 else 1):
            f8_store(cell, f8_fma(f8_set1(down[a]), across, f8_load(cell)))
            cell += mesh.stride


cdef inline float self_force(
    const Mesh *mesh, float y, int axis, const float *terms
) noexcept nogil:
    """The force of a point on itself along one axis, an odd polynomial in t - 1/2."""
    cdef float u = (y - mesh.origin[axis]) * mesh.inverse_spacing
    cdef float s = u - floorf(u) - <float> 0.5
    cdef float s2 = s * s, sum = terms[0]
    cdef int power
    for power in range(1, TERMS):
        sum = sum * s2 + terms[power]
    return sum * s


cdef inline void gather_points(
    const Mesh *mesh, const float *y, Py_ssize_t first, Py_ssize_t last, const float *grid,
    const float *own, float *out, float *potential, int d, int p,
) noexcept nogil:
    """F = -1/2 grad phi, less the force on itself, of the points first..last.

    phi goes to ``potential``, unless that is NULL.  ``d`` and ``p`` are literals at each call.
    """
    cdef f8 across, across_slope, rows, row_slopes, phi, phi_slope, line
    cdef float down[WIDTH]
    cdef float down_slope[WIDTH]
    cdef const float *cell
    cdef float half = -mesh.inverse_spacing / 2
    cdef Py_ssize_t i
    cdef int a
    for i in range(first, last):
        cell = grid + spline(mesh, y[i * d], 0, p, &across, &across_slope)
        if d == 1:
            out[i] = (
                half * f8_sum(f8_mul(across_slope, f8_load(cell)))
                - self_force(mesh, y[i], 0, own)
            )
            if potential != NULL:
                potential[i] = f8_sum(f8_mul(across, f8_load(cell)))
            continue
        cell += spline(mesh, y[i * d + 1], 1, p, &rows, &row_slopes) * mesh.stride
        f8_store(down, rows)
        f8_store(down_slope, row_slopes)
        phi = phi_slope = f8_set1(0)
        for a in range(p):
            line = f8_load(cell)
            phi = f8_fma(f8_set1(down[a]), line, phi)
            phi_slope = f8_fma(f8_set1(down_slope[a]), line, phi_slope)
            cell += mesh.stride
        out[i * d] = (
            half * f8_sum(f8_mul(across_slope, phi)) - self_force(mesh, y[i * d], 0, own)
        )
        out[i * d + 1] = (
            half * f8_sum(f8_mul(across, phi_slope)) - self_force(mesh, y[i * d + 1], 1, own)
        )
        if potential != NULL:
            potential[i] = f8_sum(f8_mul(across, phi))


cdef void spread_strip(
    const Mesh *mesh, const float *y, const int32_t *points, Py_ssize_t count, float *grid
) noexcept nogil:
    """One compiled loop for the default spline, one for all others, for each dimension."""
    if mesh.dimensions == 1:
        spread_points(mesh, y, points, count, grid, 1, mesh.order)
    elif mesh.order == 5:
        spread_points(mesh, y, points, count, grid, 2, 5)
    else:
        spread_points(mesh, y, points, count, grid, 2, mesh.order)


cdef void gather_block(
    const Mesh *mesh, const float *y, Py_ssize_t first, Py_ssize_t last, const float *grid,
    const float *own, float *out, float *potential,
) noexcept nogil:
    if mesh.dimensions == 1:
        gather_points(mesh, y, first, last, grid, own, out, potential, 1, mesh.order)
    elif mesh.order == 5:
        gather_points(mesh, y, first, last, grid, own, out, potential, 2, 5)
    else:
        gather_points(mesh, y, first, last, grid, own, out, potential, 2, mesh.order)


cdef void sort_by_strip(
    const Mesh *mesh, const float *y, Py_ssize_t n,
    int32_t *strips, Py_ssize_t n_strips, int32_t *points, int32_t *strip_of,
) noexcept nogil:
    """Counting sort, stable; on return strip s holds points[strips[s]:strips[s + 1]]."""
    cdef Py_ssize_t i, s
    cdef int32_t total = 0, size
    cdef float row
    memset(strips, 0, (n_strips + 1) * sizeof(int32_t))
    for i in range(n):
        s = 0
        if mesh.dimensions == 2:
            row = floorf((y[2 * i + 1] - mesh.origin[1]) * mesh.inverse_spacing)
            s = <Py_ssize_t> row // STRIP
        strip_of[i] = <int32_t> s
        strips[s] += 1
    for s in range(n_strips + 1):
        size = strips[s]
        strips[s] = total
        total += size
    for i in range(n):
        points[strips[strip_of[i]]] = <int32_t> i
        strips[strip_of[i]] += 1
    for s in range(n_strips, 0, -1):
        strips[s] = strips[s - 1]
    strips[0] = 0


cdef Mesh as_mesh(
    const float[:, ::1] y, float[:, ::1] grid, const float[::1] origin, float spacing,
    const float[:, :, ::1] polynomials,
) noexcept:
    cdef Mesh mesh
    cdef int c
    mesh.rows, mesh.stride = grid.shape[0], grid.shape[1]
    mesh.origin = [0, 0]
    mesh.inverse_spacing = 1 / spacing
    mesh.order = <int> polynomials.shape[1]
    mesh.weights, mesh.slopes = &polynomials[0, 0, 0], &polynomials[1, 0, 0]
    mesh.dimensions = <int> y.shape[1]
    for c in range(mesh.dimensions):
        mesh.origin[c] = origin[c]
    return mesh


def spread(
    const float[:, ::1] y,  # IN (n, d), d <= 2
    float[:, ::1] grid,  # OUT (rows, stride); 8 columns of room behind the last cell
    const float[::1] origin,  # IN (d,), the corner of the grid
    float spacing,
    const float[:, :, ::1] polynomials,  # IN (2, p, 8), from `splines.polynomials`
    int32_t[:, ::1] scratch,  # SCRATCH (3, max(n, rows) + 2): strip of, points, strips
    int n_threads,
):
    """Fill the grid with the points' spline weights. O(n p^d)."""
    cdef Mesh mesh = as_mesh(y, grid, origin, spacing, polynomials)
    cdef Py_ssize_t n = y.shape[0], strip, row
    cdef Py_ssize_t n_strips = (mesh.rows + STRIP - 1) // STRIP
    cdef int colour
    cdef int32_t *points = &scratch[1, 0]
    cdef int32_t *strips = &scratch[2, 0]
    with nogil:
        for row in prange(mesh.rows, schedule="static", num_threads=n_threads):
            memset(&grid[row, 0], 0, mesh.stride * sizeof(float))
        sort_by_strip(&mesh, &y[0, 0], n, strips, n_strips, points, &scratch[0, 0])
        for colour in range(2):
            for strip in prange(colour, n_strips, 2, schedule="dynamic", num_threads=n_threads):
                spread_strip(
                    &mesh, &y[0, 0], points + strips[strip], strips[strip + 1] - strips[strip],
                    &grid[0, 0],
                )


def gather(
    const float[:, ::1] y,  # IN (n, d), d <= 2
    float[:, ::1] grid,  # IN (rows, stride), the potential
    const float[::1] origin, float spacing,  # IN as in `spread`
    const float[:, :, ::1] polynomials,  # IN as in `spread`
    const float[::1] own,  # IN (TERMS,), the force of a point on itself, see `influence.py`
    float[:, ::1] out,  # OUT (n, d)
    int n_threads,
    float[::1] potential=None,  # OUT (n,), phi
):
    """Write F = -1/2 grad phi at the points to ``out``. O(n p^d).

    Points lie where those that were spread could have lain.
    """
    cdef Mesh mesh = as_mesh(y, grid, origin, spacing, polynomials)
    cdef Py_ssize_t n = y.shape[0], b, n_blocks = (n + BLOCK - 1) // BLOCK
    cdef float *phi = NULL
    if potential is not None and n > 0:
        phi = &potential[0]
    for b in prange(n_blocks, nogil=True, schedule="dynamic", num_threads=n_threads):
        gather_block(
            &mesh, &y[0, 0], b * BLOCK, min((b + 1) * BLOCK, n), &grid[0, 0], &own[0],
            &out[0, 0], phi,
        )


def execute_all(list plans, int n_threads):
    """Execute independent FFT plans (anything with ``execute()``) on the threads.

    The lock of the interpreter is held only to make the call: FFTW lets go of
    it while it transforms.  Plans are the same for any number of threads.
    """
    cdef Py_ssize_t i, n = len(plans)
    for i in prange(n, nogil=True, schedule="dynamic", num_threads=n_threads):
        with gil:
            plans[i].execute()


cdef double multiply(
    float *buffer, Py_ssize_t length, const float *influence, Py_ssize_t influence_stride,
    const float *counted,
) noexcept nogil:
    """Multiply a block of the spectrum; return sum |rho|^2 G, each mode as often as it counts.

    The influence is even in the row's frequency, so only its first half is kept.
    """
    cdef Py_ssize_t k
    cdef int c
    cdef const float *g
    cdef float *x
    cdef float energy[COLUMNS]
    cdef double total = 0
    for c in range(COLUMNS):
        energy[c] = 0
    for k in range(length):
        g = influence + min(k, length - k) * influence_stride
        x = buffer + 2 * k * COLUMNS
        for c in range(COLUMNS):
            energy[c] = energy[c] + g[c] * (x[2 * c] * x[2 * c] + x[2 * c + 1] * x[2 * c + 1])
            x[2 * c] = x[2 * c] * g[c]
            x[2 * c + 1] = x[2 * c + 1] * g[c]
    for c in range(COLUMNS):
        total += <double> energy[c] * counted[c]
    return total


def convolve_columns(
    float[:, ::1] spectrum,  # INOUT (rows, 2 * COLUMNS * blocks), complex pairs
    const float[:, ::1] influence,  # IN (length // 2 + 1, COLUMNS * blocks)
    const float[::1] counted,  # IN (COLUMNS * blocks,): modes a column stands for, 0 in padding
    float[:, :, ::1] buffers,  # SCRATCH (threads, length, 2 * COLUMNS)
    list forward, list backward,  # plans that transform each thread's buffer in place
    int n_threads,
):
    """Transform each column, multiply by the influence, transform back; return the energy.

    A column is as long as the padded grid, but only its first ``rows`` entries
    are not zero before, and only those are wanted after: the rest lives in a
    thread's buffer, never in memory.  The energy is sum |rho_k|^2 G_k.
    """
    cdef Py_ssize_t rows = spectrum.shape[0], length = buffers.shape[1]
    cdef Py_ssize_t blocks = spectrum.shape[1] // (2 * COLUMNS), b, row
    cdef size_t line = 2 * COLUMNS * sizeof(float)
    cdef int thread
    cdef float *buffer
    cdef double[::1] energy = np.zeros(blocks)
    with nogil, parallel(num_threads=n_threads):
        thread = omp_get_thread_num()
        buffer = &buffers[thread, 0, 0]
        for b in prange(blocks, schedule="dynamic"):
            for row in range(rows):
                memcpy(buffer + 2 * row * COLUMNS, &spectrum[row, 2 * b * COLUMNS], line)
            memset(buffer + 2 * rows * COLUMNS, 0, (length - rows) * line)
            if length > 1:
                with gil:
                    forward[thread].execute()
            energy[b] = multiply(
                buffer, length, &influence[0, b * COLUMNS], influence.shape[1],
                &counted[b * COLUMNS],
            )
            if length > 1:
                with gil:
                    backward[thread].execute()
            for row in range(rows):
                memcpy(&spectrum[row, 2 * b * COLUMNS], buffer + 2 * row * COLUMNS, line)
    return float(np.sum(energy))
