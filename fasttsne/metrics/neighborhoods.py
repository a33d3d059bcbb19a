"""Neighbourhoods in the data, in the embedding and in its affinity graph."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities
from fasttsne.metrics.estimate import (
    Estimate,
    Sample,
    estimate_mean,
    estimate_penalized,
    jackknifed,
    pearson,
    sample_rows,
    standard_error_of_mean,
)
from fasttsne.nearest_neighbors.builtin.ranks import (
    make_distances,
    nearest_distances,
    nearest_of,
    ranks_of,
)
from fasttsne.nearest_neighbors.builtin.rows import DenseRows
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
    sample = Sample.take(X, embedding, metric, metric_params, sample_size, random_state, n_jobs)
    k = check_number(k, "k", low=1, high=sample.n - 1, integer=True)
    return estimate_mean((_ranks_in_data(sample, k) <= k).mean(1), sample.rows, sample.n)


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

    Other parameters are as for :func:`neighbor_recall`; ``values`` of the result are the terms of
    the sampled rows.

    Source: Venna & Kaski 2001, Neighborhood preservation in nonlinear projection methods.
    """
    sample = Sample.take(X, embedding, metric, metric_params, sample_size, random_state, n_jobs)
    k = _check_less_than_half(k, sample.n)
    return _penalized(_ranks_in_data(sample, k), sample)


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

    The parameters are as for :func:`trustworthiness`.

    Source: Venna & Kaski 2001, Neighborhood preservation in nonlinear projection methods.
    """
    sample = Sample.take(X, embedding, metric, metric_params, sample_size, random_state, n_jobs)
    k, rows = _check_less_than_half(k, sample.n), sample.rows
    neighbors = nearest_of(sample.distances, rows, k, sample.n_threads)
    return _penalized(ranks_of(sample.in_embedding, rows, neighbors, sample.n_threads), sample)


def graph_recall(
    X: Rows,
    embedding: Any,
    k: int = 15,
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 1000,
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
) -> Estimate:
    """Return the share of the k nearest neighbours that the affinity graph has an edge to.

    What the graph lacks no map can show.  The search for neighbours may miss few on average and
    most of some rows': that tail is in ``values``, of which ``np.quantile(recall.values, 0.01)``
    is what 99 % of the rows reach.

    Parameters
    ----------
    embedding : :class:`fasttsne.TSNEEmbedding`, or :class:`fasttsne.affinity.Affinities`.
    k : neighbours of each row, less than n.  A graph of fewer neighbours cannot have them all.

    Other parameters are as for :func:`neighbor_recall`.
    """
    affinities = getattr(embedding, "affinities", embedding)
    if not isinstance(affinities, Affinities):
        raise TypeError(
            f"embedding must be a TSNEEmbedding or Affinities; got {type(embedding).__name__}"
        )
    distances = make_distances(X, metric, metric_params)
    n = affinities.n_samples
    if distances.n_samples != n:
        raise ValueError(f"X must have as many rows as the graph, {n}; got {distances.n_samples}")
    k = check_number(k, "k", low=1, high=n - 1, integer=True)
    rows = sample_rows(n, sample_size, random_state)
    neighbors = nearest_of(distances, rows, k, resolve_n_jobs(n_jobs))
    P = affinities.P_float32
    found = [
        np.isin(near, P.indices[P.indptr[row] : P.indptr[row + 1]]).mean()
        for row, near in zip(rows, neighbors, strict=True)
    ]
    return estimate_penalized(np.array(found), rows, n, k)


def density_correlation(
    X: Rows,
    embedding: ArrayLike,
    k: int = 30,
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 2000,
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
) -> Estimate:
    """Return the correlation between local densities in the data and in the embedding.

    A density is the log of the root mean squared distance to the k nearest neighbours; rows where
    that is 0 in either are left out.  t-SNE's is near 0: it makes clusters equally dense.

    The parameters are as for :func:`neighbor_recall`.

    Source: Narayan, Berger & Cho 2021 (local radius); see :mod:`fasttsne.density`.
    """
    sample = Sample.take(X, embedding, metric, metric_params, sample_size, random_state, n_jobs)
    k, rows = check_number(k, "k", low=1, high=sample.n - 1, integer=True), sample.rows
    in_data = nearest_distances(sample.distances, rows, k, sample.n_threads)
    if not np.isfinite(in_data).all():
        raise ValueError(f"X must hold the distances to {k} neighbours; some are unknown")
    in_embedding = nearest_distances(sample.in_embedding, rows, k, sample.n_threads)
    radii = np.stack([(d.astype(np.float64) ** 2).mean(1) for d in (in_data, in_embedding)])
    a, b = np.log(radii[:, (radii > 0).all(0)])
    if len(a) < 3:  # two always correlate
        return Estimate(float("nan"), float("nan"), rows)
    influence = jackknifed(_pearson_without_each(a, b))
    error = standard_error_of_mean(influence, len(rows), sample.n)
    return Estimate(pearson(a, b), float(error), rows)


def pBIC(embedding: Any) -> float:
    """Return a criterion for choosing the perplexity, to be minimized: pseudo-BIC.

        2 KL(P || Q) + log(n) perplexity / n

    The KL divergence decreases with the perplexity; the second term penalizes large ones, so
    values for different perplexities can be compared.  Compare optimized embeddings of one data
    set.

    Parameters
    ----------
    embedding : :class:`fasttsne.TSNEEmbedding`, optimized, whose affinities have a perplexity.

    Source: Cao & Wang 2017, Automatic selection of t-SNE perplexity.
    """
    affinities = getattr(embedding, "affinities", None)
    perplexity = perplexity_of(affinities)
    if perplexity is None:
        raise TypeError(
            "embedding must have affinities of one perplexity; got "
            f"{type(embedding).__name__} with {type(affinities).__name__}"
        )
    if embedding.kl_divergence is None:
        raise ValueError("embedding has no KL divergence yet: optimize it first")
    n = len(embedding)
    return float(2 * embedding.kl_divergence + np.log(n) * perplexity / n)


def perplexity_of(affinities: object) -> float | None:
    """Return the perplexity of affinities that have one, as it was used; else None."""
    given: float | None = getattr(affinities, "perplexity", None)
    used: float | None = getattr(affinities, "effective_perplexity_", None)
    return given if used is None else used


def _check_less_than_half(k: int, n: int) -> int:
    k = check_number(k, "k", low=1, integer=True)
    if k >= n / 2:
        raise ValueError(f"k must be less than half of the {n} rows; got {k}")
    return k


def _penalized(ranks: np.ndarray, sample: Sample) -> Estimate:
    """Return one minus the scaled ranks beyond k of what should be the k nearest, (rows, k)."""
    k, n = ranks.shape[1], sample.n
    excess = np.maximum(ranks.astype(np.int64) - k, 0).sum(1)
    return estimate_penalized(1 - 2 * excess / (k * (2 * n - 3 * k - 1)), sample.rows, n, k)


def _ranks_in_data(sample: Sample, k: int) -> np.ndarray:
    """Return the ranks in the data of each row's k nearest in the embedding, (rows, k)."""
    rows, n_threads = sample.rows, sample.n_threads
    neighbors, _ = DenseRows(sample.points, "euclidean").kneighbors_of_rows(rows, k, n_threads)
    return ranks_of(sample.distances, rows, neighbors, n_threads)


def _pearson_without_each(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the correlations of a and b without each of their observations."""
    a, b = a - a.mean(), b - b.mean()  # so that little cancels below
    n = len(a) - 1
    mean_a, mean_b = -a / n, -b / n
    aa, bb, ab = ((x @ y - x * y) / n for x, y in ((a, a), (b, b), (a, b)))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = (ab - mean_a * mean_b) / np.sqrt((aa - mean_a**2) * (bb - mean_b**2))
    return found
