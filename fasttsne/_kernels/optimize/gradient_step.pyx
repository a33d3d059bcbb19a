"""One step of gradient descent: gains, momentum, clipping and recentering in two passes.

    g     = gradient / 4
    gain  = gain + 0.2 where the signs of g and of the last u differ, else 0.8 gain, at least 0.01
    u     = momentum * u - learning_rate * gain * g
    y     = y + u,   then y = y - mean(y)

Where a point has a target a with a weight w, what the step minimises of w |y - a|^2 / 2 is
implicit, and so stable for any weight: with s = learning_rate * gain * w,

    u     = (y + u + s a) / (1 + s) - y

A point of infinite weight is at its target, and takes no step.

``max_grad_norm`` and ``max_step_norm`` bound the length of a point's g and u.
A point that a step would take beyond MAX_COORDINATE, or to NaN, stays where it is.
Positions are float64 (a late step is far below float32 resolution of a wide
map), updates and gains float32.  Sums run over fixed blocks: any number of
threads gives the same bits.  Source: van der Maaten & Hinton 2008; Jacobs 1988.
"""

from cython.parallel cimport prange
from libc.float cimport DBL_MAX
from libc.math cimport INFINITY, fabs, sqrt
from libc.stdint cimport int64_t

import numpy as np

from fasttsne._kernels.optimize.row_task cimport RowTask, as_capsule, new_task

cdef Py_ssize_t BLOCK = 1024

MIN_GAIN = 0.01
# Squares of float32 numbers up to here can be added, and divided by any ``dof``.
MAX_COORDINATE = 1e15


cdef struct Step:
    double learning_rate
    double momentum
    double min_gain
    double max_grad_norm  # negative: no bound
    double max_step_norm  # negative: no bound
    double max_coordinate
    bint adapt_gains
    const double *weights  # (n,) of targets, or NULL
    const double *targets  # (n, d)


cdef inline void clip_norm(double *v, int d, double bound) noexcept nogil:
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
    const double *y, const double *u, int d, double max_coordinate
) noexcept nogil:
    """Whether y + u is finite and within the limit."""
    cdef bint within = True
    cdef int c
    for c in range(d):
        within = within and fabs(y[c] + u[c]) <= max_coordinate
    return within


cdef inline void approach(
    const double *y, const double *target, double weight, const double *rates, int d, double *u
) noexcept nogil:
    """Change the step u as the target asks for; ``rates`` are learning rate times gain."""
    cdef double s
    cdef int c
    for c in range(d):
        s = rates[c] * weight
        u[c] = (u[c] + s * (target[c] - y[c])) / (1 + s)


cdef inline Py_ssize_t step_block(
    const Step *step, double *y, float *update, float *gains, const double *gradient,
    Py_ssize_t first, Py_ssize_t last, int d, double *total,
) noexcept nogil:
    """Move points; write the sum of their new positions to ``total``; return how many are stuck."""
    cdef Py_ssize_t i, e, n_stuck = 0
    cdef int c
    cdef double g[3]
    cdef double u[3]
    cdef double rates[3]
    cdef double gain, smaller, larger, weight
    cdef bint same_sign
    for c in range(d):
        total[c] = 0
    for i in range(first, last):
        weight = 0 if step.weights == NULL else step.weights[i]
        if weight == INFINITY:
            for c in range(d):
                e = i * d + c
                y[e], update[e] = step.targets[e], 0
                total[c] += y[e]
            continue
        for c in range(d):
            e = i * d + c
            g[c] = gradient[e]
        if step.max_grad_norm >= 0:
            clip_norm(g, d, step.max_grad_norm)
        for c in range(d):
            e = i * d + c
            # Without branches, which no processor foresees: & is not "and".
            same_sign = ((g[c] > 0) == (update[e] > 0)) & ((g[c] < 0) == (update[e] < 0))
            if step.adapt_gains:
                smaller, larger = gains[e] * 0.8, gains[e] + 0.2
                gain = max(smaller if same_sign else larger, step.min_gain)
                gains[e] = <float> gain
            else:
                gain = 1
            rates[c] = step.learning_rate * gain
            u[c] = step.momentum * update[e] - rates[c] * g[c]
        if weight > 0:
            approach(y + i * d, step.targets + i * d, weight, rates, d, u)
        if step.max_step_norm >= 0:
            clip_norm(u, d, step.max_step_norm)
        if not stays_within(y + i * d, u, d, step.max_coordinate):
            n_stuck += 1
            for c in range(d):
                u[c] = 0
        for c in range(d):
            e = i * d + c
            update[e] = <float> u[c]
            y[e] += u[c]
            total[c] += y[e]
    return n_stuck


cdef Py_ssize_t step_block_of_dimension(
    const Step *step, double *y, float *update, float *gains, const double *gradient,
    Py_ssize_t first, Py_ssize_t last, int d, double *total,
) noexcept nogil:
    """One compiled loop for each dimension."""
    if d == 1:
        return step_block(step, y, update, gains, gradient, first, last, 1, total)
    if d == 2:
        return step_block(step, y, update, gains, gradient, first, last, 2, total)
    return step_block(step, y, update, gains, gradient, first, last, 3, total)


cdef void combine_block(
    const float *attractive, const float *repulsive, double inverse_z, double exaggeration,
    double *gradient, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    cdef Py_ssize_t e
    for e in range(first, last):
        gradient[e] = exaggeration * attractive[e] - inverse_z * repulsive[e]


cdef void center_block(
    double *y, Py_ssize_t first, Py_ssize_t last, int d, const double *mean
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int c
    for i in range(first, last):
        for c in range(d):
            y[i * d + c] -= mean[c]


cdef double pull_block(
    const double *y, const double *targets, const double *weights, double *gradient,
    Py_ssize_t first, Py_ssize_t last, int d,
) noexcept nogil:
    cdef Py_ssize_t i, e
    cdef double difference, energy = 0
    cdef int c
    for i in range(first, last):
        for c in range(d):
            e = i * d + c
            if weights[i] == INFINITY:
                gradient[e] = 0
            else:
                difference = y[e] - targets[e]
                gradient[e] += weights[i] * difference
                energy += weights[i] * difference * difference
    return energy


cdef int set_step(
    Step *step, double learning_rate, double momentum, max_grad_norm, max_step_norm,
    bint adapt_gains,
) except -1:
    """Set all but the targets, of which there are none."""
    step.learning_rate, step.momentum, step.min_gain = learning_rate, momentum, MIN_GAIN
    step.max_grad_norm = -1 if max_grad_norm is None else max_grad_norm
    step.max_step_norm = -1 if max_step_norm is None else max_step_norm
    step.max_coordinate, step.adapt_gains = MAX_COORDINATE, adapt_gains
    step.weights = step.targets = NULL
    return 0


cpdef Py_ssize_t count_blocks(Py_ssize_t n) noexcept nogil:
    """How many blocks of points a step has: the rows of its scratch arrays."""
    return (n + BLOCK - 1) // BLOCK


def gradient_step(
    double[:, ::1] y,  # INOUT (n, d), d <= 3
    float[:, ::1] update,  # INOUT (n, d)
    float[:, ::1] gains,  # INOUT (n, d)
    const double[:, ::1] gradient,  # IN (n, d), a quarter of the gradient
    double[:, ::1] block_sums,  # SCRATCH (count_blocks(n) + 1, d)
    int64_t[::1] block_counts,  # SCRATCH (count_blocks(n),)
    double learning_rate,
    double momentum,
    max_grad_norm,  # a length, or None
    max_step_norm,  # a length, or None
    int n_threads,
    bint recenter=True,
    bint adapt_gains=True,
    const double[::1] weights=None,  # IN (n,) of targets, 0 to infinity; or None
    const double[:, ::1] targets=None,  # IN (n, d)
):
    """Take one step and, if ``recenter``, move the map's mean to the origin, in place. O(n).

    Without that, no point depends on another.  Returns how many points could not be moved.
    """
    cdef Step step
    cdef Py_ssize_t n = y.shape[0], b, n_blocks = count_blocks(n)
    cdef int d = <int> y.shape[1]
    cdef int64_t n_stuck = 0
    set_step(&step, learning_rate, momentum, max_grad_norm, max_step_norm, adapt_gains)
    if weights is not None:
        step.weights, step.targets = &weights[0], &targets[0, 0]
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        block_counts[b] = step_block_of_dimension(
            &step, &y[0, 0], &update[0, 0], &gains[0, 0], &gradient[0, 0],
            b * BLOCK, min((b + 1) * BLOCK, n), d, &block_sums[b, 0],
        )
    for b in range(n_blocks):
        n_stuck += block_counts[b]
    if not recenter:
        return n_stuck
    cdef int c
    cdef double *mean = &block_sums[n_blocks, 0]
    np.sum(block_sums[:n_blocks], axis=0, out=np.asarray(block_sums[n_blocks]))
    for c in range(d):
        mean[c] /= n
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        center_block(&y[0, 0], b * BLOCK, min((b + 1) * BLOCK, n), d, mean)
    return n_stuck


def combine_forces(
    const float[:, ::1] attractive,  # IN (n, d)
    const float[:, ::1] repulsive,  # IN (n, d), not divided by Z
    double z,
    double exaggeration,
    double[:, ::1] gradient,  # OUT (n, d)
    int n_threads,
):
    """A quarter of the KL gradient: exaggeration * attractive - repulsive / z. O(n)."""
    cdef Py_ssize_t n = attractive.shape[0], b, n_blocks = count_blocks(n)
    cdef int d = <int> attractive.shape[1]
    cdef double inverse_z = 1 / z
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        combine_block(
            &attractive[0, 0], &repulsive[0, 0], inverse_z, exaggeration, &gradient[0, 0],
            b * BLOCK * d, min((b + 1) * BLOCK, n) * d,
        )


def pull(
    const double[:, ::1] y, const double[:, ::1] targets,  # IN (n, d)
    const double[::1] weights,  # IN (n,), 0 to infinity
    double[:, ::1] gradient,  # INOUT (n, d)
    double[::1] block_sums,  # SCRATCH (count_blocks(n),)
    int n_threads,
):
    """Add w (y - a) to the gradient of points with targets; that of infinite weights becomes 0.

    Returns the sum of w |y - a|^2 over finite weights. O(n).
    """
    cdef Py_ssize_t n = y.shape[0], b, n_blocks = count_blocks(n)
    cdef int d = <int> y.shape[1]
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        block_sums[b] = pull_block(
            &y[0, 0], &targets[0, 0], &weights[0], &gradient[0, 0], b * BLOCK,
            min((b + 1) * BLOCK, n), d,
        )
    return float(np.sum(block_sums[:n_blocks]))


cdef struct StepTask:
    RowTask task
    Step step
    double exaggeration
    double min_z
    double *y
    float *update
    float *gains
    double *gradient
    float *points
    const float *attractive
    float *repulsive
    const double *z
    int d


cdef bint run_task(const void *task, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef const StepTask *t = <const StepTask *> task
    cdef double total[3]
    cdef Py_ssize_t i, e, n_stuck
    for i in range(first, last):
        for e in range(i * t.d, (i + 1) * t.d):
            t.repulsive[e] = <float> (t.repulsive[e] / max(t.z[i], t.min_z))
    combine_block(t.attractive, t.repulsive, 1, t.exaggeration, t.gradient, first * t.d, last * t.d)
    n_stuck = step_block_of_dimension(
        &t.step, t.y, t.update, t.gains, t.gradient, first, last, t.d, total
    )
    for e in range(first * t.d, last * t.d):
        t.points[e] = <float> t.y[e]
    return n_stuck > 0


def row_task(
    double[:, ::1] y, float[:, ::1] update, float[:, ::1] gains,  # INOUT as for `gradient_step`
    double[:, ::1] gradient,  # SCRATCH (n, d)
    float[:, ::1] points,  # OUT (n, d), y for the next iteration
    const float[:, ::1] attractive, float[:, ::1] repulsive,  # IN (n, d), SCRATCH
    const double[::1] z,  # IN (n,), of each point by itself
    double min_z, double exaggeration, double learning_rate, double momentum,
    max_grad_norm, max_step_norm,
):
    """Forces combined, and a step, for points each with a Z of its own: see ``row_task.pxd``."""
    cdef StepTask *task = <StepTask *> new_task(sizeof(StepTask), run_task)
    set_step(&task.step, learning_rate, momentum, max_grad_norm, max_step_norm, True)
    task.exaggeration, task.min_z, task.d = exaggeration, min_z, <int> y.shape[1]
    task.y, task.update, task.gains = &y[0, 0], &update[0, 0], &gains[0, 0]
    task.gradient, task.points, task.z = &gradient[0, 0], &points[0, 0], &z[0]
    task.attractive, task.repulsive = &attractive[0, 0], &repulsive[0, 0]
    return as_capsule(task)
