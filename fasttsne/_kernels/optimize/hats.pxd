"""Sums over the points of one cell of a hat grid, and the correction at its nodes.

Corner k of a cell is on the upper side of coordinate c where bit c of k is set.  ``points``
are those of the cell, ``fractions`` where they are in it.  ``d`` is a literal at the calls for
maps in two dimensions, which have to be fast.
"""

from libc.stdint cimport int32_t

cdef enum:
    CORNERS = 8  # of a cell in three dimensions


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


cdef inline void sides_at(
    const float *fraction, int d, double *lower, double *upper
) noexcept nogil:
    """The hats of one coordinate each, on its lower and its upper side."""
    cdef int c
    for c in range(d):
        upper[c] = fraction[c]
        lower[c] = 1 - upper[c]


cdef inline void hats_at(const float *fraction, int d, double *out) noexcept nogil:
    """The hats of a cell's corners at a point of it."""
    cdef double lower[3]
    cdef double upper[3]
    sides_at(fraction, d, lower, upper)
    multiply_sides(lower, upper, d, out)


cdef inline void monomials_at(const float *fraction, int d, double *out) noexcept nogil:
    """For each corner the product of the fractions whose bit is set: sums of hats cost less so."""
    cdef int c, k
    out[0] = 1
    for c in range(d):
        for k in range(1 << c):
            out[k + (1 << c)] = out[k] * fraction[c]


cdef inline void to_hats(double *sums, int d) noexcept nogil:
    """Sums of d numbers times each monomial become sums times each hat, in place."""
    cdef int axis, k, c
    for axis in range(d):
        for k in range(1 << d):
            if (k >> axis) & 1 == 0:
                for c in range(d):
                    sums[k * d + c] -= sums[(k + (1 << axis)) * d + c]


cdef inline void from_hats(double *values, int d) noexcept nogil:
    """The d values at each corner become factors of the monomials, in place."""
    cdef int axis, k, c
    for axis in range(d):
        for k in range(1 << d):
            if (k >> axis) & 1 == 0:
                for c in range(d):
                    values[(k + (1 << axis)) * d + c] -= values[k * d + c]


cdef inline void slopes_at(
    const float *fraction, int axis, double steepness, int d, double *out
) noexcept nogil:
    """The derivatives of the hats by the coordinate ``axis``, 0 where the point is outside."""
    cdef double lower[3]
    cdef double upper[3]
    sides_at(fraction, d, lower, upper)
    upper[axis] = steepness if 0 < fraction[axis] < 1 else 0
    lower[axis] = -upper[axis]
    multiply_sides(lower, upper, d, out)


cdef inline void coarsen(double *G, int half, int d) noexcept nogil:
    """The matrix of a cell's hats becomes that of the hats of its coarse cell.

    A bit of an index into G is the side of one coordinate, for the row or for the column.
    """
    cdef int axis, bit, i
    for axis in range(2 * d):
        bit = 1 << axis
        for i in range(1 << (2 * d)):
            if i & bit == 0:
                if (half >> (axis % d)) & 1:
                    G[i + bit] += 0.5 * G[i]
                    G[i] *= 0.5
                else:
                    G[i + bit] *= 0.5
                    G[i] += G[i + bit]


cdef inline void stiffness_of_points(
    const int32_t *points, const float *fractions, Py_ssize_t n, int half, const float *moments,
    double mass, const float *more_mass, double steepness, double *out, int d,
) noexcept nogil:
    """G of the hats of the coarse cell, 4^d numbers, and the diagonal of the fine ones' 2^d."""
    cdef double hats[CORNERS]
    cdef double slopes[3 * CORNERS]
    cdef double T[9]
    cdef double flow[3]  # T grad phi_a
    cdef double G[CORNERS * CORNERS]  # a <= b
    cdef const float *moment
    cdef double energy, own_mass
    cdef Py_ssize_t i
    cdef int a, b, c, e, k, corners = 1 << d
    for k in range(corners * corners):
        G[k] = 0
    for i in range(n):
        moment = moments + <Py_ssize_t> points[i] * (d * (d + 1) // 2)
        own_mass = mass if more_mass == NULL else mass + more_mass[points[i]]
        k = 0
        for c in range(d):
            for e in range(c, d):
                T[c * d + e] = T[e * d + c] = 0.5 * moment[k]
                k = k + 1
        hats_at(fractions + i * d, d, hats)
        for c in range(d):
            slopes_at(fractions + i * d, c, steepness, d, slopes + c * CORNERS)
        for a in range(corners):
            for c in range(d):
                flow[c] = 0
                for e in range(d):
                    flow[c] += T[c * d + e] * slopes[e * CORNERS + a]
            for b in range(a, corners):
                energy = own_mass * hats[a] * hats[b]
                for c in range(d):
                    energy += flow[c] * slopes[c * CORNERS + b]
                G[a * corners + b] += energy
    for a in range(corners):
        out[corners * corners + a] = G[a * corners + a]
        for b in range(a):
            G[a * corners + b] = G[b * corners + a]
    coarsen(G, half, d)
    for k in range(corners * corners):
        out[k] = G[k]


cdef inline void restrict_points(
    const int32_t *points, const float *fractions, Py_ssize_t n, const double *r, double *out, int d
) noexcept nogil:
    cdef double monomials[CORNERS]
    cdef double sums[3 * CORNERS]
    cdef Py_ssize_t i
    cdef int c, k
    for k in range(d << d):
        sums[k] = 0
    for i in range(n):
        monomials_at(fractions + i * d, d, monomials)
        for k in range(1 << d):
            for c in range(d):
                sums[k * d + c] += monomials[k] * r[<Py_ssize_t> points[i] * d + c]
    to_hats(sums, d)
    for k in range(d << d):
        out[k] = sums[k]


cdef inline double prolong_points(
    const int32_t *points, const float *fractions, Py_ssize_t n, const int32_t *corners,
    const double *u, const double *r, const float *local, double *out, int d,
) noexcept nogil:
    """Write the points of a cell; return the sum of out * r over them."""
    cdef double monomials[CORNERS]
    cdef double factors[3 * CORNERS]
    cdef double z, total = 0
    cdef Py_ssize_t i, e
    cdef int c, k
    for k in range(1 << d):
        for c in range(d):
            factors[k * d + c] = u[corners[k] * d + c]
    from_hats(factors, d)
    for i in range(n):
        monomials_at(fractions + i * d, d, monomials)
        for c in range(d):
            e = <Py_ssize_t> points[i] * d + c
            z = local[points[i]] * r[e]
            for k in range(1 << d):
                z += monomials[k] * factors[k * d + c]
            out[e] = z
            total += z * r[e]
    return total


cdef inline void solve(
    const double *band, Py_ssize_t n, Py_ssize_t width, double *x, int d
) noexcept nogil:
    """x becomes G^-1 x, with the factors of G."""
    cdef Py_ssize_t i, j, k
    cdef int c
    for j in range(n):
        for k in range(1, min(width, n - j)):
            for c in range(d):
                x[(j + k) * d + c] -= band[j * width + k] * x[j * d + c]
    for i in range(n):
        j = n - 1 - i
        for c in range(d):
            x[j * d + c] *= band[j * width]
        for k in range(1, min(width, n - j)):
            for c in range(d):
                x[j * d + c] -= band[j * width + k] * x[(j + k) * d + c]


cdef inline void correct(
    const double *band, Py_ssize_t n_coarse, Py_ssize_t width, const int32_t *parents,
    const double *inverse_diagonal, Py_ssize_t n_nodes, double *coarse, double *f, int d,
) noexcept nogil:
    """f becomes u."""
    cdef Py_ssize_t a
    cdef int c, k, corners = 1 << d
    cdef double share = 1.0 / corners, total
    for a in range(n_coarse * d):
        coarse[a] = 0
    for a in range(n_nodes):
        for k in range(corners):
            for c in range(d):
                coarse[parents[a * corners + k] * d + c] += share * f[a * d + c]
    solve(band, n_coarse, width, coarse, d)
    for a in range(n_nodes):
        for c in range(d):
            total = 0
            for k in range(corners):
                total += coarse[parents[a * corners + k] * d + c]
            f[a * d + c] = f[a * d + c] * inverse_diagonal[a] + share * total
