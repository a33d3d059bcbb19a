"""Repulsion by a split kernel: near pairs one by one, the smooth rest on a coarse grid.

The force on a point is F = -1/2 grad phi of the potential phi(y) = sum_j w(|y - y_j|^2).  w is
near + far: near is zero from a cutoff on (``near_pairs.pxd``), far has no scale shorter than the
cutoff.  Points are spread to a grid with cardinal B-splines of order p, the grid is convolved with
far by FFT (``fft_convolve.pyx``), and the gradient is gathered with the derivative of the same
splines.  A grid lets a point push itself; that force is known and taken away.  With a cutoff of 0
the grid has all of w: right for dense maps, whose near pairs are too many.

Points are sorted by strips of cells first (``strips.pxd``), for both parts.  Threads never add to
the same node of the grid: some strips together are a band, wider than a spline; bands go by two
colors (in three dimensions four), of each of which no two are neighbours.  A band's points are
always added in the same order, so the result does not depend on the threads.  Where the grid is
small and has all of the kernel, points need not be sorted: each of some parts of them has a grid of
its own, and the grids are added.

``repulsion/mesh/influence.py`` says what the grid is multiplied by in between.  A grid in one or
two dimensions has a single layer, in one a single row.

Source: Hockney & Eastwood 1981 (P3M); Skeel, Tezcan & Hardy 2002 (splitting by Taylor polynomials).
"""

from cython.parallel cimport parallel, prange
from libc.stdint cimport int32_t
from libc.string cimport memset

import numpy as np

from fasttsne._kernels.optimize.row_task cimport RowTask, as_capsule, new_task
from fasttsne._kernels.repulsion.near_pairs cimport (
    NearKernel, add_near, add_pairs, make_kernel,
)
from fasttsne._kernels.repulsion.spline_grid cimport (
    N_SELF_FORCE_TERMS, SPLINE_WIDTH, SplineGrid, gather_point, spread_point,
)
from fasttsne._kernels.repulsion.strips cimport (
    CHUNKS, N_RUNS, PADDING, REACH, Strips, count_strips, counts_to_starts, make_strips,
    runs_around, sort_strip, starts_of,
)
from fasttsne._kernels.simd.simd8 cimport f8, f8_set1, f8_sum

cdef enum:
    BLOCK = 512  # points gathered by one task
    N_PARTS = 16  # of the points, each with a grid of its own

MAX_ORDER = SPLINE_WIDTH
SELF_FORCE_TERMS = N_SELF_FORCE_TERMS
CELLS_PER_CUTOFF = REACH
STRIP_PADDING = PADDING
COUNTS = CHUNKS + 1
PARTS = N_PARTS


def sort_points(
    const float[:, ::1] y,  # IN (n, d), d <= 3
    const float[::1] origin,  # IN (d,), the lowest corner of the points' box
    float side,  # of a cell
    const int32_t[::1] shape,  # IN (3,): cells along a strip, rows and layers of strips
    int32_t[:, ::1] scratch,  # SCRATCH (3, n)
    int32_t[:, ::1] counts,  # SCRATCH (COUNTS, strips); the last row is one longer
    int32_t[:, ::1] starts,  # OUT (strips, cells + 1), places
    float[:, ::1] columns,  # OUT (d, n + STRIP_PADDING * strips)
    int32_t[::1] order,  # OUT (n + STRIP_PADDING * strips,), -1 for padding
    int n_threads,
):
    """Sort points by strips and cells. O(n + cells)."""
    cdef Strips at = make_strips(origin, side, shape, starts, columns, order)
    cdef Py_ssize_t n = y.shape[0], n_strips = starts.shape[0], chunk, t, i, _once
    cdef int32_t *numbers = &scratch[0, 0]
    cdef int32_t *points = &scratch[1, 0]
    cdef int32_t *cells = &scratch[2, 0]
    cdef int32_t *cursor
    with nogil, parallel(num_threads=n_threads):
        for chunk in prange(CHUNKS, schedule="static"):
            count_strips(
                &at, &y[0, 0], chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS,
                &counts[0, 0] + chunk * n_strips, numbers,
            )
        for _once in prange(1):
            counts_to_starts(&counts[0, 0], n_strips, &counts[0, 0] + CHUNKS * n_strips)
        for chunk in prange(CHUNKS, schedule="static"):
            cursor = &counts[0, 0] + chunk * n_strips
            for i in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS):
                points[cursor[numbers[i]]] = <int32_t> i
                cursor[numbers[i]] += 1
        for t in prange(n_strips, schedule="dynamic"):
            sort_strip(
                &at, &y[0, 0], points + (&counts[0, 0])[CHUNKS * n_strips + t],
                (&counts[0, 0])[CHUNKS * n_strips + t + 1] - (&counts[0, 0])[CHUNKS * n_strips + t],
                (&counts[0, 0])[CHUNKS * n_strips + t] + t * PADDING, &starts[t, 0],
                &columns[0, 0], &order[0], cells + (&counts[0, 0])[CHUNKS * n_strips + t],
            )


cdef SplineGrid make_grid(
    const float[::1] origin, float[:, :, ::1] cells, float spacing,
    const float[:, :, ::1] polynomials, const float[::1] self_terms,
) noexcept:
    cdef SplineGrid grid
    cdef int c
    grid.d = <int> origin.shape[0]
    grid.origin = [0, 0, 0]
    for c in range(grid.d):
        grid.origin[c] = origin[c]
    grid.step = [1, cells.shape[2], cells.shape[1] * cells.shape[2]]
    grid.inverse_spacing = 1 / spacing
    grid.order = <int> polynomials.shape[1]
    grid.weights, grid.slopes = &polynomials[0, 0, 0], &polynomials[1, 0, 0]
    grid.self_terms = &self_terms[0]
    return grid


cdef inline void spread_strip(
    const Strips *at, const SplineGrid *grid, int32_t layer, int32_t row, float *cells, int d,
    int p,
) noexcept nogil:
    cdef const int32_t *starts = starts_of(at, layer, row)
    cdef Py_ssize_t i
    cdef float own[3]
    cdef int c
    for i in range(starts[0], starts[at.cells]):
        for c in range(d):
            own[c] = at.columns[c * at.capacity + i]
        spread_point(grid, own, cells, d, p)


cdef inline Py_ssize_t bands_along(int32_t strips, int width, int parity) noexcept nogil:
    """How many bands, every second from ``parity`` on, the strips along an axis make."""
    return ((strips + width - 1) // width + 1 - parity) // 2


cdef inline Py_ssize_t bands_of_color(const Strips *at, int width, int color) noexcept nogil:
    return bands_along(at.rows, width, color % 2) * bands_along(at.layers, width, color // 2)


cdef void spread_band(
    const Strips *at, const SplineGrid *grid, int color, Py_ssize_t number, int width,
    float *cells,
) noexcept nogil:
    """One compiled loop for common splines, one for all others, for each dimension."""
    cdef Py_ssize_t in_row = bands_along(at.rows, width, color % 2)
    cdef int32_t first_row = <int32_t> (color % 2 + number % in_row * 2) * width
    cdef int32_t first_layer = <int32_t> (color // 2 + number // in_row * 2) * width
    cdef int32_t layer, row
    cdef int p = grid.order
    for layer in range(first_layer, min(first_layer + width, at.layers)):
        for row in range(first_row, min(first_row + width, at.rows)):
            if at.d == 1:
                spread_strip(at, grid, layer, row, cells, 1, p)
            elif at.d == 2:
                if p == 4:
                    spread_strip(at, grid, layer, row, cells, 2, 4)
                elif p == 5:
                    spread_strip(at, grid, layer, row, cells, 2, 5)
                else:
                    spread_strip(at, grid, layer, row, cells, 2, p)
            elif p == 4:
                spread_strip(at, grid, layer, row, cells, 3, 4)
            else:
                spread_strip(at, grid, layer, row, cells, 3, p)


def spread(
    const float[::1] origin, float side, const int32_t[::1] shape,  # IN as for `sort_points`
    const int32_t[:, ::1] starts, const float[:, ::1] columns, const int32_t[::1] order,  # IN
    float[:, :, ::1] cells,  # OUT (layers, rows, stride); 8 columns of room behind the last cell
    float spacing,
    const float[:, :, ::1] polynomials,  # IN (2, p, 8), from `polynomials`
    int width,  # strips of a band, together wider than a spline
    int n_threads,
):
    """Fill the grid with the points' spline weights. O(n p^d)."""
    cdef Strips at = make_strips(origin, side, shape, starts, columns, order)
    cdef float[::1] no_terms = np.zeros(N_SELF_FORCE_TERMS, np.float32)
    cdef SplineGrid grid = make_grid(origin, cells, spacing, polynomials, no_terms)
    cdef Py_ssize_t n_rows = cells.shape[0] * cells.shape[1], chunk, t
    cdef int color, n_colors = 4 if at.d == 3 else 2
    with nogil, parallel(num_threads=n_threads):
        for chunk in prange(CHUNKS, schedule="static"):
            memset(
                &cells[0, 0, 0] + chunk * n_rows // CHUNKS * grid.step[1], 0,
                ((chunk + 1) * n_rows // CHUNKS - chunk * n_rows // CHUNKS) * grid.step[1]
                * sizeof(float),
            )
        for color in range(n_colors):
            for t in prange(bands_of_color(&at, width, color), schedule="dynamic"):
                spread_band(&at, &grid, color, t, width, &cells[0, 0, 0])


cdef inline void spread_rows(
    const SplineGrid *grid, const float *y, Py_ssize_t first, Py_ssize_t last, float *cells,
    int d, int p,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(first, last):
        spread_point(grid, y + i * d, cells, d, p)


cdef void spread_part(
    const SplineGrid *grid, const float *y, Py_ssize_t first, Py_ssize_t last, float *cells
) noexcept nogil:
    """One compiled loop for the default's splines, one for all others, for each dimension."""
    if grid.d == 1:
        spread_rows(grid, y, first, last, cells, 1, grid.order)
    elif grid.d == 3:
        spread_rows(grid, y, first, last, cells, 3, grid.order)
    elif grid.order == 5:
        spread_rows(grid, y, first, last, cells, 2, 5)
    else:
        spread_rows(grid, y, first, last, cells, 2, grid.order)


def spread_in_parts(
    const float[:, ::1] y,  # IN (n, d), points on the grid, in any order
    const float[::1] origin,  # IN (d,)
    float[:, :, :, ::1] parts,  # SCRATCH (PARTS, layers, rows, stride)
    float[:, :, ::1] cells, float spacing, const float[:, :, ::1] polynomials,  # as for `spread`
    int n_threads,
):
    """Fill the grid with the points' spline weights. O(n p^d + PARTS cells)."""
    cdef float[::1] no_terms = np.zeros(N_SELF_FORCE_TERMS, np.float32)
    cdef SplineGrid grid = make_grid(origin, cells, spacing, polynomials, no_terms)
    cdef Py_ssize_t n = y.shape[0], n_rows = cells.shape[0] * cells.shape[1]
    cdef Py_ssize_t stride = cells.shape[2], size = n_rows * stride, row, k
    cdef int part
    cdef float *first
    cdef float *other
    with nogil, parallel(num_threads=n_threads):
        for part in prange(N_PARTS, schedule="static"):
            first = &parts[0, 0, 0, 0] + part * size
            memset(first, 0, size * sizeof(float))
            spread_part(&grid, &y[0, 0], part * n // N_PARTS, (part + 1) * n // N_PARTS, first)
        for row in prange(n_rows, schedule="static"):
            first = &cells[0, 0, 0] + row * stride
            memset(first, 0, stride * sizeof(float))
            for part in range(N_PARTS):
                other = &parts[0, 0, 0, 0] + part * size + row * stride
                for k in range(stride):
                    first[k] += other[k]


cdef inline int runs_ahead(
    const Strips *at, int32_t layer, int32_t row, int32_t cell, int32_t *runs
) noexcept nogil:
    """Write first and last place of each run within reach of a cell, of strips behind its own."""
    cdef const int32_t *other
    cdef int32_t a, b, first = max(cell - REACH, 0), last = min(cell + REACH + 1, at.cells)
    cdef int count = 0
    for b in range(layer, min(layer + REACH + 1, at.layers)):
        for a in range(
            max(row - REACH, 0) if b > layer else row + 1, min(row + REACH + 1, at.rows)
        ):
            other = starts_of(at, b, a)
            runs[2 * count], runs[2 * count + 1] = other[first], other[last]
            count += other[last] > other[first]
    return count


cdef inline double pair_strip(
    const Strips *at, int32_t layer, int32_t row, const NearKernel *kernel, float *forces, int d,
    bint is_simple,
) noexcept nogil:
    """Add what the points of a strip do to each other and to those of strips behind it."""
    cdef int32_t runs[2 * N_RUNS]
    cdef const int32_t *own = starts_of(at, layer, row)
    cdef int32_t cell
    cdef Py_ssize_t i, end
    cdef int n_runs, run, c
    cdef f8 sums[3]
    cdef f8 z
    cdef double total = 0
    for cell in range(at.cells):
        if own[cell] == own[cell + 1]:
            continue
        n_runs = runs_ahead(at, layer, row, cell, runs)
        end = own[min(cell + REACH + 1, at.cells)]
        z = f8_set1(0)
        for i in range(own[cell], own[cell + 1]):
            for c in range(d):
                sums[c] = f8_set1(0)
            add_pairs(
                at.columns, at.capacity, i, i + 1, end, kernel, d, is_simple, forces, sums, &z
            )
            for run in range(n_runs):
                add_pairs(
                    at.columns, at.capacity, i, runs[2 * run], runs[2 * run + 1], kernel, d,
                    is_simple, forces, sums, &z,
                )
            for c in range(d):
                forces[c * at.capacity + i] += f8_sum(sums[c])
        total += f8_sum(z)
    return total


cdef double pair_band(
    const Strips *at, const NearKernel *kernel, int color, Py_ssize_t number, int width,
    float *forces,
) noexcept nogil:
    cdef Py_ssize_t in_row = bands_along(at.rows, width, color % 2)
    cdef int32_t first_row = <int32_t> (color % 2 + number % in_row * 2) * width
    cdef int32_t first_layer = <int32_t> (color // 2 + number // in_row * 2) * width
    cdef int32_t layer, row
    cdef double z = 0
    for layer in range(first_layer, min(first_layer + width, at.layers)):
        for row in range(first_row, min(first_row + width, at.rows)):
            if at.d == 1:
                z += pair_strip(at, layer, row, kernel, forces, 1, False)
            elif at.d == 2:
                if kernel.dof == 1:
                    z += pair_strip(at, layer, row, kernel, forces, 2, True)
                else:
                    z += pair_strip(at, layer, row, kernel, forces, 2, False)
            elif kernel.dof == 1:
                z += pair_strip(at, layer, row, kernel, forces, 3, True)
            else:
                z += pair_strip(at, layer, row, kernel, forces, 3, False)
    return z


def sum_pairs(
    const float[::1] origin, float side, const int32_t[::1] shape,  # IN as for `sort_points`
    const int32_t[:, ::1] starts, const float[:, ::1] columns, const int32_t[::1] order,  # IN
    float dof, float cutoff,
    const float[::1] taylor,  # IN (4,), c b_k of `near_pairs.pxd`
    float[:, ::1] forces,  # OUT (d, n + STRIP_PADDING * strips), near forces by places
    int width,  # strips of a band, more than REACH
    double[::1] z,  # SCRATCH (strips,)
    int n_threads,
):
    """Write the near forces of all pairs; return the near part of Z."""
    cdef Strips at = make_strips(origin, side, shape, starts, columns, order)
    cdef NearKernel kernel = make_kernel(dof, cutoff, taylor)
    cdef Py_ssize_t t, chunk, size = forces.shape[0] * forces.shape[1]
    cdef int color, n_colors = 4 if at.d == 3 else 2
    cdef double total = 0
    for chunk in prange(CHUNKS, schedule="static", nogil=True, num_threads=n_threads):
        memset(
            &forces[0, 0] + chunk * size // CHUNKS, 0,
            ((chunk + 1) * size // CHUNKS - chunk * size // CHUNKS) * sizeof(float),
        )
    for color in range(n_colors):
        for t in prange(
            bands_of_color(&at, width, color), schedule="dynamic", nogil=True,
            num_threads=n_threads,
        ):
            z[t] = pair_band(&at, &kernel, color, t, width, &forces[0, 0])
        for t in range(bands_of_color(&at, width, color)):
            total += z[t]
    return 2 * total


cdef inline void gather_strip(
    const Strips *at, const SplineGrid *grid, const float *cells, const float *forces,
    Py_ssize_t first, Py_ssize_t last, float *out, f8 *weights, f8 *slopes, int d, int p,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef float own[3]
    cdef float force[3]
    cdef int c
    for i in range(first, last):
        for c in range(d):
            own[c] = at.columns[c * at.capacity + i]
        gather_point(grid, own, cells, force, weights, slopes, d, p)
        for c in range(d):
            if forces != NULL:
                force[c] += forces[c * at.capacity + i]
            out[at.order[i] * <Py_ssize_t> d + c] = force[c]


cdef void repel_strip(
    const Strips *at, const SplineGrid *grid, const float *cells, const float *forces,
    int32_t strip, float *out,
) noexcept nogil:
    cdef const int32_t *own = starts_of(at, strip // at.rows, strip % at.rows)
    cdef Py_ssize_t first = own[0], last = own[at.cells]
    cdef int p = grid.order
    cdef f8 weights[3]
    cdef f8 slopes[3]
    if at.d == 1:
        gather_strip(at, grid, cells, forces, first, last, out, weights, slopes, 1, p)
    elif at.d == 2:
        if p == 4:
            gather_strip(at, grid, cells, forces, first, last, out, weights, slopes, 2, 4)
        elif p == 5:
            gather_strip(at, grid, cells, forces, first, last, out, weights, slopes, 2, 5)
        else:
            gather_strip(at, grid, cells, forces, first, last, out, weights, slopes, 2, p)
    elif p == 4:
        gather_strip(at, grid, cells, forces, first, last, out, weights, slopes, 3, 4)
    else:
        gather_strip(at, grid, cells, forces, first, last, out, weights, slopes, 3, p)


def gather(
    const float[::1] origin, float side, const int32_t[::1] shape,  # IN as for `sort_points`
    const int32_t[:, ::1] starts, const float[:, ::1] columns, const int32_t[::1] order,  # IN
    float[:, :, ::1] cells, float spacing, const float[:, :, ::1] polynomials,  # IN, the potential
    const float[::1] self_terms,  # IN (SELF_FORCE_TERMS,), a point's force on itself: influence.py
    float[:, ::1] out,  # OUT (n, d)
    int n_threads,
    const float[:, ::1] forces=None,  # IN from `sum_pairs`
):
    """Write F = -1/2 grad phi at the points, and what ``forces`` adds. O(n p^d)."""
    cdef Strips at = make_strips(origin, side, shape, starts, columns, order)
    cdef SplineGrid grid = make_grid(origin, cells, spacing, polynomials, self_terms)
    cdef Py_ssize_t t
    cdef const float *near = NULL
    if forces is not None:
        near = &forces[0, 0]
    for t in prange(starts.shape[0], nogil=True, schedule="dynamic", num_threads=n_threads):
        repel_strip(&at, &grid, &cells[0, 0, 0], near, <int32_t> t, &out[0, 0])


cdef inline void gather_rows(
    const SplineGrid *grid, const float *cells, const float *y, Py_ssize_t first, Py_ssize_t last,
    float *out, f8 *weights, f8 *slopes, int d, int p,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(first, last):
        gather_point(grid, y + i * d, cells, out + i * d, weights, slopes, d, p)


cdef void gather_block(
    const SplineGrid *grid, const float *cells, const float *y, Py_ssize_t first, Py_ssize_t last,
    float *out,
) noexcept nogil:
    """One compiled loop for the default's splines, one for all others, for each dimension."""
    cdef f8 weights[3]
    cdef f8 slopes[3]
    cdef int p = grid.order
    if grid.d == 1:
        gather_rows(grid, cells, y, first, last, out, weights, slopes, 1, p)
    elif grid.d == 3:
        gather_rows(grid, cells, y, first, last, out, weights, slopes, 3, p)
    elif p == 5:
        gather_rows(grid, cells, y, first, last, out, weights, slopes, 2, 5)
    else:
        gather_rows(grid, cells, y, first, last, out, weights, slopes, 2, p)


def gather_unsorted(
    const float[:, ::1] y, const float[::1] origin,  # IN as for `spread_in_parts`
    float[:, :, ::1] cells, float spacing, const float[:, :, ::1] polynomials,  # IN, the potential
    const float[::1] self_terms,  # IN as for `gather`
    float[:, ::1] out,  # OUT (n, d)
    int n_threads,
):
    """Write F = -1/2 grad phi at points in any order. O(n p^d)."""
    cdef SplineGrid grid = make_grid(origin, cells, spacing, polynomials, self_terms)
    cdef Py_ssize_t n = y.shape[0], b
    for b in prange(
        (n + BLOCK - 1) // BLOCK, nogil=True, schedule="dynamic", num_threads=n_threads
    ):
        gather_block(
            &grid, &cells[0, 0, 0], &y[0, 0], b * BLOCK, min((b + 1) * BLOCK, n), &out[0, 0]
        )


cdef struct Field:
    Strips at
    SplineGrid grid
    NearKernel kernel
    const float *cells


cdef inline float near_field(
    const Strips *at, const NearKernel *kernel, const float *y, float *force, int d, bint is_simple
) noexcept nogil:
    """Add the near force on a place, which may be outside the box; return the near potential."""
    cdef int32_t runs[2 * N_RUNS]
    cdef int run, c, n_runs = runs_around(at, y, runs)
    cdef f8 sums[3]
    cdef f8 z = f8_set1(0)
    for c in range(d):
        sums[c] = f8_set1(0)
    for run in range(n_runs):
        add_near(
            at.columns, at.capacity, y, runs[2 * run], runs[2 * run + 1], kernel, d, is_simple,
            sums, &z,
        )
    for c in range(d):
        force[c] += f8_sum(sums[c])
    return f8_sum(z)


cdef inline float field_at(
    const Field *field, const float *y, float *out, f8 *weights, f8 *slopes, int d, int p
) noexcept nogil:
    """Write the force on a place; return the potential, up to the mean of the grid's."""
    cdef float phi = gather_point(&field.grid, y, field.cells, out, weights, slopes, d, p)
    if field.kernel.s0 == 0:
        return phi
    if field.kernel.dof == 1:
        return phi + near_field(&field.at, &field.kernel, y, out, d, True)
    return phi + near_field(&field.at, &field.kernel, y, out, d, False)


cdef void field_of_block(
    const Field *field, const float *y, Py_ssize_t first, Py_ssize_t last, float *out,
    float *potential,
) noexcept nogil:
    """One compiled loop for each dimension."""
    cdef int p = field.grid.order
    cdef Py_ssize_t i
    cdef f8 weights[3]
    cdef f8 slopes[3]
    for i in range(first, last):
        if field.grid.d == 1:
            potential[i] = field_at(field, y + i, out + i, weights, slopes, 1, p)
        elif field.grid.d == 2:
            potential[i] = field_at(field, y + 2 * i, out + 2 * i, weights, slopes, 2, p)
        else:
            potential[i] = field_at(field, y + 3 * i, out + 3 * i, weights, slopes, 3, p)


def gather_at(
    const float[:, ::1] y,  # IN (m, d), places on the grid, in any order
    const float[::1] origin, float side, const int32_t[::1] shape,  # IN as for `sort_points`
    const int32_t[:, ::1] starts, const float[:, ::1] columns, const int32_t[::1] order,  # IN
    float[:, :, ::1] cells, float spacing, const float[:, :, ::1] polynomials,  # IN, the potential
    float dof, float cutoff, const float[::1] taylor,  # IN as for `sum_pairs`; a cutoff may be 0
    float[:, ::1] out,  # OUT (m, d)
    float[::1] potential,  # OUT (m,), up to the mean of the grid's
    int n_threads,
):
    """Write force and potential of the sorted points on others, or anywhere. O(m p^d)."""
    cdef float[::1] no_terms = np.zeros(N_SELF_FORCE_TERMS, np.float32)
    cdef Field field
    cdef Py_ssize_t m = y.shape[0], b
    field.at = make_strips(origin, side, shape, starts, columns, order)
    field.grid = make_grid(origin, cells, spacing, polynomials, no_terms)
    field.kernel = make_kernel(dof, cutoff, taylor)
    field.cells = &cells[0, 0, 0]
    for b in prange(
        (m + BLOCK - 1) // BLOCK, nogil=True, schedule="dynamic", num_threads=n_threads
    ):
        field_of_block(
            &field, &y[0, 0], b * BLOCK, min((b + 1) * BLOCK, m), &out[0, 0], &potential[0]
        )


cdef struct FieldTask:
    RowTask task
    Field field
    float no_terms[N_SELF_FORCE_TERMS]
    const float *y
    const float *low
    const float *high
    float *out
    double *z
    double mean
    double min_z


cdef bint run_task(const void *task, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef const FieldTask *t = <const FieldTask *> task
    cdef Py_ssize_t i, e, d = t.field.grid.d
    cdef float phi
    for i in range(first, last):
        for e in range(i * d, i * d + d):
            if not t.low[e - i * d] <= t.y[e] <= t.high[e - i * d]:
                return True
        field_of_block(&t.field, t.y + i * d, 0, 1, t.out + i * d, &phi)
        t.z[i] = phi + t.mean
        if t.z[i] < t.min_z:
            return True
    return False


def row_task(
    const float[:, ::1] y,  # IN as for `gather_at`, and kept, as all arrays are
    const float[::1] origin, float side, const int32_t[::1] shape,
    const int32_t[:, ::1] starts, const float[:, ::1] columns, const int32_t[::1] order,
    float[:, :, ::1] cells, float spacing, const float[:, :, ::1] polynomials,
    float dof, float cutoff, const float[::1] taylor,
    float[:, ::1] out,  # OUT (m, d)
    double[::1] z,  # OUT (m,), the potential plus `mean`
    const float[::1] high,  # IN (d,), the corner of the grid that is opposite to `origin`
    double mean, double min_z,
):
    """``gather_at`` as a task for rows inside whose z is not too small: see ``row_task.pxd``."""
    cdef FieldTask *task = <FieldTask *> new_task(sizeof(FieldTask), run_task)
    cdef float[::1] no_terms = np.zeros(N_SELF_FORCE_TERMS, np.float32)
    task.field.at = make_strips(origin, side, shape, starts, columns, order)
    task.field.grid = make_grid(origin, cells, spacing, polynomials, no_terms)
    memset(task.no_terms, 0, sizeof(task.no_terms))
    task.field.grid.self_terms = task.no_terms
    task.field.kernel = make_kernel(dof, cutoff, taylor)
    task.field.cells = &cells[0, 0, 0]
    task.y, task.out, task.z = &y[0, 0], &out[0, 0], &z[0]
    task.low, task.high = &origin[0], &high[0]
    task.mean, task.min_z = mean, min_z
    return as_capsule(task)
