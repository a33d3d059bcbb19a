"""Targets that follow a map: a reference, turned, scaled and moved to where the map is.

Sums run over fixed blocks: any number of threads gives the same bits.
"""

from cython.parallel cimport prange
from libc.math cimport INFINITY

import numpy as np

cdef Py_ssize_t BLOCK = 1024


cdef void add_block(
    const double *y, const double *reference, Py_ssize_t first, Py_ssize_t last, int d,
    double *sums,
) noexcept nogil:
    """Sums over the points first..last; there are 1 + d + d * d of them."""
    cdef double *means = sums + 1
    cdef double *products = sums + 1 + d
    cdef Py_ssize_t i
    cdef int a, b
    for a in range(1 + d + d * d):
        sums[a] = 0
    for i in range(first, last):
        for b in range(d):
            sums[0] += y[i * d + b] * y[i * d + b]
            means[b] += y[i * d + b]
            for a in range(d):
                products[a * d + b] += reference[i * d + a] * y[i * d + b]


cdef void add_block_2d(
    const double *y, const double *reference, Py_ssize_t first, Py_ssize_t last, double *sums,
) noexcept nogil:
    """The same sums of two dimensions, in the same order, without a store for each term."""
    cdef double square = 0, mean0 = 0, mean1 = 0, p00 = 0, p01 = 0, p10 = 0, p11 = 0
    cdef double y0, y1, r0, r1
    cdef Py_ssize_t i
    for i in range(first, last):
        y0, y1, r0, r1 = y[2 * i], y[2 * i + 1], reference[2 * i], reference[2 * i + 1]
        square += y0 * y0
        square += y1 * y1
        mean0 += y0
        mean1 += y1
        p00 += r0 * y0
        p01 += r0 * y1
        p10 += r1 * y0
        p11 += r1 * y1
    sums[0], sums[1], sums[2] = square, mean0, mean1
    sums[3], sums[4], sums[5], sums[6] = p00, p01, p10, p11


cdef void place_block_2d(
    const double *reference, const double *turn, const double *shift, double weight,
    double *targets, double *weights, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """``place_block`` of two dimensions, without targets of the points' own."""
    cdef double t00 = turn[0], t01 = turn[1], t10 = turn[2], t11 = turn[3]
    cdef double s0 = shift[0], s1 = shift[1], r0, r1
    cdef Py_ssize_t i
    for i in range(first, last):
        r0, r1 = reference[2 * i], reference[2 * i + 1]
        weights[i] = weight
        targets[2 * i] = s0 + r0 * t00 + r1 * t10
        targets[2 * i + 1] = s1 + r0 * t01 + r1 * t11


cdef void place_block(
    const double *reference, const double *turn, const double *shift, double weight,
    const double *own_targets, const double *own_weights, double *targets, double *weights,
    Py_ssize_t first, Py_ssize_t last, int d,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double place, own
    cdef int a, b
    for i in range(first, last):
        own = 0 if own_weights == NULL else own_weights[i]
        weights[i] = weight + own
        for b in range(d):
            place = shift[b]
            for a in range(d):
                place += reference[i * d + a] * turn[a * d + b]
            if own == INFINITY:
                place = own_targets[i * d + b]
            elif own > 0:
                place += own / (weight + own) * (own_targets[i * d + b] - place)
            targets[i * d + b] = place


def moments(
    const double[:, ::1] y, const double[:, ::1] reference,  # IN (n, d)
    int n_threads,
):
    """The mean of |y|^2, (d,) that of y, and (d, d) that of the products reference[a] y[b]. O(n).
    """
    cdef Py_ssize_t n = y.shape[0], b, n_blocks = (n + BLOCK - 1) // BLOCK
    cdef int d = <int> y.shape[1]
    cdef double[:, ::1] sums = np.empty((n_blocks, 1 + d + d * d))
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        if d == 2:
            add_block_2d(
                &y[0, 0], &reference[0, 0], b * BLOCK, min((b + 1) * BLOCK, n), &sums[b, 0]
            )
        else:
            add_block(
                &y[0, 0], &reference[0, 0], b * BLOCK, min((b + 1) * BLOCK, n), d, &sums[b, 0]
            )
    means = np.sum(sums, axis=0) / n
    return float(means[0]), means[1 : 1 + d], means[1 + d :].reshape(d, d)


def place(
    const double[:, ::1] reference,  # IN (n, d)
    const double[:, ::1] turn,  # IN (d, d)
    const double[::1] shift,  # IN (d,)
    double weight,
    double[:, ::1] targets,  # OUT (n, d)
    double[::1] weights,  # OUT (n,)
    int n_threads,
    const double[:, ::1] own_targets=None,  # IN (n, d)
    const double[::1] own_weights=None,  # IN (n,), 0 to infinity
):
    """Targets reference @ turn + shift of one weight; and with others, one target for both. O(n).

    w |y - a|^2 + v |y - b|^2 is, but for a constant, (w + v) |y - c|^2 with the mean c of both.
    """
    cdef Py_ssize_t n = reference.shape[0], b, n_blocks = (n + BLOCK - 1) // BLOCK
    cdef int d = <int> reference.shape[1]
    cdef const double *others = NULL
    cdef const double *strengths = NULL
    if own_weights is not None:
        others, strengths = &own_targets[0, 0], &own_weights[0]
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        if d == 2 and strengths == NULL:
            place_block_2d(
                &reference[0, 0], &turn[0, 0], &shift[0], weight, &targets[0, 0], &weights[0],
                b * BLOCK, min((b + 1) * BLOCK, n),
            )
        else:
            place_block(
                &reference[0, 0], &turn[0, 0], &shift[0], weight, others, strengths,
                &targets[0, 0], &weights[0], b * BLOCK, min((b + 1) * BLOCK, n), d,
            )
