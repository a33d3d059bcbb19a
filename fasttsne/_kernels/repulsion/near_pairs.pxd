"""The near part of the split kernel, summed over pairs of points, eight at a time.

    w(s) = (1 + s / dof)^-dof,  s = r^2,  u = (s0 - s) / (dof + s0),  s0 = cutoff^2
    near(s) = w(s) - c (1 + b_1 u + b_2 u^2 + b_3 u^3),  c = w(s0),  b_k = binomial(dof + k - 1, k)

and 0 from the cutoff on: the sum is Taylor's polynomial of w about s0.  A pair adds near(s) to Z
and -near'(s) (y - y') to the force.  For one degree of freedom near(s) = w(s) u^4, so that nothing
cancels.  Source: Hardy et al. 2015, multilevel summation with one level.
"""

from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_fma, f8_load, f8_max, f8_min, f8_mul, f8_set1, f8_store, f8_sub,
)
from fasttsne._kernels.simd.student cimport student_q, student_w


cdef struct NearKernel:
    float dof
    float s0
    float b[4]  # c b_k


cdef inline NearKernel make_kernel(float dof, float cutoff, const float[::1] taylor) noexcept:
    cdef NearKernel kernel
    cdef int k
    kernel.dof, kernel.s0 = dof, cutoff * cutoff
    for k in range(4):
        kernel.b[k] = taylor[k]
    return kernel


cdef inline void near_factors(
    const NearKernel *kernel, f8 r2, bint is_simple, f8 *similarity, f8 *factor
) noexcept nogil:
    """near(s) and -near'(s); ``is_simple`` (dof = 1) is a literal at each call."""
    cdef float inverse = 1 / (kernel.dof + kernel.s0)
    cdef f8 scale = f8_set1(inverse), shift = f8_set1(kernel.s0 * inverse)
    cdef f8 u = f8_max(f8_sub(shift, f8_mul(r2, scale)), f8_set1(0))
    cdef f8 q, w, u3, rest, inside
    if is_simple:
        q = student_q(r2, 1)
        u3 = f8_mul(f8_mul(f8_mul(u, u), u), q)
        similarity[0] = f8_mul(u3, u)
        factor[0] = f8_mul(u3, f8_fma(q, u, f8_set1(4 * inverse)))
    else:
        # Beyond the cutoff everything is as at it, and what rounding leaves there is not counted:
        # padding is so far away that it would matter.
        inside = f8_min(f8_mul(u, f8_set1(1e30)), f8_set1(1))
        r2 = f8_min(r2, f8_set1(kernel.s0))
        q = student_q(r2, 1 / kernel.dof)
        w = student_w(r2, q, kernel.dof)
        rest = f8_fma(f8_set1(-3 * kernel.b[3]), u, f8_set1(-2 * kernel.b[2]))
        factor[0] = f8_fma(f8_fma(rest, u, f8_set1(-kernel.b[1])), scale, f8_mul(w, q))
        factor[0] = f8_mul(factor[0], inside)
        rest = f8_fma(f8_set1(-kernel.b[3]), u, f8_set1(-kernel.b[2]))
        rest = f8_fma(f8_fma(rest, u, f8_set1(-kernel.b[1])), u, f8_set1(-kernel.b[0]))
        similarity[0] = f8_mul(f8_add(w, rest), inside)


cdef inline f8 near_bend(const NearKernel *kernel, f8 r2) noexcept nogil:
    """near''(s)"""
    cdef float inverse = 1 / (kernel.dof + kernel.s0)
    cdef f8 scale = f8_set1(inverse)
    cdef f8 u = f8_max(f8_sub(f8_set1(kernel.s0 * inverse), f8_mul(r2, scale)), f8_set1(0))
    cdef f8 q, qu, w, rest, inside
    if kernel.dof == 1:
        q = student_q(r2, 1)
        qu = f8_mul(q, u)
        rest = f8_fma(f8_set1(2), qu, f8_set1(8 * inverse))
        rest = f8_fma(qu, rest, f8_set1(12 * inverse * inverse))
        return f8_mul(f8_mul(qu, u), rest)
    inside = f8_min(f8_mul(u, f8_set1(1e30)), f8_set1(1))
    r2 = f8_min(r2, f8_set1(kernel.s0))
    q = student_q(r2, 1 / kernel.dof)
    w = f8_mul(f8_set1(1 + 1 / kernel.dof), student_w(r2, q, kernel.dof))
    rest = f8_fma(f8_set1(-6 * kernel.b[3]), u, f8_set1(-2 * kernel.b[2]))
    return f8_mul(inside, f8_fma(f8_mul(rest, scale), scale, f8_mul(f8_mul(w, q), q)))


cdef inline void add_pairs(
    const float *columns, Py_ssize_t capacity,  # IN (d, capacity)
    Py_ssize_t own, Py_ssize_t first, Py_ssize_t last,  # a place, and those of a run
    const NearKernel *kernel, int d, bint is_simple,
    float *forces,  # INOUT (d, capacity)
    f8 *force,  # INOUT (d,), of ``own``
    f8 *z,  # INOUT
) noexcept nogil:
    """Add what a point and those of a run do to each other.

    Up to seven places behind the run are read, and written as they were: they are beyond the
    cutoff, or padding.
    """
    cdef Py_ssize_t s
    cdef int c
    cdef f8 difference[3]
    cdef f8 r2, similarity, factor, product
    cdef float *other
    for s in range(first, last, 8):
        r2 = f8_set1(0)
        for c in range(d):
            difference[c] = f8_sub(
                f8_set1(columns[c * capacity + own]), f8_load(columns + c * capacity + s)
            )
            r2 = f8_fma(difference[c], difference[c], r2)
        near_factors(kernel, r2, is_simple, &similarity, &factor)
        z[0] = f8_add(z[0], similarity)
        for c in range(d):
            product = f8_mul(factor, difference[c])
            force[c] = f8_add(force[c], product)
            other = forces + c * capacity + s
            f8_store(other, f8_sub(f8_load(other), product))


cdef inline void add_near(
    const float *columns, Py_ssize_t capacity,  # IN (d, capacity)
    const float *place, Py_ssize_t first, Py_ssize_t last,  # and those of a run
    const NearKernel *kernel, int d, bint is_simple,
    f8 *force,  # INOUT (d,)
    f8 *z,  # INOUT
) noexcept nogil:
    """Add what the points of a run do to a point that may be anywhere."""
    cdef Py_ssize_t s
    cdef int c
    cdef f8 difference[3]
    cdef f8 r2, similarity, factor
    for s in range(first, last, 8):
        r2 = f8_set1(0)
        for c in range(d):
            difference[c] = f8_sub(f8_set1(place[c]), f8_load(columns + c * capacity + s))
            r2 = f8_fma(difference[c], difference[c], r2)
        near_factors(kernel, r2, is_simple, &similarity, &factor)
        z[0] = f8_add(z[0], similarity)
        for c in range(d):
            force[c] = f8_fma(factor, difference[c], force[c])
