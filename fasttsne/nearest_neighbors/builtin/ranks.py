"""Distances between chosen rows of a data set, and ranks of neighbours, for any metric."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
from scipy.spatial.distance import cdist

from fasttsne import _kernels
from fasttsne.linalg.rows import to_dense
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.builtin.rows import (
    DenseRows,
    SparseRows,
    prepare_rows,
    squared_norms,
)
from fasttsne.nearest_neighbors.exact import Exact, pairwise_distances
from fasttsne.nearest_neighbors.precomputed import check_distance_matrix, check_distances
from fasttsne.runtime.typing import Metric, Rows, Settings

# Distances computed at a time; and where the ranks of two spaces are compared, which takes several
# times their memory, of so many rows at least.
BLOCK_ENTRIES, RANKED_ENTRIES, MIN_RANKED_ROWS = 2**22, 2**20, 4
# Up to so many rows, all ranks of a row are those of distances in double precision.
FLOAT64_RANKS_MAX_SAMPLES = 4096


@runtime_checkable
class Distances(Protocol):
    """Distances between the rows of a data set of ``n_samples`` rows."""

    n_samples: int

    def pairwise(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the distances of each of the rows to each of the others, by index, float64."""


def make_distances(
    X: Rows | Distances, metric: Metric = "euclidean", metric_params: Settings = None
) -> Distances:
    """Return an object that computes distances between rows of X.

    Parameters
    ----------
    X : (n, columns) array or SciPy sparse matrix; (n, n) distances for "precomputed"; or what this
        function returned, for several measures of the same rows.
    metric, metric_params : as for :class:`fasttsne.nearest_neighbors.Exact`.
    """
    if isinstance(X, Distances):  # they were made before
        return X
    if isinstance(metric, str) and metric == "precomputed":
        return _PrecomputedDistances(X)
    index = Exact(X, 1, metric=metric, metric_params=metric_params)
    if index.metric not in METRICS:
        return _ScipyDistances(index)
    rows = prepare_rows(index.data, index.metric)
    return _DenseDistances(rows) if isinstance(rows, DenseRows) else _SparseDistances(rows)


def distances_among(distances: Distances, rows: np.ndarray) -> Distances:
    """Return the distances between some rows, by index, as of a data set of their own."""
    if len(rows) == distances.n_samples:
        return distances
    if isinstance(distances, _DenseDistances):
        return distances.among(rows)
    return _DistancesAmong(distances, rows)


def ranks_of(
    distances: Distances, rows: np.ndarray, others: np.ndarray, n_threads: int
) -> np.ndarray:
    """Return the ranks of others among the neighbours of each row, from 1, (rows, k) int32.

    Of equal distances, the smaller index comes first; a row is not a neighbour of itself.

    Parameters
    ----------
    rows : (rows,) indices.
    others : (rows, k) indices, none twice in a row.
    """
    ranks = np.empty(others.shape, np.int32)
    if isinstance(distances, _DenseDistances):
        _kernels.neighbor_ranks.ranks_of(
            distances.points, rows.astype(np.int32), others.astype(np.int32), ranks, n_threads
        )
        return ranks
    for some, block in distances_to_others(distances, rows):
        for column, other in enumerate(others[some].T):
            limit = np.take_along_axis(block, other[:, None], 1)
            is_before = np.arange(distances.n_samples) < other[:, None]
            ranks[some, column] = 1 + ((block < limit) | ((block == limit) & is_before)).sum(1)
    return ranks


def nearest_distances(distances: Distances, rows: np.ndarray, k: int, n_threads: int) -> np.ndarray:
    """Return the distances of rows, by index, to their k nearest others, (rows, k), unsorted."""
    if isinstance(distances, _DenseDistances):
        return distances.nearest(rows, k, n_threads)
    found = [
        np.partition(block, k - 1, axis=1)[:, :k].copy()
        for _, block in distances_to_others(distances, rows)
    ]
    return np.concatenate(found)


def nearest_of(distances: Distances, rows: np.ndarray, k: int, n_threads: int) -> np.ndarray:
    """Return the k nearest others of rows, by index, (rows, k) int32, nearest first.

    Of equal distances, the smaller index comes first.
    """
    if isinstance(distances, _DenseDistances):
        return distances.nearest_rows(rows, k, n_threads)
    found = [
        np.argsort(block, axis=1, kind="stable")[:, :k].astype(np.int32)
        for _, block in distances_to_others(distances, rows)
    ]
    return np.concatenate(found)


def distances_to_others(
    distances: Distances, rows: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (some of the rows, their distances to all rows, which to themselves are infinite)."""
    step = max(BLOCK_ENTRIES // distances.n_samples, 1)
    for a in range(0, len(rows), step):
        some = slice(a, a + step)
        block = distances.pairwise(rows[some], np.arange(distances.n_samples))
        block[np.arange(len(block)), rows[some]] = np.inf
        yield some, block


def max_rank_counts(
    first: Distances, second: Distances, rows: np.ndarray, k: int, n_threads: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, for some of the rows after the other, how many others have each largest rank.

    The larger of a neighbour's ranks in two data sets of the same rows is k where it is among the
    k nearest of both, but not among the k - 1 nearest of both.

    Yields
    ------
    counts : (some rows, n) int32, of rank 1 first; the last is the row itself.
    excess : (some rows, 2) int64, the sums of the ranks beyond k in the first space over the k
        nearest of the second, and the reverse.
    """
    n = first.n_samples
    step = max(RANKED_ENTRIES // n, MIN_RANKED_ROWS)
    for a in range(0, len(rows), step):
        some = rows[a : a + step]
        blocks = [_distances_to_all(each, some, n_threads) for each in (first, second)]
        if blocks[0].dtype != np.float32 or blocks[1].dtype != np.float32:
            yield _count_ranks(_ranks_of_all(blocks[0], some), _ranks_of_all(blocks[1], some), k)
            continue
        counts, excess = np.empty(blocks[0].shape, np.int32), np.empty((len(some), 2), np.int64)
        _kernels.rank_counts.max_rank_counts(
            *blocks, some.astype(np.int32), k, counts, excess, n_threads
        )
        yield counts, excess


def _count_ranks(first: np.ndarray, second: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts and the excess of ranks from all of them, (rows, n) in each space."""
    n = first.shape[1]
    largest = np.maximum(first, second)
    counts = [np.bincount(ranks - 1, minlength=n) for ranks in largest]
    excess = [
        np.where(near <= k, np.maximum(far - k, 0), 0).sum(1)
        for near, far in ((second, first), (first, second))
    ]
    return np.array(counts, np.int32), np.stack(excess, 1)


def _distances_to_all(distances: Distances, rows: np.ndarray, n_threads: int) -> np.ndarray:
    """Return what grows with the distances of rows to all: float32 for many dense rows."""
    n = distances.n_samples
    if not isinstance(distances, _DenseDistances) or n <= FLOAT64_RANKS_MAX_SAMPLES:
        return distances.pairwise(rows, np.arange(n))
    squares = np.empty((len(rows), n), np.float32)
    _kernels.rank_counts.distances_to_all(
        distances.points, rows.astype(np.int32), squares, n_threads
    )
    return squares


def _ranks_of_all(block: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the rank of every row among the neighbours of each, (rows, n), from 1; itself n."""
    block[np.arange(len(rows)), rows] = np.inf
    order = np.argsort(block, axis=1, kind="stable")
    # Of infinite distances, which are unknown, the row's own comes last, too.
    is_own = order == rows[:, None]
    order = np.concatenate([order[~is_own].reshape(len(rows), -1), rows[:, None]], axis=1)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, block.shape[1] + 1)[None], 1)
    return ranks


class _DenseDistances:
    def __init__(self, rows: DenseRows):
        self.n_samples, self.points, self._rows = rows.n, rows.points.values, rows

    def among(self, rows: np.ndarray) -> "_DenseDistances":
        return _DenseDistances(DenseRows(self._rows.points.source[rows], self._rows.metric))

    def nearest(self, rows: np.ndarray, k: int, n_threads: int) -> np.ndarray:
        return self._rows.to_metric(self._rows.kneighbors_of_rows(rows, k, n_threads)[1])

    def nearest_rows(self, rows: np.ndarray, k: int, n_threads: int) -> np.ndarray:
        return self._rows.kneighbors_of_rows(rows, k, n_threads)[0]

    def pairwise(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        return self._rows.to_metric(cdist(self.points[rows], self.points[others]))


class _SparseDistances:
    """By products: the rows stay sparse."""

    def __init__(self, rows: SparseRows):
        self.n_samples, self._rows = rows.n, rows
        self._square = squared_norms(rows.points).astype(np.float64)
        self._matrix = rows.points.matrix.astype(np.float64)
        self._means = rows.points.means.astype(np.float64)

    def pairwise(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        shift = self._rows.n_columns * np.outer(self._means[rows], self._means[others])
        products = (self._matrix[rows] @ self._matrix[others].T).toarray() - shift
        square = self._square[rows][:, None] + self._square[others] - 2 * products
        return self._rows.to_metric(np.sqrt(np.maximum(square, 0)))


class _ScipyDistances:
    """By SciPy or a callable, on rows converted to dense."""

    def __init__(self, index: Exact):
        self.n_samples, self._data = index.n_samples, index.data
        self._metric, self._params = index._scipy_metric()

    def pairwise(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        rows, others = to_dense(self._data[rows]), to_dense(self._data[others])
        return pairwise_distances(rows, others, self._metric, self._params)


class _PrecomputedDistances:
    """From a matrix; distances that a sparse one does not store are infinite."""

    def __init__(self, matrix: Rows):
        self._matrix = check_distance_matrix(matrix, "X", min_rows=2)
        self.n_samples = self._matrix.shape[0]
        if self._matrix.shape[1] != self.n_samples:
            raise ValueError(f"X must be square, (n, n) distances; got shape {self._matrix.shape}")

    def pairwise(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        block = self._matrix[rows][:, others]
        if not sp.issparse(block):
            dense = np.asarray(block, np.float64)
            check_distances(dense, "X")
            return dense
        block = block.tocoo()
        found = np.full(block.shape, np.inf)
        found[block.row, block.col] = block.data
        return found


class _DistancesAmong:
    """Of some rows of a data set."""

    def __init__(self, distances: Distances, rows: np.ndarray):
        self.n_samples, self._distances, self._rows = len(rows), distances, rows

    def pairwise(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        return self._distances.pairwise(self._rows[rows], self._rows[others])
