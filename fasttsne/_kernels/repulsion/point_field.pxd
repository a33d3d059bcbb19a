"""The similarity of one position to all points of a map, with its two derivatives.

    z(y) = sum_j w(|y - y_j|^2),    w = (1 + r^2 / dof)^-dof

    grad z = -2 sum_j w q (y - y_j),    q = 1 / (1 + r^2 / dof)
    hess z = -2 sum_j w q I + 4 (1 + 1 / dof) sum_j w q^2 (y - y_j) (y - y_j)^T

Exactly, by the sum over all points, or from the split kernel of ``particle_mesh.pyx``: the
potential of the grid is a spline, so it has two derivatives, and near points are summed.
"""

from libc.math cimport floorf, pow
from libc.stdint cimport int32_t

from fasttsne._kernels.repulsion.near_pairs cimport NearKernel, near_bend, near_factors
from fasttsne._kernels.repulsion.strips cimport N_RUNS, Strips, runs_around
from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_fma, f8_load, f8_mul, f8_set1, f8_store, f8_sub, f8_sum,
)
from fasttsne._kernels.simd.student cimport student_q, student_w

cdef enum:
    FIELD_CHUNK = 1024  # sources summed in float32 before a float64 sum takes over
    LANES = 8  # of a spline's table, of which the first p are not zero


cdef struct Field:
    int d
    float dof
    # The points, coordinate c from c * capacity on, or NULL; capacity is a multiple of 8.
    const float *columns
    Py_ssize_t capacity
    # The grid, where there are no columns.
    const float *cells
    Py_ssize_t step[3]  # floats from node to node along each axis
    float origin[3]
    float inverse_spacing
    double mean  # of the potential, which the cells lack
    const float *table  # (3, p, LANES): weights, slopes, curvatures; highest power first
    int order  # p
    # The points that are near, where the squared cutoff of the kernel is not 0.
    Strips at
    NearKernel kernel


cdef struct Similarity:
    double z
    double grad[3]
    double hess[6]  # the upper half, row by row


cdef inline void add_chunk(
    const Field *field, const float *y, Py_ssize_t first, Py_ssize_t last, int d, float dof,
    Similarity *out,
) noexcept nogil:
    """``d`` is a literal at each call, and ``dof`` where it is 1."""
    cdef Py_ssize_t s
    cdef int a, b, k
    cdef float inverse_dof = 1 / dof
    cdef f8 own[3]
    cdef f8 difference[3]
    cdef f8 slope[3]
    cdef f8 bend[6]
    cdef f8 r2, q, w, wq, wqq, total = f8_set1(0), linear = f8_set1(0)
    cdef double factor = 4 * (1 + inverse_dof)
    for a in range(d):
        own[a] = f8_set1(y[a])
        slope[a] = f8_set1(0)
    for k in range(d * (d + 1) // 2):
        bend[k] = f8_set1(0)
    for s in range(first, last, 8):
        r2 = f8_set1(0)
        for a in range(d):
            difference[a] = f8_sub(own[a], f8_load(field.columns + a * field.capacity + s))
            r2 = f8_fma(difference[a], difference[a], r2)
        q = student_q(r2, inverse_dof)
        w = student_w(r2, q, dof)
        wq = f8_mul(w, q)
        total = f8_add(total, w)
        linear = f8_add(linear, wq)
        k = 0
        for a in range(d):
            slope[a] = f8_fma(wq, difference[a], slope[a])
            # Padding is so far out that its square alone would be infinite.
            wqq = f8_mul(f8_mul(wq, difference[a]), q)
            for b in range(a, d):
                bend[k] = f8_fma(wqq, difference[b], bend[k])
                k = k + 1
    out.z += f8_sum(total)
    k = 0
    for a in range(d):
        out.grad[a] -= 2 * f8_sum(slope[a])
        for b in range(a, d):
            out.hess[k] += factor * f8_sum(bend[k])
            if a == b:
                out.hess[k] -= 2 * f8_sum(linear)
            k = k + 1


cdef inline void add_all_points(
    const Field *field, const float *y, Similarity *out
) noexcept nogil:
    cdef Py_ssize_t first = 0, last
    while first < field.capacity:
        last = min(first + <Py_ssize_t> FIELD_CHUNK, field.capacity)
        if field.d == 2:
            if field.dof == 1:
                add_chunk(field, y, first, last, 2, 1, out)
            else:
                add_chunk(field, y, first, last, 2, field.dof, out)
        elif field.d == 1:
            add_chunk(field, y, first, last, 1, field.dof, out)
        else:
            add_chunk(field, y, first, last, 3, field.dof, out)
        first = last


cdef inline Py_ssize_t spline_with_curvature(
    const Field *field, float y, int axis, f8 *found
) noexcept nogil:
    """Weights, slopes and curvatures at the p nodes from floor(u) on; returns floor(u)."""
    cdef float u = (y - field.origin[axis]) * field.inverse_spacing
    cdef float cell = floorf(u)
    cdef f8 t = f8_set1(u - cell)
    cdef const float *table = field.table
    cdef int power, p = field.order, derivative
    for derivative in range(3):
        found[derivative] = f8_load(table)
        for power in range(1, p - derivative):
            found[derivative] = f8_fma(found[derivative], t, f8_load(table + power * LANES))
        table += p * LANES
    return <Py_ssize_t> cell


cdef inline void add_from_grid(const Field *field, const float *y, Similarity *out) noexcept nogil:
    cdef f8 columns[3]
    cdef f8 rows[3]
    cdef f8 layers[3]
    cdef float row_table[24]
    cdef float layer_table[24]
    cdef f8 sums[6]  # by derivatives along layers and rows: 00, 01, 02, 10, 11, 20
    cdef f8 along[3]
    cdef f8 line
    cdef int a, b, k, d = field.d, p = field.order
    cdef float h = field.inverse_spacing
    cdef const float *layer = field.cells + spline_with_curvature(field, y[0], 0, columns)
    cdef const float *row
    cdef f8 zero = f8_set1(0)
    for k in range(24):
        row_table[k] = layer_table[k] = 0
    row_table[0] = layer_table[0] = 1
    if d > 1:
        layer += spline_with_curvature(field, y[1], 1, rows) * field.step[1]
        for k in range(3):
            f8_store(row_table + 8 * k, rows[k])
    if d > 2:
        layer += spline_with_curvature(field, y[2], 2, layers) * field.step[2]
        for k in range(3):
            f8_store(layer_table + 8 * k, layers[k])
    for k in range(6):
        sums[k] = zero
    for b in range(p if d > 2 else 1):
        row = layer
        along[0] = along[1] = along[2] = zero
        for a in range(p if d > 1 else 1):
            line = f8_load(row)
            for k in range(3):
                along[k] = f8_fma(f8_set1(row_table[8 * k + a]), line, along[k])
            row += field.step[1]
        for k in range(3):
            sums[k] = f8_fma(f8_set1(layer_table[b]), along[k], sums[k])
        sums[3] = f8_fma(f8_set1(layer_table[8 + b]), along[0], sums[3])
        sums[4] = f8_fma(f8_set1(layer_table[8 + b]), along[1], sums[4])
        sums[5] = f8_fma(f8_set1(layer_table[16 + b]), along[0], sums[5])
        layer += field.step[2]
    out.z += f8_sum(f8_mul(columns[0], sums[0])) + field.mean
    out.grad[0] += h * f8_sum(f8_mul(columns[1], sums[0]))
    out.hess[0] += h * h * f8_sum(f8_mul(columns[2], sums[0]))
    if d > 1:
        out.grad[1] += h * f8_sum(f8_mul(columns[0], sums[1]))
        out.hess[1] += h * h * f8_sum(f8_mul(columns[1], sums[1]))
        out.hess[d] += h * h * f8_sum(f8_mul(columns[0], sums[2]))
    if d > 2:
        out.grad[2] += h * f8_sum(f8_mul(columns[0], sums[3]))
        out.hess[2] += h * h * f8_sum(f8_mul(columns[1], sums[3]))
        out.hess[4] += h * h * f8_sum(f8_mul(columns[0], sums[4]))
        out.hess[5] += h * h * f8_sum(f8_mul(columns[0], sums[5]))


cdef inline void add_near_points(
    const Field *field, const float *y, Similarity *out
) noexcept nogil:
    cdef const Strips *at = &field.at
    cdef int32_t runs[2 * N_RUNS]
    cdef int run, a, b, k, d = field.d, n_runs = runs_around(at, y, runs)
    cdef Py_ssize_t s
    cdef f8 difference[3]
    cdef f8 slope[3]
    cdef f8 bend[6]
    cdef f8 r2, near, factor, curvature, total = f8_set1(0), linear = f8_set1(0)
    for k in range(6):
        slope[k // 2] = bend[k] = f8_set1(0)
    for run in range(n_runs):
        for s in range(runs[2 * run], runs[2 * run + 1], 8):
            r2 = f8_set1(0)
            for a in range(d):
                difference[a] = f8_sub(
                    f8_set1(y[a]), f8_load(at.columns + a * at.capacity + s)
                )
                r2 = f8_fma(difference[a], difference[a], r2)
            near_factors(&field.kernel, r2, field.kernel.dof == 1, &near, &factor)
            curvature = near_bend(&field.kernel, r2)
            total = f8_add(total, near)
            linear = f8_add(linear, factor)
            k = 0
            for a in range(d):
                slope[a] = f8_fma(factor, difference[a], slope[a])
                for b in range(a, d):
                    bend[k] = f8_fma(
                        f8_mul(curvature, difference[a]), difference[b], bend[k]
                    )
                    k = k + 1
    out.z += f8_sum(total)
    k = 0
    for a in range(d):
        out.grad[a] -= 2 * f8_sum(slope[a])
        for b in range(a, d):
            out.hess[k] += 4 * f8_sum(bend[k])
            if a == b:
                out.hess[k] -= 2 * f8_sum(linear)
            k = k + 1


cdef inline void add_one(
    const double *y, const float *source, double sign, int d, double dof, Similarity *out
) noexcept nogil:
    """Add ``sign`` times what one point contributes."""
    cdef double r2 = 0, q, w
    cdef double difference[3]
    cdef int a, b, k = 0
    for a in range(d):
        difference[a] = y[a] - source[a]
        r2 = r2 + difference[a] * difference[a]
    q = 1 / (1 + r2 / dof)
    w = sign * (q if dof == 1 else pow(q, dof))
    out.z += w
    for a in range(d):
        out.grad[a] -= 2 * w * q * difference[a]
        for b in range(a, d):
            out.hess[k] += 4 * (1 + 1 / dof) * w * q * q * difference[a] * difference[b]
            if a == b:
                out.hess[k] -= 2 * w * q
            k = k + 1


cdef inline void similarity_without(
    const Field *field, const double *y, const float *left_out, Similarity *out
) noexcept nogil:
    """z and its derivatives at y, of all points but one."""
    cdef float rounded[3]
    cdef int a
    out.z = 0
    for a in range(3):
        out.grad[a] = 0
    for a in range(6):
        out.hess[a] = 0
    for a in range(field.d):
        rounded[a] = <float> y[a]
    if field.columns != NULL:
        add_all_points(field, rounded, out)
    else:
        add_from_grid(field, rounded, out)
        if field.kernel.s0:
            add_near_points(field, rounded, out)
    add_one(y, left_out, -1, field.d, field.dof, out)
