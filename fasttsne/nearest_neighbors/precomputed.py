"""Neighbours that somebody else found: lists of them, or a matrix of distances."""

import warnings

import numpy as np
import scipy.sparse as sp

from fasttsne.nearest_neighbors.backends.results import without_self
from fasttsne.nearest_neighbors.exact import _smallest
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.runtime.validation import check_data, check_number

# Entries of a dense matrix looked at at a time.
BLOCK_ENTRIES = 2**22


class PrecomputedNeighbors(KNNIndex):
    """Lists of neighbours and their distances.

    Rows are sorted, nearest first, where they are not.  Where rows are among
    their own neighbours, as in graphs of umap-learn and PyNNDescent, they are
    taken out, and the last neighbour of the rows that are not: k is then one less.

    Parameters
    ----------
    neighbors : (n, k) integers from 0 to n - 1, none twice in a row.
    distances : (n, k) array of finite numbers, none negative.

    Raises
    ------
    TypeError, ValueError
        Naming what is wrong and where.
    """

    def __init__(self, neighbors, distances):
        indices, distances = _check_lists(neighbors, distances)
        if (distances[:, 1:] < distances[:, :-1]).any():
            order = np.lexsort((indices, distances), axis=1)
            indices = np.take_along_axis(indices, order, 1)
            distances = np.take_along_axis(distances, order, 1)
        if (indices == np.arange(len(indices))[:, None]).any():
            indices, distances = without_self(indices, distances)
        if indices.shape[1] == 0:
            raise ValueError("neighbors must name others than the row itself")
        self._found = indices, distances
        self._describe(*indices.shape)

    def _build(self):
        return self._found

    def query(self, X, k):
        """Raise NotImplementedError: lists of neighbours tell nothing about new rows."""
        raise NotImplementedError(
            "neighbours of new rows cannot be found from lists of neighbours; give the data, or "
            "PrecomputedDistanceMatrix, which takes the distances of new rows"
        )

    def _query(self, X, k):
        return self.query(X, k)


class PrecomputedDistanceMatrix(KNNIndex):
    """The nearest in each row of a matrix of distances; the diagonal does not count.

    A sparse matrix holds the distances that are known, zeros that are stored
    among them; it need not be symmetric.  Where rows have fewer than k, k is
    the number that every row has, with a warning if some have more.

    Parameters
    ----------
    matrix : (n, n) array or SciPy sparse matrix of finite numbers, none negative, such
        as scanpy keeps in ``obsp["distances"]``.
    k : neighbours of each row, less than n.

    Raises
    ------
    TypeError, ValueError
        Naming what is wrong and where.
    """

    def __init__(self, matrix, k):
        matrix = _check_matrix(matrix, "matrix", least_rows=2)
        n = matrix.shape[0]
        if matrix.shape[1] != n:
            raise ValueError(f"matrix must be square, (n, n); got shape {matrix.shape}")
        k = check_number(k, "k", low=1, integer=True)
        if k >= n:
            raise ValueError(f"k must be less than the number of rows, {n}; got {k}")
        if sp.issparse(matrix):
            matrix = _without_diagonal(matrix)
            k = _known_everywhere(matrix, k)
        self._matrix = matrix
        self._describe(n, k)

    def _build(self):
        return _nearest(self._matrix, self.k, "matrix", self_join=True)

    def query(self, X, k):
        """Find the k nearest of the n rows, as ``build`` does, from the distances to them.

        Parameters
        ----------
        X : (m, n) array or SciPy sparse matrix, distances of m new rows to the n rows.
        """
        X = _check_matrix(X, "X", least_rows=1)
        if X.shape[1] != self.n_samples:
            raise ValueError(
                f"X must have {self.n_samples} columns, distances to the rows of the matrix; "
                f"got {X.shape[1]}"
            )
        k = check_number(k, "k", low=1, high=self.n_samples, integer=True)
        return self._query(X, k)

    def _query(self, X, k):
        return _nearest(X, k, "X", self_join=False)


def _check_lists(neighbors, distances):
    """Both as arrays, int32 and floats; each fault is named with its place."""
    indices, distances = np.asarray(neighbors), np.asarray(distances)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"neighbors must be integers, row numbers; got dtype {indices.dtype}")
    if distances.dtype.kind not in "fiu":
        raise TypeError(f"distances must be real numbers; got dtype {distances.dtype}")
    if indices.ndim != 2 or 0 in indices.shape or indices.shape != distances.shape:
        raise ValueError(
            "neighbors and distances must both be (n, k); "
            f"got shapes {indices.shape} and {distances.shape}"
        )
    n = len(indices)
    outside = (indices < 0) | (indices >= n)
    if outside.any():
        row, place = np.argwhere(outside)[0]
        raise ValueError(
            f"neighbors must be row numbers from 0 to {n - 1}; "
            f"neighbors[{row}, {place}] is {indices[row, place]}"
        )
    ordered = np.sort(indices, axis=1)
    twice = ordered[:, 1:] == ordered[:, :-1]
    if twice.any():
        row, place = np.argwhere(twice)[0]
        raise ValueError(f"neighbors of row {row} have {ordered[row, place]} twice")
    if distances.dtype not in (np.float32, np.float64):
        distances = distances.astype(np.float64)
    _check_distances(distances, "distances")
    return indices.astype(np.int32, copy=False), distances


def _check_matrix(matrix, name, least_rows):
    """A matrix of distances as an array or CSR; entries of an array are checked when read."""
    if sp.issparse(matrix):
        matrix = check_data(matrix, name, least_rows, accept_sparse=True)
        if matrix.nnz and matrix.data.min() < 0:
            raise ValueError(f"{name} must not have negative distances; got {matrix.data.min()}")
        return matrix
    matrix = np.asarray(matrix)
    if matrix.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got dtype {matrix.dtype}")
    if matrix.ndim != 2:
        raise ValueError(f"{name} must be a matrix of distances; got shape {matrix.shape}")
    if len(matrix) < least_rows:
        raise ValueError(f"{name} needs at least {least_rows} rows; got {len(matrix)}")
    return matrix


def _check_distances(distances, name, first_row=0):
    wrong = ~((distances >= 0) & (distances < np.inf))
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        raise ValueError(
            f"{name} must be finite and not negative; "
            f"{name}[{first_row + row}, {place}] is {distances[row, place]}"
        )


def _without_diagonal(matrix):
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    others = matrix.indices != rows
    if others.all():
        return matrix
    indptr = np.r_[0, np.cumsum(others)][matrix.indptr]
    return sp.csr_matrix((matrix.data[others], matrix.indices[others], indptr), matrix.shape)


def _known_everywhere(matrix, k):
    """k, or fewer where not every row of a sparse matrix has so many entries."""
    counts = np.diff(matrix.indptr)
    row = int(counts.argmin())
    if counts[row] == 0:
        raise ValueError(
            f"row {row} of the matrix has no neighbours; a neighbour at distance 0 must be "
            "stored as a zero"
        )
    if counts[row] < k and counts.max() > counts[row]:
        warnings.warn(
            f"row {row} of the matrix has {counts[row]} neighbours, others have up to "
            f"{counts.max()}; using {counts[row]} of each row",
            stacklevel=3,
        )
    return min(k, int(counts[row]))


def _nearest(matrix, k, name, self_join):
    """The k smallest of each row, ties by number, without the diagonal in a self-join."""
    if sp.issparse(matrix):
        return _nearest_stored(matrix, k, name)
    n_rows, n_columns = matrix.shape
    indices = np.empty((n_rows, k), np.int32)
    distances = np.empty((n_rows, k), np.float32 if matrix.dtype == np.float32 else np.float64)
    step = max(BLOCK_ENTRIES // n_columns, 1)
    for a in range(0, n_rows, step):
        block = np.array(matrix[a : a + step], distances.dtype)
        own = np.arange(len(block))
        if self_join:
            block[own, a + own] = 0
        _check_distances(block, name, a)
        if self_join:
            block[own, a + own] = np.inf
        indices[a : a + step] = _smallest(block, k)
        distances[a : a + step] = np.take_along_axis(block, indices[a : a + step], 1)
    return indices, distances


def _nearest_stored(matrix, k, name):
    counts = np.diff(matrix.indptr)
    row = int(counts.argmin())
    if counts[row] < k:
        raise ValueError(f"row {row} of {name} has {counts[row]} distances; {k} are needed")
    rows = np.repeat(np.arange(matrix.shape[0]), counts)
    order = np.lexsort((matrix.data, rows))
    nearest = order[matrix.indptr[:-1, None] + np.arange(k)]
    return matrix.indices[nearest].astype(np.int32, copy=False), matrix.data[nearest]
