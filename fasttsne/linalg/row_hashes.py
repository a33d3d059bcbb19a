"""Lookup of rows by their content, from hashes instead of the rows themselves."""

from hashlib import blake2b

import numpy as np
import scipy.sparse as sp

from fasttsne.linalg.rows import iter_chunks


class RowHashIndex:
    """Finds the rows of a data set that equal given rows, by 64-bit hashes: 16 bytes a row.

    Parameters
    ----------
    X : (n, columns) array or CSR matrix.
    """

    def __init__(self, X):
        self._is_sparse = sp.issparse(X)
        self._set(_digests(X, self._is_sparse))

    def _set(self, digests: np.ndarray) -> None:
        self._row = np.argsort(digests, kind="stable")
        self._sorted = digests[self._row]

    def extended(self, X) -> "RowHashIndex":
        """Return the index of the same rows and of others after them."""
        digests = np.empty_like(self._sorted)
        digests[self._row] = self._sorted
        result = RowHashIndex.__new__(RowHashIndex)
        result._is_sparse = self._is_sparse
        result._set(np.concatenate([digests, _digests(X, result._is_sparse)]))
        return result

    def find(self, X) -> np.ndarray:
        """Return the index of the first row that equals each row of X, -1 where there is none."""
        wanted = _digests(X, self._is_sparse)
        index = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        return np.where(self._sorted[index] == wanted, self._row[index], -1)


def row_counts(X) -> np.ndarray:
    """Return how many rows equal each row of X, itself included, (n,) int64.

    Only rows that have a weighted sum in common with another are hashed.
    """
    counts, alike = np.ones(X.shape[0], np.int64), np.arange(X.shape[0])
    if not sp.issparse(X):
        _, group, n_alike = np.unique(_sums(X), return_inverse=True, return_counts=True)
        alike = np.flatnonzero(n_alike[group] > 1)
        if len(alike) == 0:
            return counts
    _, group, n_equal = np.unique(
        _digests(X[alike], sp.issparse(X)), return_inverse=True, return_counts=True
    )
    counts[alike] = n_equal[group]
    return counts


def _sums(X):
    """Return sums of the rows' entries with weights, which are equal where rows are."""
    weights = np.random.RandomState(0).uniform(1, 2, X.shape[1])
    return np.concatenate([(chunk * weights).sum(1) for _, chunk in iter_chunks(X)])


def _digests(X, is_sparse):
    """Return the rows' hashes, of their stored entries or of all; X may be either."""
    rows = _sparse_rows(X) if is_sparse else _dense_rows(X)
    digests = b"".join(blake2b(row, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, np.uint64)


def _dense_rows(X):
    for _, chunk in iter_chunks(X):
        chunk = chunk.toarray() if sp.issparse(chunk) else chunk
        yield from np.add(chunk, 0.0, dtype=np.float64, order="C")  # -0.0 becomes 0.0


def _sparse_rows(X):
    X = sp.csr_matrix(X, dtype=np.float64, copy=True)
    X.sum_duplicates()
    X.eliminate_zeros()
    columns = X.indices.astype(np.int64)
    for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        yield columns[a:b].tobytes() + X.data[a:b].tobytes()
