"""One step of gradient descent: gains, momentum, clipping and recentring in two passes.

    g     = exaggeration * attractive - repulsive / Z          (a quarter of dKL/dy)
    gain  = gain + 0.2 where the signs of g and of the last u differ, else 0.8 gain, at least 0.01
    u     = momentum * u - learning_rate * gain * g
    y     = y + u,   then y = y - mean(y)

``max_grad_norm`` and ``max_step_norm`` bound the length of a point's g and u.
A point that a step would take beyond FARTHEST, or to no place at all, stays where it is.
Positions are float64 (a late step is far below float32 resolution of a wide
map), updates and gains float32.  Sums run over fixed blocks: any number of
threads gives the same bits.  Source: van der Maaten & Hinton 2008; Jacobs 1988.
"""

from cython.parallel cimport prange
from libc.float cimport DBL_MAX
from libc.math cimport fabs, sqrt

import numpy as np

cdef Py_ssize_t BLOCK = 1024

MIN_GAIN = 0.01
# Squares of float32 numbers up to here can be added, and divided by any ``dof``.
FARTHEST = 1e15


cdef struct Step:
    double exaggeration
    double inverse_z
    double learning_rate
    double momentum
    double min_gain
    double max_grad_norm  # negative: no bound
    double max_step_norm  # negative: no bound
    double farthest


cdef inline void shorten(double *v, int d, double bound) noexcept nogil:
    """Scale v down to the length ``bound``."""
    cdef double norm2 = 0, largest = 0
    cdef int c
    for c in range(d):
        norm2 += v[c] * v[c]
    if norm2 > bound * bound:
        if norm2 > DBL_MAX:  # numbers whose squares are too large
            norm2 = 0
            for c in range(d):
                largest = max(largest, fabs(v[c]))
            for c in range(d):
                v[c] /= largest
                norm2 += v[c] * v[c]
        for c in range(d):
            v[c] *= bound / sqrt(norm2)


cdef inline bint stays_within(
    const double *y, const double *u, int d, double farthest
) noexcept nogil:
    """Whether y + u is a place; NaN is none."""
    cdef bint within = True
    cdef int c
    for c in range(d):
        within = within and fabs(y[c] + u[c]) <= farthest
    return within


cdef inline Py_ssize_t step_block(
    const Step *step, double *y, float *update, float *gains, const float *attractive,
    const float *repulsive, Py_ssize_t first, Py_ssize_t last, int d, double *total,
) noexcept nogil:
    """Move the points first..last; return how many had to stay.

    The sum of their new positions is written to ``total``.
    """
    cdef Py_ssize_t i, e, kept = 0
    cdef int c
    cdef double g[3]
    cdef double u[3]
    cdef double gain
    cdef bint same_sign
    for c in range(d):
        total[c] = 0
    for i in range(first, last):
        for c in range(d):
            e = i * d + c
            g[c] = step.exaggeration * attractive[e] - step.inverse_z * repulsive[e]
        if step.max_grad_norm >= 0:
            shorten(g, d, step.max_grad_norm)
        for c in range(d):
            e = i * d + c
            same_sign = (g[c] > 0) == (update[e] > 0) and (g[c] < 0) == (update[e] < 0)
            gain = gains[e] * 0.8 if same_sign else gains[e] + 0.2
            gain = max(gain, step.min_gain)
            gains[e] = <float> gain
            u[c] = step.momentum * update[e] - step.learning_rate * gain * g[c]
        if step.max_step_norm >= 0:
            shorten(u, d, step.max_step_norm)
        if not stays_within(y + i * d, u, d, step.farthest):
            kept += 1
            for c in range(d):
                u[c] = 0
        for c in range(d):
            e = i * d + c
            update[e] = <float> u[c]
            y[e] += u[c]
            total[c] += y[e]
    return kept


cdef Py_ssize_t dispatch(
    const Step *step, double *y, float *update, float *gains, const float *attractive,
    const float *repulsive, Py_ssize_t first, Py_ssize_t last, int d, double *total,
) noexcept nogil:
    """One compiled loop for each dimension."""
    if d == 1:
        return step_block(step, y, update, gains, attractive, repulsive, first, last, 1, total)
    if d == 2:
        return step_block(step, y, update, gains, attractive, repulsive, first, last, 2, total)
    return step_block(step, y, update, gains, attractive, repulsive, first, last, 3, total)


cdef void centre_block(
    double *y, Py_ssize_t first, Py_ssize_t last, int d, const double *mean
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int c
    for i in range(first, last):
        for c in range(d):
            y[i * d + c] -= mean[c]


def gradient_step(
    double[:, ::1] y,  # INOUT (n, d), d <= 3
    float[:, ::1] update,  # INOUT (n, d)
    float[:, ::1] gains,  # INOUT (n, d)
    const float[:, ::1] attractive,  # IN (n, d)
    const float[:, ::1] repulsive,  # IN (n, d), not divided by Z
    double z,
    double exaggeration,
    double learning_rate,
    double momentum,
    max_grad_norm,  # a length, or None
    max_step_norm,  # a length, or None
    int n_threads,
    bint recentre=True,
):
    """Take one step and, if ``recentre``, move the map's mean to the origin, in place. O(n).

    Without that, no point depends on another.  Returns how many points had to stay.
    """
    cdef Step step
    cdef Py_ssize_t n = y.shape[0], b, n_blocks = (n + BLOCK - 1) // BLOCK
    cdef int d = <int> y.shape[1]
    cdef double[:, ::1] totals = np.zeros((n_blocks, d))
    cdef Py_ssize_t[::1] kept = np.zeros(n_blocks, np.intp)
    step.exaggeration, step.inverse_z = exaggeration, 1 / z
    step.learning_rate, step.momentum, step.min_gain = learning_rate, momentum, MIN_GAIN
    step.max_grad_norm = -1 if max_grad_norm is None else max_grad_norm
    step.max_step_norm = -1 if max_step_norm is None else max_step_norm
    step.farthest = FARTHEST
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        kept[b] = dispatch(
            &step, &y[0, 0], &update[0, 0], &gains[0, 0], &attractive[0, 0], &repulsive[0, 0],
            b * BLOCK, min((b + 1) * BLOCK, n), d, &totals[b, 0],
        )
    if not recentre:
        return int(np.sum(kept))
    cdef double[::1] mean = np.sum(totals, axis=0) / n
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        centre_block(&y[0, 0], b * BLOCK, min((b + 1) * BLOCK, n), d, &mean[0])
    return int(np.sum(kept))
