"""How much distances change, for short and for long ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metrics.estimate import MIN_ROWS_OF_RARE, Estimate, jackknifed, standard_error_of_mean
from fasttsne.metrics.pair_blocks import PairBlocks, Pairs, quantiles_in_data
from fasttsne.metrics.samples import check_rows, sample_rows
from fasttsne.nearest_neighbors.builtin.ranks import make_distances
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_number


@dataclass(frozen=True)
class StressCurve:
    """The stress of a map, for pairs of rows of each range of distances.

    Attributes
    ----------
    edges : (scales + 1,) distances in the data between which the scales lie, with as many pairs
        in each, in the unit of the data.
    stress : (scales,) the stress of each, 0 for distances that are kept; 1 where the map's are 0;
        infinite where the data's are 0 and the map's are not; NaN where both are, or the scale
        has no pairs.
    standard_error : (scales,) theirs; NaN of fewer than 200 of more rows, and of a sample where
        the stress is not finite.
    ratio : (scales,) mean distance in the map, scaled, by the mean distance in the data: below 1
        the map brings such pairs together, above 1 it draws them apart; NaN where the latter is 0.
    total : the stress of all pairs; NaN of a sample of two rows, whose distance any map keeps.
    scale : the factor that makes distances of the map those of the data, in the sense of least
        squares.
    rows : indices of the rows whose pairs were compared.
    """

    edges: np.ndarray
    stress: np.ndarray
    standard_error: np.ndarray
    ratio: np.ndarray
    total: Estimate
    scale: float
    rows: np.ndarray


def stress(
    X: Rows,
    embedding: ArrayLike,
    scales: int = 10,
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 1000,
    random_state: RandomState = 0,
) -> StressCurve:
    """Return how much a map changes distances, for each range of distances: stress-1 by scale.

        sqrt(sum (d - s e)^2 / sum d^2)

    over the pairs of a scale, where d is the distance in the data, e that in the map and s the
    factor that makes the sum over all pairs smallest.  Nonlinear maps are not made to keep long
    distances: the curve says from where on they may not be read.

    Parameters
    ----------
    scales : number of ranges of distances, with as many pairs each.
    sample_size : number of rows, chosen at random, of which all pairs are compared; None is all.
        Of more than 2,048 rows, pairs are compared block by block: less than 1 GB for any number,
        and five times as long, since distances are computed five times (with more than 30
        scales, four times more for each 30).

    The others are those of :func:`neighbor_recall`.  Standard errors are those of the jackknife
    that leaves out a row at a time, for the scales of this sample.

    Raises
    ------
    ValueError
        If all rows of X, or all points, are equal.

    Source: Kruskal 1964, Multidimensional scaling by optimizing goodness of fit.
    """
    scales = check_number(scales, "scales", low=1, integer=True)
    distances, points = check_rows(X, embedding, metric, metric_params)
    n, rows = len(points), sample_rows(len(points), sample_size, random_state)
    blocks = PairBlocks(distances, make_distances(points), rows)
    edges = quantiles_in_data(blocks, np.linspace(0, 1, scales + 1))
    sums = np.zeros((len(rows), 5, scales))
    for block in blocks:
        sums += _sums_of_rows(block, edges, len(rows))
    if not (sums[:, 0].any() and sums[:, 2].any()):
        raise ValueError("X and embedding must have rows that are not all equal")
    whole = sums.sum(0) / 2  # each pair belongs to two rows
    found, total = _stress_of(whole)
    left_out = _stress_of(whole - sums)
    errors = [_error(each, n) for each in left_out]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(whole[3] > 0, _scale_of(whole) * whole[4] / whole[3], np.nan)
    of_all = np.nan if len(rows) == 2 < n else float(total)
    return StressCurve(
        edges,
        found,
        errors[0],
        ratio,
        Estimate(of_all, float(errors[1]), rows),
        float(_scale_of(whole)),
        rows,
    )


def _sums_of_rows(block: Pairs, edges: np.ndarray, m: int) -> np.ndarray:
    """Return the sums of d^2, d e, e^2, d and e over each row's pairs, (rows, 5, scales)."""
    scales, (d, e) = len(edges) - 1, (block.in_data, block.in_map)
    scale_of = np.clip(np.searchsorted(edges, d, "right") - 1, 0, scales - 1)
    found = np.zeros((5, m * scales))
    for end in (block.first, block.second):
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


def _error(left_out: np.ndarray, n: int) -> np.ndarray:
    """Return the standard error from the stress without each of m of n rows, (m, ...).

    It is not known of few rows: those far from all others decide, and there may be none.
    """
    m = len(left_out)
    if m < min(MIN_ROWS_OF_RARE, n):
        return np.full(left_out.shape[1:], np.nan)
    return standard_error_of_mean(jackknifed(left_out), m, n)
