"""Sparse rows (CSR): their exact neighbours without making them dense."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse

from fasttsne import _kernels
from fasttsne.linalg import pca
from fasttsne.linalg.chunks import FAR, safe_unit
from fasttsne.nearest_neighbors.builtin.candidates import SPARE, Candidates
from fasttsne.nearest_neighbors.builtin.metrics import METRICS, in_metric, is_angular
from fasttsne.runtime.validation import check_choice

# Rows that have candidates at one time.
BATCH = 20_000


class Compressed(NamedTuple):
    """Rows or columns of a sparse matrix as the kernels read them."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, matrix):
        # The kernels take the address of the first entry: let there be one.
        pad = int(matrix.nnz == 0)
        return cls(
            matrix.indptr.astype(np.int64),
            np.pad(matrix.indices.astype(np.int32, copy=False), (0, pad)),
            np.pad(matrix.data.astype(np.float32, copy=False), (0, pad)),
        )


@dataclass(frozen=True)
class Points:
    """Rows in the metric's units.

    matrix : CSR, float32, sorted.
    means : (n,) float32, what is subtracted from each row's entries, zeros included.
    """

    matrix: scipy.sparse.csr_matrix
    means: np.ndarray

    def __len__(self):
        return self.matrix.shape[0]

    def __getitem__(self, rows):
        return Points(self.matrix[rows], self.means[rows])

    def arrays(self):
        """What the kernels take: row pointers, columns, values, means."""
        return *Compressed.of(self.matrix), self.means


class SparseRows:
    """Rows of a CSR matrix: the same methods as :class:`DenseRows`."""

    def __init__(self, data, metric: str):
        self.metric = check_choice(metric, "metric", METRICS)
        self.n, self.n_columns = data.shape
        self._unit = 1.0
        if not is_angular(metric) and data.nnz:
            self._unit = safe_unit(float(np.abs(data.data).max()))
        self.points = self.prepare(data)

    def prepare(self, X) -> Points:
        """Rows in the metric's units: of length one for cosine, and centred for correlation."""
        X = scipy.sparse.csr_matrix(X)
        with np.errstate(over="ignore"):
            values, counts = X.data.astype(np.float64) / self._unit, np.diff(X.indptr)
        means = np.zeros(X.shape[0])
        if is_angular(self.metric):
            values /= np.repeat(_nonzero(_row_reduce(np.maximum, np.abs(values), X.indptr)), counts)
            if self.metric == "correlation":
                means = _row_reduce(np.add, values, X.indptr) / X.shape[1]
            squares = _row_reduce(np.add, (values - np.repeat(means, counts)) ** 2, X.indptr)
            norms = _nonzero(np.sqrt(squares + (X.shape[1] - counts) * means**2))
            values /= np.repeat(norms, counts)
            means /= norms
        else:
            values = np.nan_to_num(values, copy=False)  # infinities become the largest number
            size = _row_reduce(np.maximum, np.abs(values), X.indptr)
            far = np.repeat(np.where(size > FAR, size, FAR), counts)
            values = np.where(far > FAR, values / far * FAR, values)
        matrix = scipy.sparse.csr_matrix(
            (values.astype(np.float32), X.indices, X.indptr), shape=X.shape
        )
        matrix.sort_indices()
        return Points(matrix, means.astype(np.float32))

    def in_metric(self, distances: np.ndarray) -> np.ndarray:
        """Distances of the metric from those of points."""
        return in_metric(distances, self.metric, self._unit)

    def dense(self) -> np.ndarray:
        """All rows as an array, for few columns."""
        return self.as_dense(self.points)

    def as_dense(self, queries: Points) -> np.ndarray:
        """Others, prepared, as an array."""
        return queries.matrix.toarray() - queries.means[:, None]

    def reduced(self, rank: int, generator):
        """The first principal components, (n, rank) float32, estimated from a sample of rows.

        Rows that count as centred one by one (correlation) are here centred by column only.
        """
        return pca.approximate_components(self.points.matrix, rank, generator)

    def project(self, queries: Points, projection, n_threads: int) -> np.ndarray:
        """The components of others, prepared; each row by itself."""
        shift = projection.origin @ projection.directions
        return np.ascontiguousarray(queries.matrix @ projection.directions - shift)

    def rank(self, candidates: Candidates, order: np.ndarray, k: int, n_threads: int):
        """The k nearest by exact distance among candidates in another numbering."""
        return self.ranked(self.points, candidates, order, order, k, n_threads)

    def join(self, k: int, n_threads: int):
        """The k nearest other rows of each row."""
        return self.nearest_to(self.points, k, n_threads, own=np.arange(self.n, dtype=np.int32))

    def sample_nearest(self, rows: np.ndarray, k: int, n_threads: int):
        """The k nearest other rows of some rows, (rows,) numbers."""
        return self.nearest_to(self.points[rows], k, n_threads, own=rows.astype(np.int32))

    def nearest_to(self, queries: Points, k: int, n_threads: int, own=None):
        """The k rows nearest to each query, a batch of queries at a time."""
        columns = Compressed.of(self.points.matrix.tocsc())
        norms = self.norms()
        found = []
        for a in range(0, len(queries), BATCH):
            batch = queries[a : a + BATCH]
            candidates = Candidates(len(batch), min(k + SPARE + (own is not None), self.n))
            everyone = np.arange(len(batch))
            _kernels.knn_sparse.offer_sparse(
                *batch.arrays(), everyone.astype(np.int32), *columns, norms, self.points.means,
                candidates.kept, candidates.keys, candidates.counts, candidates.thresholds,
                n_threads,
            )  # fmt: skip
            if own is not None:
                candidates.drop(own[a : a + BATCH])
            found.append(self.ranked(batch, candidates, everyone, np.arange(self.n), k, n_threads))
        return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))

    def norms(self):
        """Squared lengths of the rows, (n,) float32."""
        matrix, means = self.points.matrix, self.points.means
        values = matrix.data.astype(np.float64) - np.repeat(means, np.diff(matrix.indptr))
        squares = _row_reduce(np.add, values**2, matrix.indptr)
        absent = self.n_columns - np.diff(matrix.indptr)
        return (squares + absent * means.astype(np.float64) ** 2).astype(np.float32)

    def ranked(self, queries, candidates, rows, names, k, n_threads):
        """The k nearest by exact distance to queries, prepared; as ``DenseRows.ranked``."""
        indices = np.empty((len(queries), k), np.int32)
        distances = np.empty((len(queries), k), np.float32)
        _kernels.knn_sparse.rank_sparse(
            *queries.arrays(), *self.points.arrays(), self.n_columns,
            rows.astype(np.int32), names.astype(np.int32), candidates.keys, candidates.counts,
            candidates.kept, k, indices, distances, n_threads,
        )  # fmt: skip
        return indices, distances


def _row_reduce(ufunc, values, indptr):
    """Reduce the entries of each row; rows without any give 0."""
    out = np.zeros(len(indptr) - 1)
    filled = np.flatnonzero(np.diff(indptr))
    if len(filled):
        out[filled] = ufunc.reduceat(values, indptr[filled])
    return out


def _nonzero(scale):
    return np.where(scale > 0, scale, 1)
