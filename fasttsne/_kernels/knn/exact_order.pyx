"""Neighbours by distances in float64, directly from the caller's rows.

Products in float32 find candidates quickly, but not surely: ``score_limit`` is a proven bound of
their error (docs/math.rst, "Exact neighbours").  What the bound cannot tell apart is decided here,
by the distance

    d(x, y) = sqrt(sum_c (x_c - y_c)^2)

of float64 differences; of equal distances, the smaller index is the nearer.
"""

from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

import numpy as np

from fasttsne._kernels.knn.float64_distance cimport Values, distance
from fasttsne._kernels.knn.score_keys cimport score_of

cdef struct Bounds:
    double score  # relative error of a score, of (|x| + |y|)^2
    double rounding  # error of a row's float32 copy, relative to its length
    double copied  # the same for the rows that candidates were reranked by
    double difference  # relative error of a distance from float32 differences
    double tiny  # absolute error of such a distance, by underflow
    double far  # candidates beyond this distance were moved nearer
    double unit  # of the lengths that these errors are of; ``distance`` is in the rows' own


cdef class ExactRows:
    """Rows as the caller gave them, dense or CSR, float32 or float64.

    values : (n * d,) numbers, or the entries of a CSR matrix with ``indptr`` and ``columns``.
    frames : (n, 3) float64, each row's unit, shift and scale, or None.
    """

    cdef object arrays
    cdef Values rows

    def __init__(self, values, Py_ssize_t d, frames=None, indptr=None, columns=None):
        cdef const float[::1] singles
        cdef const double[::1] doubles
        cdef const double[:, ::1] frame_view
        cdef const int64_t[::1] indptr_view
        cdef const int32_t[::1] column_view
        self.arrays = values, frames, indptr, columns
        self.rows.d = d
        if len(values) and values.dtype == np.float32:
            singles = values
            self.rows.singles = &singles[0]
        elif len(values):
            doubles = values
            self.rows.doubles = &doubles[0]
        if frames is not None and len(frames):
            frame_view = frames
            self.rows.frames = &frame_view[0, 0]
        if indptr is not None:
            indptr_view = indptr
            self.rows.indptr = &indptr_view[0]
        if columns is not None and len(columns):
            column_view = columns
            self.rows.columns = &column_view[0]


cdef inline bint is_nearer(double a, int32_t i, double b, int32_t j) noexcept nogil:
    return a < b or (a == b and i < j)


cdef void sift_down(double *d, int32_t *names, Py_ssize_t root, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t child = 2 * root + 1
    cdef double value
    cdef int32_t name
    while child < count:
        if child + 1 < count and is_nearer(d[child], names[child], d[child + 1], names[child + 1]):
            child += 1
        if not is_nearer(d[root], names[root], d[child], names[child]):
            return
        value, name = d[root], names[root]
        d[root], names[root] = d[child], names[child]
        d[child], names[child] = value, name
        root = child
        child = 2 * root + 1


cdef void sort_by_distance(double *d, int32_t *names, Py_ssize_t count) noexcept nogil:
    """Heap sort: nearest first, ties by index."""
    cdef Py_ssize_t i
    cdef double value
    cdef int32_t name
    for i in range(count // 2 - 1, -1, -1):
        sift_down(d, names, i, count)
    for i in range(count - 1, 0, -1):
        value, name = d[0], names[0]
        d[0], names[0] = d[i], names[i]
        d[i], names[i] = value, name
        sift_down(d, names, 0, i)


cdef inline double score_limit(double size, double kth, const Bounds *bounds) noexcept nogil:
    """A point whose score is at least this is farther away than ``kth``, for certain.

    size : length of the row, as packed; kth : an upper bound of a distance from it.
    """
    cdef double reach = 2 * size + kth, low = kth * (1 + 1e-12) + bounds.rounding * reach
    return low * low + bounds.score * reach * reach + 1e-36 - size * size


cdef double order_row(
    const Values *queries, Py_ssize_t q, const Values *points, const uint64_t *keys,
    Py_ssize_t count, Py_ssize_t k, double size, const Bounds *bounds, double *d, int32_t *names,
    int32_t *indices, float *distances,
) noexcept nogil:
    """Put the nearest in the order of their float64 distances; return a bound of the last one.

    Only runs of candidates whose distances overlap within their errors are computed again.
    """
    cdef Py_ssize_t first = 0, last, t
    cdef double r, error, high, kth = 0
    while first < k:
        last, high = first, 0
        while last < count:
            r = sqrt(score_of(keys[last]))
            error = r * bounds.difference + bounds.copied * (2 * size + r) + bounds.tiny
            if last > first and r - error >= high:
                break
            high = max(high, r + error if r < bounds.far else INFINITY)
            last += 1
        if last == first:  # rows that another thread made NaN meanwhile have fewer than k
            return INFINITY
        kth = high
        if last > first + 1 or high == INFINITY:
            for t in range(first, last):
                names[t] = <int32_t> <uint32_t> keys[t]
                d[t] = distance(queries, q, points, names[t])
            sort_by_distance(d + first, names + first, last - first)
            for t in range(first, min(last, k)):
                indices[t], distances[t] = names[t], <float> min(d[t] / bounds.unit, 3.4e38)
            kth = d[min(last, k) - 1] / bounds.unit
        first = last
    return kth


def order_candidates(
    ExactRows queries, ExactRows points,
    const int32_t[::1] rows,  # IN (rows,), the query of each row of keys
    const uint64_t[:, ::1] keys,  # IN (rows, capacity), sorted squared distances and points
    const int32_t[::1] counts,  # IN (rows,), all >= k
    const float[::1] thresholds,  # IN (rows,), no other point has a lower score
    const double[::1] sizes,  # IN (any,), length of each query, as packed
    const double[::1] bounds,  # IN (7,), see Bounds
    Py_ssize_t n_candidates, Py_ssize_t k,
    int32_t[:, ::1] indices, float[:, ::1] distances,  # INOUT (any, k), by query
    uint8_t[::1] undecided,  # OUT (any,), whether another point may be nearer
    int n_threads,
):
    """Put each query's nearest in order by float64. O(rows n_candidates), and a few distances."""
    cdef Py_ssize_t r, q, t
    cdef double kth
    cdef const Bounds *errors = <const Bounds *> &bounds[0]
    cdef double[:, ::1] d = np.empty((n_threads, keys.shape[1]))
    cdef int32_t[:, ::1] names = np.empty((n_threads, keys.shape[1]), np.int32)
    for r in prange(rows.shape[0], nogil=True, schedule="dynamic", chunksize=32,
                    num_threads=n_threads):
        q, t = rows[r], threadid()
        kth = order_row(
            &queries.rows, q, &points.rows, &keys[r, 0], min(<Py_ssize_t> counts[r], n_candidates),
            k, sizes[q], errors, &d[t, 0], &names[t, 0], &indices[q, 0], &distances[q, 0],
        )
        undecided[q] = not thresholds[r] >= score_limit(sizes[q], kth, errors)


def limits(const double[::1] sizes, const double[::1] kth, const double[::1] bounds):
    """The score limit of each row, (n,) float64."""
    cdef Py_ssize_t i
    cdef double[::1] out = np.empty(sizes.shape[0])
    for i in range(sizes.shape[0]):
        out[i] = score_limit(sizes[i], kth[i], <const Bounds *> &bounds[0])
    return np.asarray(out)


def pair_distances(
    ExactRows queries, ExactRows points,
    const int32_t[::1] rows, const int32_t[::1] others,  # IN (pairs,)
    double[::1] out,  # OUT (pairs,)
    int n_threads,
):
    """Write the distance of each pair of a query and a point, in the rows' unit. O(pairs d)."""
    cdef Py_ssize_t e
    for e in prange(rows.shape[0], nogil=True, schedule="dynamic", chunksize=256,
                    num_threads=n_threads):
        out[e] = distance(&queries.rows, rows[e], &points.rows, others[e])


def nearest_of_lists(
    ExactRows queries, ExactRows points,
    const int64_t[::1] indptr,  # IN (queries + 1,), of each query's list
    int32_t[::1] others,  # INOUT, the points of each list, at least k; scratch afterwards
    double[::1] scratch,  # SCRATCH, as long as ``others``
    double unit,  # of the distances that are written
    int32_t[:, ::1] indices, float[:, ::1] distances,  # OUT (queries, k)
    int n_threads,
):
    """Write the k points of each list that are nearest to its query. O(others d)."""
    cdef Py_ssize_t q, e, t
    for q in prange(indices.shape[0], nogil=True, schedule="dynamic", num_threads=n_threads):
        for e in range(indptr[q], indptr[q + 1]):
            scratch[e] = distance(&queries.rows, q, &points.rows, others[e])
        sort_by_distance(
            &scratch[indptr[q]], &others[indptr[q]], indptr[q + 1] - indptr[q]
        )
        for t in range(indices.shape[1]):
            indices[q, t] = others[indptr[q] + t]
            distances[q, t] = <float> min(scratch[indptr[q] + t] / unit, 3.4e38)
