"""Indexes of given neighbours: lists of neighbours, or a matrix of distances."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.nearest_neighbors.exact import smallest_columns
from fasttsne.nearest_neighbors.index import KNNIndex, check_k, drop_self
from fasttsne.runtime.typing import Rows
from fasttsne.runtime.validation import check_number, check_sparse
from fasttsne.utils import warn_user

# Entries of a dense matrix that are sorted at a time.
BLOCK_ENTRIES = 2**22


class PrecomputedNeighbors(KNNIndex):
    """Index of given lists of neighbours and their distances.

    Rows are sorted, nearest first, if they are not yet.  If any row is among its own
    neighbours, as in graphs of umap-learn and PyNNDescent, every row is removed from its
    own list, or the last neighbour if the row is not in it; k is then one less.

    Parameters
    ----------
    neighbors : (n, k) integers from 0 to n - 1, none twice in a row.
    distances : (n, k) array of finite numbers, none negative.

    Raises
    ------
    TypeError, ValueError
        Says what is wrong, and in which entry.
    """

    def __init__(self, neighbors: ArrayLike, distances: ArrayLike):
        indices, distances = _check_lists(neighbors, distances)
        if (distances[:, 1:] < distances[:, :-1]).any():
            order = np.lexsort((indices, distances), axis=1)
            indices = np.take_along_axis(indices, order, 1)
            distances = np.take_along_axis(distances, order, 1)
        if (indices == np.arange(len(indices))[:, None]).any():
            indices, distances = drop_self(indices, distances)
        if indices.shape[1] == 0:
            raise ValueError("neighbors must name others than the row itself")
        self._found = indices, distances
        self._init_precomputed(*indices.shape)

    def _check_attributes(self) -> None:
        """It has no data."""

    def _build(self) -> tuple[np.ndarray, np.ndarray]:
        return self._found

    def query(self, X: Rows, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Raise NotImplementedError: lists of neighbours do not determine those of new rows."""
        raise NotImplementedError(
            "neighbours of new rows cannot be found from lists of neighbours; give the data, or "
            "PrecomputedDistanceMatrix, which takes the distances of new rows"
        )

    _query = query


class PrecomputedDistanceMatrix(KNNIndex):
    """Index of a given matrix of distances; the diagonal is ignored.

    The stored entries of a sparse matrix, zeros among them, are the known distances; it need
    not be symmetric.  If some rows have fewer than k, k is the smallest number of entries of
    a row, with a warning if other rows have more.

    Parameters
    ----------
    matrix : (n, n) array or SciPy sparse matrix of finite numbers, none negative, such
        as scanpy keeps in ``obsp["distances"]``.
    k : neighbours of each row, less than n.
    distance_matrix : openTSNE's name of ``matrix``.

    Raises
    ------
    TypeError, ValueError
        Says what is wrong, and in which entry; of numbers in a dense matrix ``build`` says it.
    """

    def __init__(
        self,
        matrix: Rows | None = None,
        k: int | None = None,
        *,
        distance_matrix: Rows | None = None,
    ):
        given: Any = distance_matrix if matrix is None else matrix
        if given is None or k is None:
            raise TypeError("PrecomputedDistanceMatrix needs matrix and k")
        distances = check_distance_matrix(given, "matrix", min_rows=2)
        n = distances.shape[0]
        if distances.shape[1] != n:
            raise ValueError(f"matrix must be square, (n, n); got shape {distances.shape}")
        k = check_k(k, n)
        if sp.issparse(distances):
            distances = _without_diagonal(distances)
            k = _clip_k(distances, k)
        self._matrix = distances
        self._init_precomputed(n, k)

    def _check_attributes(self) -> None:
        check_k(self.k, self.n_samples)

    def _build(self) -> tuple[np.ndarray, np.ndarray]:
        return _nearest(self._matrix, self.k, "matrix", self_join=True)

    def query(self, X: Rows, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the k nearest of the n rows, as ``build`` does, from the given distances.

        Parameters
        ----------
        X : (m, n) array or SciPy sparse matrix, distances of m new rows to the n rows.
        k : neighbours of each, at most n.
        """
        X = check_distance_matrix(X, "X", min_rows=1)
        if X.shape[1] != self.n_samples:
            raise ValueError(
                f"X must have {self.n_samples} columns, distances to the rows of the matrix; "
                f"got {X.shape[1]}"
            )
        k = check_number(k, "k", low=1, high=self.n_samples, integer=True)
        return _nearest(X, k, "X", self_join=False)

    _query = query


def _check_lists(neighbors: ArrayLike, distances: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays, int32 and floats; errors name the entry."""
    indices, distances = np.asarray(neighbors), np.asarray(distances)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"neighbors must be integers, row indices; got dtype {indices.dtype}")
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
        row, column = np.argwhere(outside)[0]
        raise ValueError(
            f"neighbors must be row indices from 0 to {n - 1}; "
            f"neighbors[{row}, {column}] is {indices[row, column]}"
        )
    ordered = np.sort(indices, axis=1)
    twice = ordered[:, 1:] == ordered[:, :-1]
    if twice.any():
        row, column = np.argwhere(twice)[0]
        raise ValueError(f"neighbors of row {row} have {ordered[row, column]} twice")
    if distances.dtype not in (np.float32, np.float64):
        distances = distances.astype(np.float64)
    check_distances(distances, "distances")
    return indices.astype(np.int32, copy=False), distances


def check_distance_matrix(
    matrix: Rows, name: str, min_rows: int
) -> Any:  # an array, or a CSR matrix where it is sparse
    """Return distances as an array or CSR; entries of an array are checked when they are read."""
    if sp.issparse(matrix):
        matrix = check_sparse(matrix, name, min_rows)
        if matrix.nnz and matrix.data.min() < 0:
            raise ValueError(f"{name} must not have negative distances; got {matrix.data.min()}")
        return matrix
    matrix = np.asarray(matrix)
    if matrix.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got dtype {matrix.dtype}")
    if matrix.ndim != 2:
        raise ValueError(f"{name} must be a matrix of distances; got shape {matrix.shape}")
    if len(matrix) < min_rows:
        raise ValueError(f"{name} needs at least {min_rows} rows; got {len(matrix)}")
    return matrix


def check_distances(distances: np.ndarray, name: str, first_row: int = 0) -> None:
    wrong = ~((distances >= 0) & (distances < np.inf))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{name} must be finite and not negative; "
            f"{name}[{first_row + row}, {column}] is {distances[row, column]}"
        )


def _without_diagonal(matrix: sp.csr_matrix) -> sp.csr_matrix:
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    others = matrix.indices != rows
    if others.all():
        return matrix
    indptr = np.r_[0, np.cumsum(others)][matrix.indptr]
    return sp.csr_matrix((matrix.data[others], matrix.indices[others], indptr), matrix.shape)


def _clip_k(matrix: sp.csr_matrix, k: int) -> int:
    """Return k, or the smallest number of entries of a row of a sparse matrix if that is less."""
    counts = np.diff(matrix.indptr)
    row = int(counts.argmin())
    if counts[row] == 0:
        raise ValueError(
            f"row {row} of the matrix has no neighbours; a neighbour at distance 0 must be "
            "stored as a zero"
        )
    if counts[row] < k and counts.max() > counts[row]:
        warn_user(
            f"row {row} of the matrix has {counts[row]} neighbours, others have up to "
            f"{counts.max()}; using {counts[row]} of each row"
        )
    return min(k, int(counts[row]))


def _nearest(matrix: Any, k: int, name: str, self_join: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the k smallest of each row, ties by index, without the diagonal in a self-join."""
    if sp.issparse(matrix):
        return _nearest_stored(matrix, k, name)
    n_rows, n_columns = matrix.shape
    indices = np.empty((n_rows, k), np.int32)
    distances = np.empty((n_rows, k), np.float32 if matrix.dtype == np.float32 else np.float64)
    step = max(BLOCK_ENTRIES // n_columns, 1)
    for a in range(0, n_rows, step):
        block = np.array(matrix[a : a + step], distances.dtype)
        if self_join:
            np.fill_diagonal(block[:, a:], 0)
        check_distances(block, name, a)
        if self_join:
            np.fill_diagonal(block[:, a:], np.inf)
        indices[a : a + step] = smallest_columns(block, k)
        distances[a : a + step] = np.take_along_axis(block, indices[a : a + step], 1)
    return indices, distances


def _nearest_stored(matrix: sp.csr_matrix, k: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    counts = np.diff(matrix.indptr)
    row = int(counts.argmin())
    if counts[row] < k:
        raise ValueError(f"row {row} of {name} has {counts[row]} distances; {k} are needed")
    rows = np.repeat(np.arange(matrix.shape[0]), counts)
    order = np.lexsort((matrix.data, rows))
    nearest = order[matrix.indptr[:-1, None] + np.arange(k)]
    return matrix.indices[nearest].astype(np.int32, copy=False), matrix.data[nearest]
