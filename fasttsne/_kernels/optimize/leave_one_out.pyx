"""One point left out, while all others stay: the curvature of its loss, and where it would go.

    L_i(y) = n (2 e sum_j p_j dof log(1 + |y - y_j|^2 / dof) + log(Z + 2 (z(y) - z(y_i))))

over all j but i; e is the exaggeration, Z the sum over all pairs, and z the similarity to all
points but i (``point_field.pxd``).  A row that moves from row i toward row k has affinities
between those of both; where its point goes is the lower of the minima that descents from y_i and
from y_k end in.  Descents are Newton's, their matrices shifted to be positive definite, their
steps shortened until the loss falls.
"""

from cython.parallel cimport parallel, prange
from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc

from fasttsne._kernels.optimize.one_point_loss cimport Landscape, Valley, descend, look
from fasttsne._kernels.optimize.small_matrix cimport smallest_eigenvalue
from fasttsne._kernels.pieces cimport PyErr_CheckSignals
from fasttsne._kernels.repulsion.near_pairs cimport make_kernel
from fasttsne._kernels.repulsion.point_field cimport Field, Similarity, similarity_without
from fasttsne._kernels.repulsion.strips cimport make_strips

cdef enum:
    MAX_NEAREST = 32  # strongest neighbours among which directions are chosen
    PIECE = 1024  # rows between two looks for Ctrl-C

MOST_NEAREST = MAX_NEAREST


cdef Py_ssize_t strongest(
    const int32_t *columns, const float *values, Py_ssize_t count, Py_ssize_t own, int n_nearest,
    int32_t *found,
) noexcept nogil:
    """The neighbours of the largest affinities, largest first, and of equal ones the first."""
    cdef Py_ssize_t e, place, n_found = 0
    cdef float kept[MAX_NEAREST]
    for e in range(count):
        if columns[e] == own or (n_found == n_nearest and values[e] <= kept[n_found - 1]):
            continue
        if n_found < n_nearest:
            n_found += 1
        place = n_found - 1
        while place > 0 and kept[place - 1] < values[e]:
            kept[place], found[place] = kept[place - 1], found[place - 1]
            place -= 1
        kept[place], found[place] = values[e], columns[e]
    return n_found


cdef inline double squared_distance(const float *a, const float *b, int d) noexcept nogil:
    cdef double total = 0
    cdef int c
    for c in range(d):
        total = total + (<double> a[c] - b[c]) * (<double> a[c] - b[c])
    return total


cdef void farthest_first(
    const float *y, Py_ssize_t own, int32_t *found, Py_ssize_t count, int d
) noexcept nogil:
    """Sort neighbours by their distance in the map; of equal ones the stronger stays first."""
    cdef Py_ssize_t i, place
    cdef int32_t k
    cdef double distance
    for i in range(1, count):
        k = found[i]
        distance = squared_distance(y + d * own, y + d * <Py_ssize_t> k, d)
        place = i
        while place > 0 and squared_distance(
            y + d * own, y + d * <Py_ssize_t> found[place - 1], d
        ) < distance:
            found[place] = found[place - 1]
            place -= 1
        found[place] = k


cdef Py_ssize_t add_row(
    const int32_t *columns, const float *values, Py_ssize_t count, Py_ssize_t own,
    Py_ssize_t onto, double total, const float *y, int d, float *others, float *weights,
    Py_ssize_t capacity,
) noexcept nogil:
    """Write the neighbours of a row but ``own``, their weights summing to total; returns how many.

    ``onto`` is the row itself, which becomes a neighbour as strong as its strongest; or -1.
    """
    cdef Py_ssize_t e, j, written = 0
    cdef double sum = 0
    cdef float largest = 0
    cdef int a
    for e in range(-1 if onto >= 0 else 0, count):
        j = onto if e < 0 else columns[e]
        if j == own or (e >= 0 and j == onto):
            continue
        for a in range(d):
            others[a * capacity + written] = y[j * d + a]
        weights[written] = 0 if e < 0 else values[e]
        sum = sum + weights[written]
        largest = max(largest, weights[written])
        written += 1
    if onto >= 0:
        weights[0] = largest
        sum = sum + largest
    for j in range(written):
        weights[j] = <float> (weights[j] * total / sum) if sum > 0 else 0
    return written


cdef Py_ssize_t pad(
    Py_ssize_t count, int d, float *others, float *weights, Py_ssize_t capacity
) noexcept nogil:
    """Fill up to a multiple of 8 with neighbours of weight 0; returns it."""
    cdef int a
    while count % 8:
        for a in range(d):
            others[a * capacity + count] = 0
        weights[count] = 0
        count += 1
    return count


def leave_one_out(
    const int64_t[::1] indptr,  # IN (n + 1,), affinities as a CSR matrix
    const int32_t[::1] columns,  # IN (edges,)
    const float[::1] values,  # IN (edges,)
    const float[:, ::1] y,  # IN (n, d), d <= 3
    const int32_t[::1] rows,  # IN (m,), the points that are left out, one at a time
    double z_all,  # sum of the similarities of all pairs
    double exaggeration,
    double share,  # of the way to a neighbour
    int n_nearest,  # at most MOST_NEAREST
    int n_directions,
    float dof,
    const float[:, ::1] sources,  # IN (d, capacity), y transposed and padded, or None
    # IN the potential, where there are no sources: points as from `sort_points`, the grid with its
    # mean, and the cutoff with `taylor` as for `gather_at`
    const float[::1] origin, float side, const int32_t[::1] shape,
    const int32_t[:, ::1] starts, const float[:, ::1] places, const int32_t[::1] order,
    const float[:, :, ::1] cells, float spacing, const float[:, :, ::1] table,
    float cutoff, const float[::1] taylor, double mean,
    const double[:, ::1] box,  # IN (2, d), where the field is known
    double[::1] curvature,  # OUT (m,), the smallest of each point's loss
    double[::1] perturbation,  # OUT (m,), how far each moves at most
    double[:, ::1] target,  # OUT (m, d), where to
    int32_t[::1] toward,  # OUT (m,), the row that it was moved toward, or -1
    int n_threads,
):
    """Let each of the points go. O(m (edges of a row + n)), or without the n on a grid."""
    cdef Py_ssize_t n = y.shape[0], m = rows.shape[0], r, piece, stop, longest = 0, capacity, i
    cdef int d = <int> y.shape[1], c
    cdef Field field
    cdef float *scratch
    field.d, field.dof = d, dof
    if sources is not None:
        field.columns, field.capacity = &sources[0, 0], sources.shape[1]
    else:
        field.columns, field.cells = NULL, &cells[0, 0, 0]
        field.step = [1, cells.shape[2], cells.shape[1] * cells.shape[2]]
        field.inverse_spacing, field.mean = 1 / spacing, mean
        field.table, field.order = &table[0, 0, 0], <int> table.shape[1]
        field.origin = [0, 0, 0]
        for c in range(d):
            field.origin[c] = origin[c]
        field.at = make_strips(origin, side, shape, starts, places, order)
        field.kernel = make_kernel(dof, cutoff, taylor)
    for i in range(n):
        longest = max(longest, <Py_ssize_t> (indptr[i + 1] - indptr[i]))
    capacity = (2 * longest + 8) // 8 * 8
    for piece in range(0, m, PIECE):
        stop = min(piece + <Py_ssize_t> PIECE, m)
        with nogil, parallel(num_threads=n_threads):
            scratch = <float *> malloc((capacity + 1) * (d + 1) * sizeof(float))
            for r in prange(piece, stop, schedule="dynamic"):
                let_go(
                    &indptr[0], &columns[0], &values[0], &y[0, 0], n, rows[r], z_all,
                    exaggeration, share, n_nearest, n_directions, &field, &box[0, 0],
                    &box[1, 0], scratch, capacity, &curvature[r], &perturbation[r],
                    &target[r, 0], &toward[r],
                )
            free(scratch)
        PyErr_CheckSignals()


cdef void let_go(
    const int64_t *indptr, const int32_t *columns, const float *values, const float *y,
    Py_ssize_t n, Py_ssize_t own, double z_all, double exaggeration, double share,
    int n_nearest, int n_directions, const Field *field, const double *low, const double *high,
    float *scratch, Py_ssize_t capacity, double *curvature, double *perturbation,
    double *target, int32_t *toward,
) noexcept nogil:
    cdef int d = field.d, a, number, from_other
    cdef Py_ssize_t count = indptr[own + 1] - indptr[own], e, n_found, k, written
    cdef const int32_t *own_columns = columns + indptr[own]
    cdef const float *own_values = values + indptr[own]
    cdef int32_t found[MAX_NEAREST]
    cdef float *weights = scratch + capacity * d
    cdef double total = 0, best, loss, moved
    cdef double point[3]
    cdef double lowest[3]
    cdef Landscape land
    cdef Valley valley
    cdef Similarity around
    for e in range(count):
        if own_columns[e] != own:
            total = total + own_values[e]
    total = total * n * exaggeration
    for a in range(d):
        target[a] = point[a] = y[own * d + a]
    similarity_without(field, point, y + own * d, &around)
    land.field, land.left_out, land.others, land.weights = field, y + own * d, scratch, weights
    land.n, land.z_all, land.z_own, land.low, land.high = n, z_all, around.z, low, high
    land.capacity = capacity
    written = add_row(
        own_columns, own_values, count, own, -1, total, y, d, scratch, weights, capacity
    )
    land.count = pad(written, d, scratch, weights, capacity)
    look(&land, point, &valley)
    curvature[0] = smallest_eigenvalue(valley.hess, d)
    perturbation[0], toward[0] = 0, -1
    n_found = strongest(own_columns, own_values, count, own, n_nearest, found)
    farthest_first(y, own, found, n_found, d)
    for number in range(min(<Py_ssize_t> n_directions, n_found)):
        k = found[number]
        written = add_row(
            own_columns, own_values, count, own, -1, (1 - share) * total, y, d, scratch, weights,
            capacity,
        )
        written += add_row(
            columns + indptr[k], values + indptr[k], indptr[k + 1] - indptr[k], own, k,
            share * total, y, d, scratch + written, weights + written, capacity,
        )
        land.count = pad(written, d, scratch, weights, capacity)
        best = INFINITY
        for from_other in range(2):
            for a in range(d):
                point[a] = y[(k if from_other else own) * d + a]
            loss = descend(&land, point)
            if loss < best:
                best = loss
                for a in range(d):
                    lowest[a] = point[a]
        moved = 0
        for a in range(d):
            moved = moved + (lowest[a] - y[own * d + a]) * (lowest[a] - y[own * d + a])
        moved = sqrt(moved)
        if moved > perturbation[0]:
            perturbation[0], toward[0] = moved, <int32_t> k
            for a in range(d):
                target[a] = lowest[a]
