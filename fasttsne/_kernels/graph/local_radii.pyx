"""Local radii of a map along the edges of the affinity graph, and the forces that change them.

    S_i = sum_j w_ij,    R_i = sum_j w_ij r_ij^2 / S_i,    w = (1 + r^2 / dof)^-dof,

over the edges of i, is the squared radius that i's neighbours have in the map.  For
any g_i = df / dR_i of a function f of the radii,

    df / dy_i = 2 sum_j w_ij ((1 - q r^2) (a_i + a_j) + q (b_i + b_j)) (y_i - y_j)

with a_i = g_i / S_i, b_i = a_i R_i, where each edge is there in both directions.
Two passes over the edges, which come as ``edges.pxd`` says.
"""

from cython.parallel cimport prange
from libc.stdint cimport int16_t, int32_t, int64_t, uint16_t

from fasttsne._kernels.graph.edges cimport Edges, edges_of
from fasttsne._kernels.pieces cimport PIECE_ROWS, PyErr_CheckSignals, end_of_piece
from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_decode, f8_fma, f8_gather, f8_gather_near, f8_min, f8_mul, f8_set1, f8_sub,
    f8_sum,
)
from fasttsne._kernels.simd.student cimport student_q, student_w

cdef Py_ssize_t BLOCK = 256
# A weight times this is at least 1, unless it is the 0 of padding: its minimum with 1 is a mask.
cdef float MASK_SCALE = 1e38


cdef inline f8 squared_distance(const float *own, f8 *difference, int d) noexcept nogil:
    """y_i - y_j, for eight y_j that are replaced by it, and its squared length."""
    cdef f8 r2 = f8_set1(0)
    cdef int c
    for c in range(d):
        difference[c] = f8_sub(f8_set1(own[c]), difference[c])
        r2 = f8_fma(difference[c], difference[c], r2)
    return r2


cdef inline void add_eight(
    const float *own, f8 *difference, f8 p, int d, float dof, f8 *weights, f8 *squares
) noexcept nogil:
    cdef f8 r2 = squared_distance(own, difference, d)
    cdef f8 w = student_w(r2, student_q(r2, 1 / dof), dof)
    w = f8_mul(w, f8_min(f8_mul(p, f8_set1(MASK_SCALE)), f8_set1(1)))
    weights[0] = f8_add(weights[0], w)
    squares[0] = f8_fma(w, r2, squares[0])


cdef inline void radius_of(
    const Edges *edges, const float *y, Py_ssize_t i, int d, float dof, float *weight,
    float *radius,
) noexcept nogil:
    cdef const float *own = y + i * d
    cdef f8 difference[3]
    cdef f8 p, weights = f8_set1(0), squares = f8_set1(0)
    cdef Py_ssize_t e
    for e in range(edges.near_indptr[i], edges.near_indptr[i + 1], 8):
        f8_gather_near(own, edges.offsets + e, d, difference)
        p = f8_decode(edges.near_values + e, edges.smallest)
        add_eight(own, difference, p, d, dof, &weights, &squares)
    for e in range(edges.far_indptr[i], edges.far_indptr[i + 1], 8):
        f8_gather(y, edges.columns + e, d, difference)
        p = f8_decode(edges.far_values + e, edges.smallest)
        add_eight(own, difference, p, d, dof, &weights, &squares)
    weight[i] = f8_sum(weights)
    radius[i] = f8_sum(squares) / weight[i] if weight[i] > 0 else 0


cdef inline void force_of_eight(
    const float *own, const float *factors, f8 *difference, const f8 *theirs, int d, float dof,
    f8 *force,
) noexcept nogil:
    cdef f8 r2 = squared_distance(own, difference, d)
    cdef f8 q = student_q(r2, 1 / dof)
    cdef f8 strength = f8_mul(
        f8_sub(f8_set1(1), f8_mul(q, r2)), f8_add(f8_set1(factors[0]), theirs[0])
    )
    cdef int c
    strength = f8_fma(q, f8_add(f8_set1(factors[1]), theirs[1]), strength)
    strength = f8_mul(strength, student_w(r2, q, dof))
    for c in range(d):
        force[c] = f8_fma(strength, difference[c], force[c])


cdef inline void force_on(
    const Edges *edges, const float *y, const float *factors, Py_ssize_t i, int d, float dof,
    float *out,
) noexcept nogil:
    cdef const float *own = y + i * d
    cdef const float *ours = factors + 2 * i
    cdef f8 difference[3]
    cdef f8 force[3]
    cdef f8 theirs[2]
    cdef Py_ssize_t e
    cdef int c
    for c in range(d):
        force[c] = f8_set1(0)
    for e in range(edges.near_indptr[i], edges.near_indptr[i + 1], 8):
        f8_gather_near(own, edges.offsets + e, d, difference)
        f8_gather_near(ours, edges.offsets + e, 2, theirs)
        force_of_eight(own, ours, difference, theirs, d, dof, force)
    for e in range(edges.far_indptr[i], edges.far_indptr[i + 1], 8):
        f8_gather(y, edges.columns + e, d, difference)
        f8_gather(factors, edges.columns + e, 2, theirs)
        force_of_eight(own, ours, difference, theirs, d, dof, force)
    for c in range(d):
        out[i * d + c] = 2 * f8_sum(force[c])


def radii(
    const int64_t[::1] near_indptr, const int16_t[::1] offsets,  # IN, see `edges.pxd`
    const uint16_t[::1] near_values,  # 0 in the padding, which does not count
    const int64_t[::1] far_indptr, const int32_t[::1] columns, const uint16_t[::1] far_values,
    float smallest,
    const float[:, ::1] y,  # IN (n, d), d <= 3
    float dof,
    float[::1] weight,  # OUT (n,), S
    float[::1] radius,  # OUT (n,), R
    int n_threads,
):
    """Write the squared radius of each point's neighbours in the map, and the sum of weights.

    O(edges); no sum is over more than a row.
    """
    cdef Py_ssize_t n = y.shape[0], i, piece
    cdef int d = <int> y.shape[1]
    cdef Edges edges
    if n == 0 or columns.shape[0] + offsets.shape[0] == 0:
        weight[:] = 0
        radius[:] = 0
        return
    edges = edges_of(
        near_indptr, offsets, near_values, far_indptr, columns, far_values, smallest
    )
    for piece in range(0, n, PIECE_ROWS):
        for i in prange(piece, end_of_piece(piece, n), nogil=True, schedule="dynamic",
                        chunksize=BLOCK, num_threads=n_threads):
            radius_of(&edges, &y[0, 0], i, d, dof, &weight[0], &radius[0])
        PyErr_CheckSignals()


def forces(
    const int64_t[::1] near_indptr, const int16_t[::1] offsets,  # IN as for `radii`
    const uint16_t[::1] near_values,
    const int64_t[::1] far_indptr, const int32_t[::1] columns, const uint16_t[::1] far_values,
    float smallest,
    const float[:, ::1] y,  # IN (n, d), d <= 3
    const float[:, ::1] factors,  # IN (n, 2), a and b of each point
    float dof,
    float[:, ::1] out,  # OUT (n, d)
    int n_threads,
):
    """Write the derivative by each point's coordinates of a function of the radii. O(edges)."""
    cdef Py_ssize_t n = y.shape[0], i, piece
    cdef int d = <int> y.shape[1]
    cdef Edges edges
    if n == 0 or columns.shape[0] + offsets.shape[0] == 0:
        out[:] = 0
        return
    edges = edges_of(
        near_indptr, offsets, near_values, far_indptr, columns, far_values, smallest
    )
    for piece in range(0, n, PIECE_ROWS):
        for i in prange(piece, end_of_piece(piece, n), nogil=True, schedule="dynamic",
                        chunksize=BLOCK, num_threads=n_threads):
            force_on(&edges, &y[0, 0], &factors[0, 0], i, d, dof, &out[0, 0])
        PyErr_CheckSignals()
