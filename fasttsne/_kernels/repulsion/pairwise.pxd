"""Repulsion of one point by a list of sources, eight at a time.

    z     = sum_s m_s w(|y - s|^2)
    force = sum_s m_s w q (y - s)

Sources are points, or cells that stand for m points.  A cell also has the mean
squared distance v of its points from its center, ``second_moment``; as if it were the
same in all directions, it adds v / (2 d) times the Laplacian of each term:

    z     += m v / (2 d) w q (4 (dof + 1) (1 - q) - 2 d)
    force += m v / (2 d) (1 + 1 / dof) w q^2 (4 (dof + 1) (1 - q) - 4 q - 2 d) (y - s)

A list is a structure of arrays, padded to a multiple of eight with points so
far away that they add nothing.  Sums are float32 within a list, float64 beyond.
"""

from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_fma, f8_load, f8_mul, f8_set1, f8_sub, f8_sum,
)
from fasttsne._kernels.simd.student cimport student_q, student_w

cdef inline float padding_coordinate() noexcept nogil:
    """Where padding lies: float32 can square it, and nobody is near."""
    return 1e18


cdef struct Sources:
    const float *coordinates  # coordinate c starts at c * capacity
    const float *mass  # of cells only
    const float *second_moment  # of cells only
    Py_ssize_t capacity
    Py_ssize_t count  # a multiple of 8


cdef inline void repel(
    const float *point, const Sources *sources, int d, float dof, bint cells,
    double *force, double *z,
) noexcept nogil:
    """``d`` and ``cells`` are literals at each call, and ``dof`` where it is 1."""
    cdef Py_ssize_t s
    cdef int c
    cdef float inverse_dof = 1 / dof
    cdef f8 own[3]
    cdef f8 difference[3]
    cdef f8 sums[3]
    cdef f8 r2, q, w, wq, second_moment, laplacian, total = f8_set1(0)
    for c in range(d):
        own[c] = f8_set1(point[c])
        sums[c] = f8_set1(0)
    for s in range(0, sources.count, 8):
        r2 = f8_set1(0)
        for c in range(d):
            difference[c] = f8_sub(own[c], f8_load(sources.coordinates + c * sources.capacity + s))
            r2 = f8_fma(difference[c], difference[c], r2)
        q = student_q(r2, inverse_dof)
        w = student_w(r2, q, dof)
        wq = f8_mul(w, q)
        if cells:
            w = f8_mul(w, f8_load(sources.mass + s))
            wq = f8_mul(wq, f8_load(sources.mass + s))
            second_moment = f8_mul(f8_set1(<float> 0.5 / d), f8_load(sources.second_moment + s))
            laplacian = f8_fma(f8_set1(-4 * (dof + 1)), q, f8_set1(4 * (dof + 1) - 2 * d))
            w = f8_fma(f8_mul(second_moment, wq), laplacian, w)
            laplacian = f8_fma(f8_set1(-4), q, laplacian)
            laplacian = f8_mul(laplacian, f8_mul(f8_set1(1 + inverse_dof), q))
            wq = f8_fma(f8_mul(second_moment, wq), laplacian, wq)
        total = f8_add(total, w)
        for c in range(d):
            sums[c] = f8_fma(wq, difference[c], sums[c])
    for c in range(d):
        force[c] += f8_sum(sums[c])
    z[0] += f8_sum(total)


cdef inline void repel_by_points(
    const float *point,  # IN (d,)
    const Sources *sources, int d, float dof,
    double *force, double *z,  # INOUT (d,), (1,): added to
) noexcept nogil:
    """Repulsion by points; one compiled loop for each dimension, and for the common dof = 1."""
    if d == 2:
        if dof == 1:
            repel(point, sources, 2, 1, False, force, z)
        else:
            repel(point, sources, 2, dof, False, force, z)
    elif d == 1:
        repel(point, sources, 1, dof, False, force, z)
    else:
        repel(point, sources, 3, dof, False, force, z)


cdef inline void repel_by_cells(
    const float *point, const Sources *sources, int d, float dof, double *force, double *z,
) noexcept nogil:
    """Repulsion by cells, else as ``repel_by_points``."""
    if d == 2:
        if dof == 1:
            repel(point, sources, 2, 1, True, force, z)
        else:
            repel(point, sources, 2, dof, True, force, z)
    elif d == 1:
        repel(point, sources, 1, dof, True, force, z)
    else:
        repel(point, sources, 3, dof, True, force, z)
