"""Quality of an embedding: preservation of neighbours, distances and densities, and pBIC.

For many rows, all but :func:`pBIC` use a seeded sample of them, each compared with all rows or,
for distances, with each other.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.ranks import (
    Distances,
    make_distances,
    nearest_distances,
    ranks_of,
)
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_choice, check_data, check_number, check_random_state

__all__ = [
    "density_correlation", "distance_correlation", "neighbor_recall", "pBIC", "trustworthiness",
]  # fmt: skip


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
    perplexity = getattr(affinities, "effective_perplexity_", None)
    if perplexity is None:
        perplexity = getattr(affinities, "perplexity", None)
    if perplexity is None:
        raise TypeError(
            "embedding must have affinities of one perplexity; got "
            f"{type(embedding).__name__} with {type(affinities).__name__}"
        )
    if embedding.kl_divergence is None:
        raise ValueError("embedding has no KL divergence yet: optimize it first")
    n = len(embedding)
    return float(2 * embedding.kl_divergence + np.log(n) * perplexity / n)


def neighbor_recall(
    X: Rows, embedding: ArrayLike, k: int = 10, metric: Metric = "euclidean",
    metric_params: Settings = None, sample_size: int | None = 2000,
    random_state: RandomState = 0, n_jobs: int | None = -1,
) -> float:  # fmt: skip
    """Return the share of the k nearest neighbours in the data that are so in the embedding.

    Parameters
    ----------
    X : (n, columns) array or SciPy sparse matrix; (n, n) distances for "precomputed".
    embedding : (n, d) array.
    k : neighbours of each row, less than n.
    metric, metric_params : distance between rows of X, as for
        :class:`fasttsne.nearest_neighbors.Exact`.  In the embedding it is Euclidean.
    sample_size : number of rows that are compared, chosen at random; None is all.  The
        result for 2,000 is within about a percentage point of that for all.
    random_state : seeds the sample.
    n_jobs : threads; -1 all cores.  The result does not depend on it.

    Source: Kobak & Berens 2019, The art of using t-SNE for single-cell transcriptomics (KNN).
    """
    ranks = _ranks_of_neighbors(
        X, embedding, k, metric, metric_params, sample_size, random_state, n_jobs
    )
    return float((ranks <= k).mean())


def trustworthiness(
    X: Rows, embedding: ArrayLike, k: int = 5, metric: Metric = "euclidean",
    metric_params: Settings = None, sample_size: int | None = 2000,
    random_state: RandomState = 0, n_jobs: int | None = -1,
) -> float:  # fmt: skip
    """Return the trustworthiness of an embedding, at most 1.

    It penalizes points that are neighbours in the embedding but not in the data:

        1 - 2 / (n k (2n - 3k - 1)) sum_i sum_j max(0, r(i, j) - k)

    over the k nearest j of each i in the embedding; r(i, j) is the rank of j among the
    neighbours of i in the data.

    Parameters
    ----------
    k : neighbours of each row, less than n / 2.

    The others are those of :func:`neighbor_recall`.

    Source: Venna & Kaski 2001, Neighborhood preservation in nonlinear projection methods.
    """
    n = len(np.asarray(embedding))
    k = check_number(k, "k", low=1, integer=True)
    if k >= n / 2:
        raise ValueError(f"k must be less than half of the {n} rows; got {k}")
    ranks = _ranks_of_neighbors(
        X, embedding, k, metric, metric_params, sample_size, random_state, n_jobs
    )
    excess = np.maximum(ranks.astype(np.int64) - k, 0).sum()
    return float(1 - 2 * excess / (len(ranks) * k * (2 * n - 3 * k - 1)))


def distance_correlation(
    X: Rows, embedding: ArrayLike, method: str = "spearman", metric: Metric = "euclidean",
    metric_params: Settings = None, sample_size: int | None = 2000,
    random_state: RandomState = 0,
) -> float:  # fmt: skip
    """Return the correlation between pairwise distances in the data and in the embedding.

    Parameters
    ----------
    method : "spearman" compares ranks of distances, "pearson" the distances.
    sample_size : number of rows, chosen at random, of which all pairs are used; None is all.
        Memory grows with its square: about 60 MB for 1,000.

    The others are those of :func:`neighbor_recall`.

    Source: Kobak & Berens 2019, The art of using t-SNE for single-cell transcriptomics (CPD).
    """
    check_choice(method, "method", ("spearman", "pearson"))
    distances, points = _check(X, embedding, metric, metric_params)
    rows = _sample(len(points), sample_size, random_state)
    pairs = np.triu_indices(len(rows), 1)
    in_data = distances.pairwise(rows, rows)[pairs]
    if not np.isfinite(in_data).all():
        raise ValueError("X must hold all distances between rows; some are unknown")
    in_embedding = make_distances(points).pairwise(rows, rows)[pairs]
    if method == "spearman":
        in_data, in_embedding = _to_ranks(in_data), _to_ranks(in_embedding)
    return _pearson(in_data, in_embedding)


def density_correlation(
    X: Rows, embedding: ArrayLike, k: int = 30, metric: Metric = "euclidean",
    metric_params: Settings = None, sample_size: int | None = 2000,
    random_state: RandomState = 0, n_jobs: int | None = -1,
) -> float:  # fmt: skip
    """Return the correlation between local densities in the data and in the embedding.

    It is that of the log of the root mean squared distance to the k nearest neighbours, over
    the rows where that is positive in both.

    The parameters are those of :func:`neighbor_recall`.

    Source: Narayan, Berger & Cho 2021 (local radius); see :mod:`fasttsne.density`.
    """
    distances, points = _check(X, embedding, metric, metric_params)
    k = check_number(k, "k", low=1, high=len(points) - 1, integer=True)
    rows, n_threads = _sample(len(points), sample_size, random_state), resolve_n_jobs(n_jobs)
    in_data = nearest_distances(distances, rows, k, n_threads)
    if not np.isfinite(in_data).all():
        raise ValueError(f"X must hold the distances to {k} neighbours; some are unknown")
    in_embedding = nearest_distances(make_distances(points), rows, k, n_threads)
    radii = np.stack([(d.astype(np.float64) ** 2).mean(1) for d in (in_data, in_embedding)])
    a, b = np.log(radii[:, (radii > 0).all(0)])
    return _pearson(a, b)


def _ranks_of_neighbors(
    X: Rows, embedding: ArrayLike, k: int, metric: Metric, metric_params: Settings,
    size: int | None, random_state: RandomState, n_jobs: int | None,
) -> np.ndarray:  # fmt: skip
    """Return the ranks in the data of each sampled row's k nearest in the embedding."""
    distances, points = _check(X, embedding, metric, metric_params)
    k = check_number(k, "k", low=1, high=len(points) - 1, integer=True)
    n_threads = resolve_n_jobs(n_jobs)
    rows = _sample(len(points), size, random_state)
    neighbors, _ = DenseRows(points, "euclidean").kneighbors_of_rows(rows, k, n_threads)
    return ranks_of(distances, rows, neighbors, n_threads)


def _check(
    X: Rows, embedding: ArrayLike, metric: Metric, metric_params: Settings
) -> tuple[Distances, np.ndarray]:
    points = check_data(np.asarray(embedding), "embedding")
    distances = make_distances(X, metric, metric_params)
    if distances.n_samples != len(points):
        raise ValueError(
            f"embedding must have as many rows as X, {distances.n_samples}; got {len(points)}"
        )
    return distances, points


def _sample(n: int, size: int | None, random_state: RandomState) -> np.ndarray:
    """Return the indices of a sample of rows in ascending order, all if there are no more."""
    if size is not None:
        size = check_number(size, "sample_size", low=2, integer=True)
    if size is None or size >= n:
        return np.arange(n)
    return np.sort(check_random_state(random_state).permutation(n)[:size])


def _to_ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks of values; ties share their mean rank."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[index]


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")
