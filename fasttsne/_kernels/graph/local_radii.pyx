"""Local radii of a map along the edges of the affinity graph, and the forces that change them.

    S_i = sum_j w_ij,    R_i = sum_j w_ij r_ij^2 / S_i,    w = (1 + r^2 / dof)^-dof,

over the edges of i, is the squared radius that i's neighbours have in the map.  For
any g_i = df / dR_i of a function f of the radii,

    df / dy_i = 2 sum_j w_ij ((1 - q r^2) (a_i + a_j) + q (b_i + b_j)) (y_i - y_j)

with a_i = g_i / S_i, b_i = a_i R_i, where each edge is there in both directions.
Two passes over the edges; rows come padded as for ``attraction.pyx``.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t

from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_fma, f8_gather, f8_load, f8_min, f8_mul, f8_set1, f8_sub, f8_sum,
)
from fasttsne._kernels.simd.student cimport student_q, student_w

cdef Py_ssize_t BLOCK = 256
# A weight times this is at least 1, unless it is the 0 of padding: its minimum with 1 is a mask.
cdef float MASK_SCALE = 1e38


cdef inline f8 squared_distance(
    const float *y, Py_ssize_t i, const int32_t *columns, int d, f8 *difference
) noexcept nogil:
    """y_i - y_j for eight j, and its squared length."""
    cdef f8 r2 = f8_set1(0)
    cdef int c
    f8_gather(y, columns, d, difference)
    for c in range(d):
        difference[c] = f8_sub(f8_set1(y[i * d + c]), difference[c])
        r2 = f8_fma(difference[c], difference[c], r2)
    return r2


cdef inline void radius_of(
    const int64_t *indptr, const int32_t *columns, const float *values, const float *y,
    Py_ssize_t i, int d, float dof, float *weight, float *radius,
) noexcept nogil:
    cdef f8 difference[3]
    cdef f8 r2, w, weights = f8_set1(0), squares = f8_set1(0)
    cdef float inverse_dof = 1 / dof
    cdef Py_ssize_t e
    for e in range(indptr[i], indptr[i + 1], 8):
        r2 = squared_distance(y, i, columns + e, d, difference)
        w = student_w(r2, student_q(r2, inverse_dof), dof)
        w = f8_mul(w, f8_min(f8_mul(f8_load(values + e), f8_set1(MASK_SCALE)), f8_set1(1)))
        weights = f8_add(weights, w)
        squares = f8_fma(w, r2, squares)
    weight[i] = f8_sum(weights)
    radius[i] = f8_sum(squares) / weight[i] if weight[i] > 0 else 0


cdef inline void force_on(
    const int64_t *indptr, const int32_t *columns, const float *y, const float *factors,
    Py_ssize_t i, int d, float dof, float *out,
) noexcept nogil:
    cdef f8 difference[3]
    cdef f8 force[3]
    cdef f8 theirs[2]
    cdef f8 r2, q, strength
    cdef float inverse_dof = 1 / dof
    cdef Py_ssize_t e
    cdef int c
    for c in range(d):
        force[c] = f8_set1(0)
    for e in range(indptr[i], indptr[i + 1], 8):
        r2 = squared_distance(y, i, columns + e, d, difference)
        f8_gather(factors, columns + e, 2, theirs)
        q = student_q(r2, inverse_dof)
        strength = f8_mul(
            f8_sub(f8_set1(1), f8_mul(q, r2)), f8_add(f8_set1(factors[2 * i]), theirs[0])
        )
        strength = f8_fma(q, f8_add(f8_set1(factors[2 * i + 1]), theirs[1]), strength)
        strength = f8_mul(strength, student_w(r2, q, dof))
        for c in range(d):
            force[c] = f8_fma(strength, difference[c], force[c])
    for c in range(d):
        out[i * d + c] = 2 * f8_sum(force[c])


def radii(
    const int64_t[::1] indptr,  # IN (n + 1,), multiples of 8
    const int32_t[::1] columns,  # IN (edges,)
    const float[::1] values,  # IN (edges,), 0 in the padding, which does not count
    const float[:, ::1] y,  # IN (n, d), d <= 3
    float dof,
    float[::1] weight,  # OUT (n,), S
    float[::1] radius,  # OUT (n,), R
    int n_threads,
):
    """Write the squared radius of each point's neighbours in the map, and the sum of weights.

    O(edges); no sum is over more than a row.
    """
    cdef Py_ssize_t n = y.shape[0], i
    cdef int d = <int> y.shape[1]
    if n == 0 or columns.shape[0] == 0:
        weight[:] = 0
        radius[:] = 0
        return
    for i in prange(n, nogil=True, schedule="dynamic", chunksize=BLOCK, num_threads=n_threads):
        radius_of(
            &indptr[0], &columns[0], &values[0], &y[0, 0], i, d, dof, &weight[0], &radius[0]
        )


def forces(
    const int64_t[::1] indptr, const int32_t[::1] columns,  # IN as for `radii`
    const float[:, ::1] y,  # IN (n, d), d <= 3
    const float[:, ::1] factors,  # IN (n, 2), a and b of each point
    float dof,
    float[:, ::1] out,  # OUT (n, d)
    int n_threads,
):
    """Write the derivative by each point's coordinates of a function of the radii. O(edges)."""
    cdef Py_ssize_t n = y.shape[0], i
    cdef int d = <int> y.shape[1]
    if n == 0 or columns.shape[0] == 0:
        out[:] = 0
        return
    for i in prange(n, nogil=True, schedule="dynamic", chunksize=BLOCK, num_threads=n_threads):
        force_on(
            &indptr[0], &columns[0], &y[0, 0], &factors[0, 0], i, d, dof, &out[0, 0]
        )
