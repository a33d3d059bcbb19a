"""Distances between pairs of rows, in the data and in the embedding: correlation and stress."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metrics.estimate import (
    MIN_ROWS_OF_RARE,
    Estimate,
    Sample,
    jackknifed,
    pearson,
    sample_rows,
    standard_error_of_mean,
)
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_choice, check_number

# All pairs of so many rows are compared at most: they take less than 1 GB.
MAX_PAIR_ROWS = 4096
# One divided by the variance of ranks as shares of their number, which without ties are even from
# 0 to 1.  A rank correlation is the covariance of such shares times this, and so is the influence
# of each observation on it.  With ties the variance is smaller.
INVERSE_RANK_VARIANCE = 12


@dataclass(frozen=True)
class StressCurve:
    """The stress of an embedding, for pairs of rows of each range of distances.

    Attributes
    ----------
    edges : (scales + 1,) distances in the data between which the scales lie, with as many pairs
        in each, in the unit of the data.
    stress : (scales,) the stress of each, 0 for distances that are kept; 1 where the embedding's
        are 0; infinite where the data's are 0 and the embedding's are not; NaN where both are, or
        the scale has no pairs.
    standard_error : (scales,) standard errors; NaN of fewer than 200 of more rows, and of a sample
        where the stress is not finite.
    ratio : (scales,) mean distance in the embedding, scaled, by the mean distance in the data:
        below 1 the embedding brings such pairs together, above 1 it draws them apart; NaN where
        the latter is 0.
    total : the stress of all pairs; NaN of a sample of two rows, whose distance is always kept.
    scale : the least-squares factor from distances in the embedding to those in the data.
    rows : indices of the rows whose pairs were compared.
    """

    edges: np.ndarray
    stress: np.ndarray
    standard_error: np.ndarray
    ratio: np.ndarray
    total: Estimate
    scale: float
    rows: np.ndarray


class _Pairs(NamedTuple):
    """All pairs of a sample of rows.

    rows : (m,) indices of the sample, which is of ``n`` rows.
    first, second : (pairs,) positions of the rows in the sample, first < second.
    in_data, in_map : (pairs,) float64 distances.
    """

    rows: np.ndarray
    n: int
    first: np.ndarray
    second: np.ndarray
    in_data: np.ndarray
    in_map: np.ndarray

    @classmethod
    def of(cls, sample: Sample, random_state: RandomState) -> "_Pairs":
        """Return all pairs of the sample, or of ``MAX_PAIR_ROWS`` rows where it has more."""
        rows = sample.rows
        if len(rows) > MAX_PAIR_ROWS:
            rows = sample_rows(sample.n, MAX_PAIR_ROWS, random_state)
        first, second = np.triu_indices(len(rows), 1)
        in_data = sample.distances.pairwise(rows, rows)[first, second]
        if not np.isfinite(in_data).all():
            raise ValueError("X must hold all distances between rows; some are unknown")
        in_map = sample.in_embedding.pairwise(rows, rows)[first, second]
        return cls(rows, sample.n, first, second, in_data, in_map)


def stress(
    X: Rows,
    embedding: ArrayLike,
    scales: int = 10,
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 1000,
    random_state: RandomState = 0,
) -> StressCurve:
    """Return how much an embedding changes distances, for each range of them: stress-1 by scale.

        sqrt(sum (d - s e)^2 / sum d^2)

    over the pairs of a scale, where d is the distance in the data, e that in the embedding and s
    the factor that makes the sum over all pairs smallest.  Nonlinear embeddings are not made to
    keep long distances: the curve shows from where on they may not be read.

    Parameters
    ----------
    scales : number of ranges of distances, with as many pairs each.
    sample_size : number of rows, chosen at random, of which all pairs are compared; None is all.
        It is at most 4,096, whose pairs take less than 1 GB.

    Other parameters are as for :func:`neighbor_recall`.  Standard errors are by the jackknife
    that leaves out a row at a time, for the scales of this sample.

    Raises
    ------
    ValueError
        If all rows of X, or all points, are equal.

    Source: Kruskal 1964, Multidimensional scaling by optimizing goodness of fit.
    """
    scales = check_number(scales, "scales", low=1, integer=True)
    sample = Sample.take(X, embedding, metric, metric_params, sample_size, random_state)
    pairs = _Pairs.of(sample, random_state)
    edges = np.atleast_1d(np.quantile(pairs.in_data, np.linspace(0, 1, scales + 1)))
    sums = _sums_of_rows(pairs, edges)
    if not (sums[:, 0].any() and sums[:, 2].any()):
        raise ValueError("X and embedding must have rows that are not all equal")
    whole = sums.sum(0) / 2  # each pair belongs to two rows
    found, total = _stress_of(whole)
    errors = [_jackknife_error(left_out, pairs.n) for left_out in _stress_of(whole - sums)]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(whole[3] > 0, _scale_of(whole) * whole[4] / whole[3], np.nan)
    if len(pairs.rows) == 2 < pairs.n:
        total = np.array(np.nan)
    of_all = Estimate(float(total), float(errors[1]), pairs.rows)
    scale = float(_scale_of(whole))
    return StressCurve(edges, found, errors[0], ratio, of_all, scale, pairs.rows)


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
    sample_size : number of rows, chosen at random, of which all pairs are compared; None is all.
        It is at most 4,096, whose pairs take less than 1 GB.

    Other parameters are as for :func:`neighbor_recall`.

    Returns
    -------
    Estimate
        From -1 to 1; NaN where all distances are equal.  The standard error, of a U-statistic of
        two rows, is to first order twice that of the rows' mean influences.  For "spearman" it
        assumes distances without ties; with many equal ones it is too small.

    Source: Kobak & Berens 2019, The art of using t-SNE for single-cell transcriptomics (CPD);
    Hoeffding 1948 (the standard error of U-statistics).
    """
    check_choice(method, "method", ("spearman", "pearson"))
    sample = Sample.take(X, embedding, metric, metric_params, sample_size, random_state)
    pairs = _Pairs.of(sample, random_state)
    in_data, in_map, influence = pairs.in_data, pairs.in_map, _influence_on_pearson
    if method == "spearman":
        in_data, in_map, influence = to_ranks(in_data), to_ranks(in_map), _influence_on_spearman
    found, m = pearson(in_data, in_map), len(pairs.rows)
    if np.isnan(found) or m == pairs.n:
        return Estimate(found, np.nan if np.isnan(found) else 0.0, pairs.rows)
    of_pairs = influence(in_data, in_map)
    of_rows = np.bincount(pairs.first, of_pairs, m) + np.bincount(pairs.second, of_pairs, m)
    error = 2 * standard_error_of_mean(of_rows / (m - 1), m, pairs.n)
    return Estimate(found, float(error), pairs.rows)


def _sums_of_rows(pairs: _Pairs, edges: np.ndarray) -> np.ndarray:
    """Return the sums of d^2, d e, e^2, d and e over each row's pairs, (rows, 5, scales)."""
    m, scales, d, e = len(pairs.rows), len(edges) - 1, pairs.in_data, pairs.in_map
    scale_of = np.clip(np.searchsorted(edges, d, "right") - 1, 0, scales - 1)
    found = np.zeros((5, m * scales))
    for end in (pairs.first, pairs.second):
        where = end * scales + scale_of
        for total, values in zip(found, (d * d, d * e, e * e, d, e), strict=True):
            total += np.bincount(where, values, m * scales)
    return found.reshape(5, m, scales).transpose(1, 0, 2)


def _scale_of(sums: np.ndarray) -> np.ndarray:
    """Return the factor for which the sums, (..., 5, scales), give the smallest stress, (...)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        factor: np.ndarray = sums[..., 1, :].sum(-1) / sums[..., 2, :].sum(-1)
    return factor


def _stress_of(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the stress of each scale, (..., scales), and of all pairs, (...)."""
    factor = _scale_of(sums)[..., None]
    missed = sums[..., 0, :] - 2 * factor * sums[..., 1, :] + factor**2 * sums[..., 2, :]
    missed = np.maximum(missed, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_scales = np.sqrt(missed / sums[..., 0, :])
        of_all = np.sqrt(missed.sum(-1) / sums[..., 0, :].sum(-1))
    return of_scales, of_all


def _jackknife_error(left_out: np.ndarray, n: int) -> np.ndarray:
    """Return the standard error from the stress without each of m of n rows, (m, ...).

    It is not known of few rows: those far from all others decide, and there may be none.
    """
    m = len(left_out)
    if m < min(MIN_ROWS_OF_RARE, n):
        return np.full(left_out.shape[1:], np.nan)
    return standard_error_of_mean(jackknifed(left_out), m, n)


def to_ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks of values; ties share their mean rank."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[index]


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
