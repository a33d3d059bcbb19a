"""Points that are near each other, as a group, and the forces on them by lists of sources.

Points that are near act on every point of the group, and so do cells that are far from all of
them.  Cells so far that the group, too, is small beside the distance act on its center, with the
derivatives of the force, from which each point takes its own value.
"""

from fasttsne._kernels.repulsion.interaction_lists cimport (
    LIST_SIZE, InteractionList, take_sources,
)
from fasttsne._kernels.repulsion.pairwise cimport Sources, repel_by_cells, repel_by_points
from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_fma, f8_load, f8_mul, f8_set1, f8_sub, f8_sum,
)
from fasttsne._kernels.simd.student cimport student_q, student_w

cdef enum:
    GROUP_SIZE = 64  # points that share a traversal, at most
    SYMMETRIC = 6  # entries of a symmetric matrix in three dimensions


cdef struct PointGroup:
    const float *y
    Py_ssize_t count
    double force[3 * GROUP_SIZE]
    double z
    float center[3]
    float half[3]  # of the points' bounding box
    float width  # its longest side
    # The field of the farthest cells at the center.
    double expansion_force[3]
    double expansion_z
    double expansion_gradient[SYMMETRIC]  # of the force, upper triangle
    InteractionList points
    InteractionList cells
    InteractionList far_cells


cdef inline void sum_points(PointGroup *group, int d, float dof) noexcept nogil:
    cdef Sources sources = take_sources(&group.points, d)
    cdef Py_ssize_t i
    for i in range(group.count):
        repel_by_points(group.y + i * d, &sources, d, dof, group.force + i * d, &group.z)


cdef inline void sum_cells(PointGroup *group, int d, float dof) noexcept nogil:
    cdef Sources sources = take_sources(&group.cells, d)
    cdef Py_ssize_t i
    for i in range(group.count):
        repel_by_cells(group.y + i * d, &sources, d, dof, group.force + i * d, &group.z)


cdef inline void add_expansion(PointGroup *group, int d, float dof) noexcept nogil:
    """Add the far cells' force and Z at the group's center, and the force's gradient,

        sum_s m (w q I - 2 (1 + 1 / dof) w q^2 (y - s) (y - s)^T).
    """
    cdef Sources sources = take_sources(&group.far_cells, d)
    cdef Py_ssize_t s
    cdef int a, b, entry
    cdef float inverse_dof = 1 / dof
    cdef f8 difference[3]
    cdef f8 gradient[SYMMETRIC]
    cdef f8 r2, q, wq, trace = f8_set1(0)
    repel_by_cells(group.center, &sources, d, dof, group.expansion_force, &group.expansion_z)
    for entry in range(SYMMETRIC):
        gradient[entry] = f8_set1(0)
    for s in range(0, sources.count, 8):
        r2 = f8_set1(0)
        for a in range(d):
            difference[a] = f8_sub(
                f8_set1(group.center[a]), f8_load(sources.coordinates + a * LIST_SIZE + s)
            )
            r2 = f8_fma(difference[a], difference[a], r2)
        q = student_q(r2, inverse_dof)
        wq = f8_mul(f8_mul(student_w(r2, q, dof), q), f8_load(sources.mass + s))
        trace = f8_add(trace, wq)
        wq = f8_mul(f8_mul(wq, q), f8_set1(-2 * (1 + inverse_dof)))
        entry = 0
        for a in range(d):
            for b in range(a, d):
                gradient[entry] = f8_fma(f8_mul(wq, difference[a]), difference[b], gradient[entry])
                entry = entry + 1
    entry = 0
    for a in range(d):
        for b in range(a, d):
            group.expansion_gradient[entry] += f8_sum(gradient[entry])
            if a == b:
                group.expansion_gradient[entry] += f8_sum(trace)
            entry = entry + 1


cdef inline void apply_expansion(PointGroup *group, int d) noexcept nogil:
    """Add the field at each point, by Taylor's expansion about the group's center.

    Z's gradient is -2 F, so its expansion goes one order further than that of F.
    """
    cdef Py_ssize_t i
    cdef int a, b, entry
    cdef double offset[3]
    cdef double change[3]
    for i in range(group.count):
        for a in range(d):
            offset[a] = group.y[i * d + a] - group.center[a]
            change[a] = 0
        entry = 0
        for a in range(d):
            for b in range(a, d):
                change[a] += group.expansion_gradient[entry] * offset[b]
                if a != b:
                    change[b] += group.expansion_gradient[entry] * offset[a]
                entry = entry + 1
        group.z += group.expansion_z
        for a in range(d):
            group.force[i * d + a] += group.expansion_force[a] + change[a]
            group.z -= (2 * group.expansion_force[a] + change[a]) * offset[a]


cdef inline void sum_far_cells(PointGroup *group, int d, float dof) noexcept nogil:
    """One compiled loop for the usual map, as for points and cells."""
    if d == 2 and dof == 1:
        add_expansion(group, 2, 1)
    else:
        add_expansion(group, d, dof)


cdef inline void apply_far_cells(PointGroup *group, int d) noexcept nogil:
    """Add what ``sum_far_cells`` found to the forces on the points."""
    if d == 2:
        apply_expansion(group, 2)
    else:
        apply_expansion(group, d)


cdef inline void bound_points(PointGroup *group, int d) noexcept nogil:
    cdef float low, high
    cdef Py_ssize_t i
    cdef int c
    group.width = 0
    for c in range(d):
        low = high = group.y[c]
        for i in range(1, group.count):
            low, high = min(low, group.y[i * d + c]), max(high, group.y[i * d + c])
        group.center[c], group.half[c] = (low + high) / 2, (high - low) / 2
        group.width = max(group.width, high - low)


cdef inline void start_group(
    PointGroup *group, const float *y, Py_ssize_t count, int d
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int c
    group.y, group.count = y, count
    for i in range(count * d):
        group.force[i] = 0
    group.z = group.expansion_z = 0
    for c in range(d):
        group.expansion_force[c] = 0
    for c in range(SYMMETRIC):
        group.expansion_gradient[c] = 0
    group.points.count = group.cells.count = group.far_cells.count = 0
