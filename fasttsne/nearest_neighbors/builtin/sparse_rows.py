"""Sparse rows (CSR) and their exact neighbours, without making them dense."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse

from fasttsne import _kernels
from fasttsne.linalg.pca import Projection, squared_lengths
from fasttsne.linalg.robust import MAX_ROW_SIZE, float32_unit, power_of_two, robust_frame
from fasttsne.nearest_neighbors.builtin.candidates import Candidates
from fasttsne.nearest_neighbors.builtin.metrics import is_angular
from fasttsne.nearest_neighbors.builtin.prepared_rows import (
    CONSTANT_ROW_NORM,
    FAR_DISTANCE,
    MAX_GRID_NORM,
    Neighbors,
    PreparedRows,
    error_bounds,
    norms_of,
)
from fasttsne.runtime.progress import Progress

# Numbers that a call of the kernel reads, after which Ctrl-C is noticed.
MAX_CALL_NUMBERS = 1e8
# What a distance costs for each entry of a row, and the scores of all points for each point, and
# for each entry that it shares a column with: in products of dense columns.
ENTRY_COST, POINT_COST, SHARED_COST = 160.0, 20.0, 100.0


class CompressedArrays(NamedTuple):
    """Rows or columns of a sparse matrix as the kernels read them."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray

    @classmethod
    def from_matrix(cls, matrix: scipy.sparse.csr_matrix) -> "CompressedArrays":
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
    source : CSR of which they were made, float32 or float64, sorted.
    frames : (n, 3) float64, or None: as in ``DensePoints``.
    """

    matrix: scipy.sparse.csr_matrix
    means: np.ndarray
    source: scipy.sparse.csr_matrix
    frames: np.ndarray | None

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def __getitem__(self, rows: np.ndarray | slice) -> "SparsePoints":
        frames = None if self.frames is None else self.frames[rows]
        return SparsePoints(self.matrix[rows], self.means[rows], self.source[rows], frames)

    def exact_rows(self) -> object:
        """Return the rows as the kernel for float64 distances reads them."""
        source = self.source
        indptr, columns = source.indptr.astype(np.int64), source.indices.astype(np.int32)
        return _kernels.exact_order.ExactRows(
            source.data, source.shape[1], self.frames, indptr, columns
        )

    def coordinates(self, unit: float) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
        """Return the stored coordinates in float64, and what is subtracted from each row's."""
        matrix = self.source.astype(np.float64)
        if self.frames is None:
            matrix.data /= unit
            return matrix, np.zeros(len(self))
        unit, shift, scale = self.frames.T
        counts = np.diff(matrix.indptr)
        matrix.data = matrix.data / np.repeat(unit, counts) / np.repeat(scale, counts)
        return matrix, shift / scale

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Return what the kernels read: row pointers, columns, values, means."""
        return *CompressedArrays.from_matrix(self.matrix), self.means


class SparseRows(PreparedRows[SparsePoints]):
    """Rows of a CSR matrix, which stay sparse."""

    def __init__(self, data: scipy.sparse.csr_matrix, metric: str):
        super().__init__(data.shape, metric)
        self.origin = np.zeros(self.n_columns, np.float32)
        if not is_angular(metric):
            self.unit = float32_unit(robust_frame(data).size)
        self.points = self.prepare(data)
        growth = 1 + self.n_columns * float(np.square(self.points.means).max(initial=0))
        depth = int(np.diff(data.indptr).max(initial=0))
        self._bounds = error_bounds(2 * depth, FAR_DISTANCE, True, self.unit, growth=growth)

    def prepare(self, X: scipy.sparse.csr_matrix) -> SparsePoints:
        """Return new rows, scaled to length one for cosine, and centered for correlation."""
        X = scipy.sparse.csr_matrix(X)
        X.sort_indices()
        points = SparsePoints(X, np.zeros(X.shape[0]), X, self._frames(X))
        with np.errstate(over="ignore", under="ignore"):
            matrix, means = points.coordinates(self.unit)
            if not is_angular(self.metric):
                values = np.nan_to_num(matrix.data, copy=False)  # infinities become the largest
                size = _row_reduce(np.maximum, np.abs(values), X.indptr)
                size = np.repeat(np.maximum(size, MAX_ROW_SIZE), np.diff(X.indptr))
                is_far = size > MAX_ROW_SIZE
                matrix.data = np.where(is_far, values / size * MAX_ROW_SIZE, values)
            return replace(points, matrix=matrix.astype(np.float32), means=means.astype(np.float32))

    def _frames(self, X: scipy.sparse.csr_matrix) -> np.ndarray | None:
        """Return each row's unit, shift and scale, (n, 3) float64, or None for 1, 0 and 1."""
        n, d = X.shape
        if not is_angular(self.metric):
            return None
        counts = np.diff(X.indptr)
        values = X.data.astype(np.float64)
        unit = power_of_two(_row_reduce(np.maximum, np.abs(values), X.indptr))
        values /= np.repeat(unit, counts)
        shift = np.zeros(n)
        if self.metric == "correlation":
            shift = _row_reduce(np.add, values, X.indptr) / d
        squares = _row_reduce(np.add, (values - np.repeat(shift, counts)) ** 2, X.indptr)
        norms = np.sqrt(squares + (d - counts) * shift**2)
        return np.stack([unit, shift, np.where(norms > CONSTANT_ROW_NORM, norms, 1)], axis=1)

    @property
    def values(self) -> scipy.sparse.csr_matrix:
        """The matrix; for correlation, of which each row is centered, without the shift."""
        return self.points.matrix

    def to_dense(self, points: SparsePoints) -> np.ndarray:
        dense: np.ndarray = points.matrix.toarray() - points.means[:, None]
        return dense

    def project(self, queries: SparsePoints, projection: Projection, n_threads: int) -> np.ndarray:
        shift = projection.origin @ projection.directions
        return np.ascontiguousarray(queries.matrix @ projection.directions - shift)

    def squared_lengths(self, queries: SparsePoints, origin: np.ndarray) -> np.ndarray:
        return squared_lengths(queries.matrix, origin.astype(np.float64))

    @cached_property
    def _columns(self) -> tuple[CompressedArrays, np.ndarray]:
        return CompressedArrays.from_matrix(self.points.matrix.tocsc()), squared_norms(self.points)

    def search_costs(self) -> tuple[float, float]:
        matrix = self.points.matrix
        shared = (np.bincount(matrix.indices, minlength=self.n_columns) / self.n) ** 2
        points = self.n * (POINT_COST + SHARED_COST * shared.sum())
        return ENTRY_COST * matrix.nnz / self.n, float(points)

    def _on_grid(self, points: SparsePoints) -> bool:
        values = points.source.data
        is_whole = not is_angular(self.metric) and bool((values == np.rint(values)).all())
        return bool(
            is_whole and squared_norms(points).max(initial=0) <= MAX_GRID_NORM and self.unit == 1
        )

    def _compare(
        self, queries: SparsePoints, candidates: Candidates, n_threads: int, progress: Progress
    ) -> np.ndarray:
        columns, norms = self._columns
        rows = np.arange(len(queries), dtype=np.int32)
        arrays = queries.arrays()
        # About the numbers that are read for a query: scores, and the entries of its columns.
        n_read = self.n + len(arrays[1]) * len(columns[1]) / (self.n_columns * len(queries))
        step = max(int(MAX_CALL_NUMBERS / n_read), 1)
        for a in range(0, len(queries), step):
            part = slice(a, a + step)
            _kernels.knn_sparse.search_sparse(
                *arrays,
                rows[part],
                *columns,
                norms,
                self.points.means,
                candidates.n_kept,
                candidates.keys[part],
                candidates.counts[part],
                candidates.thresholds[part],
                n_threads,
            )
            progress.advance(len(rows[part]))
        return norms_of(squared_norms(queries))

    def copied_lengths(self, queries: SparsePoints) -> np.ndarray:
        # Float32 rows are not rounded: their unit is a power of two.
        is_float32 = queries.source.dtype == self.points.source.dtype == np.float32
        if is_angular(self.metric) or is_float32:
            return np.ones(len(queries))
        return norms_of(squared_norms(queries))

    def float64_scores(self, queries: SparsePoints, center: SparsePoints) -> Neighbors:
        # Zero is the origin of products.
        matrix, means = self.points.coordinates(self.unit)
        rows, row_means = queries.coordinates(self.unit)
        shift = self.n_columns * np.outer(row_means, means)
        norms = _squared_norms(matrix, means)
        scores = norms - 2 * ((rows @ matrix.T).toarray() - shift)
        return scores, np.sqrt(_squared_norms(rows, row_means))

    def _rerank(self, queries: SparsePoints, *arguments: object) -> None:
        _kernels.knn_sparse.rerank_sparse(
            *queries.arrays(), *self.points.arrays(), self.n_columns, *arguments
        )


def squared_norms(points: SparsePoints) -> np.ndarray:
    """Return the squared lengths of the rows, (n,) float32."""
    return _squared_norms(points.matrix, points.means).astype(np.float32)


def _squared_norms(matrix: scipy.sparse.csr_matrix, means: np.ndarray) -> np.ndarray:
    values = matrix.data.astype(np.float64) - np.repeat(means, np.diff(matrix.indptr))
    squares = _row_reduce(np.add, values**2, matrix.indptr)
    absent = matrix.shape[1] - np.diff(matrix.indptr)
    norms: np.ndarray = squares + absent * means.astype(np.float64) ** 2
    return norms


def _row_reduce(ufunc: np.ufunc, values: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """Reduce the entries of each row; empty rows give 0."""
    out = np.zeros(len(indptr) - 1)
    filled = np.flatnonzero(np.diff(indptr))
    if len(filled):
        out[filled] = ufunc.reduceat(values, indptr[filled])
    return out
