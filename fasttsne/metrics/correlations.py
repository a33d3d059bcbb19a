"""Correlations of distances and of densities between the data and the map."""

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metrics.blocked_correlation import blocked_pearson, blocked_spearman, error_of_rows
from fasttsne.metrics.estimate import Estimate, jackknifed, standard_error_of_mean
from fasttsne.metrics.pair_blocks import PairBlocks
from fasttsne.metrics.samples import (
    INVERSE_RANK_VARIANCE,
    check_rows,
    pearson,
    sample_rows,
    to_ranks,
)
from fasttsne.nearest_neighbors.builtin.ranks import make_distances, nearest_distances
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_choice, check_number


def distance_correlation(
    X: Rows,
    embedding: ArrayLike,
    method: str = "spearman",
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 2000,
    random_state: RandomState = 0,
) -> Estimate:
    """Return the correlation between pairwise distances in the data and in the embedding.

    Parameters
    ----------
    method : "spearman" compares ranks of distances, "pearson" the distances.
    sample_size : number of rows, chosen at random, of which all pairs are used; None is all.
        Of more than 2,048 rows, pairs are compared block by block: less than 1 GB for any number,
        and up to six times as long, since distances are computed anew each time.  Ranks are then
        those of a million bins, which changes the result by about 1e-7 at most; distances that
        differ by 1e-13 of themselves count as equal.

    The others are those of :func:`neighbor_recall`.

    Returns
    -------
    Estimate
        From -1 to 1; NaN where all distances are equal.  The standard error is that of a function
        of two rows at a time: to first order it is twice that of the rows' mean influences.  That
        of "spearman" is for distances without ties; with many equal ones it is too small.

    Source: Kobak & Berens 2019, The art of using t-SNE for single-cell transcriptomics (CPD);
    Hoeffding 1948 (the standard error of U-statistics).
    """
    check_choice(method, "method", ("spearman", "pearson"))
    distances, points = check_rows(X, embedding, metric, metric_params)
    rows = sample_rows(len(points), sample_size, random_state)
    blocks = PairBlocks(distances, make_distances(points), rows)
    if not blocks.is_one:
        blocked = blocked_spearman if method == "spearman" else blocked_pearson
        return Estimate(*blocked(blocks, len(points)), rows)
    (block,) = blocks
    in_data, in_embedding, influence = block.in_data, block.in_map, _influence_on_pearson
    if method == "spearman":
        in_data, in_embedding = to_ranks(in_data), to_ranks(in_embedding)
        influence = _influence_on_spearman
    found = pearson(in_data, in_embedding)
    if np.isnan(found):
        return Estimate(found, float("nan"), rows)
    if len(rows) == len(points):
        return Estimate(found, 0.0, rows)
    of_pairs = influence(in_data, in_embedding)
    of_first, of_second = (np.bincount(end, of_pairs, len(rows)) for end in block[:2])
    return Estimate(found, error_of_rows(of_first + of_second, len(points)), rows)


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

    It is that of the log of the root mean squared distance to the k nearest neighbours, over
    the rows where that is positive in both.  t-SNE's is near 0: it makes clusters equally dense.

    The parameters are those of :func:`neighbor_recall`.

    Source: Narayan, Berger & Cho 2021 (local radius); see :mod:`fasttsne.density`.
    """
    distances, points = check_rows(X, embedding, metric, metric_params)
    k = check_number(k, "k", low=1, high=len(points) - 1, integer=True)
    rows, n_threads = sample_rows(len(points), sample_size, random_state), resolve_n_jobs(n_jobs)
    in_data = nearest_distances(distances, rows, k, n_threads)
    if not np.isfinite(in_data).all():
        raise ValueError(f"X must hold the distances to {k} neighbours; some are unknown")
    in_embedding = nearest_distances(make_distances(points), rows, k, n_threads)
    radii = np.stack([(d.astype(np.float64) ** 2).mean(1) for d in (in_data, in_embedding)])
    a, b = np.log(radii[:, (radii > 0).all(0)])
    if len(a) < 3:  # two always correlate
        return Estimate(float("nan"), float("nan"), rows)
    influence = jackknifed(_pearson_without_each(a, b))
    error = standard_error_of_mean(influence, len(rows), len(points))
    return Estimate(pearson(a, b), float(error), rows)


def _pearson_without_each(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the correlations of a and b without each of their observations."""
    a, b = a - a.mean(), b - b.mean()  # so that little cancels below
    n = len(a) - 1
    mean_a, mean_b = -a / n, -b / n
    aa, bb, ab = ((x @ y - x * y) / n for x, y in ((a, a), (b, b), (a, b)))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = (ab - mean_a * mean_b) / np.sqrt((aa - mean_a**2) * (bb - mean_b**2))
    return found


def _influence_on_pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the influence of each observation on the correlation of a and b."""
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (a - a.mean()) / a.std(), (b - b.mean()) / b.std()
    influence: np.ndarray = a * b - (a * b).mean() * (a * a + b * b) / 2
    return influence


def _influence_on_spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the influence of each observation on the correlation of the ranks a and b.

    An observation moves the ranks of those above it, too: beside its own product there is the
    mean of the other coordinate over what is above it.
    """
    n = len(a)
    x, y = (a - (n + 1) / 2) / n, (b - (n + 1) / 2) / n
    sums = x * y + _mean_above(a, y) + _mean_above(b, x)
    influence: np.ndarray = INVERSE_RANK_VARIANCE * sums
    return influence


def _mean_above(ranks: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the sum of the values whose rank is at least each one's, divided by n."""
    order = np.argsort(ranks, kind="stable")
    tails = np.cumsum(values[order][::-1])[::-1]
    above = np.empty_like(tails)
    above[order] = tails
    return above / len(values)
