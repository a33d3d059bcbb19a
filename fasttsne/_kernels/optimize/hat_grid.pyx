"""Hat functions on a grid over the map, and on a coarse grid with twice its spacing.

The hat phi_a is one at node a of the grid, zero at the others and multilinear in each cell between
2^d nodes, its corners: corner k is on the upper side of coordinate c where bit c of k is set.

    sort_points   which cell each point is in, and where in it
    number_nodes  the numbers of the corners of each cell
    stiffness     G_ab = sum_i grad phi_a(y_i)^T T_i grad phi_b(y_i) / 2 + mass_i phi_a phi_b
    factor        G = L D L^T, for the coarse hats
    apply         restrict, correct and prolong:
                      f_a = sum_i phi_a(y_i) r_i
                      u = f / diagonal + C G^-1 C^T f, C interpolating from coarse to fine nodes
                      z_i = local_i r_i + sum_a phi_a(y_i) u_a

T_i are the moments of ``attraction.edge_moments``.  Cells without points are left out, and with
them the nodes that have no other cell: numbers run over those that are left.  Each cell sums its
points one after the other, so that any number of threads gives the same bits.  A point outside
the grid counts as lying on its edge, where hats have no slope.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint8_t

from fasttsne._kernels.optimize.hats cimport (
    correct, prolong_points, restrict_points, stiffness_of_points,
)

cdef enum:
    CHUNK = 16  # cells that a thread takes at a time


cdef struct Lattice:
    int64_t shape[3]
    int64_t stride[3]


cdef Lattice lattice_of(const int64_t[::1] shape, int halving, int extra) noexcept nogil:
    """How (shape >> halving) + extra places are numbered.

    The number changes fastest along the shortest side: the band of the matrix is narrow so.
    """
    cdef Lattice lattice
    cdef int d = <int> shape.shape[0], c, e
    for c in range(d):
        lattice.shape[c] = (shape[c] >> halving) + extra
    for c in range(d):
        lattice.stride[c] = 1
        for e in range(d):
            if shape[e] < shape[c] or (shape[e] == shape[c] and e < c):
                lattice.stride[c] *= lattice.shape[e]
    return lattice


cdef inline int64_t place_of(
    const Lattice *lattice, const int64_t *at, int steps, int halving, int d
) noexcept nogil:
    """The number of the place one step further along each coordinate whose bit is set."""
    cdef int64_t place = 0
    cdef int c
    for c in range(d):
        place += lattice.stride[c] * ((at[c] >> halving) + ((steps >> c) & 1))
    return place


cdef inline int64_t cell_along(double position, int64_t n_cells) noexcept nogil:
    """The cell of a coordinate; one outside, or NaN, is in the first or the last."""
    if position >= n_cells:
        return n_cells - 1
    return <int64_t> position if position > 0 else 0


cdef void stiffness_of_cell(
    const int32_t *points, const int32_t *starts, const float *fractions, Py_ssize_t cell,
    int half, const float *moments, double mass, const float *more_mass, double steepness,
    double *out, int d,
) noexcept nogil:
    cdef Py_ssize_t first = starts[cell], n = starts[cell + 1] - first
    if d == 2:
        stiffness_of_points(
            points + first, fractions + first * 2, n, half, moments, mass, more_mass, steepness,
            out, 2)
    else:
        stiffness_of_points(
            points + first, fractions + first * d, n, half, moments, mass, more_mass, steepness,
            out, d)


cdef void restrict_cell(
    const int32_t *points, const int32_t *starts, const float *fractions, Py_ssize_t cell,
    const double *r, double *cell_sums, int d,
) noexcept nogil:
    cdef Py_ssize_t first = starts[cell], n = starts[cell + 1] - first
    if d == 2:
        restrict_points(points + first, fractions + first * 2, n, r, cell_sums + cell * 8, 2)
    else:
        restrict_points(
            points + first, fractions + first * d, n, r, cell_sums + cell * (d << d), d)


cdef double prolong_cell(
    const int32_t *points, const int32_t *starts, const float *fractions, Py_ssize_t cell,
    const int32_t *corners, const double *u, const double *r, const float *local, double *out,
    int d,
) noexcept nogil:
    cdef Py_ssize_t first = starts[cell], n = starts[cell + 1] - first
    if d == 2:
        return prolong_points(
            points + first, fractions + first * 2, n, corners + cell * 4, u, r, local, out, 2)
    return prolong_points(
        points + first, fractions + first * d, n, corners + (cell << d), u, r, local, out, d)


def sort_points(
    const double[:, ::1] y,  # IN (n, d), d <= 3
    const double[::1] low,  # IN (d,), the grid's first corner
    double spacing,
    const int64_t[::1] shape,  # IN (d,), how many cells there are along each coordinate
    int32_t[::1] cell_of,  # SCRATCH (n,)
    int32_t[::1] ends,  # OUT (cells of the whole grid,), where in ``points`` each cell ends
    int32_t[::1] points,  # OUT (n,), by cell
    float[:, ::1] fractions,  # OUT (n, d), where each of ``points`` is in its cell, 0 to 1
):
    """Sort points by the cell that they are in. O(n + cells)."""
    cdef Lattice lattice = lattice_of(shape, 0, 0)
    cdef Py_ssize_t n = y.shape[0], i
    cdef int d = <int> y.shape[1], c
    cdef int32_t cell, place, count, before = 0
    cdef double position, inverse_spacing = 1 / spacing
    with nogil:
        ends[:] = 0
        for i in range(n):
            cell = 0
            for c in range(d):
                position = (y[i, c] - low[c]) * inverse_spacing
                cell += <int32_t> (lattice.stride[c] * cell_along(position, shape[c]))
            cell_of[i] = cell
            ends[cell] += 1
        for i in range(ends.shape[0]):
            count, ends[i] = ends[i], before  # for now where it starts
            before += count
        for i in range(n):
            place = ends[cell_of[i]]
            ends[cell_of[i]] += 1
            points[place] = <int32_t> i
            for c in range(d):
                position = (y[i, c] - low[c]) * inverse_spacing
                position -= cell_along(position, shape[c])
                fractions[place, c] = <float> min(max(position, 0.0), 1.0)


def number_nodes(
    const int32_t[::1] ends,  # IN (cells of the whole grid,), as from `sort_points`
    const int64_t[::1] shape,  # IN (d,), even
    int32_t[::1] node_at,  # SCRATCH (nodes of the whole grid,)
    int32_t[::1] coarse_node_at,  # SCRATCH (nodes of the whole coarse grid,)
    int32_t[::1] starts,  # OUT (cells + 1,), where in ``points`` each cell starts
    uint8_t[::1] halves,  # OUT (cells,), bit c: whether it is its coarse cell's upper half
    int32_t[:, ::1] corners,  # OUT (cells, 2^d), the nodes
    int32_t[:, ::1] coarse_corners,  # OUT (cells, 2^d), the nodes of its coarse cell
    int32_t[:, ::1] parents,  # OUT (nodes, 2^d), coarse nodes, in whose mean position it is
):
    """Number cells and nodes, where there are points; return how many cells, nodes, coarse nodes
    there are, and by how much at most two numbers of a coarse cell's nodes differ.

    Arrays may be longer: nothing is written behind the last. O(cells of the whole grid).
    """
    cdef Lattice cells = lattice_of(shape, 0, 0)
    cdef Lattice nodes = lattice_of(shape, 0, 1)
    cdef Lattice coarse_nodes = lattice_of(shape, 1, 1)
    cdef Py_ssize_t i
    cdef int d = <int> shape.shape[0], c, k, m
    cdef int32_t n_cells = 0, n_nodes, n_coarse_nodes, node, before = 0, distance = 0
    cdef int64_t at[3]
    with nogil:
        node_at[:] = 0
        coarse_node_at[:] = 0
        starts[0] = 0
        for i in range(ends.shape[0]):
            if ends[i] == before:
                continue
            before = ends[i]
            halves[n_cells] = 0
            for c in range(d):
                at[c] = i // cells.stride[c] % cells.shape[c]
                halves[n_cells] |= (at[c] & 1) << c
            for k in range(1 << d):
                # Places for now: they are numbered when all are known.
                corners[n_cells, k] = <int32_t> place_of(&nodes, at, k, 0, d)
                coarse_corners[n_cells, k] = <int32_t> place_of(&coarse_nodes, at, k, 1, d)
                node_at[corners[n_cells, k]] = 1
                coarse_node_at[coarse_corners[n_cells, k]] = 1
            n_cells += 1
            starts[n_cells] = before
        n_nodes = number_places(node_at)
        n_coarse_nodes = number_places(coarse_node_at)
        for i in range(n_cells):
            for k in range(1 << d):
                corners[i, k] = node_at[corners[i, k]]
                coarse_corners[i, k] = coarse_node_at[coarse_corners[i, k]]
            # The corner of all upper sides has the largest number.
            distance = max(distance, coarse_corners[i, (1 << d) - 1] - coarse_corners[i, 0])
            for k in range(1 << d):
                for m in range(1 << d):
                    node = 0
                    for c in range(d):
                        # From its coarse cell's lower side it is 0, 1 or 2 halves away.
                        if ((halves[i] >> c) & 1) + ((k >> c) & 1) + ((m >> c) & 1) > 1:
                            node |= 1 << c
                    parents[corners[i, k], m] = coarse_corners[i, node]
    return n_cells, n_nodes, n_coarse_nodes, distance


cdef int32_t number_places(int32_t[::1] places) noexcept nogil:
    """Number those that are not 0, from 0 on; return how many there are."""
    cdef Py_ssize_t i
    cdef int32_t count = 0
    for i in range(places.shape[0]):
        if places[i]:
            places[i] = count
            count += 1
    return count


def stiffness(
    const int32_t[::1] points, const int32_t[::1] starts,  # IN by cell, as from `number_nodes`
    const float[:, ::1] fractions,  # IN (n, d)
    const uint8_t[::1] halves,  # IN (cells,)
    const int32_t[:, ::1] corners, const int32_t[:, ::1] coarse_corners,  # IN (cells, 2^d)
    const float[:, ::1] moments,  # IN (n, d (d + 1) / 2), the upper half of T_i, row by row
    double mass,
    double spacing,
    double[:, ::1] matrices,  # SCRATCH (cells, 4^d + 2^d): G of each cell, and the fine diagonal
    double[:, ::1] band,  # OUT (coarse nodes, width): row a has G_aa, G_a+1,a, ...
    double[::1] diagonal,  # OUT (nodes,), of the stiffness matrix of the fine hats
    int32_t[::1] n_near,  # OUT (coarse nodes,), how many points its cells have
    int n_threads,
    const float[::1] more_mass=None,  # IN (n,), of each point besides ``mass``
):
    """The stiffness matrix of the coarse hats, and the diagonal of that of the fine ones. O(n)."""
    cdef Py_ssize_t cell, a, b
    cdef const float *more = NULL if more_mass is None else &more_mass[0]
    cdef int d = <int> fractions.shape[1], k, m
    for cell in prange(halves.shape[0], nogil=True, schedule="dynamic", chunksize=CHUNK,
                       num_threads=n_threads):
        stiffness_of_cell(
            &points[0], &starts[0], &fractions[0, 0], cell, halves[cell], &moments[0, 0], mass,
            more, 1 / spacing, &matrices[cell, 0], d)
    with nogil:
        band[:, :] = 0
        diagonal[:] = 0
        n_near[:] = 0
        for cell in range(halves.shape[0]):
            for k in range(1 << d):
                diagonal[corners[cell, k]] += matrices[cell, (1 << 2 * d) + k]
                n_near[coarse_corners[cell, k]] += starts[cell + 1] - starts[cell]
                for m in range(1 << d):
                    a, b = coarse_corners[cell, k], coarse_corners[cell, m]
                    if a <= b:
                        band[a, b - a] += matrices[cell, (k << d) + m]


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


def apply(
    const int32_t[::1] points, const int32_t[::1] starts,  # IN by cell, as from `number_nodes`
    const float[:, ::1] fractions,  # IN (n, d)
    const int32_t[:, ::1] corners,  # IN (cells, 2^d)
    const int32_t[:, ::1] parents,  # IN (nodes, 2^d)
    const double[::1] inverse_diagonal,  # IN (nodes,)
    const double[:, ::1] band,  # IN (coarse nodes, width), factors of G by `factor`
    const float[::1] local,  # IN (n,)
    const double[:, ::1] r,  # IN (n, d)
    double[:, :, ::1] cell_sums,  # SCRATCH (cells, 2^d, d)
    double[:, ::1] nodes,  # SCRATCH (nodes, d)
    double[:, ::1] coarse,  # SCRATCH (coarse nodes, d)
    double[:, ::1] out,  # OUT (n, d)
    int n_threads,
):
    """Write z; return the sum of z * r. O(n + coarse nodes width)."""
    cdef Py_ssize_t n_cells = corners.shape[0], n_nodes = parents.shape[0], cell
    cdef int d = <int> r.shape[1], c, k
    cdef double total = 0
    with nogil:
        for cell in prange(n_cells, schedule="dynamic", chunksize=CHUNK, num_threads=n_threads):
            restrict_cell(
                &points[0], &starts[0], &fractions[0, 0], cell, &r[0, 0], &cell_sums[0, 0, 0], d)
        nodes[:, :] = 0
        for cell in range(n_cells):
            for k in range(1 << d):
                for c in range(d):
                    nodes[corners[cell, k], c] += cell_sums[cell, k, c]
        if d == 2:
            correct(&band[0, 0], band.shape[0], band.shape[1], &parents[0, 0],
                    &inverse_diagonal[0], n_nodes, &coarse[0, 0], &nodes[0, 0], 2)
        else:
            correct(&band[0, 0], band.shape[0], band.shape[1], &parents[0, 0],
                    &inverse_diagonal[0], n_nodes, &coarse[0, 0], &nodes[0, 0], d)
        for cell in prange(n_cells, schedule="dynamic", chunksize=CHUNK, num_threads=n_threads):
            cell_sums[cell, 0, 0] = prolong_cell(
                &points[0], &starts[0], &fractions[0, 0], cell, &corners[0, 0], &nodes[0, 0],
                &r[0, 0], &local[0], &out[0, 0], d)
        for cell in range(n_cells):
            total += cell_sums[cell, 0, 0]
    return total
