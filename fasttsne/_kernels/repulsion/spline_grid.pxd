"""A grid of cardinal B-splines of order p: a point's weights spread to it, or a potential gathered.

One code serves every dimension: a grid has layers of rows of columns, and a single layer, or row,
where it has fewer dimensions.  A point's first coordinate runs along the columns, the second along
the rows, the third along the layers.  Source: Essmann et al. 1995.
"""

from libc.math cimport floorf

from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_fma, f8_load, f8_mul, f8_set1, f8_store, f8_sum,
)

cdef enum:
    SPLINE_WIDTH = 8  # lanes that hold a spline's weights, of which the first p are not zero
    N_SELF_FORCE_TERMS = 6  # of the polynomial of a point's force on itself


cdef struct SplineGrid:
    Py_ssize_t step[3]  # floats from node to node along each axis
    float origin[3]
    float inverse_spacing
    const float *weights  # (p, SPLINE_WIDTH)
    const float *slopes  # (p - 1, SPLINE_WIDTH)
    const float *self_terms  # (N_SELF_FORCE_TERMS,)
    int order  # p
    int d


cdef inline Py_ssize_t spline(
    const SplineGrid *grid, float y, int axis, int p, f8 *weight, f8 *slope
) noexcept nogil:
    """The weights at the p nodes from floor(u) on and their derivatives by u; return floor(u).

    In the fraction t = u - floor(u) each weight is a polynomial of degree p - 1: Horner's rule with
    one node a lane.
    """
    cdef float u = (y - grid.origin[axis]) * grid.inverse_spacing
    cdef float cell = floorf(u)
    cdef f8 t = f8_set1(u - cell)
    cdef int power
    weight[0] = f8_load(grid.weights)
    for power in range(1, p):
        weight[0] = f8_fma(weight[0], t, f8_load(grid.weights + power * SPLINE_WIDTH))
    slope[0] = f8_load(grid.slopes)
    for power in range(1, p - 1):
        slope[0] = f8_fma(slope[0], t, f8_load(grid.slopes + power * SPLINE_WIDTH))
    return <Py_ssize_t> cell


cdef inline Py_ssize_t stencil_origin(
    const SplineGrid *grid, const float *y, int d, int p, f8 *weights, f8 *slopes
) noexcept nogil:
    """The splines of a point along each axis; return the index of its first node."""
    cdef Py_ssize_t node = spline(grid, y[0], 0, p, weights, slopes)
    if d > 1:
        node += spline(grid, y[1], 1, p, weights + 1, slopes + 1) * grid.step[1]
    if d > 2:
        node += spline(grid, y[2], 2, p, weights + 2, slopes + 2) * grid.step[2]
    return node


cdef inline void spread_point(
    const SplineGrid *grid, const float *y, float *cells, int d, int p
) noexcept nogil:
    """Add a point to the grid; ``d`` and ``p`` are literals at each call."""
    cdef f8 weights[3]
    cdef f8 unused[3]
    cdef float row_weights[SPLINE_WIDTH]
    cdef float layer_weights[SPLINE_WIDTH]
    cdef f8 column_weights
    cdef float *layer = cells + stencil_origin(grid, y, d, p, weights, unused)
    cdef float *row
    cdef int a, b
    row_weights[0] = layer_weights[0] = 1
    if d > 1:
        f8_store(row_weights, weights[1])
    if d > 2:
        f8_store(layer_weights, weights[2])
    for b in range(p if d > 2 else 1):
        column_weights = f8_mul(f8_set1(layer_weights[b]), weights[0]) if d > 2 else weights[0]
        row = layer
        for a in range(p if d > 1 else 1):
            f8_store(row, f8_fma(f8_set1(row_weights[a]), column_weights, f8_load(row)))
            row += grid.step[1]
        layer += grid.step[2]


cdef inline float self_force(const SplineGrid *grid, float y, int axis) noexcept nogil:
    """The force of a point on itself along one axis, an odd polynomial in t - 1/2."""
    cdef float u = (y - grid.origin[axis]) * grid.inverse_spacing
    cdef float s = u - floorf(u) - <float> 0.5
    cdef float s2 = s * s, sum = grid.self_terms[0]
    cdef int power
    for power in range(1, N_SELF_FORCE_TERMS):
        sum = sum * s2 + grid.self_terms[power]
    return sum * s


cdef inline float along_axis(
    const SplineGrid *grid, f8 column_weights, f8 phi, float y, int axis
) noexcept nogil:
    """The force along an axis, from the potential summed over the others but the columns."""
    cdef float slope = f8_sum(f8_mul(column_weights, phi))
    return -grid.inverse_spacing / 2 * slope - self_force(grid, y, axis)


cdef inline float gather_point(
    const SplineGrid *grid, const float *y, const float *cells, float *force, f8 *weights,
    f8 *slopes, int d, int p,
) noexcept nogil:
    """Write F = -1/2 grad phi, less the point's force on itself; return phi.

    ``d`` and ``p`` are literals at each call; room for the splines is the caller's because
    compilers do not inline functions that need much of it.
    """
    cdef f8 line, phi, phi_rows, phi_layers, layer_phi, layer_phi_rows
    cdef float row_weights[SPLINE_WIDTH]
    cdef float row_slopes[SPLINE_WIDTH]
    cdef float layer_weights[SPLINE_WIDTH]
    cdef float layer_slopes[SPLINE_WIDTH]
    cdef const float *layer = cells + stencil_origin(grid, y, d, p, weights, slopes)
    cdef const float *row
    cdef int a, b
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
            row += grid.step[1]
        if d == 1:
            phi = f8_load(layer)
        elif d == 2:
            phi, phi_rows = layer_phi, layer_phi_rows
        else:
            phi = f8_fma(f8_set1(layer_weights[b]), layer_phi, phi)
            phi_rows = f8_fma(f8_set1(layer_weights[b]), layer_phi_rows, phi_rows)
            phi_layers = f8_fma(f8_set1(layer_slopes[b]), layer_phi, phi_layers)
            layer += grid.step[2]
    force[0] = along_axis(grid, slopes[0], phi, y[0], 0)
    if d > 1:
        force[1] = along_axis(grid, weights[0], phi_rows, y[1], 1)
    if d > 2:
        force[2] = along_axis(grid, weights[0], phi_layers, y[2], 2)
    return f8_sum(f8_mul(weights[0], phi))
