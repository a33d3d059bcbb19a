"""Sparse rows (CSR) and their exact neighbours, without making them dense."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse

from fasttsne import _kernels
from fasttsne.linalg import pca
from fasttsne.linalg.chunks import MAX_ROW_SIZE, float32_scale
from fasttsne.nearest_neighbors.builtin.metrics import is_angular
from fasttsne.nearest_neighbors.builtin.prepared_rows import PreparedRows


class CompressedArrays(NamedTuple):
    """Rows or columns of a sparse matrix as the kernels read them."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray

    @classmethod
    def from_matrix(cls, matrix):
        # The kernels take the address of the first entry, so there must be one.
        pad = int(matrix.nnz == 0)
        indices = np.pad(matrix.indices.astype(np.int32, copy=False), (0, pad))
        values = np.pad(matrix.data.astype(np.float32, copy=False), (0, pad))
        return cls(matrix.indptr.astype(np.int64), indices, values)


@dataclass(frozen=True)
class SparsePoints:
    """Prepared sparse rows.

    matrix : CSR, float32, sorted.
    means : (n,) float32, what is subtracted from each row's entries, zeros included.
    """

    matrix: scipy.sparse.csr_matrix
    means: np.ndarray

    def __len__(self):
        return self.matrix.shape[0]

    def __getitem__(self, rows):
        return SparsePoints(self.matrix[rows], self.means[rows])

    def arrays(self):
        """Return what the kernels read: row pointers, columns, values, means."""
        return *CompressedArrays.from_matrix(self.matrix), self.means


class SparseRows(PreparedRows):
    """Rows of a CSR matrix, which stay sparse."""

    def __init__(self, data, metric: str):
        super().__init__(data, metric)
        if not is_angular(metric) and data.nnz:
            self._unit = float32_scale(float(np.abs(data.data).max()))
        self.points = self.prepare(data)

    def prepare(self, X) -> SparsePoints:
        """Return new rows, scaled to length one for cosine, and centered for correlation."""
        X = scipy.sparse.csr_matrix(X)
        with np.errstate(over="ignore"):
            values, counts = X.data.astype(np.float64) / self._unit, np.diff(X.indptr)
        means = np.zeros(X.shape[0])
        if is_angular(self.metric):
            largest = _row_reduce(np.maximum, np.abs(values), X.indptr)
            values /= np.repeat(_zeros_to_ones(largest), counts)
            if self.metric == "correlation":
                means = _row_reduce(np.add, values, X.indptr) / X.shape[1]
            squares = _row_reduce(np.add, (values - np.repeat(means, counts)) ** 2, X.indptr)
            norms = _zeros_to_ones(np.sqrt(squares + (X.shape[1] - counts) * means**2))
            values /= np.repeat(norms, counts)
            means /= norms
        else:
            values = np.nan_to_num(values, copy=False)  # infinities become the largest number
            size = _row_reduce(np.maximum, np.abs(values), X.indptr)
            size = np.repeat(np.maximum(size, MAX_ROW_SIZE), counts)
            values = np.where(size > MAX_ROW_SIZE, values / size * MAX_ROW_SIZE, values)
        entries = values.astype(np.float32), X.indices, X.indptr
        matrix = scipy.sparse.csr_matrix(entries, shape=X.shape)
        matrix.sort_indices()
        return SparsePoints(matrix, means.astype(np.float32))

    @staticmethod
    def to_dense(points: SparsePoints) -> np.ndarray:
        """Return prepared rows as an array, for few columns."""
        return points.matrix.toarray() - points.means[:, None]

    def reduce(self, rank: int, generator, n_threads: int):
        """Return the first principal components, (n, rank) float32, and their projection.

        For correlation, where each row is centered, only the columns are centered here.
        """
        return pca.approximate_components(self.points.matrix, rank, generator, n_threads)

    def project(self, queries: SparsePoints, projection, n_threads: int) -> np.ndarray:
        shift = projection.origin @ projection.directions
        return np.ascontiguousarray(queries.matrix @ projection.directions - shift)

    def _comparison(self, n_threads):
        columns = CompressedArrays.from_matrix(self.points.matrix.tocsc())
        norms = self.squared_norms()

        def compare(queries, candidates):
            _kernels.knn_sparse.search_sparse(
                *queries.arrays(), np.arange(len(queries), dtype=np.int32), *columns, norms,
                self.points.means, candidates.n_kept, candidates.keys, candidates.counts,
                candidates.thresholds, n_threads,
            )  # fmt: skip

        return compare

    def _rerank(self, queries, *arguments):
        _kernels.knn_sparse.rerank_sparse(
            *queries.arrays(), *self.points.arrays(), self.n_columns, *arguments
        )

    def squared_norms(self):
        """Return the squared lengths of the rows, (n,) float32."""
        matrix, means = self.points.matrix, self.points.means
        values = matrix.data.astype(np.float64) - np.repeat(means, np.diff(matrix.indptr))
        squares = _row_reduce(np.add, values**2, matrix.indptr)
        absent = self.n_columns - np.diff(matrix.indptr)
        return (squares + absent * means.astype(np.float64) ** 2).astype(np.float32)


def _row_reduce(ufunc, values, indptr):
    """Reduce the entries of each row; empty rows give 0."""
    out = np.zeros(len(indptr) - 1)
    filled = np.flatnonzero(np.diff(indptr))
    if len(filled):
        out[filled] = ufunc.reduceat(values, indptr[filled])
    return out


def _zeros_to_ones(scale):
    return np.where(scale > 0, scale, 1)
