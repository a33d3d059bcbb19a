"""Hat functions on a grid over the map: restriction, prolongation and their stiffness matrix.

A grid of nodes h apart covers the map.  The hat function phi_a of node a is the product, over the
coordinates, of max(0, 1 - |y - a| / h): bilinear interpolation in two dimensions.  A point that
lies outside counts as lying on the grid's edge.

    restrict:   out_a = sum_i phi_a(y_i) r_i
    prolong:    out_i = scale / degree_i r_i + sum_a phi_a(y_i) u_a
    stiffness:  G_ab = sum_i (1/2 grad phi_a(y_i)^T T_i grad phi_b(y_i) + mass phi_a phi_b)

T_i is what ``attraction.edge_moments`` makes of the edges of point i.  G couples a node only with
its neighbours: it comes as one row for each distance between the numbers of two nodes, the lower
half of a symmetric band matrix.  Sums run over fixed blocks of points: any number of threads
gives the same bits.
"""

from cython.parallel cimport prange

import numpy as np

# Each block has a grid of its own for its sums, so that there may not be many.
cdef Py_ssize_t BLOCK = 2048
cdef Py_ssize_t MAX_BLOCKS = 32
# Corners of a cell in three dimensions.
DEF CORNERS = 8


cdef struct Grid:
    double low[3]
    double inverse_spacing
    Py_ssize_t shape[3]
    Py_ssize_t stride[3]


cdef inline Py_ssize_t locate(
    const Grid *grid, const double *y, int d, double *values, double *slopes
) noexcept nogil:
    """The first node of the cell of y; values and slopes (2^d, d) of the hats of its corners.

    Corner k has coordinate c of the cell's upper side where bit c of k is set.
    """
    cdef double weight[6]  # of the lower and of the upper side, for each coordinate
    cdef double slope[6]
    cdef double position, limit
    cdef Py_ssize_t node = 0, cell
    cdef int c, e, k
    for c in range(d):
        position = (y[c] - grid.low[c]) * grid.inverse_spacing
        limit = grid.shape[c] - 1
        slope[2 * c + 1] = grid.inverse_spacing if 0 <= position <= limit else 0
        slope[2 * c] = -slope[2 * c + 1]
        position = min(max(position, 0.0), limit)
        cell = min(<Py_ssize_t> position, grid.shape[c] - 2)
        weight[2 * c + 1] = position - cell
        weight[2 * c] = 1 - weight[2 * c + 1]
        node += cell * grid.stride[c]
    for k in range(1 << d):
        values[k] = 1
        for c in range(d):
            values[k] *= weight[2 * c + ((k >> c) & 1)]
        if slopes != NULL:
            for e in range(d):
                slopes[k * d + e] = slope[2 * e + ((k >> e) & 1)]
                for c in range(d):
                    if c != e:
                        slopes[k * d + e] *= weight[2 * c + ((k >> c) & 1)]
    return node


cdef inline void corners_of(const Grid *grid, int d, Py_ssize_t *offset) noexcept nogil:
    """How far the number of each corner's node is from that of the cell's first."""
    cdef int c, k
    for k in range(1 << d):
        offset[k] = 0
        for c in range(d):
            if (k >> c) & 1:
                offset[k] += grid.stride[c]


cdef inline void restrict_block(
    const Grid *grid, const double *y, const double *r, double *out,
    Py_ssize_t first, Py_ssize_t last, int d,
) noexcept nogil:
    cdef double values[CORNERS]
    cdef Py_ssize_t offset[CORNERS]
    cdef Py_ssize_t i, node
    cdef int c, k
    corners_of(grid, d, offset)
    for i in range(first, last):
        node = locate(grid, y + i * d, d, values, NULL)
        for k in range(1 << d):
            for c in range(d):
                out[(node + offset[k]) * d + c] += values[k] * r[i * d + c]


cdef inline double prolong_block(
    const Grid *grid, const double *y, const double *r, const float *degree, double scale,
    double shift, const double *u, double *out, Py_ssize_t first, Py_ssize_t last, int d,
) noexcept nogil:
    """Write the rows first..last; return the sum of out * r over them."""
    cdef double values[CORNERS]
    cdef Py_ssize_t offset[CORNERS]
    cdef double z, own, total = 0
    cdef Py_ssize_t i, node
    cdef int c, k
    corners_of(grid, d, offset)
    for i in range(first, last):
        node = locate(grid, y + i * d, d, values, NULL)
        own = scale / (degree[i] + shift)
        for c in range(d):
            z = own * r[i * d + c]
            for k in range(1 << d):
                z += values[k] * u[(node + offset[k]) * d + c]
            out[i * d + c] = z
            total += z * r[i * d + c]
    return total


cdef inline void stiffness_block(
    const Grid *grid, const double *y, const float *moments, double mass,
    const Py_ssize_t *band, Py_ssize_t n_nodes, double *out,
    Py_ssize_t first, Py_ssize_t last, int d,
) noexcept nogil:
    """``band[a * 2^d + b]`` is the row of the distance between corners a <= b of a cell."""
    cdef double values[CORNERS]
    cdef double slopes[3 * CORNERS]
    cdef double flow[3]  # T grad phi_a
    cdef double T[9]
    cdef Py_ssize_t offset[CORNERS]
    cdef double g
    cdef Py_ssize_t i, node
    cdef int a, b, c, e, k, corners = 1 << d, size = d * (d + 1) // 2
    corners_of(grid, d, offset)
    for i in range(first, last):
        node = locate(grid, y + i * d, d, values, slopes)
        k = 0
        for c in range(d):
            for e in range(c, d):
                T[c * d + e] = T[e * d + c] = 0.5 * moments[i * size + k]
                k += 1
        for a in range(corners):
            for c in range(d):
                flow[c] = 0
                for e in range(d):
                    flow[c] += T[c * d + e] * slopes[a * d + e]
            for b in range(a, corners):
                g = mass * values[a] * values[b]
                for c in range(d):
                    g += flow[c] * slopes[b * d + c]
                # Of the two nodes the one with the smaller number has the entry.
                out[band[a * corners + b] * n_nodes + node + min(offset[a], offset[b])] += g


cdef Grid grid_of(const double[::1] low, double spacing, shape) except *:
    cdef Grid grid
    cdef Py_ssize_t stride = 1
    cdef int c
    for c in range(<int> low.shape[0]):
        if shape[c] < 2:
            raise ValueError("a grid needs two nodes in each coordinate")
        grid.low[c] = low[c]
        grid.shape[c] = shape[c]
        grid.stride[c] = stride
        stride *= grid.shape[c]
    grid.inverse_spacing = 1 / spacing
    return grid


cpdef Py_ssize_t count_blocks(Py_ssize_t n) noexcept nogil:
    """How many sums over blocks of n points there are: the first length of the scratch arrays."""
    return max(1, min((n + BLOCK - 1) // BLOCK, MAX_BLOCKS))


def restrict(
    const double[:, ::1] y,  # IN (n, d), d <= 3
    const double[:, ::1] r,  # IN (n, d)
    const double[::1] low, double spacing, tuple shape,  # IN the grid: first node, d numbers
    double[:, :, ::1] block_sums,  # SCRATCH (count_blocks(n), nodes, d)
    int n_threads,
):
    """The sums over the points for each node, (nodes, d) float64; the first coordinate of a node
    changes fastest with its number.
    """
    cdef Grid grid = grid_of(low, spacing, shape)
    cdef Py_ssize_t n = y.shape[0], n_blocks = count_blocks(n), b
    cdef int d = <int> y.shape[1]
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        block_sums[b, :, :] = 0
        if d == 1:
            restrict_block(&grid, &y[0, 0], &r[0, 0], &block_sums[b, 0, 0],
                           n * b // n_blocks, n * (b + 1) // n_blocks, 1)
        elif d == 2:
            restrict_block(&grid, &y[0, 0], &r[0, 0], &block_sums[b, 0, 0],
                           n * b // n_blocks, n * (b + 1) // n_blocks, 2)
        else:
            restrict_block(&grid, &y[0, 0], &r[0, 0], &block_sums[b, 0, 0],
                           n * b // n_blocks, n * (b + 1) // n_blocks, 3)
    return np.sum(block_sums[:n_blocks], axis=0)


def prolong(
    const double[:, ::1] y,  # IN (n, d), d <= 3
    const double[:, ::1] r,  # IN (n, d)
    const float[::1] degree,  # IN (n,)
    double scale, double shift,
    const double[:, ::1] u,  # IN (nodes, d)
    const double[::1] low, double spacing, tuple shape,  # IN the grid
    double[:, ::1] out,  # OUT (n, d)
    int n_threads,
):
    """scale / (degree_i + shift) r_i + sum_a phi_a(y_i) u_a; return the sum of out * r."""
    cdef Grid grid = grid_of(low, spacing, shape)
    cdef Py_ssize_t n = y.shape[0], n_blocks = count_blocks(n), b
    cdef int d = <int> y.shape[1]
    cdef double[::1] totals = np.zeros(n_blocks)
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        if d == 1:
            totals[b] = prolong_block(
                &grid, &y[0, 0], &r[0, 0], &degree[0], scale, shift, &u[0, 0], &out[0, 0],
                n * b // n_blocks, n * (b + 1) // n_blocks, 1)
        elif d == 2:
            totals[b] = prolong_block(
                &grid, &y[0, 0], &r[0, 0], &degree[0], scale, shift, &u[0, 0], &out[0, 0],
                n * b // n_blocks, n * (b + 1) // n_blocks, 2)
        else:
            totals[b] = prolong_block(
                &grid, &y[0, 0], &r[0, 0], &degree[0], scale, shift, &u[0, 0], &out[0, 0],
                n * b // n_blocks, n * (b + 1) // n_blocks, 3)
    return float(np.sum(totals))


def stiffness(
    const double[:, ::1] y,  # IN (n, d), d <= 3
    const float[:, ::1] moments,  # IN (n, d (d + 1) / 2), the upper half of T_i, row by row
    double mass,
    const double[::1] low, double spacing, tuple shape,  # IN the grid
    double[:, :, ::1] block_sums,  # SCRATCH (count_blocks(n), distances, nodes)
    int n_threads,
):
    """The entries of G as (distances, nodes) float64: G_ab, b - a = distance, in column a.

    Distances rise; :func:`distances` has them.
    """
    cdef Grid grid = grid_of(low, spacing, shape)
    cdef Py_ssize_t n = y.shape[0], n_blocks = count_blocks(n), n_nodes = block_sums.shape[2], b
    cdef int d = <int> y.shape[1], corners = 1 << d, first, second
    cdef Py_ssize_t offset[CORNERS]
    cdef Py_ssize_t band[CORNERS * CORNERS]
    corners_of(&grid, d, offset)
    rows = {distance: row for row, distance in enumerate(distances(shape))}
    for first in range(corners):
        for second in range(first, corners):
            band[first * corners + second] = rows[abs(offset[second] - offset[first])]
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        block_sums[b, :, :] = 0
        if d == 1:
            stiffness_block(&grid, &y[0, 0], &moments[0, 0], mass, band, n_nodes,
                            &block_sums[b, 0, 0],
                            n * b // n_blocks, n * (b + 1) // n_blocks, 1)
        elif d == 2:
            stiffness_block(&grid, &y[0, 0], &moments[0, 0], mass, band, n_nodes,
                            &block_sums[b, 0, 0],
                            n * b // n_blocks, n * (b + 1) // n_blocks, 2)
        else:
            stiffness_block(&grid, &y[0, 0], &moments[0, 0], mass, band, n_nodes,
                            &block_sums[b, 0, 0],
                            n * b // n_blocks, n * (b + 1) // n_blocks, 3)
    return np.sum(block_sums[:n_blocks], axis=0)


def distances(shape):
    """How far the numbers of two nodes of one cell can be apart, rising."""
    steps = {0}
    stride = 1
    for nodes in shape:
        steps = {step + side * stride for step in steps for side in (-1, 0, 1)}
        stride *= nodes
    return sorted(step for step in steps if step >= 0)
