"""Prepared rows of arrays and of sparse matrices, and their reduction to few coordinates.

Sparse rows (CSR) are not made dense.  Rows with many columns are projected to their first principal
components.  What two rows lose by that, vectors of lengths r and s, has the squared distance
r^2 + s^2 - 2 c r s with the cosine c of an unknown angle, which is taken to be the same for all
neighbours.  Then 2 c r s is the product of one more coordinate of each row, sqrt(c) r, and
r^2 + s^2 belongs to the squared lengths.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import scipy.sparse

from fasttsne import _kernels
from fasttsne.linalg.pca import Projection, reduced_blocks, squared_lengths
from fasttsne.linalg.robust import (
    MAX_ROW_SIZE,
    AnyRows,
    clip_far_rows,
    float32_unit,
    power_of_two,
    robust_frame,
)
from fasttsne.linalg.rows import (
    CHUNK_SIZE,
    RowSource,
    RowTable,
    Table,
    as_rows,
    iter_chunks,
)
from fasttsne.nearest_neighbors.builtin.candidates import (
    N_EXTRA_CANDIDATES,
    Candidates,
    PackedRows,
    all_block_pairs,
    pack,
)
from fasttsne.nearest_neighbors.builtin.cells import CellStore
from fasttsne.nearest_neighbors.builtin.metrics import is_angular
from fasttsne.nearest_neighbors.builtin.prepared_rows import (
    CONSTANT_ROW_NORM,
    FAR_DISTANCE,
    MAX_GRID_NORM,
    RESIDUAL_COSINE,
    AnyPrepared,
    Neighbors,
    P,
    PreparedRows,
    error_bounds,
    norms_of,
)
from fasttsne.runtime import memory
from fasttsne.runtime.progress import Progress, stage
from fasttsne.runtime.rows import is_memmapped, is_sparse
from fasttsne.runtime.typing import Matrix, Metric, RandomGenerator

# Up to so many rows and packed numbers, the product of each pair of rows updates both.
# Beyond, and for files, batches of rows are compared with all others, some packed at a time.
SELF_JOIN_MAX_SAMPLES = 200_000
MAX_PACKED_NUMBERS = 2**27
# Columns from which whole numbers of one byte are reranked as such: fewer cost nothing to read.
# Squared distances of as many as the last are sums that int32 holds.
BYTE_COLUMNS = 100, 33_000
# Numbers that a call of the kernel of sparse rows reads, after which Ctrl-C is noticed.
MAX_CALL_NUMBERS = 1e8
# What a distance costs for each entry of a sparse row, and the scores of all points for each point,
# and for each entry that it shares a column with: in products of dense columns.
ENTRY_COST, POINT_COST, SHARED_COST = 160.0, 20.0, 100.0
# Rows of more than 3/2 as many columns are reduced to so many principal components.
N_COMPONENTS = 96


@dataclass(frozen=True)
class DensePoints:
    """Prepared rows of an array.

    values : (n, columns) float32 array.
    source : (n, columns) array of which they were made, float32 or float64.
    frames : (n, 3) float64, or None: the coordinates are (source / unit - shift) / scale, with
        these numbers of each row; None is 1, 0, 1.
    whole, rows : the points of which these are some, and their numbers; or None.
    """

    values: np.ndarray
    source: np.ndarray
    frames: np.ndarray | None = None
    whole: "DensePoints | None" = None
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: np.ndarray | slice) -> "DensePoints":
        values = self.values[rows]
        source = values if self.is_source else self.source[rows]
        frames = None if self.frames is None else np.ascontiguousarray(self.frames[rows])
        numbers = np.arange(len(self)) if self.rows is None else self.rows
        whole = self if self.whole is None else self.whole
        return DensePoints(values, source, frames, whole, numbers[rows])

    @property
    def is_source(self) -> bool:
        """Whether the values are the source itself."""
        return self.values is self.source

    def exact_rows(self) -> object:
        """Return the rows as the kernel for float64 distances reads them."""
        source = np.ascontiguousarray(self.source)
        return _kernels.exact_order.ExactRows(source.ravel(), source.shape[1], self.frames)

    def coordinates(self) -> np.ndarray:
        """Return the rows in float64, (n, columns), in the unit of the source."""
        rows: np.ndarray = self.source.astype(np.float64)
        if self.frames is not None:
            unit, shift, scale = self.frames.T[:, :, None]
            rows = (rows / unit - shift) / scale
        return rows


@dataclass(frozen=True)
class DenseFrame:
    """What turns the rows of an array into points; it depends on all rows.

    Attributes
    ----------
    unit, shift : (row - shift) / unit are the coordinates of rows that are copied.
    origin : (columns,) float32, near the points, which is subtracted for products.
    is_copied : whether points are copies of the rows.
    is_on_grid : whether all points are whole and small; None where a search looks for itself.
    may_be_bytes : whether a search looks if its points fit into a byte each.
    """

    metric: str
    unit: float
    shift: np.ndarray
    origin: np.ndarray
    is_copied: bool
    is_on_grid: bool | None = None
    may_be_bytes: bool = True

    @classmethod
    def of(cls, data: AnyRows, metric: str) -> "DenseFrame":
        """Return the frame of all rows."""
        n_columns = data.shape[1]
        shift, origin = np.zeros(n_columns), np.zeros(n_columns, np.float32)
        if is_angular(metric):
            return cls(metric, 1.0, shift, origin, True)
        largest = _largest(data)
        frame = robust_frame(data, 2 * largest)
        unit = float32_unit(frame.size)
        is_contiguous = not isinstance(data, np.ndarray) or data.flags.c_contiguous
        is_float32 = data.dtype == np.float32 and is_contiguous
        if is_float32 and unit == 1 and largest < MAX_ROW_SIZE:
            return cls(metric, unit, shift, frame.origin, False)
        return cls(metric, unit, frame.origin.astype(np.float64), origin, True)

    def prepare(self, X: np.ndarray) -> DensePoints:
        """Return new rows as points."""
        is_ready = X.dtype == np.float32 and X.flags.c_contiguous
        if is_ready and not self.is_copied and _largest(X) < MAX_ROW_SIZE:
            return DensePoints(X, X)
        return self.moved(DensePoints(X, X, self._row_frames(X)))

    def moved(self, points: DensePoints) -> DensePoints:
        """Return points of other rows as prepared in this frame."""
        step = max(CHUNK_SIZE // points.source.shape[1], 1)
        values: np.ndarray = np.empty(points.source.shape, np.float32)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for a in range(0, len(points), step):
                rows = points[a : a + step].coordinates()
                if not is_angular(self.metric) or self.unit != 1:
                    rows = clip_far_rows((rows - self.shift) / self.unit)
                values[a : a + step] = rows
        return replace(points, values=values, whole=None, rows=None)

    def _row_frames(self, X: np.ndarray) -> np.ndarray | None:
        """Return each row's unit, shift and scale, (n, 3) float64, or None for 1, 0 and 1."""
        if not is_angular(self.metric):
            return None
        frames = np.empty((len(X), 3))
        for a, chunk in iter_chunks(X):
            unit, shift, scale = frames[a : a + len(chunk)].T
            rows = chunk.astype(np.float64)
            unit[:] = power_of_two(np.abs(rows).max(1))
            rows /= unit[:, None]
            shift[:] = rows.mean(1) if self.metric == "correlation" else 0
            norms = np.linalg.norm(rows - shift[:, None], axis=1)
            # What is left of a constant row is rounding.
            scale[:] = np.where(norms > CONSTANT_ROW_NORM, norms, 1)
        return frames


class DenseRows(PreparedRows[DensePoints]):
    """Rows of an array.

    Float32 data with a Euclidean metric is not copied, and may be a file larger than
    memory: rows are centered, which keeps squared lengths small and the products
    accurate, when they are packed.  Other data is copied to float32: centered in its
    own precision, or scaled to length one (cosine, correlation).

    Parameters
    ----------
    data : (n, columns) array.
    metric : one of the built-in search.
    frame : of the rows of which these are some; None is their own.
    points : the rows as prepared in it, if they are.
    """

    can_move = True

    def __init__(
        self,
        data: np.ndarray,
        metric: str,
        frame: DenseFrame | None = None,
        points: DensePoints | None = None,
    ):
        super().__init__(data.shape, metric)
        own = DenseFrame.of(data, metric) if frame is None else frame
        if points is None:
            is_ready = frame is None and not own.is_copied
            points = DensePoints(data, data) if is_ready else own.prepare(data)
        self.frame, self.points, self.unit, self.origin = own, points, own.unit, own.origin
        self._bounds = error_bounds(self.n_columns, FAR_DISTANCE, own.is_copied, self.unit)

    def around(self, center: DensePoints, reach: float, indices: np.ndarray) -> "DenseRows":
        unit = float(power_of_two(np.float64(reach))) if reach > 0 else self.unit
        origin = np.zeros(self.n_columns, np.float32)
        frame = DenseFrame(self.metric, unit, center.coordinates(), origin, True)
        points = frame.moved(self.points[indices])
        return DenseRows(points.source, self.metric, frame, points)

    def moved(self, points: DensePoints) -> DensePoints:
        return self.frame.moved(points)

    def prepare(self, X: np.ndarray) -> DensePoints:
        return self.frame.prepare(X)

    @property
    def values(self) -> np.ndarray:
        return self.points.values

    def to_dense(self, points: DensePoints) -> np.ndarray:
        return points.values

    def project(self, queries: DensePoints, projection: Projection, n_threads: int) -> np.ndarray:
        out = np.empty((len(queries), projection.directions.shape[1]), np.float32)
        # Projections in old pickles may be in Fortran order.
        directions = np.ascontiguousarray(projection.directions)
        _kernels.knn_dense.project(queries.values, projection.origin, directions, out, n_threads)
        return out

    def squared_lengths(self, queries: DensePoints, origin: np.ndarray) -> np.ndarray:
        squares = np.empty(len(queries))
        for a, chunk in iter_chunks(queries.values):
            rows = chunk - origin
            squares[a : a + len(chunk)] = np.einsum("ij,ij->i", rows, rows)
        return squares

    def search_costs(self) -> tuple[float, float]:
        return self.n_columns, self.n / 2 * self.n_columns

    def self_kneighbors(self, k: int, n_threads: int) -> Neighbors:
        many = self.n > SELF_JOIN_MAX_SAMPLES or self.n * self.n_columns > MAX_PACKED_NUMBERS
        if many or is_memmapped(self.points.values):
            return super().self_kneighbors(k, n_threads)
        packed = self._pack(self.points.values, n_threads)
        candidates = Candidates(self.n, min(k + N_EXTRA_CANDIDATES, self.n - 1))
        pairs = all_block_pairs(packed.n_blocks)
        with stage("comparing all rows", len(pairs), "pairs of blocks") as progress:
            candidates.compare_block_pairs(packed, pairs, n_threads, progress.advance)
        sizes = self._sizes(packed)
        return self._nearest(self.points, candidates, sizes, k, n_threads, np.arange(self.n))

    def _pack(self, values: np.ndarray, n_threads: int) -> PackedRows:
        return pack(values, origin=self.origin, n_threads=n_threads)

    def _sizes(self, packed: PackedRows) -> np.ndarray:
        """Return the rows' lengths as packed; infinite for those that were moved nearer."""
        return norms_of(packed.norms[: packed.n])

    def copied_lengths(self, queries: DensePoints) -> np.ndarray:
        if is_angular(self.metric) or not self.frame.is_copied:
            return np.ones(len(queries))
        squares = np.empty(len(queries))
        for a, chunk in iter_chunks(queries.values):
            part = squares[a : a + len(chunk)]
            np.einsum("ij,ij->i", chunk, chunk, out=part, dtype=np.float64)
        return norms_of(squares)

    @cached_property
    def is_on_grid(self) -> bool:
        known = self.frame.is_on_grid
        return self._on_grid(self.points) if known is None else known

    def _on_grid(self, points: DensePoints) -> bool:
        if not points.is_source:
            return False
        for _, chunk in iter_chunks(points.values):
            rows = chunk - self.origin
            is_whole = (rows == np.rint(rows)).all()
            if not is_whole or np.einsum("ij,ij->i", rows, rows).max() > MAX_GRID_NORM:
                return False
        return True

    def _compare(
        self, queries: DensePoints, candidates: Candidates, n_threads: int, progress: Progress
    ) -> np.ndarray:
        step = max(MAX_PACKED_NUMBERS // (16 * self.n_columns), 1)
        packed = self._pack(queries.values, n_threads)
        if not self.frame.is_copied and not queries.is_source:
            # The origin is subtracted before they are rounded.
            with np.errstate(over="ignore"):
                rows = clip_far_rows(queries.source.astype(np.float64) - self.origin)
            packed = pack(rows.astype(np.float32), n_threads=n_threads)
        for first, points in iter_chunks(self.points.values, step * self.n_columns):
            candidates.compare_all(packed, self._pack(points, n_threads), first, n_threads)
            progress.advance(len(queries) * len(points) / self.n)
        return self._sizes(packed)

    def _bounds_for(self, queries: DensePoints) -> np.ndarray:
        if self.frame.is_copied or queries.is_source:
            return self._bounds
        bounds = self._bounds.copy()
        bounds[2] = np.inf  # the rounding of the queries is relative to another origin than theirs
        return bounds

    def _rerank(self, queries: DensePoints, *arguments: object) -> None:
        values = queries.values, self.points.values
        is_own = queries is self.points or queries.whole is self.points
        if is_own and self.as_bytes is not None:
            own = self.as_bytes if queries is self.points else self.as_bytes[queries.rows]
            values = own, self.as_bytes
        _kernels.rerank.rerank(*values, *arguments)

    @cached_property
    def as_bytes(self) -> np.ndarray | None:
        """The values of many columns in a byte each, as images have them, where they fit.

        Candidates lie anywhere in memory: most of the time goes by until they are read.
        """
        low, high = BYTE_COLUMNS
        may_be = self.frame.may_be_bytes and self.points.is_source
        if not low <= self.n_columns <= high or not may_be:
            return None
        values = self.points.values
        out = memory.allocate(values.shape, np.uint8, "the rows in bytes")
        for a, chunk in iter_chunks(values):
            if chunk.min() < 0 or chunk.max() > 255:
                return None
            part = out[a : a + len(chunk)]
            np.copyto(part, chunk, casting="unsafe")
            if not np.array_equal(part, chunk):
                return None
        return out

    def float64_scores(self, queries: DensePoints, center: DensePoints) -> Neighbors:
        step = max(CHUNK_SIZE // self.n_columns, 1)
        origin = center.coordinates()
        rows = (queries.coordinates() - origin) / self.unit
        scores = np.empty((len(queries), self.n))
        for a in range(0, self.n, step):
            points = (self.points[a : a + step].coordinates() - origin) / self.unit
            norms = np.einsum("ij,ij->i", points, points)
            scores[:, a : a + len(points)] = norms - 2 * (rows @ points.T)
        return scores, np.linalg.norm(rows, axis=1)


def _largest(X: AnyRows) -> float:
    """Return the largest absolute value of an array, read in chunks."""
    return float(as_rows(X).fold(CHUNK_SIZE, _larger, -np.inf))


def _larger(largest: float, first: int, chunk: np.ndarray) -> float:
    return max(largest, -float(chunk.min()), float(chunk.max()))


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


class RowsToSearch(Protocol[Table]):
    """What a search needs of prepared rows: these of one process, or of many workers.

    Methods are documented by :class:`PreparedRows`; neighbours are tables where the rows are.
    """

    n: int
    n_columns: int
    origin: np.ndarray

    @property
    def values(self) -> Matrix | RowSource: ...
    def coordinates(self) -> RowTable: ...
    def search_costs(self) -> tuple[float, float]: ...
    def self_kneighbors(self, k: int, n_threads: int) -> tuple[Table, Table]: ...
    def to_metric(self, distances: Table) -> Table: ...
    def kneighbors_of_rows(
        self, rows: np.ndarray, k: int, n_threads: int
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def distances_from(
        self, rows: np.ndarray, n_threads: int
    ) -> Callable[[np.ndarray], np.ndarray]: ...
    def partition(
        self,
        points: RowTable,
        origin: np.ndarray,
        projection: Projection | None,
        generator: RandomGenerator,
        n_threads: int,
    ) -> CellStore[Table]: ...


def prepare_rows(data: Matrix, metric: str) -> DenseRows | SparseRows:
    """Return the prepared rows of an array or of a CSR matrix."""
    return SparseRows(data, metric) if is_sparse(data) else DenseRows(data, metric)


class CachedRowsMixin:
    """Prepares the rows of an index at its first query and caches them, but not in pickles."""

    data: Matrix
    metric: Metric
    _rows: AnyPrepared | None = None

    @property
    def rows(self) -> AnyPrepared:
        """The prepared rows of ``data``."""
        if self._rows is None:
            self._rows = self._prepare()
        return self._rows

    def _prepare(self) -> AnyPrepared:
        return prepare_rows(self.data, str(self.metric))

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_rows"}


def is_reduced(n_columns: int) -> bool:
    """Return whether rows of so many columns are reduced."""
    return n_columns > N_COMPONENTS * 3 // 2


def reduce_rows(
    rows: RowsToSearch[Table], generator: RandomGenerator, n_threads: int
) -> tuple[RowTable, Projection | None]:
    """Return reduced coordinates of rows with many columns, where these are, and their projection.

    For few columns, the rows themselves, dense float32, and None.
    """
    if not is_reduced(rows.n_columns):
        return rows.coordinates(), None
    blocks, projection = reduced_blocks(rows.values, N_COMPONENTS, generator, n_threads)
    n_columns = projection.directions.shape[1] + (projection.max_residual > 0)
    points = blocks.apply(_with_residuals, projection)
    return points.rows(n_columns, np.dtype(np.float32)), projection


def reduce_queries(
    rows: PreparedRows[P], queries: P, projection: Projection | None, n_threads: int
) -> np.ndarray:
    """Return the same coordinates of new rows, prepared by ``rows``; no row depends on another."""
    if projection is None:
        return rows.to_dense(queries)
    scores = rows.project(queries, projection, n_threads)
    squares = rows.squared_lengths(queries, projection.origin)
    return _with_residuals(0, (scores, projection.residuals(squares, scores)), projection)


def component_scores(points: RowTable, projection: Projection) -> RowTable:
    """Return the principal components among the coordinates of reduced points."""
    n_scores = projection.directions.shape[1]
    if isinstance(points, RowSource):
        first = points.in_blocks("reducing rows").apply(_first_columns, n_scores)
        return first.rows(n_scores, np.dtype(np.float32))
    assert isinstance(points, np.ndarray)
    return _first_columns(0, points, n_scores)


def _with_residuals(
    first: int, block: tuple[np.ndarray, np.ndarray], projection: Projection
) -> np.ndarray:
    """Return the coordinates of rows from their scores and what they lose."""
    scores, residuals = block
    if projection.max_residual == 0:
        return scores
    return np.column_stack([scores, np.float32(RESIDUAL_COSINE**0.5) * residuals])


def _first_columns(first: int, points: np.ndarray, n_columns: int) -> np.ndarray:
    return points[:, :n_columns]
