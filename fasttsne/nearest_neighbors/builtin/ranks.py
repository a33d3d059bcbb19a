"""Distances between chosen rows of a data set, and ranks of neighbours, for any metric."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from scipy.spatial.distance import cdist

from fasttsne import _kernels
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.builtin.rows import prepare_rows
from fasttsne.nearest_neighbors.builtin.sparse_rows import squared_norms
from fasttsne.nearest_neighbors.exact import Exact, pairwise_distances
from fasttsne.nearest_neighbors.precomputed import check_distance_matrix, check_distances

# Distances computed at a time.
BLOCK_ENTRIES = 2**22


class Distances(Protocol):
    """Distances between the rows of a data set of ``n_samples`` rows."""

    n_samples: int

    def pairwise(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the distances of each of the rows to each of the others, by index, float64."""


def make_distances(X, metric="euclidean", metric_params=None) -> Distances:
    """Return an object that computes distances between rows of X.

    Parameters
    ----------
    X : (n, columns) array or SciPy sparse matrix; (n, n) distances for "precomputed".
    metric, metric_params : as for :class:`fasttsne.nearest_neighbors.Exact`.
    """
    if isinstance(metric, str) and metric == "precomputed":
        return _PrecomputedDistances(X)
    index = Exact(X, 1, metric=metric, metric_params=metric_params)
    if index.metric not in METRICS:
        return _ScipyDistances(index)
    rows = prepare_rows(index.data, index.metric)
    return _DenseDistances(rows) if isinstance(rows, DenseRows) else _SparseDistances(rows)


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
    first: Distances, second: Distances, rows: np.ndarray, n_threads: int
) -> Iterator[np.ndarray]:
    """Yield, for some of the rows after the other, how many others have each largest rank.

    The larger of a neighbour's ranks in two data sets of the same rows is k where it is among the
    k nearest of both, but not among the k - 1 nearest of both.

    Yields
    ------
    (some rows, n - 1) int64: of rank 1 first.
    """
    n = first.n_samples
    step = max(BLOCK_ENTRIES // n, 1)
    for a in range(0, len(rows), step):
        some = rows[a : a + step]
        largest = np.maximum(*(_ranks_of_all(each, some) for each in (first, second)))
        yield np.stack([np.bincount(ranks, minlength=n + 1)[1:n] for ranks in largest])


def _ranks_of_all(distances, rows):
    """Return the rank of every row among the neighbours of each, (rows, n), from 1; itself n."""
    (_, block), *_ = distances_to_others(distances, rows)
    order = np.argsort(block, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, block.shape[1] + 1)[None], 1)
    return ranks


class _DenseDistances:
    def __init__(self, rows):
        self.n_samples, self.points, self._rows = rows.n, rows.points.values, rows

    def nearest(self, rows, k, n_threads):
        return self._rows.to_metric(self._rows.kneighbors_of_rows(rows, k, n_threads)[1])

    def nearest_rows(self, rows, k, n_threads):
        return self._rows.kneighbors_of_rows(rows, k, n_threads)[0]

    def pairwise(self, rows, others):
        return self._rows.to_metric(cdist(self.points[rows], self.points[others]))


class _SparseDistances:
    """By products: the rows stay sparse."""

    def __init__(self, rows):
        self.n_samples, self._rows = rows.n, rows
        self._square = squared_norms(rows.points).astype(np.float64)
        self._matrix = rows.points.matrix.astype(np.float64)
        self._means = rows.points.means.astype(np.float64)

    def pairwise(self, rows, others):
        shift = self._rows.n_columns * np.outer(self._means[rows], self._means[others])
        products = (self._matrix[rows] @ self._matrix[others].T).toarray() - shift
        square = self._square[rows][:, None] + self._square[others] - 2 * products
        return self._rows.to_metric(np.sqrt(np.maximum(square, 0)))


class _ScipyDistances:
    """By SciPy or a callable, on rows converted to dense."""

    def __init__(self, index):
        self.n_samples, self._data = index.n_samples, index.data
        self._metric, self._params = index._scipy_metric()

    def pairwise(self, rows, others):
        rows, others = _to_dense(self._data[rows]), _to_dense(self._data[others])
        distances = pairwise_distances(rows, others, self._metric, self._params)
        return np.where(np.isnan(distances), np.inf, distances)


class _PrecomputedDistances:
    """From a matrix; distances that a sparse one does not store are infinite."""

    def __init__(self, matrix):
        self._matrix = check_distance_matrix(matrix, "X", min_rows=2)
        self.n_samples = self._matrix.shape[0]
        if self._matrix.shape[1] != self.n_samples:
            raise ValueError(f"X must be square, (n, n) distances; got shape {self._matrix.shape}")

    def pairwise(self, rows, others):
        block = self._matrix[rows][:, others]
        if not sp.issparse(block):
            block = np.asarray(block, np.float64)
            check_distances(block, "X")
            return block
        block = block.tocoo()
        found = np.full(block.shape, np.inf)
        found[block.row, block.col] = block.data
        return found


def _to_dense(rows):
    return rows.toarray() if sp.issparse(rows) else rows
