"""Particle-mesh repulsion: points to the grid, and the grid's forces to points.

The repulsive force on a point is a gradient, F = -1/2 grad phi, of the potential
phi(y) = sum_j w(|y - y_j|^2).  Points are spread to a grid with cardinal
B-splines of order p, the grid is convolved with the kernel by FFT
(``fft_convolve.pyx``), and phi's gradient is gathered with the derivative of the same
splines.  A grid lets a point push itself; that force is known and taken away.
``repulsion/mesh/influence.py`` says what the grid is multiplied by in between,
``repulsion/mesh/grid.py`` owns the arrays.

One code serves every dimension: a grid has layers of rows of columns, and a
single layer, or row, where it has fewer dimensions.  A point's first coordinate
runs along the columns, the second along the rows, the third along the layers.

Threads never add to the same cell: points are sorted by tiles of rows and layers,
a tile is one task, and tiles go by four colors, of each of which no two are neighbours.  A tile's
points are always added in the same order, so the result does not depend on the
threads.  Source: Hockney & Eastwood 1981; Essmann et al. 1995 (splines).
"""

from cython.parallel cimport parallel, prange
from libc.math cimport floorf
from libc.stdint cimport int32_t
from libc.string cimport memset

from fasttsne._kernels.optimize.row_task cimport RowTask, as_capsule, new_task
from fasttsne._kernels.repulsion.tiles cimport (
    CHUNKS, SPLINE_WIDTH, GridSpec, chunk_start, count_points, counts_to_starts, place_points,
    tile_number, tiles_along, tiles_of_color,
)
from fasttsne._kernels.simd.simd8 cimport f8, f8_fma, f8_load, f8_mul, f8_set1, f8_store, f8_sum

cdef enum:
    BLOCK = 512  # points gathered by one task
    N_SELF_FORCE_TERMS = 6  # of the polynomial of a point's force on itself

MAX_ORDER = SPLINE_WIDTH
SELF_FORCE_TERMS = N_SELF_FORCE_TERMS


cdef inline Py_ssize_t spline(
    const GridSpec *spec, float y, int axis, int p, f8 *weight, f8 *slope
) noexcept nogil:
    """The weights at the p nodes from floor(u) on and their derivatives by u.

    In the fraction t = u - floor(u) each weight is a polynomial of degree p - 1:
    Horner's rule with one node a lane.  Returns floor(u).
    """
    cdef float u = (y - spec.origin[axis]) * spec.inverse_spacing
    cdef float cell = floorf(u)
    cdef f8 t = f8_set1(u - cell)
    cdef int power
    weight[0] = f8_load(spec.weights)
    for power in range(1, p):
        weight[0] = f8_fma(weight[0], t, f8_load(spec.weights + power * SPLINE_WIDTH))
    slope[0] = f8_load(spec.slopes)
    for power in range(1, p - 1):
        slope[0] = f8_fma(slope[0], t, f8_load(spec.slopes + power * SPLINE_WIDTH))
    return <Py_ssize_t> cell


cdef inline Py_ssize_t stencil_origin(
    const GridSpec *spec, const float *y, int d, int p, f8 *weights, f8 *slopes
) noexcept nogil:
    """The splines of a point along each axis; returns the index of its first node."""
    cdef Py_ssize_t node = spline(spec, y[0], 0, p, weights, slopes)
    if d > 1:
        node += spline(spec, y[1], 1, p, weights + 1, slopes + 1) * spec.step[1]
    if d > 2:
        node += spline(spec, y[2], 2, p, weights + 2, slopes + 2) * spec.step[2]
    return node


cdef inline void spread_points(
    const GridSpec *spec, const float *y, const int32_t *points, Py_ssize_t count, float *grid,
    int d, int p,
) noexcept nogil:
    """Add points to the grid, one after another; ``d`` and ``p`` are literals at each call."""
    cdef f8 weights[3]
    cdef f8 unused[3]
    cdef float row_weights[SPLINE_WIDTH]
    cdef float layer_weights[SPLINE_WIDTH]
    cdef f8 column_weights
    cdef float *layer
    cdef float *row
    cdef Py_ssize_t s
    cdef int a, b
    row_weights[0] = layer_weights[0] = 1
    for s in range(count):
        # 64 bits: n d may be beyond int32.
        layer = grid + stencil_origin(
            spec, y + <Py_ssize_t> points[s] * d, d, p, weights, unused
        )
        if d > 1:
            f8_store(row_weights, weights[1])
        if d > 2:
            f8_store(layer_weights, weights[2])
        for b in range(p if d > 2 else 1):
            column_weights = f8_mul(f8_set1(layer_weights[b]), weights[0]) if d > 2 else weights[0]
            row = layer
            for a in range(p if d > 1 else 1):
                f8_store(row, f8_fma(f8_set1(row_weights[a]), column_weights, f8_load(row)))
                row += spec.step[1]
            layer += spec.step[2]


cdef inline float self_force(
    const GridSpec *spec, float y, int axis, const float *terms
) noexcept nogil:
    """The force of a point on itself along one axis, an odd polynomial in t - 1/2."""
    cdef float u = (y - spec.origin[axis]) * spec.inverse_spacing
    cdef float s = u - floorf(u) - <float> 0.5
    cdef float s2 = s * s, sum = terms[0]
    cdef int power
    for power in range(1, N_SELF_FORCE_TERMS):
        sum = sum * s2 + terms[power]
    return sum * s


cdef inline float along_axis(
    const GridSpec *spec, f8 column_weights, f8 phi, float y, int axis, const float *self_terms
) noexcept nogil:
    """The force along an axis, from the potential summed over the others but the columns."""
    cdef float slope = f8_sum(f8_mul(column_weights, phi))
    return -spec.inverse_spacing / 2 * slope - self_force(spec, y, axis, self_terms)


cdef inline void gather_points(
    const GridSpec *spec, const float *y, Py_ssize_t first, Py_ssize_t last, const float *grid,
    const float *self_terms, float *out, float *potential, f8 *weights, f8 *slopes, int d, int p,
) noexcept nogil:
    """F = -1/2 grad phi, less the force on itself, of the points first..last.

    phi goes to ``potential``, unless that is NULL.  ``d`` and ``p`` are literals at
    each call; room for the splines is the caller's because compilers do not inline
    functions that need much of it.
    """
    cdef f8 line, phi, phi_rows, phi_layers, layer_phi, layer_phi_rows
    cdef float row_weights[SPLINE_WIDTH]
    cdef float row_slopes[SPLINE_WIDTH]
    cdef float layer_weights[SPLINE_WIDTH]
    cdef float layer_slopes[SPLINE_WIDTH]
    cdef const float *layer
    cdef const float *row
    cdef Py_ssize_t i
    cdef int a, b
    for i in range(first, last):
        layer = grid + stencil_origin(spec, y + i * d, d, p, weights, slopes)
        if d > 1:
            f8_store(row_weights, weights[1])
            f8_store(row_slopes, slopes[1])
        if d == 3:
            f8_store(layer_weights, weights[2])
            f8_store(layer_slopes, slopes[2])
        phi = phi_rows = phi_layers = f8_set1(0)
        for b in range(p if d == 3 else 1):
            row = layer
            layer_phi = layer_phi_rows = f8_set1(0)
            for a in range(p if d > 1 else 0):
                line = f8_load(row)
                layer_phi = f8_fma(f8_set1(row_weights[a]), line, layer_phi)
                layer_phi_rows = f8_fma(f8_set1(row_slopes[a]), line, layer_phi_rows)
                row += spec.step[1]
            if d == 1:
                phi = f8_load(layer)
            elif d == 2:
                phi, phi_rows = layer_phi, layer_phi_rows
            else:
                phi = f8_fma(f8_set1(layer_weights[b]), layer_phi, phi)
                phi_rows = f8_fma(f8_set1(layer_weights[b]), layer_phi_rows, phi_rows)
                phi_layers = f8_fma(f8_set1(layer_slopes[b]), layer_phi, phi_layers)
                layer += spec.step[2]
        out[i * d] = along_axis(spec, slopes[0], phi, y[i * d], 0, self_terms)
        if d > 1:
            out[i * d + 1] = along_axis(spec, weights[0], phi_rows, y[i * d + 1], 1, self_terms)
        if d > 2:
            out[i * d + 2] = along_axis(spec, weights[0], phi_layers, y[i * d + 2], 2, self_terms)
        if potential != NULL:
            potential[i] = f8_sum(f8_mul(weights[0], phi))


cdef void spread_tile(
    const GridSpec *spec, const float *y, const int32_t *points, Py_ssize_t count, float *grid
) noexcept nogil:
    """One compiled loop for the default spline, one for all others, for each dimension."""
    cdef int p = spec.order
    if spec.dimensions == 1:
        spread_points(spec, y, points, count, grid, 1, p)
    elif spec.dimensions == 2:
        if p == 5:
            spread_points(spec, y, points, count, grid, 2, 5)
        else:
            spread_points(spec, y, points, count, grid, 2, p)
    elif p == 5:
        spread_points(spec, y, points, count, grid, 3, 5)
    else:
        spread_points(spec, y, points, count, grid, 3, p)


cdef void gather_block(
    const GridSpec *spec, const float *y, Py_ssize_t first, Py_ssize_t last, const float *grid,
    const float *self_terms, float *out, float *potential,
) noexcept nogil:
    """As ``spread_tile``."""
    cdef int p = spec.order
    cdef f8 weights[3]
    cdef f8 slopes[3]
    if spec.dimensions == 1:
        gather_points(spec, y, first, last, grid, self_terms, out, potential, weights, slopes, 1, p)
    elif spec.dimensions == 2:
        if p == 5:
            gather_points(
                spec, y, first, last, grid, self_terms, out, potential, weights, slopes, 2, 5
            )
        else:
            gather_points(
                spec, y, first, last, grid, self_terms, out, potential, weights, slopes, 2, p
            )
    elif p == 5:
        gather_points(spec, y, first, last, grid, self_terms, out, potential, weights, slopes, 3, 5)
    else:
        gather_points(spec, y, first, last, grid, self_terms, out, potential, weights, slopes, 3, p)


cdef GridSpec grid_spec(
    const float[:, ::1] y, float[:, :, ::1] grid, const float[::1] origin, float spacing,
    const float[:, :, ::1] polynomials,
) noexcept:
    cdef GridSpec spec
    cdef int c
    spec.size = [grid.shape[2], grid.shape[1], grid.shape[0]]
    spec.step = [1, grid.shape[2], grid.shape[1] * grid.shape[2]]
    spec.origin = [0, 0, 0]
    spec.inverse_spacing = 1 / spacing
    spec.order = <int> polynomials.shape[1]
    spec.weights, spec.slopes = &polynomials[0, 0, 0], &polynomials[1, 0, 0]
    spec.dimensions = <int> y.shape[1]
    for c in range(spec.dimensions):
        spec.origin[c] = origin[c]
    return spec


def spread(
    const float[:, ::1] y,  # IN (n, d), d <= 3
    float[:, :, ::1] grid,  # OUT (layers, rows, stride); 8 columns of room behind the last cell
    const float[::1] origin,  # IN (d,), the corner of the grid
    float spacing,
    const float[:, :, ::1] polynomials,  # IN (2, p, 8), from `splines.polynomials`
    int32_t[:, ::1] scratch,  # SCRATCH (3, max(n, 2 * layers * rows) + 64): tile of a point,
    # points, first point of a tile
    int n_threads,
):
    """Fill the grid with the points' spline weights. O(n p^d)."""
    cdef GridSpec spec = grid_spec(y, grid, origin, spacing, polynomials)
    cdef Py_ssize_t n = y.shape[0], n_rows = grid.shape[0] * grid.shape[1], chunk, tile, t, _once
    cdef Py_ssize_t n_tiles = tiles_along(&spec, 1) * tiles_along(&spec, 2)
    cdef int color, n_colors = 4 if spec.dimensions == 3 else 2
    cdef int32_t *numbers = &scratch[0, 0]
    cdef int32_t *points = &scratch[1, 0]
    cdef int32_t *tiles = &scratch[2, 0]
    cdef int32_t *starts = tiles + n_tiles + 1
    # One parallel region: to wake sleeping threads costs as much as to sort the points.
    with nogil, parallel(num_threads=n_threads):
        for chunk in prange(CHUNKS, schedule="static"):
            memset(
                &grid[0, 0, 0] + chunk_start(chunk, n_rows) * spec.step[1], 0,
                (chunk_start(chunk + 1, n_rows) - chunk_start(chunk, n_rows)) * spec.step[1]
                * sizeof(float),
            )
            count_points(&spec, &y[0, 0], n, chunk, starts, n_tiles, numbers)
        for _once in prange(1):
            counts_to_starts(starts, n_tiles, tiles)
        for chunk in prange(CHUNKS, schedule="static"):
            place_points(n, chunk, starts, n_tiles, numbers, points)
        for color in range(n_colors):
            for tile in prange(tiles_of_color(&spec, color), schedule="dynamic"):
                t = tile_number(&spec, color, tile)
                spread_tile(
                    &spec, &y[0, 0], points + tiles[t], tiles[t + 1] - tiles[t], &grid[0, 0, 0]
                )


def gather(
    const float[:, ::1] y,  # IN (n, d), d <= 3
    float[:, :, ::1] grid,  # IN (layers, rows, stride), the potential
    const float[::1] origin, float spacing,  # IN as in `spread`
    const float[:, :, ::1] polynomials,  # IN as in `spread`
    const float[::1] self_terms,  # IN (SELF_FORCE_TERMS,), a point's force on itself: influence.py
    float[:, ::1] out,  # OUT (n, d)
    int n_threads,
    float[::1] potential=None,  # OUT (n,), phi
):
    """Write F = -1/2 grad phi at the points to ``out``. O(n p^d).

    Points lie where those that were spread could have lain.
    """
    cdef GridSpec spec = grid_spec(y, grid, origin, spacing, polynomials)
    cdef Py_ssize_t n = y.shape[0], b, n_blocks = (n + BLOCK - 1) // BLOCK
    cdef float *phi = NULL
    if potential is not None and n > 0:
        phi = &potential[0]
    for b in prange(n_blocks, nogil=True, schedule="dynamic", num_threads=n_threads):
        gather_block(
            &spec, &y[0, 0], b * BLOCK, min((b + 1) * BLOCK, n), &grid[0, 0, 0], &self_terms[0],
            &out[0, 0], phi,
        )


cdef struct MeshTask:
    RowTask task
    GridSpec spec
    const float *y, *grid, *self_terms, *low, *high
    float *out
    double *z
    double mean
    double min_z


cdef bint run_task(const void *task, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef const MeshTask *t = <const MeshTask *> task
    cdef Py_ssize_t i, e, d = t.spec.dimensions
    cdef float phi
    for i in range(first, last):
        for e in range(i * d, i * d + d):
            if t.y[e] < t.low[e - i * d] or t.y[e] > t.high[e - i * d]:
                return True
        gather_block(&t.spec, t.y + i * d, 0, 1, t.grid, t.self_terms, t.out + i * d, &phi)
        t.z[i] = phi + t.mean
        if t.z[i] < t.min_z:
            return True
    return False


def row_task(
    const float[:, ::1] y, float[:, :, ::1] grid, const float[::1] low, float spacing,  # IN, as of
    const float[:, :, ::1] polynomials, const float[::1] self_terms, float[:, ::1] out,  # `gather`
    double[::1] z,  # OUT (n,), the potential plus `mean`
    const float[::1] high,  # IN (d,), the corner of the grid that is opposite to `low`
    double mean, double min_z,
):
    """``gather`` as a task for rows inside whose z is not too small: see ``row_task.pxd``."""
    cdef MeshTask *task = <MeshTask *> new_task(sizeof(MeshTask), run_task)
    task.spec = grid_spec(y, grid, low, spacing, polynomials)
    task.y, task.grid, task.self_terms = &y[0, 0], &grid[0, 0, 0], &self_terms[0]
    task.out, task.z, task.low, task.high = &out[0, 0], &z[0], &low[0], &high[0]
    task.mean, task.min_z = mean, min_z
    return as_capsule(task)
