"""Distances between chosen rows of a data set, and ranks among them, for any metric."""

from typing import Protocol

import numpy as np
import scipy.sparse as sp
from scipy.spatial.distance import cdist

from fasttsne import _kernels
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.rows import METRICS, as_rows
from fasttsne.nearest_neighbors.exact import Exact, _cdist
from fasttsne.nearest_neighbors.precomputed import _check_distances, _check_matrix

# Distances computed at a time.
BLOCK_ENTRIES = 2**22


class Distances(Protocol):
    """Distances within a data set of ``n_samples`` rows."""

    n_samples: int

    def between(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """From each of the rows, by number, to each of the others, float64."""


def distances_within(X, metric="euclidean", metric_params=None) -> Distances:
    """Distances between the rows of X.

    Parameters
    ----------
    X : (n, columns) array or SciPy sparse matrix; (n, n) distances for "precomputed".
    metric, metric_params : as for :class:`fasttsne.nearest_neighbors.Exact`.
    """
    if isinstance(metric, str) and metric == "precomputed":
        return _Given(X)
    index = Exact(X, 1, metric=metric, metric_params=metric_params)
    if index.metric not in METRICS:
        return _Looped(index)
    rows = as_rows(index.data, index.metric)
    return _Dense(rows) if isinstance(rows, DenseRows) else _Sparse(rows)


def ranks_of(distances: Distances, rows: np.ndarray, others: np.ndarray, n_threads: int):
    """The ranks of others among the neighbours of each row, counted from 1, (rows, k) int32.

    Ties fall to the smaller number; a row is not a neighbour of itself.

    Parameters
    ----------
    rows : (rows,) numbers.
    others : (rows, k) numbers, none twice in a row.
    """
    ranks = np.empty(others.shape, np.int32)
    if isinstance(distances, _Dense):
        _kernels.neighbor_ranks.ranks_of(
            distances.points, rows.astype(np.int32), others.astype(np.int32), ranks, n_threads
        )
        return ranks
    everyone = np.arange(distances.n_samples)
    step = max(BLOCK_ENTRIES // distances.n_samples, 1)
    for a in range(0, len(rows), step):
        block = distances.between(rows[a : a + step], everyone)
        block[np.arange(len(block)), rows[a : a + step]] = np.inf
        for column, other in enumerate(others[a : a + step].T):
            limit = block[np.arange(len(block)), other][:, None]
            nearer = (block < limit) | ((block == limit) & (everyone < other[:, None]))
            ranks[a : a + step, column] = 1 + nearer.sum(1)
    return ranks


def nearest_distances(distances: Distances, rows: np.ndarray, k: int, n_threads: int):
    """The distances to the k nearest others of each row, by number; (rows, k), in no order."""
    if isinstance(distances, _Dense):
        return distances.nearest(rows, k, n_threads)
    everyone = np.arange(distances.n_samples)
    step = max(BLOCK_ENTRIES // distances.n_samples, 1)
    found = []
    for a in range(0, len(rows), step):
        block = distances.between(rows[a : a + step], everyone)
        block[np.arange(len(block)), rows[a : a + step]] = np.inf
        block.partition(k - 1, axis=1)
        found.append(block[:, :k].copy())
    return np.concatenate(found)


class _Dense:
    def __init__(self, rows):
        self.n_samples, self.points, self._in_metric = rows.n, rows.points, rows.in_metric
        self._rows = rows

    def nearest(self, rows, k, n_threads):
        return self._in_metric(self._rows.sample_nearest(rows, k, n_threads)[1])

    def between(self, rows, others):
        return self._in_metric(cdist(self.points[rows], self.points[others]))


class _Sparse:
    """By products: the rows stay sparse."""

    def __init__(self, rows):
        self.n_samples, self._rows, self._square = rows.n, rows, rows.norms().astype(np.float64)
        self._matrix = rows.points.matrix.astype(np.float64)
        self._means = rows.points.means.astype(np.float64)

    def between(self, rows, others):
        shift = self._rows.n_columns * np.outer(self._means[rows], self._means[others])
        products = (self._matrix[rows] @ self._matrix[others].T).toarray() - shift
        square = self._square[rows][:, None] + self._square[others] - 2 * products
        return self._rows.in_metric(np.sqrt(np.maximum(square, 0)))


class _Looped:
    """By SciPy or a callable, on rows made dense."""

    def __init__(self, index):
        self.n_samples, self._data = index.n_samples, index.data
        self._metric, self._params = index._for_scipy()

    def between(self, rows, others):
        found = _cdist(
            _dense(self._data[rows]), _dense(self._data[others]), self._metric, self._params
        )
        return np.where(np.isnan(found), np.inf, found)


class _Given:
    """A matrix of distances; of a sparse one, those that are not stored are infinite."""

    def __init__(self, matrix):
        self._matrix = _check_matrix(matrix, "X", least_rows=2)
        self.n_samples = self._matrix.shape[0]
        if self._matrix.shape[1] != self.n_samples:
            raise ValueError(f"X must be square, (n, n) distances; got shape {self._matrix.shape}")

    def between(self, rows, others):
        part = self._matrix[rows][:, others]
        if not sp.issparse(part):
            part = np.asarray(part, np.float64)
            _check_distances(part, "X")
            return part
        part = part.tocoo()
        found = np.full(part.shape, np.inf)
        found[part.row, part.col] = part.data
        return found


def _dense(rows):
    return rows.toarray() if sp.issparse(rows) else rows
