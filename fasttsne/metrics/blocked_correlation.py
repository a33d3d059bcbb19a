"""Correlations of the distances of more pairs than memory holds, block by block.

Ranks are those of bins, of which each holds about a millionth of the pairs: pairs of one bin have
its mean rank, as ties have.  That changes a correlation by about 1e-7 at most, whatever orders of
magnitude distances are of.  Those that differ by 1e-13 of themselves are ties.
"""

from typing import NamedTuple

import numpy as np

from fasttsne.metrics.estimate import standard_error_of_mean
from fasttsne.metrics.pair_blocks import PairBlocks
from fasttsne.metrics.samples import INVERSE_RANK_VARIANCE

# Bins, and places between which they are of one width.
N_BINS, N_KNOTS = 2**20, 2**14
# Bins are refined so often: first they are of one width, then each holds about as many pairs.
# A bin is full that holds so many times its part; of those, the fullest are divided by themselves.
N_REFINEMENTS, FULL, MAX_FULL = 2, 8, 2**13


def blocked_pearson(blocks: PairBlocks, n: int) -> tuple[float, float]:
    """Return the correlation of all pairs of a sample of n rows, and its standard error."""
    of_blocks = np.array([[(v.sum(), v.min(), v.max()) for v in block[2:]] for block in blocks])
    if not (of_blocks[:, :, 2].max(0) > of_blocks[:, :, 1].min(0)).all():
        return float("nan"), float("nan")
    mean_a, mean_b = of_blocks[:, :, 0].sum(0) / blocks.n_pairs
    sums = np.zeros((3, blocks.n_rows))  # of a a, b b and a b over each row's pairs
    for block in blocks:
        a, b = block.in_data - mean_a, block.in_map - mean_b
        for total, values in zip(sums, (a * a, b * b, a * b), strict=True):
            for end in (block.first, block.second):
                total += np.bincount(end, values, blocks.n_rows)
    aa, bb, ab = sums.sum(1) / 2  # each pair belongs to two rows
    scale = float(np.sqrt(aa) * np.sqrt(bb))  # the product of aa and bb may overflow
    if not scale > 0:
        return float("nan"), float("nan")
    found = float(ab / scale)
    of_rows = blocks.n_pairs * (sums[2] / scale - found * (sums[0] / aa + sums[1] / bb) / 2)
    return found, error_of_rows(of_rows, n)


def blocked_spearman(blocks: PairBlocks, n: int) -> tuple[float, float]:
    """Return the rank correlation of all pairs of a sample of n rows, and its standard error."""
    bins, counts = _make_bins(blocks)
    # Ranks as shares of all pairs, from the middle.
    ranks = (np.cumsum(counts, 1) - (counts - 1) / 2 - (blocks.n_pairs + 1) / 2) / blocks.n_pairs
    scale = np.sqrt((counts * ranks**2).sum(1).prod())
    product, sums_above = 0.0, np.zeros((2, N_BINS))
    for block in blocks:
        places = [each.of(values) for each, values in zip(bins, block[2:], strict=True)]
        x, y = (rank[where] for rank, where in zip(ranks, places, strict=True))
        product += float(x @ y)
        sums_above[0] += np.bincount(places[0], y, N_BINS)
        sums_above[1] += np.bincount(places[1], x, N_BINS)
    if not scale > 0:
        return float("nan"), float("nan")
    found = product / float(scale)
    if blocks.n_rows >= n:
        return found, 0.0
    above = np.cumsum(sums_above[:, ::-1], 1)[:, ::-1] / blocks.n_pairs
    of_rows = np.zeros(blocks.n_rows)
    for block in blocks:
        a, b = (each.of(values) for each, values in zip(bins, block[2:], strict=True))
        influence = ranks[0][a] * ranks[1][b] + above[0][a] + above[1][b]
        for end in (block.first, block.second):
            of_rows += np.bincount(end, INVERSE_RANK_VARIANCE * influence, blocks.n_rows)
    return found, error_of_rows(of_rows, n)


def error_of_rows(of_rows: np.ndarray, n: int) -> float:
    """Return the standard error from the sums of influences over each row's pairs, (m,)."""
    m = len(of_rows)
    return float(2 * standard_error_of_mean(of_rows / (m - 1), m, n))


def _keys(values: np.ndarray) -> np.ndarray:
    """Return numbers in the order of the values, nearly their logarithms: their bits, as numbers.

    Of values over many orders of magnitude, bins of one width would hold almost all in one.
    """
    keys: np.ndarray = np.copysign(np.abs(values).view(np.int64).astype(np.float64), values)
    return keys


class _Bins(NamedTuple):
    """Bins of values: between two knots, ascending, the keys of all have one width.

    knots : (knots,) keys of values.
    places : (knots,) the number of the bin that each knot is in, with the part of it below.
    """

    knots: np.ndarray
    places: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the bin of each value, higher for higher values or the same."""
        places = np.interp(_keys(values), self.knots, self.places)
        bins: np.ndarray = np.minimum(places.astype(np.intp), N_BINS - 1)
        return bins

    def refined(self, counts: np.ndarray) -> "_Bins":
        """Return bins of about as many values each, from how many these hold."""
        edges = np.interp(np.arange(N_BINS + 1), self.places, self.knots)
        shares = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
        kept = np.searchsorted(shares, np.linspace(0, 1, N_KNOTS), "right") - 1
        full = np.argpartition(-counts, MAX_FULL)[:MAX_FULL]
        full = full[counts[full] > FULL * counts.sum() / N_BINS]
        kept = np.unique(np.concatenate([[0, N_BINS], kept, full, full + 1]))
        knots, first = np.unique(edges[kept], return_index=True)
        return _Bins(knots, N_BINS * shares[kept][first])


def _make_bins(blocks: PairBlocks) -> tuple[list[_Bins], np.ndarray]:
    """Return bins for distances in the data and in the map, and how many each holds, (2, bins)."""
    ends = np.array([[(v.min(), v.max()) for v in block[2:]] for block in blocks])
    lows, highs = ends[:, :, 0].min(0), ends[:, :, 1].max(0)
    limits = np.array([0.0, N_BINS])
    bins = [_Bins(_keys(np.array(own)), limits) for own in zip(lows, highs, strict=True)]
    counts = _count(blocks, bins)
    for _ in range(N_REFINEMENTS):
        bins = [each.refined(own) for each, own in zip(bins, counts, strict=True)]
        counts = _count(blocks, bins)
    return bins, counts


def _count(blocks: PairBlocks, bins: list[_Bins]) -> np.ndarray:
    counts = np.zeros((2, N_BINS), np.int64)
    for block in blocks:
        for count, each, values in zip(counts, bins, block[2:], strict=True):
            count += np.bincount(each.of(values), minlength=N_BINS)
    return counts
