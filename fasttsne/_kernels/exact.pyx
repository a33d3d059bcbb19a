"""Exact repulsion: every pair, O(n^2 d) time, O(n) memory.

    out_i = sum_j w_ij q_ij (y_i - y_j),    Z = sum_{i != j} w_ij

The right answer for small n, and the yardstick for the mesh and the tree.
"""

from cython.parallel cimport prange

import numpy as np

from fasttsne._kernels.pairwise cimport repel

cdef Py_ssize_t BLOCK = 32  # targets a task

cdef enum:
    CHUNK = 1024  # sources summed in float32 before a float64 sum takes over


cdef void repel_range(
    const float *point, const float *source, const float *mass, Py_ssize_t padded,
    Py_ssize_t first, Py_ssize_t last, int d, float dof, double *force, double *z,
) noexcept nogil:
    """Add the sources first..last, a chunk at a time."""
    cdef Py_ssize_t count
    while first < last:
        count = min(<Py_ssize_t> CHUNK, last - first)
        repel(point, source + first, padded, mass + first, count, d, dof, force, z)
        first += count


cdef double repel_block(
    const float *y, const float *source, const float *mass, float *out,
    Py_ssize_t first, Py_ssize_t last, Py_ssize_t padded, int d, float dof,
) noexcept nogil:
    cdef Py_ssize_t i, own
    cdef int c
    cdef float others[8]
    cdef double force[3]
    cdef double z = 0
    for i in range(first, last):
        for c in range(d):
            force[c] = 0
        # The point's own group of eight goes by itself and without the point: in
        # a map of few and far points the rest of Z would drown in its w = 1.
        own = i // 8 * 8
        for c in range(8):
            others[c] = mass[own + c]
        others[i - own] = 0
        repel(y + i * d, source + own, padded, others, 8, d, dof, force, &z)
        repel_range(y + i * d, source, mass, padded, 0, own, d, dof, force, &z)
        repel_range(y + i * d, source, mass, padded, own + 8, padded, d, dof, force, &z)
        for c in range(d):
            out[i * d + c] = <float> force[c]
    return z


def exact_repulsion(
    const float[:, ::1] y,  # IN (n, d), d <= 3
    float[:, ::1] out,  # OUT (n, d)
    float dof,
    int n_threads,
):
    """Write the repulsive forces, not yet divided by Z, to ``out``; return Z."""
    cdef Py_ssize_t n = y.shape[0], b, n_blocks = (n + BLOCK - 1) // BLOCK
    cdef Py_ssize_t padded = (n + 7) // 8 * 8
    cdef int d = <int> y.shape[1]
    cdef float[:, ::1] source = np.zeros((d, padded), np.float32)
    cdef float[::1] mass = np.zeros(padded, np.float32)
    cdef double[::1] partial = np.zeros(n_blocks)
    if n == 0:
        return 0.0
    np.asarray(source)[:, :n] = np.asarray(y).T
    mass[:n] = 1
    for b in prange(n_blocks, nogil=True, schedule="dynamic", num_threads=n_threads):
        partial[b] = repel_block(
            &y[0, 0], &source[0, 0], &mass[0], &out[0, 0],
            b * BLOCK, min((b + 1) * BLOCK, n), padded, d, dof,
        )
    return float(np.sum(partial))
