"""Repulsion of one point by a list of sources, eight at a time.

    z     = sum_s m_s w(|y - s|^2)
    force = sum_s m_s w(|y - s|^2) q(|y - s|^2) (y - s)

The exact sum lists all points, the tree lists cells and near points: both call
this.  A list is a structure of arrays, padded with zero masses to a multiple of
eight.
"""

from fasttsne._kernels.lanes cimport (
    f8, f8_add, f8_fma, f8_load, f8_mul, f8_set1, f8_sub, f8_sum,
)
from fasttsne._kernels.student cimport student_q, student_w


cdef inline void repel_point(
    const float *point,  # IN (d,)
    const float *source, Py_ssize_t capacity,  # IN coordinate c starts at c * capacity
    const float *mass,  # IN (count,)
    Py_ssize_t count,  # a multiple of 8
    int d, float dof,
    double *force, double *z,  # INOUT (d,), (1,): added to
) noexcept nogil:
    cdef Py_ssize_t s
    cdef int c
    cdef float inverse_dof = 1 / dof
    cdef f8 own[3]
    cdef f8 difference[3]
    cdef f8 sums[3]
    cdef f8 r2, q, w, total = f8_set1(0)
    for c in range(d):
        own[c] = f8_set1(point[c])
        sums[c] = f8_set1(0)
    for s in range(0, count, 8):
        r2 = f8_set1(0)
        for c in range(d):
            difference[c] = f8_sub(own[c], f8_load(source + c * capacity + s))
            r2 = f8_fma(difference[c], difference[c], r2)
        q = student_q(r2, inverse_dof)
        w = f8_mul(f8_load(mass + s), student_w(r2, q, dof))
        total = f8_add(total, w)
        w = f8_mul(w, q)
        for c in range(d):
            sums[c] = f8_fma(w, difference[c], sums[c])
    for c in range(d):
        force[c] += f8_sum(sums[c])
    z[0] += f8_sum(total)


cdef inline void repel(
    const float *point, const float *source, Py_ssize_t capacity, const float *mass,
    Py_ssize_t count, int d, float dof, double *force, double *z,
) noexcept nogil:
    """One compiled loop for each dimension, and for the common dof = 1."""
    if d == 2:
        if dof == 1:
            repel_point(point, source, capacity, mass, count, 2, 1, force, z)
        else:
            repel_point(point, source, capacity, mass, count, 2, dof, force, z)
    elif d == 1:
        repel_point(point, source, capacity, mass, count, 1, dof, force, z)
    else:
        repel_point(point, source, capacity, mass, count, 3, dof, force, z)
