"""Exact repulsion: every pair, O(n^2 d) time, O(n) memory.

    out_i = sum_j w_ij q_ij (y_i - y_j),    Z = sum_{i != j} w_ij

The right answer for small n, and what the mesh and the tree are measured by.  The
same sums for points that are not among the sources are in ``exact_repulsion_at``, where
each has a Z of its own.

Sources come transposed and padded, (d, capacity) with capacity a multiple of eight and
PADDING_COORDINATE beyond the last.  Sums are float32 over CHUNK sources, float64 beyond.
"""

from cython.parallel cimport prange

import numpy as np

from fasttsne._kernels.repulsion.pairwise cimport Sources, padding_coordinate, repel_by_points

PADDING_COORDINATE = padding_coordinate()

cdef Py_ssize_t BLOCK = 32  # targets a task

cdef enum:
    CHUNK = 1024  # sources summed in float32 before a float64 sum takes over


cdef void repel_by_range(
    const float *point, Sources sources, Py_ssize_t first, Py_ssize_t last, int d, float dof,
    double *force, double *z,
) noexcept nogil:
    """Add the sources first..last, a chunk at a time."""
    sources.coordinates += first
    while first < last:
        sources.count = min(<Py_ssize_t> CHUNK, last - first)
        repel_by_points(point, &sources, d, dof, force, z)
        sources.coordinates += sources.count
        first += sources.count


cdef double repel_block(
    const float *y, Sources sources, float *out, Py_ssize_t first, Py_ssize_t last, int d,
    float dof,
) noexcept nogil:
    cdef Py_ssize_t i, own
    cdef int c, lane
    cdef float others[24]
    cdef double force[3]
    cdef double z = 0
    cdef Sources group
    group.coordinates, group.capacity, group.count = others, 8, 8
    for i in range(first, last):
        for c in range(d):
            force[c] = 0
        # The point's own group of eight goes by itself and without the point: in
        # a map of few and far points the rest of Z would drown in its w = 1.
        own = i // 8 * 8
        for c in range(d):
            for lane in range(8):
                others[8 * c + lane] = sources.coordinates[c * sources.capacity + own + lane]
            others[8 * c + i - own] = padding_coordinate()
        repel_by_points(y + i * d, &group, d, dof, force, &z)
        repel_by_range(y + i * d, sources, 0, own, d, dof, force, &z)
        repel_by_range(y + i * d, sources, own + 8, sources.capacity, d, dof, force, &z)
        for c in range(d):
            out[i * d + c] = <float> force[c]
    return z


def count_blocks(Py_ssize_t n):
    """How many tasks n points make: the length of the scratch array."""
    return (n + BLOCK - 1) // BLOCK


def exact_repulsion(
    const float[:, ::1] y,  # IN (n, d), d <= 3
    const float[:, ::1] columns,  # IN (d, capacity), the same, transposed and padded
    float[:, ::1] out,  # OUT (n, d)
    float dof,
    double[::1] z_sums,  # SCRATCH (count_blocks(n),)
    int n_threads,
):
    """Write the repulsive forces, not yet divided by Z, to ``out``; return Z."""
    cdef Py_ssize_t n = y.shape[0], b, n_blocks = (n + BLOCK - 1) // BLOCK
    cdef int d = <int> y.shape[1]
    cdef Sources sources
    if n == 0:
        return 0.0
    sources.coordinates, sources.capacity = &columns[0, 0], columns.shape[1]
    for b in prange(n_blocks, nogil=True, schedule="dynamic", num_threads=n_threads):
        z_sums[b] = repel_block(
            &y[0, 0], sources, &out[0, 0], b * BLOCK, min((b + 1) * BLOCK, n), d, dof
        )
    return float(np.sum(z_sums[:n_blocks]))


cdef void repel_others_block(
    const float *y, Sources sources, float *out, double *z, Py_ssize_t first, Py_ssize_t last,
    int d, float dof,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int c
    cdef double force[3]
    for i in range(first, last):
        z[i] = 0
        for c in range(d):
            force[c] = 0
        repel_by_range(y + i * d, sources, 0, sources.capacity, d, dof, force, z + i)
        for c in range(d):
            out[i * d + c] = <float> force[c]


def exact_repulsion_at(
    const float[:, ::1] y,  # IN (m, d), d <= 3
    const float[:, ::1] columns,  # IN (d, capacity), the sources, transposed and padded
    float[:, ::1] out,  # OUT (m, d), sum_j w q (y_i - s_j)
    double[::1] z,  # OUT (m,), sum_j w
    float dof,
    int n_threads,
):
    """Write the forces of the sources on other points, and each point's Z. O(m n d)."""
    cdef Py_ssize_t m = y.shape[0], b, n_blocks = (m + BLOCK - 1) // BLOCK
    cdef int d = <int> y.shape[1]
    cdef Sources sources
    if m == 0 or columns.shape[1] == 0:
        out[:] = 0
        z[:] = 0
        return
    sources.coordinates, sources.capacity = &columns[0, 0], columns.shape[1]
    for b in prange(n_blocks, nogil=True, schedule="dynamic", num_threads=n_threads):
        repel_others_block(
            &y[0, 0], sources, &out[0, 0], &z[0], b * BLOCK, min((b + 1) * BLOCK, m), d, dof
        )
