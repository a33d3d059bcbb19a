"""Hat functions on a grid over the map, and a coarse grid with twice its spacing.

A hat phi_a is one at node a of the grid, zero at the others and multilinear in each cell between
2^d nodes, its corners: corner k is on the upper side of coordinate c where bit c of k is set.

    sort_points   which cell each point is in, and where in it
    stiffness     of each cell: sum_i grad phi_a^T T_i grad phi_b / 2 + mass phi_a phi_b
    restrict      f_a = sum_i phi_a(y_i) r_i
    correct       u = f / diagonal + C G^-1 C^T f, with G a band matrix, C from coarse to fine nodes
    prolong       z_i = scale / (degree_i + shift) r_i + sum_a phi_a(y_i) u_a

T_i are the moments of ``attraction.edge_moments``.  Cells without points and nodes that have no
cell do not exist: numbers of cells and nodes run over the others.  Each cell sums its points one
after the other, so that any number of threads gives the same bits.  A point outside the grid
counts as lying on its edge, where no hat has a slope.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np

cdef enum:
    CORNERS = 8  # of a cell in three dimensions
    PAIRS = 36  # of corners
    CHUNK = 16  # cells that a thread takes at a time


cdef inline void multiply_sides(
    const double *lower, const double *upper, int d, double *out
) noexcept nogil:
    """For each corner the product, over the coordinates, of the factor of its side."""
    cdef int c, k
    out[0] = 1
    for c in range(d):
        for k in range(1 << c):
            out[k + (1 << c)] = out[k] * upper[c]
            out[k] *= lower[c]


cdef inline void hats_at(const float *fraction, int d, double *out) noexcept nogil:
    """The hats of a cell's corners at a point of it."""
    cdef double lower[3]
    cdef double upper[3]
    cdef int c
    for c in range(d):
        upper[c] = fraction[c]
        lower[c] = 1 - upper[c]
    multiply_sides(lower, upper, d, out)


cdef inline void slopes_at(
    const double *fraction, const double *steepness, int d, double *hats, double *slopes
) noexcept nogil:
    """The hats and their derivatives by each coordinate, (d, CORNERS)."""
    cdef double lower[3]
    cdef double upper[3]
    cdef int c
    for c in range(d):
        upper[c] = fraction[c]
        lower[c] = 1 - upper[c]
    multiply_sides(lower, upper, d, hats)
    for c in range(d):
        lower[c], upper[c] = -steepness[c], steepness[c]
        multiply_sides(lower, upper, d, slopes + c * CORNERS)
        lower[c], upper[c] = 1 - fraction[c], fraction[c]


cdef inline double energy(
    const double *T, double mass, const double *hats, const double *slopes, int a, int b, int d
) noexcept nogil:
    """grad phi_a^T T grad phi_b + mass phi_a phi_b"""
    cdef double g = mass * hats[a] * hats[b]
    cdef int c, e
    for c in range(d):
        for e in range(d):
            g += slopes[c * CORNERS + a] * T[c * d + e] * slopes[e * CORNERS + b]
    return g


cdef inline void stiffness_of_cell(
    const int32_t *points, const float *fractions, Py_ssize_t n, int half, const float *moments,
    double mass, double inverse_spacing, double *pairs, double *diagonal, int d,
) noexcept nogil:
    cdef double T[9]
    cdef double fine[3]
    cdef double coarse[3]
    cdef double fine_steepness[3]
    cdef double coarse_steepness[3]
    cdef double hats[CORNERS]
    cdef double slopes[3 * CORNERS]
    cdef Py_ssize_t i, size = d * (d + 1) // 2
    cdef int a, b, c, e, k
    for i in range(n):
        k = 0
        for c in range(d):
            for e in range(c, d):
                T[c * d + e] = T[e * d + c] = 0.5 * moments[points[i] * size + k]
                k = k + 1
            fine[c] = fractions[i * d + c]
            coarse[c] = 0.5 * (fine[c] + ((half >> c) & 1))
            fine_steepness[c] = inverse_spacing if 0 < fine[c] < 1 else 0
            coarse_steepness[c] = 0.5 * fine_steepness[c]
        slopes_at(fine, fine_steepness, d, hats, slopes)
        for a in range(1 << d):
            diagonal[a] += energy(T, mass, hats, slopes, a, a, d)
        slopes_at(coarse, coarse_steepness, d, hats, slopes)
        k = 0
        for a in range(1 << d):
            for b in range(a, 1 << d):
                pairs[k] += energy(T, mass, hats, slopes, a, b, d)
                k = k + 1


cdef inline void restrict_cell(
    const int32_t *points, const float *fractions, Py_ssize_t n, const double *r, double *out, int d
) noexcept nogil:
    cdef double hats[CORNERS]
    cdef double sums[3 * CORNERS]
    cdef Py_ssize_t i
    cdef int c, k
    for k in range(d << d):
        sums[k] = 0
    for i in range(n):
        hats_at(fractions + i * d, d, hats)
        for k in range(1 << d):
            for c in range(d):
                sums[k * d + c] += hats[k] * r[points[i] * d + c]
    for k in range(d << d):
        out[k] = sums[k]


cdef inline double prolong_cell(
    const int32_t *points, const float *fractions, Py_ssize_t n, const int32_t *corners,
    const double *u, const double *r, const float *degree, double scale, double shift,
    double *out, int d,
) noexcept nogil:
    """Write the points of the cell; return the sum of out * r over them."""
    cdef double hats[CORNERS]
    cdef double values[3 * CORNERS]
    cdef double own, z, total = 0
    cdef Py_ssize_t i, e
    cdef int c, k
    for k in range(1 << d):
        for c in range(d):
            values[k * d + c] = u[corners[k] * d + c]
    for i in range(n):
        hats_at(fractions + i * d, d, hats)
        own = scale / (degree[points[i]] + shift)
        for c in range(d):
            e = <Py_ssize_t> points[i] * d + c
            z = own * r[e]
            for k in range(1 << d):
                z += hats[k] * values[k * d + c]
            out[e] = z
            total += z * r[e]
    return total


def sort_points(
    const double[:, ::1] y,  # IN (n, d), d <= 3
    const double[::1] low,  # IN (d,), the grid's first corner
    double spacing,
    const int64_t[::1] shape,  # IN (d,), how many cells there are along each coordinate
    const int64_t[::1] strides,  # IN (d,), how far the numbers of neighbouring cells are apart
    int32_t[::1] cell_of,  # SCRATCH (n,)
    int32_t[::1] ends,  # OUT (cells of the whole grid,), where the points of each cell end
    int32_t[::1] points,  # OUT (n,), by cell
    float[:, ::1] fractions,  # OUT (n, d), where each of ``points`` is in its cell, 0 to 1
):
    """Sort points by the cell that they are in. O(n + cells)."""
    cdef Py_ssize_t n = y.shape[0], i, before, place
    cdef int d = <int> y.shape[1], c
    cdef int32_t cell, count
    cdef double position, inverse_spacing = 1 / spacing
    ends[:] = 0
    with nogil:
        for i in range(n):
            cell = 0
            for c in range(d):
                position = (y[i, c] - low[c]) * inverse_spacing
                cell += <int32_t> (strides[c] * cell_along(position, shape[c]))
            cell_of[i] = cell
            ends[cell] += 1
        before = 0
        for i in range(ends.shape[0]):
            count = ends[i]
            ends[i] = <int32_t> before
            before += count
        for i in range(n):
            place = ends[cell_of[i]]
            ends[cell_of[i]] += 1
            points[place] = <int32_t> i
            for c in range(d):
                position = (y[i, c] - low[c]) * inverse_spacing
                position -= cell_along(position, shape[c])
                fractions[place, c] = <float> min(max(position, 0.0), 1.0)


cdef inline int64_t cell_along(double position, int64_t n_cells) noexcept nogil:
    """The cell of a coordinate; one outside is in the first or the last."""
    if position >= n_cells:
        return n_cells - 1
    return <int64_t> position if position > 0 else 0


def stiffness(
    const int32_t[::1] points,  # IN (n,), by cell
    const int32_t[::1] starts,  # IN (cells + 1,), where in ``points`` each cell starts
    const float[:, ::1] fractions,  # IN (n, d)
    const uint8_t[::1] halves,  # IN (cells,), bit c: whether it is its coarse cell's upper half
    const float[:, ::1] moments,  # IN (n, d (d + 1) / 2), the upper half of T_i, row by row
    double mass,
    double spacing,
    double[:, ::1] pairs,  # OUT (cells, 2^d (2^d + 1) / 2), coarse corners a <= b, row by row
    double[:, ::1] diagonal,  # OUT (cells, 2^d), of each corner
    int n_threads,
):
    """What the points of each cell add to the stiffness matrix of the coarse hats, and to
    the diagonal of that of the fine ones. O(n).
    """
    cdef Py_ssize_t cell
    cdef int d = <int> fractions.shape[1]
    cdef double inverse_spacing = 1 / spacing
    pairs[:, :], diagonal[:, :] = 0, 0
    for cell in prange(halves.shape[0], nogil=True, schedule="dynamic", chunksize=CHUNK,
                       num_threads=n_threads):
        if d == 2:
            stiffness_of_cell(
                &points[starts[cell]], &fractions[starts[cell], 0], starts[cell + 1] - starts[cell],
                halves[cell], &moments[0, 0], mass, inverse_spacing, &pairs[cell, 0],
                &diagonal[cell, 0], 2)
        else:
            stiffness_of_cell(
                &points[starts[cell]], &fractions[starts[cell], 0], starts[cell + 1] - starts[cell],
                halves[cell], &moments[0, 0], mass, inverse_spacing, &pairs[cell, 0],
                &diagonal[cell, 0], d)


def restrict(
    const int32_t[::1] points, const int32_t[::1] starts,  # IN as for `stiffness`
    const float[:, ::1] fractions,  # IN as for `stiffness`
    const int32_t[:, ::1] corners,  # IN (cells, 2^d), the nodes
    const double[:, ::1] r,  # IN (n, d)
    double[:, :, ::1] cell_sums,  # SCRATCH (cells, 2^d, d)
    double[:, ::1] out,  # OUT (nodes, d)
    int n_threads,
):
    """The sums over the points of hats times r. O(n)."""
    cdef Py_ssize_t cell
    cdef int d = <int> r.shape[1], c, k
    for cell in prange(corners.shape[0], nogil=True, schedule="dynamic", chunksize=CHUNK,
                       num_threads=n_threads):
        if d == 2:
            restrict_cell(
                &points[starts[cell]], &fractions[starts[cell], 0], starts[cell + 1] - starts[cell],
                &r[0, 0], &cell_sums[cell, 0, 0], 2)
        else:
            restrict_cell(
                &points[starts[cell]], &fractions[starts[cell], 0], starts[cell + 1] - starts[cell],
                &r[0, 0], &cell_sums[cell, 0, 0], d)
    out[:, :] = 0
    for cell in range(corners.shape[0]):
        for k in range(1 << d):
            for c in range(d):
                out[corners[cell, k], c] += cell_sums[cell, k, c]


def prolong(
    const int32_t[::1] points, const int32_t[::1] starts,  # IN as for `stiffness`
    const float[:, ::1] fractions,  # IN as for `stiffness`
    const int32_t[:, ::1] corners,  # IN (cells, 2^d), the nodes
    const double[:, ::1] u,  # IN (nodes, d)
    const double[:, ::1] r,  # IN (n, d)
    const float[::1] degree,  # IN (n,)
    double scale, double shift,
    double[::1] cell_totals,  # SCRATCH (cells,)
    double[:, ::1] out,  # OUT (n, d)
    int n_threads,
):
    """scale / (degree_i + shift) r_i + sum_a phi_a(y_i) u_a; return the sum of out * r. O(n)."""
    cdef Py_ssize_t cell
    cdef int d = <int> r.shape[1]
    for cell in prange(corners.shape[0], nogil=True, schedule="dynamic", chunksize=CHUNK,
                       num_threads=n_threads):
        if d == 2:
            cell_totals[cell] = prolong_cell(
                &points[starts[cell]], &fractions[starts[cell], 0], starts[cell + 1] - starts[cell],
                &corners[cell, 0], &u[0, 0], &r[0, 0], &degree[0], scale, shift, &out[0, 0], 2)
        else:
            cell_totals[cell] = prolong_cell(
                &points[starts[cell]], &fractions[starts[cell], 0], starts[cell + 1] - starts[cell],
                &corners[cell, 0], &u[0, 0], &r[0, 0], &degree[0], scale, shift, &out[0, 0], d)
    return float(np.sum(cell_totals))


def factor(
    double[:, ::1] band,  # INOUT (nodes, width): row j has G_jj, G_j+1,j, ...; then 1 / D and L
):
    """The factors L D L^T of a band matrix, in its place. O(nodes width^2).

    Where rounding leaves nothing of a pivot, its node is left out: 1 / D is 0.
    """
    cdef Py_ssize_t n = band.shape[0], width = band.shape[1], j, k, m, length
    cdef double inverse, entry
    with nogil:
        for j in range(n):
            inverse = 1 / band[j, 0] if band[j, 0] > 0 else 0
            length = min(width, n - j)
            for k in range(1, length):
                entry = band[j, k] * inverse
                for m in range(k, length):
                    band[j + k, m - k] -= entry * band[j, m]
                band[j, k] = entry
            band[j, 0] = inverse


cdef void solve(const double[:, ::1] band, double[:, ::1] x) noexcept nogil:
    """x becomes G^-1 x, with the factors of G. O(nodes width d)."""
    cdef Py_ssize_t n = band.shape[0], width = band.shape[1], i, j, k
    cdef int c, d = <int> x.shape[1]
    for j in range(n):
        for k in range(1, min(width, n - j)):
            for c in range(d):
                x[j + k, c] -= band[j, k] * x[j, c]
    for i in range(n):
        j = n - 1 - i
        for c in range(d):
            x[j, c] *= band[j, 0]
        for k in range(1, min(width, n - j)):
            for c in range(d):
                x[j, c] -= band[j, k] * x[j + k, c]


def correct(
    const double[:, ::1] band,  # IN (coarse nodes, width), factors of G by `factor`
    const int32_t[:, ::1] parents,  # IN (nodes, 2^d), coarse nodes whose mean a node is
    const double[::1] inverse_diagonal,  # IN (nodes,)
    double[:, ::1] coarse,  # SCRATCH (coarse nodes, d)
    double[:, ::1] f,  # INOUT (nodes, d)
):
    """f becomes f * inverse_diagonal + C G^-1 C^T f. O(nodes + coarse nodes width)."""
    cdef Py_ssize_t a
    cdef int d = <int> f.shape[1], n_parents = <int> parents.shape[1], c, k
    cdef double share = 1.0 / n_parents, total
    with nogil:
        coarse[:, :] = 0
        for a in range(f.shape[0]):
            for k in range(n_parents):
                for c in range(d):
                    coarse[parents[a, k], c] += share * f[a, c]
        solve(band, coarse)
        for a in range(f.shape[0]):
            for c in range(d):
                total = 0
                for k in range(n_parents):
                    total += coarse[parents[a, k], c]
                f[a, c] = f[a, c] * inverse_diagonal[a] + share * total
