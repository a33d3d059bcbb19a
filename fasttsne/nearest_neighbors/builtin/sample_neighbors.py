"""The true neighbours of a few rows, found by bounds that few coordinates give.

Projection shortens no distance less than the residuals' lengths differ: two rows with scores S and
residuals of lengths r are at least sqrt(|S_i - S_j|^2 + (r_i - r_j)^2) apart.  So the rows that are
nearest by that bound hold the true neighbours, where the last of them is farther by it than
the k-th neighbour found among them is in truth.  The other rows are compared with all.
"""

import numpy as np

from fasttsne.linalg.pca import Projection
from fasttsne.linalg.rows import iter_chunks
from fasttsne.nearest_neighbors.builtin.candidates import Candidates
from fasttsne.nearest_neighbors.builtin.packing import pack
from fasttsne.nearest_neighbors.builtin.reduction import RESIDUAL_COSINE

# Rows that are looked at for each neighbour.  Of MNIST's 70,000 images, 500 for 90 neighbours
# suffice for three of four, 1,000 for 97 %.
BOUNDED_PER_NEIGHBOR = 11
# What products of coordinates, and reading rows at random, cost in products of columns: rows of
# 200 columns do not pay.
COORDINATE_COST, RERANK_COST = 2.0, 6.0
# Relative error of the bounds: single precision loses half of its digits in residuals.
BOUND_ERROR = 2e-3


def true_neighbors(rows, points, projection: Projection | None, sample, k, n_threads) -> np.ndarray:
    """Return the k nearest other rows of each row of a sample, (m, k), nearest first.

    Parameters
    ----------
    rows : prepared rows; points : (n, columns), they or their reduced coordinates.
    projection : from rows to points, or None where they are the same.
    sample : (m,) indices.
    """
    n_bounded = BOUNDED_PER_NEIGHBOR * k
    is_elsewhere = not isinstance(points, np.ndarray)  # on other machines
    if projection is None or projection.max_residual == 0 or is_elsewhere:
        return rows.kneighbors_of_rows(sample, k, n_threads)[0]  # type: ignore[no-any-return]
    if not _pays(rows, points, n_bounded):
        return rows.kneighbors_of_rows(sample, k, n_threads)[0]  # type: ignore[no-any-return]
    queries, own = rows.points[sample], _bounding_coordinates(points[sample])
    nearest = Candidates(len(sample), n_bounded)
    packed = pack(own, n_threads=n_threads)
    for first, part in iter_chunks(points):
        others = pack(_bounding_coordinates(part), n_threads=n_threads)
        nearest.compare_all(packed, others, first, n_threads)
    nearest.remove(sample.astype(np.int32))
    indices, _, _ = rows.rerank_queries(
        queries, nearest, np.arange(len(sample)), np.arange(len(points)), k, n_threads
    )
    # Scores are squared distances less the row's own square; no other row has a lower one.
    squares = np.einsum("ij,ij->i", own, own, dtype=np.float64)
    bounds = np.sqrt(np.maximum(nearest.thresholds[: len(sample)] + squares, 0))
    farthest = rows.distances_to(queries, indices[:, -1:], n_threads)[:, 0]
    farthest /= projection.scale * rows.unit
    error = BOUND_ERROR * (np.sqrt(squares) + farthest)
    is_open = np.flatnonzero(~(bounds > farthest + error))
    if len(is_open):
        indices[is_open] = rows.kneighbors_of_rows(sample[is_open], k, n_threads)[0]
    return indices  # type: ignore[no-any-return]


def _pays(rows, points, n_bounded):
    """Return whether few coordinates of all rows and all of few rows cost less than all of all."""
    saved = len(points) * (rows.n_columns - COORDINATE_COST * points.shape[1])
    return saved > RERANK_COST * n_bounded * rows.n_columns


def _bounding_coordinates(points):
    """Return scores and residuals of reduced points, whose distances are the bounds."""
    result = points.copy()
    result[:, -1] /= np.float32(RESIDUAL_COSINE**0.5)
    return result
