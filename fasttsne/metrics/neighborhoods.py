"""Whether neighbours in the data are neighbours in the map, and the reverse."""

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metrics.estimate import Estimate, estimate_mean, estimate_penalized
from fasttsne.metrics.samples import check_rows, sample_rows
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.ranks import Distances, make_distances, nearest_of, ranks_of
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_number


def neighbor_recall(
    X: Rows,
    embedding: ArrayLike,
    k: int = 10,
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 2000,
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
) -> Estimate:
    """Return the share of the k nearest neighbours in the data that are so in the embedding.

    From 0 to 1; chance is k / (n - 1).  Maps of large data keep a tenth to a half of them.

    Parameters
    ----------
    X : (n, columns) array or SciPy sparse matrix; (n, n) distances for "precomputed".
    embedding : (n, d) array.
    k : neighbours of each row, less than n.
    metric, metric_params : distance between rows of X, as for
        :class:`fasttsne.nearest_neighbors.Exact`.  In the embedding it is Euclidean.
    sample_size : number of rows that are compared, chosen at random; None is all.
    random_state : seeds the sample.
    n_jobs : threads; -1 all cores.  The result does not depend on it.

    Returns
    -------
    Estimate
        A float; ``values`` are the shares of the sampled ``rows``.

    Source: Kobak & Berens 2019, The art of using t-SNE for single-cell transcriptomics (KNN).
    """
    distances, points = check_rows(X, embedding, metric, metric_params)
    k = check_number(k, "k", low=1, high=len(points) - 1, integer=True)
    rows = sample_rows(len(points), sample_size, random_state)
    ranks = _ranks_of_neighbors(distances, points, rows, k, n_jobs)
    return estimate_mean((ranks <= k).mean(1), rows, len(points))


def trustworthiness(
    X: Rows,
    embedding: ArrayLike,
    k: int = 5,
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 2000,
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
) -> Estimate:
    """Return the trustworthiness of an embedding, at most 1.

    It penalizes points that are neighbours in the embedding but not in the data:

        1 - 2 / (n k (2n - 3k - 1)) sum_i sum_j max(0, r(i, j) - k)

    over the k nearest j of each i in the embedding; r(i, j) is the rank of j among the
    neighbours of i in the data.  A random map has about 0.5.

    Parameters
    ----------
    k : neighbours of each row, less than n / 2.

    The others are those of :func:`neighbor_recall`; ``values`` of the result are the terms of the
    sampled rows.

    Source: Venna & Kaski 2001, Neighborhood preservation in nonlinear projection methods.
    """
    distances, points = check_rows(X, embedding, metric, metric_params)
    k = _check_less_than_half(k, len(points))
    rows = sample_rows(len(points), sample_size, random_state)
    return _penalized(_ranks_of_neighbors(distances, points, rows, k, n_jobs), rows, len(points))


def continuity(
    X: Rows,
    embedding: ArrayLike,
    k: int = 5,
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 2000,
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
) -> Estimate:
    """Return the continuity of an embedding, at most 1: trustworthiness with the spaces exchanged.

    It penalizes points that are neighbours in the data but not in the embedding, as where a map
    tears: the formula is that of :func:`trustworthiness`, over the k nearest j of each i in the
    data; r(i, j) is the rank of j among the neighbours of i in the embedding.

    The parameters are those of :func:`trustworthiness`.

    Source: Venna & Kaski 2001, Neighborhood preservation in nonlinear projection methods.
    """
    distances, points = check_rows(X, embedding, metric, metric_params)
    k = _check_less_than_half(k, len(points))
    n_threads = resolve_n_jobs(n_jobs)
    rows = sample_rows(len(points), sample_size, random_state)
    neighbors = nearest_of(distances, rows, k, n_threads)
    ranks = ranks_of(make_distances(points), rows, neighbors, n_threads)
    return _penalized(ranks, rows, len(points))


def _check_less_than_half(k: int, n: int) -> int:
    k = check_number(k, "k", low=1, integer=True)
    if k >= n / 2:
        raise ValueError(f"k must be less than half of the {n} rows; got {k}")
    return k


def _penalized(ranks: np.ndarray, rows: np.ndarray, n: int) -> Estimate:
    """Return one minus the scaled ranks beyond k of what should be the k nearest, (rows, k)."""
    k = ranks.shape[1]
    excess = np.maximum(ranks.astype(np.int64) - k, 0).sum(1)
    return estimate_penalized(1 - 2 * excess / (k * (2 * n - 3 * k - 1)), rows, n, k)


def _ranks_of_neighbors(
    distances: Distances, points: np.ndarray, rows: np.ndarray, k: int, n_jobs: int | None
) -> np.ndarray:
    """Return the ranks in the data of each row's k nearest in the embedding, (rows, k)."""
    n_threads = resolve_n_jobs(n_jobs)
    neighbors, _ = DenseRows(points, "euclidean").kneighbors_of_rows(rows, k, n_threads)
    return ranks_of(distances, rows, neighbors, n_threads)
