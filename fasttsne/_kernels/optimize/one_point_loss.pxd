"""The loss of one point of a map as a function of its position, and descents to its minima.

    L_i(y) = n (2 e sum_j p_j dof log(1 + |y - y_j|^2 / dof) + log(Z + 2 (z(y) - z(y_i))))

Sums over the neighbours are in single precision, eight at a time.  Descents are Newton's, their
matrices shifted to be positive definite, their steps shortened until the loss falls.
"""

from libc.math cimport log1p, sqrt

from fasttsne._kernels.optimize.small_matrix cimport smallest_eigenvalue, solve_shifted
from fasttsne._kernels.repulsion.point_field cimport Field, Similarity, similarity_without
from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_fma, f8_load, f8_mul, f8_set1, f8_sub, f8_sum,
)
from fasttsne._kernels.simd.student cimport student_log, student_q

cdef enum:
    MAX_EVALUATIONS = 60


cdef inline double tolerance() noexcept nogil:
    """Length of a step that ends a descent; the kernel's width is 1."""
    return 1e-2


cdef inline double rounding() noexcept nogil:
    """Of the loss in single precision, which is of the order of one."""
    return 1e-6


cdef inline double min_curvature() noexcept nogil:
    """Of the shifted matrix, by the attraction's."""
    return 0.03


cdef inline double decrease() noexcept nogil:
    """Of the loss, by what the gradient promises."""
    return 1e-4


cdef struct Landscape:
    const Field *field
    const float *left_out  # (d,), where the point is
    const float *others  # neighbours, coordinate a from a * capacity on
    const float *weights  # (count,), n e p_j; padding has 0
    Py_ssize_t capacity
    Py_ssize_t count  # a multiple of 8
    double n
    double z_all  # Z
    double z_own  # z(y_i)
    const double *low  # (d,), of the box in which the field is known
    const double *high


cdef struct Valley:
    double loss
    double grad[3]
    double hess[6]
    double pull  # the largest curvature that the attraction may have


cdef inline void add_attraction(
    const Landscape *land, const double *y, int d, float dof, Valley *out
) noexcept nogil:
    """Add the sums over the neighbours, eight at a time; ``d`` is a literal at each call."""
    cdef float inverse_dof = 1 / dof
    cdef f8 own[3]
    cdef f8 difference[3]
    cdef f8 slope[3]
    cdef f8 bend[6]
    cdef f8 r2, q, weight, along, total = f8_set1(0), loss = f8_set1(0)
    cdef Py_ssize_t j
    cdef int a, b, k
    for a in range(d):
        own[a] = f8_set1(<float> y[a])
        slope[a] = f8_set1(0)
    for k in range(d * (d + 1) // 2):
        bend[k] = f8_set1(0)
    for j in range(0, land.count, 8):
        r2 = f8_set1(0)
        for a in range(d):
            difference[a] = f8_sub(own[a], f8_load(land.others + a * land.capacity + j))
            r2 = f8_fma(difference[a], difference[a], r2)
        q = student_q(r2, inverse_dof)
        weight = f8_load(land.weights + j)
        loss = f8_fma(weight, student_log(r2, inverse_dof), loss)
        weight = f8_mul(weight, q)
        total = f8_add(total, weight)
        k = 0
        for a in range(d):
            along = f8_mul(weight, difference[a])
            slope[a] = f8_add(slope[a], along)
            along = f8_mul(along, q)
            for b in range(a, d):
                bend[k] = f8_fma(along, difference[b], bend[k])
                k = k + 1
    out.pull = 4 * f8_sum(total)
    out.loss += 2 * dof * f8_sum(loss)
    k = 0
    for a in range(d):
        out.grad[a] += 4 * f8_sum(slope[a])
        for b in range(a, d):
            out.hess[k] -= 8 * inverse_dof * f8_sum(bend[k])
            if a == b:
                out.hess[k] += out.pull
            k = k + 1


cdef inline void look(const Landscape *land, const double *y, Valley *out) noexcept nogil:
    """The loss at y, less a constant, and its derivatives."""
    cdef int d = land.field.d, a, b, k = 0
    cdef double total
    cdef Similarity repulsion
    similarity_without(land.field, y, land.left_out, &repulsion)
    total = land.z_all + 2 * (repulsion.z - land.z_own)
    out.loss = land.n * log1p(2 * (repulsion.z - land.z_own) / land.z_all)
    for a in range(d):
        out.grad[a] = 2 * land.n * repulsion.grad[a] / total
        for b in range(a, d):
            out.hess[k] = 2 * land.n * repulsion.hess[k] / total
            out.hess[k] -= 4 * land.n * repulsion.grad[a] * repulsion.grad[b] / (total * total)
            k = k + 1
    if d == 2:
        add_attraction(land, y, 2, land.field.dof, out)
    else:
        add_attraction(land, y, d, land.field.dof, out)


cdef inline double descend(const Landscape *land, double *y) noexcept nogil:
    """Move y to a minimum; returns the loss there."""
    cdef Valley here, there
    cdef double step[3]
    cdef double trial[3]
    cdef double shift, length, slope, share = 1
    cdef int d = land.field.d, a, evaluations = 1
    look(land, y, &here)
    while evaluations < MAX_EVALUATIONS:
        shift = min_curvature() * here.pull - smallest_eigenvalue(here.hess, d)
        solve_shifted(here.hess, max(shift, 0.0), here.grad, step, d)
        share = 1
        while True:
            length = slope = 0
            for a in range(d):
                trial[a] = max(land.low[a], min(land.high[a], y[a] - share * step[a]))
                slope = slope + here.grad[a] * (trial[a] - y[a])
                length = length + (trial[a] - y[a]) * (trial[a] - y[a])
            length = sqrt(length)
            if not length > tolerance() or evaluations >= MAX_EVALUATIONS:
                return here.loss
            look(land, trial, &there)
            evaluations += 1
            if there.loss <= here.loss + decrease() * slope + rounding():
                break
            share = share / 3
        here = there
        for a in range(d):
            y[a] = trial[a]
    return here.loss
