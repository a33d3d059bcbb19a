"""Conditional affinities, of a given perplexity or width, one row of neighbours at a time.

    p_j = exp(-beta d_j^2) / sum_l exp(-beta d_l^2),   beta such that H(p) = log(perplexity)

The entropy H = log S + beta <d^2> falls with beta at the rate beta Var(d^2), so
Newton's method in log(beta) finds it in a few steps; a step that leaves the
bracket is replaced by bisection.  Distances are scaled by their row's mean
first: any unit of measurement gives the same affinities.  A row whose nearest
ties outnumber the perplexity has no solution and gets the limit, equal shares
for the ties.  Float32, relative error of the entropy 1e-5.  O(n k).

No row depends on another, to the last bit.
"""

from cython.parallel cimport parallel, prange
from libc.math cimport exp, fabs, log

import numpy as np

from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_exp, f8_fma, f8_load, f8_mul, f8_set1, f8_store, f8_sum,
)

cdef extern from "threads.h" nogil:
    int omp_get_thread_num()

cdef enum:
    MAX_STEPS = 100

cdef double TOLERANCE = 1e-5
# Affinities below this are nothing; as denormal numbers they would cost a lot.
cdef float NEGLIGIBLE = 1e-30


cdef void moments(
    const float *d2, float *p, Py_ssize_t padded, double beta,
    double *total, double *mean, double *variance,
) noexcept nogil:
    """p_j = exp(-beta d2_j), their sum, and the mean and variance of d2 under p / sum.

    Padding holds a d2 so large that its p does not count.
    """
    cdef Py_ssize_t j
    cdef f8 d, e, de, s0 = f8_set1(0), s1 = f8_set1(0), s2 = f8_set1(0)
    cdef f8 rate = f8_set1(<float> -beta)
    for j in range(0, padded, 8):
        d = f8_load(d2 + j)
        e = f8_exp(f8_mul(rate, d))
        f8_store(p + j, e)
        de = f8_mul(d, e)
        s0 = f8_add(s0, e)
        s1 = f8_add(s1, de)
        s2 = f8_fma(d, de, s2)
    total[0] = f8_sum(s0)
    mean[0] = f8_sum(s1) / total[0]
    variance[0] = max(f8_sum(s2) / total[0] - mean[0] * mean[0], 0.0)


cdef double relative_squares(
    const float *distances, Py_ssize_t k, Py_ssize_t padded, float *d2
) noexcept nogil:
    """Write (d_j^2 - min d^2) / scale and return the scale, the mean of the differences."""
    cdef Py_ssize_t j
    cdef double nearest = distances[0], scale = 0, square
    for j in range(1, k):
        nearest = min(nearest, <double> distances[j])
    for j in range(k):
        # A difference of squares as a product: it cannot overflow float64 and does not cancel.
        scale += (distances[j] - nearest) * (distances[j] + nearest) / k
    for j in range(k):
        square = (distances[j] - nearest) * (<double> distances[j] + nearest)
        d2[j] = <float> (square / scale) if scale > 0 else 0
    for j in range(k, padded):
        d2[j] = 1e30
    return scale


cdef void write_normalized(const float *p, Py_ssize_t k, double total, float *out) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(k):
        out[j] = <float> (p[j] / total) if p[j] > NEGLIGIBLE else 0


cdef double affinities_of_row(
    const float *distances, float *out, Py_ssize_t k, double target, float *d2, float *p,
) noexcept nogil:
    """Write a row's affinities and return beta, or 0 where all neighbours are equally far."""
    cdef Py_ssize_t padded = (k + 7) // 8 * 8
    cdef double scale = relative_squares(distances, k, padded, d2)
    cdef double beta = 1, low = 0, high = -1
    cdef double total = 1, mean = 0, variance = 0, error, step
    cdef int _step
    for _step in range(MAX_STEPS):
        moments(d2, p, padded, beta, &total, &mean, &variance)
        error = log(total) + beta * mean - target
        if fabs(error) < TOLERANCE or scale == 0 or beta > 1e12:
            break
        if error > 0:
            low = beta
        else:
            high = beta
        step = error / (beta * beta * variance + 1e-30)
        step = min(max(step, -2.0), 2.0)
        beta *= exp(step)
        if high > 0 and not low < beta < high:
            beta = (low + high) / 2
        elif beta <= low:
            beta = 2 * low
    write_normalized(p, k, total, out)
    return beta / scale if scale > 0 else 0


cdef void gaussian_row(
    const float *distances, float *out, Py_ssize_t k, double width, float *d2, float *p,
) noexcept nogil:
    """Write the affinities of a row for a given standard deviation."""
    cdef Py_ssize_t padded = (k + 7) // 8 * 8
    cdef double scale = relative_squares(distances, k, padded, d2)
    cdef double beta = scale / max(2 * width * width, 1e-300)
    cdef double total = 1, mean = 0, variance = 0
    # Within these bounds the padding counts for nothing and no product overflows.
    moments(d2, p, padded, min(max(beta, 1e-27), 1e30), &total, &mean, &variance)
    write_normalized(p, k, total, out)


def conditional_affinities(
    const float[:, ::1] distances,  # IN (n, k), k >= 1, in any order and unit
    float[:, ::1] out,  # OUT (n, k), each row sums to one
    double perplexity,
    int n_threads,
    double[::1] precision=None,  # OUT (n,), beta, or 0 where a row's distances are all equal
):
    """Write the affinities of each row's neighbours to ``out``."""
    cdef Py_ssize_t n = distances.shape[0], k = distances.shape[1], i
    cdef Py_ssize_t padded = (k + 7) // 8 * 8
    cdef double target = log(perplexity)
    cdef float[:, :, ::1] scratch = np.empty((n_threads, 2, padded), np.float32)
    cdef double *betas = NULL
    cdef double beta
    cdef int thread
    if n > 0 and precision is not None:
        betas = &precision[0]
    with nogil, parallel(num_threads=n_threads):
        thread = omp_get_thread_num()
        for i in prange(n, schedule="dynamic", chunksize=64):
            beta = affinities_of_row(
                &distances[i, 0], &out[i, 0], k, target,
                &scratch[thread, 0, 0], &scratch[thread, 1, 0],
            )
            if betas != NULL:
                betas[i] = beta


def gaussian_affinities(
    const float[:, ::1] distances,  # IN (n, k), k >= 1, in any order
    const double[::1] widths,  # IN (n,), standard deviations, in the unit of each row's distances
    float[:, ::1] out,  # OUT (n, k), each row sums to one
    int n_threads,
):
    """Write p_j ~ exp(-d_j^2 / (2 width^2)) of each row's neighbours to ``out``. O(n k)."""
    cdef Py_ssize_t n = distances.shape[0], k = distances.shape[1], i
    cdef Py_ssize_t padded = (k + 7) // 8 * 8
    cdef float[:, :, ::1] scratch = np.empty((n_threads, 2, padded), np.float32)
    cdef int thread
    with nogil, parallel(num_threads=n_threads):
        thread = omp_get_thread_num()
        for i in prange(n, schedule="dynamic", chunksize=64):
            gaussian_row(
                &distances[i, 0], &out[i, 0], k, widths[i],
                &scratch[thread, 0, 0], &scratch[thread, 1, 0],
            )
