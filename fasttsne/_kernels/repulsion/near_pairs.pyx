"""Near pairs of the split kernel, one by one: what the coarse grid of the far part leaves out.

    w(s) = (1 + s / dof)^-dof,  s = r^2,  u = (s0 - s) / (dof + s0),  s0 = cutoff^2
    near(s) = w(s) - c (1 + b_1 u + b_2 u^2 + b_3 u^3),  c = w(s0), b_k = binomial(dof + k - 1, k)

and 0 from the cutoff on: the sum is Taylor's polynomial of w about s0.  For one degree of
freedom near(s) = w(s) u^4, so that nothing cancels.

Points are sorted by strips of the map (rows; in three dimensions layers of rows), and within a
strip by cells along the first coordinate.  The points that a cell can reach are then one run of
each strip near it: vectors are loaded from where they lie, and points beyond the run add 0.
Each strip ends with padding far away.  A point's sum has the order of the strips, so the result
does not depend on the threads.  O(n) for maps of bounded density.
"""

from cython.parallel cimport parallel, prange
from libc.math cimport floorf
from libc.stdint cimport int32_t
from libc.string cimport memset

import numpy as np

from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_fma, f8_load, f8_max, f8_mul, f8_set1, f8_sub, f8_sum,
)
from fasttsne._kernels.simd.student cimport student_q, student_w

cdef enum:
    CHUNKS = 16  # parts of the points that are counted side by side
    REACH = 2  # cells, and strips, that the cutoff spans
    LANES = 8

PADDING = LANES
CELLS_PER_CUTOFF = REACH


cdef struct Strips:
    float origin[3]
    float inverse_side
    int32_t cells  # along the first coordinate
    int32_t strips[2]  # along the second and the third
    int d


cdef inline int32_t cell_along(const Strips *at, float y, int axis, int32_t size) noexcept nogil:
    cdef int32_t cell = <int32_t> floorf((y - at.origin[axis]) * at.inverse_side)
    return min(max(cell, 0), size - 1)


cdef inline int32_t strip_of(const Strips *at, const float *y) noexcept nogil:
    cdef int32_t strip = 0
    if at.d > 2:
        strip = cell_along(at, y[2], 2, at.strips[1]) * at.strips[0]
    if at.d > 1:
        strip += cell_along(at, y[1], 1, at.strips[0])
    return strip


cdef void count_strips(
    const Strips *at, const float *y, Py_ssize_t first, Py_ssize_t last, int32_t *counts,
    int32_t *strip_numbers,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int32_t strip
    for i in range(first, last):
        strip = strip_of(at, y + i * at.d)
        strip_numbers[i] = strip
        counts[strip] += 1


cdef void sort_strip(
    const Strips *at, const float *y, const int32_t *points, Py_ssize_t count, int32_t *starts,
    float *columns, Py_ssize_t capacity, int32_t *order, Py_ssize_t place, int32_t *cells,
) noexcept nogil:
    """Sort the points of a strip by cells; ``starts`` are places in ``columns``."""
    cdef Py_ssize_t k, i
    cdef int32_t cell, total = <int32_t> place, size
    cdef int c
    memset(starts, 0, (at.cells + 1) * sizeof(int32_t))
    for k in range(count):
        cell = cell_along(at, y[points[k] * <Py_ssize_t> at.d], 0, at.cells)
        cells[k] = cell
        starts[cell] += 1
    for cell in range(at.cells + 1):
        size = starts[cell]
        starts[cell] = total
        total += size
    for k in range(count):
        cell = cells[k]
        i = starts[cell]
        starts[cell] += 1
        order[i] = points[k]
        for c in range(at.d):
            columns[c * capacity + i] = y[points[k] * <Py_ssize_t> at.d + c]
    for cell in range(at.cells, 0, -1):
        starts[cell] = starts[cell - 1]
    starts[0] = <int32_t> place
    for i in range(place + count, place + count + LANES):
        order[i] = -1
        for c in range(at.d):
            columns[c * capacity + i] = 1e18


cdef struct Kernel:
    float dof
    float s0
    float inverse  # 1 / (dof + s0)
    float c
    float b[4]  # of the polynomial in u


cdef inline void add_run(
    const float *own, const float *columns, Py_ssize_t capacity, Py_ssize_t first, Py_ssize_t last,
    const Kernel *kernel, int d, bint simple, f8 *sums, f8 *total,
) noexcept nogil:
    """Add what the points of a run do to one point; ``d`` and ``simple`` are literals."""
    cdef Py_ssize_t s
    cdef int c
    cdef f8 difference[3]
    cdef f8 r2, u, q, w, wq, u3, inverse = f8_set1(kernel.inverse), zero = f8_set1(0)
    cdef f8 shift = f8_set1(kernel.s0 * kernel.inverse), slope
    for s in range(first, last, 8):
        r2 = zero
        for c in range(d):
            difference[c] = f8_sub(f8_set1(own[c]), f8_load(columns + c * capacity + s))
            r2 = f8_fma(difference[c], difference[c], r2)
        u = f8_max(f8_sub(shift, f8_mul(r2, inverse)), zero)
        if simple:
            q = student_q(r2, 1)
            u3 = f8_mul(f8_mul(f8_mul(u, u), u), q)
            total[0] = f8_fma(u3, u, total[0])
            wq = f8_mul(u3, f8_fma(q, u, f8_set1(4 * kernel.inverse)))
        else:
            # Beyond the cutoff everything is as at it, where near and its slope vanish.
            r2 = f8_mul(f8_sub(shift, u), f8_set1(kernel.dof + kernel.s0))
            q = student_q(r2, 1 / kernel.dof)
            w = student_w(r2, q, kernel.dof)
            slope = f8_fma(f8_set1(-3 * kernel.b[3]), u, f8_set1(-2 * kernel.b[2]))
            slope = f8_fma(slope, u, f8_set1(-kernel.b[1]))
            wq = f8_fma(slope, inverse, f8_mul(w, q))
            u3 = f8_fma(f8_set1(-kernel.b[3]), u, f8_set1(-kernel.b[2]))
            u3 = f8_fma(f8_fma(u3, u, f8_set1(-kernel.b[1])), u, f8_set1(-kernel.b[0]))
            total[0] = f8_add(total[0], f8_add(w, u3))
        for c in range(d):
            sums[c] = f8_fma(wq, difference[c], sums[c])


cdef inline double repel_cell(
    const float *columns, Py_ssize_t capacity, const int32_t *order, Py_ssize_t first,
    Py_ssize_t last, const int32_t *runs, int n_runs, const Kernel *kernel, int d, bint simple,
    float *out,
) noexcept nogil:
    """Add the near forces on the points of a cell; return their share of Z."""
    cdef Py_ssize_t i
    cdef int c, run
    cdef f8 sums[3]
    cdef f8 total
    cdef float own[3]
    cdef double z = 0
    for i in range(first, last):
        total = f8_set1(0)
        for c in range(d):
            own[c] = columns[c * capacity + i]
            sums[c] = f8_set1(0)
        for run in range(n_runs):
            add_run(
                own, columns, capacity, runs[2 * run], runs[2 * run + 1], kernel, d, simple, sums,
                &total,
            )
        z += f8_sum(total)
        for c in range(d):
            out[order[i] * <Py_ssize_t> d + c] += f8_sum(sums[c])
    return z


cdef double repel_strip(
    const Strips *at, int32_t strip, const int32_t *starts, const float *columns,
    Py_ssize_t capacity, const int32_t *order, const Kernel *kernel, float *out,
) noexcept nogil:
    cdef int32_t runs[2 * (2 * REACH + 1) * (2 * REACH + 1)]
    cdef const int32_t *own = starts + strip * <Py_ssize_t> (at.cells + 1)
    cdef const int32_t *other
    cdef int32_t cell, row = strip % at.strips[0], layer = strip // at.strips[0], a, b
    cdef int n_runs
    cdef double z = 0
    for cell in range(at.cells):
        if own[cell] == own[cell + 1]:
            continue
        n_runs = 0
        for b in range(max(layer - REACH, 0), min(layer + REACH + 1, at.strips[1])):
            for a in range(max(row - REACH, 0), min(row + REACH + 1, at.strips[0])):
                other = starts + (b * <Py_ssize_t> at.strips[0] + a) * (at.cells + 1)
                runs[2 * n_runs] = other[max(cell - REACH, 0)]
                runs[2 * n_runs + 1] = other[min(cell + REACH + 1, at.cells)]
                n_runs += runs[2 * n_runs + 1] > runs[2 * n_runs]
        if at.d == 2:
            if kernel.dof == 1:
                z += repel_cell(columns, capacity, order, own[cell], own[cell + 1], runs, n_runs, kernel, 2, True, out)
            else:
                z += repel_cell(columns, capacity, order, own[cell], own[cell + 1], runs, n_runs, kernel, 2, False, out)
        elif at.d == 3:
            if kernel.dof == 1:
                z += repel_cell(columns, capacity, order, own[cell], own[cell + 1], runs, n_runs, kernel, 3, True, out)
            else:
                z += repel_cell(columns, capacity, order, own[cell], own[cell + 1], runs, n_runs, kernel, 3, False, out)
        else:
            z += repel_cell(columns, capacity, order, own[cell], own[cell + 1], runs, n_runs, kernel, 1, False, out)
    return z


cdef Strips make_strips(const float[::1] origin, float side, const int32_t[::1] shape) noexcept:
    cdef Strips at
    cdef int c
    at.d = <int> origin.shape[0]
    at.origin = [0, 0, 0]
    for c in range(at.d):
        at.origin[c] = origin[c]
    at.inverse_side = 1 / side
    at.cells = shape[0]
    at.strips[0] = shape[1] if at.d > 1 else 1
    at.strips[1] = shape[2] if at.d > 2 else 1
    return at


def sort_points(
    const float[:, ::1] y, const float[::1] origin, float side, const int32_t[::1] shape,
    int32_t[:, ::1] scratch,  # (3, n)
    int32_t[:, ::1] counts,  # SCRATCH (CHUNKS + 1, n_strips + 1)
    int32_t[:, ::1] starts,  # OUT (n_strips, cells + 1)
    float[:, ::1] columns,  # OUT (d, n + PADDING * n_strips)
    int32_t[::1] order,  # OUT (n + PADDING * n_strips,)
    int n_threads,
):
    cdef Strips at = make_strips(origin, side, shape)
    cdef Py_ssize_t n = y.shape[0], n_strips = starts.shape[0], chunk, t, i, _once, total
    cdef int32_t size
    cdef int32_t *numbers = &scratch[0, 0]
    cdef int32_t *points = &scratch[1, 0]
    cdef int32_t *cells = &scratch[2, 0]
    with nogil, parallel(num_threads=n_threads):
        for chunk in prange(CHUNKS, schedule="static"):
            memset(&counts[chunk, 0], 0, (n_strips + 1) * sizeof(int32_t))
            count_strips(
                &at, &y[0, 0], chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS, &counts[chunk, 0],
                numbers,
            )
        for _once in prange(1):
            total = 0
            for t in range(n_strips):
                counts[CHUNKS, t] = <int32_t> total
                for chunk in range(CHUNKS):
                    size = counts[chunk, t]
                    counts[chunk, t] = <int32_t> total
                    total = total + size
            counts[CHUNKS, n_strips] = <int32_t> total
        for chunk in prange(CHUNKS, schedule="static"):
            for i in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS):
                points[counts[chunk, numbers[i]]] = <int32_t> i
                counts[chunk, numbers[i]] += 1
        for t in prange(n_strips, schedule="dynamic"):
            sort_strip(
                &at, &y[0, 0], points + counts[CHUNKS, t],
                counts[CHUNKS, t + 1] - counts[CHUNKS, t], &starts[t, 0], &columns[0, 0],
                columns.shape[1], &order[0], counts[CHUNKS, t] + t * LANES, cells + counts[CHUNKS, t],
            )


def repel_near(
    const float[::1] origin, float side, const int32_t[::1] shape, const int32_t[:, ::1] starts,
    const float[:, ::1] columns, const int32_t[::1] order, float cutoff, float dof,
    const float[::1] polynomial,  # (4,) c b_k
    float[:, ::1] out,  # INOUT (n, d)
    double[::1] z,  # SCRATCH (n_strips,)
    int n_threads,
):
    cdef Strips at = make_strips(origin, side, shape)
    cdef Kernel kernel
    cdef Py_ssize_t n_strips = starts.shape[0], t
    cdef int k
    kernel.dof, kernel.s0 = dof, cutoff * cutoff
    kernel.inverse = 1 / (dof + kernel.s0)
    kernel.c = polynomial[0]
    for k in range(4):
        kernel.b[k] = polynomial[k]
    for t in prange(n_strips, nogil=True, schedule="dynamic", num_threads=n_threads):
        z[t] = repel_strip(
            &at, <int32_t> t, &starts[0, 0], &columns[0, 0], columns.shape[1], &order[0], &kernel,
            &out[0, 0],
        )
    return float(np.sum(z[:n_strips]))
