"""All pairs of a sample of rows, a block at a time: their distances in the data and in the map."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fasttsne.nearest_neighbors.builtin.ranks import Distances

# Pairs in memory at a time; all pairs of 2,048 rows are one block.
BLOCK_PAIRS = 2**21
# A float that is not negative is ordered as its bits are: 64 of them, read so many at a time.
KEY_BITS, DIGIT_BITS = 64, 16
# Values that are found at a time: each may have a table of half a megabyte.
MAX_RANKS = 64


class Pairs(NamedTuple):
    """Pairs of a block.

    first, second : (pairs,) numbers of the rows within the sample, first < second.
    in_data, in_map : (pairs,) float64 distances.
    """

    first: np.ndarray
    second: np.ndarray
    in_data: np.ndarray
    in_map: np.ndarray


class PairBlocks:
    """The pairs of m rows, in the order of ``np.triu_indices(m, 1)``, as often as one asks.

    Distances are computed anew each time, to the same bits: what is held is one block.

    Parameters
    ----------
    in_data, in_map : distances between rows.
    rows : (m,) indices of the sample.

    Raises
    ------
    ValueError
        While blocks are made, where a distance in the data is not known.
    """

    def __init__(self, in_data: Distances, in_map: Distances, rows: np.ndarray):
        self._in_data, self._in_map, self._rows = in_data, in_map, rows
        self.n_rows = len(rows)
        self.n_pairs = self.n_rows * (self.n_rows - 1) // 2

    @property
    def is_one(self) -> bool:
        """Whether all pairs are one block."""
        return self.n_pairs <= BLOCK_PAIRS

    def __iter__(self) -> Iterator[Pairs]:
        step = max(self.n_rows if self.is_one else BLOCK_PAIRS // self.n_rows, 1)
        for start in range(0, self.n_rows - 1, step):
            yield self._block(start, min(start + step, self.n_rows))

    def _block(self, start: int, stop: int) -> Pairs:
        """The pairs whose first row is one of these."""
        own, others = self._rows[start:stop], self._rows[start:]
        pairs = np.triu_indices(stop - start, 1, len(others))
        in_data = self._in_data.pairwise(own, others)[pairs]
        if not np.isfinite(in_data).all():
            raise ValueError("X must hold all distances between rows; some are unknown")
        in_map = self._in_map.pairwise(own, others)[pairs]
        return Pairs(pairs[0] + start, pairs[1] + start, in_data, in_map)


def quantiles_in_data(blocks: PairBlocks, shares: np.ndarray) -> np.ndarray:
    """Return quantiles of the distances in the data, as ``np.quantile`` does.

    Of more than one block, the two values about each quantile are found by their bits, 16 at a
    time from the highest: each time, a table counts how many distances share the bits before and
    have each value of the next.
    """
    if blocks.is_one:
        (block,) = blocks
        return np.atleast_1d(np.quantile(block.in_data, shares))
    position = np.asarray(shares, np.float64) * (blocks.n_pairs - 1)
    below = np.floor(position).astype(np.int64)
    ranks = np.stack([below, np.minimum(below + 1, blocks.n_pairs - 1)])
    parts = np.array_split(ranks.ravel(), -(-ranks.size // MAX_RANKS))
    low, high = np.concatenate([_values_at(blocks, part) for part in parts]).reshape(ranks.shape)
    found: np.ndarray = low + (high - low) * (position - below)
    return found


def _values_at(blocks: PairBlocks, ranks: np.ndarray) -> np.ndarray:
    """Return the distances of these ranks, from 0, in ascending order of all distances."""
    prefix = np.zeros(len(ranks), np.uint64)
    left = ranks.copy()  # the rank among distances that begin as the prefix does
    for shift in range(KEY_BITS - DIGIT_BITS, -1, -DIGIT_BITS):
        known, which = np.unique(prefix, return_inverse=True)
        counts = _count_digits(blocks, known, shift)[which]
        totals = np.cumsum(counts, axis=1)
        digit = (totals <= left[:, None]).sum(1)
        at = np.arange(len(ranks))
        left -= totals[at, digit] - counts[at, digit]
        prefix = prefix << np.uint64(DIGIT_BITS) | digit.astype(np.uint64)
    return prefix.view(np.float64)


def _count_digits(blocks: PairBlocks, prefixes: np.ndarray, shift: int) -> np.ndarray:
    """Return how many keys begin as each prefix and go on with each digit, (prefixes, digits)."""
    n_digits = 2**DIGIT_BITS
    counts = np.zeros((len(prefixes), n_digits), np.int64)
    for block in blocks:
        # Where 0 is negative, its bits are not those of 0.
        keys = (block.in_data + 0.0).view(np.uint64) >> np.uint64(shift)
        begins = keys >> np.uint64(DIGIT_BITS)
        where = np.searchsorted(prefixes, begins)
        np.minimum(where, len(prefixes) - 1, out=where)
        is_one = prefixes[where] == begins
        digits = (keys[is_one] & np.uint64(n_digits - 1)).astype(np.intp)
        places = where[is_one] * n_digits + digits
        counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)
    return counts
