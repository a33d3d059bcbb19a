"""Dense rows and their exact neighbours, by products of packed panels."""

from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fasttsne import _kernels
from fasttsne.linalg import pca, scaling
from fasttsne.linalg.robust import robust_frame
from fasttsne.linalg.rows import CHUNK_SIZE, as_rows, iter_chunks
from fasttsne.nearest_neighbors.builtin.block_pairs import all_block_pairs
from fasttsne.nearest_neighbors.builtin.candidates import N_EXTRA_CANDIDATES, Candidates
from fasttsne.nearest_neighbors.builtin.error_bounds import error_bounds
from fasttsne.nearest_neighbors.builtin.metrics import is_angular
from fasttsne.nearest_neighbors.builtin.packing import pack
from fasttsne.nearest_neighbors.builtin.prepared_rows import (
    CONSTANT_ROW_NORM,
    FAR_DISTANCE,
    MAX_GRID_NORM,
    PreparedRows,
    lengths,
)
from fasttsne.runtime import memory
from fasttsne.runtime.progress import stage
from fasttsne.runtime.stored_rows import is_memmapped

# Up to so many rows and packed numbers, the product of each pair of rows updates both.
# Beyond, and for files, batches of rows are compared with all others, some packed at a time.
SELF_JOIN_MAX_SAMPLES = 200_000
MAX_PACKED_NUMBERS = 2**27
# Columns from which whole numbers of one byte are reranked as such: fewer cost nothing to read.
# Squared distances of as many as the last are sums that int32 holds.
BYTE_COLUMNS = 100, 33_000


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

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
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

    def exact_rows(self):
        """Return the rows as the kernel for float64 distances reads them."""
        source = np.ascontiguousarray(self.source)
        return _kernels.exact_order.ExactRows(source.ravel(), source.shape[1], self.frames)

    def coordinates(self) -> np.ndarray:
        """Return the rows in float64, (n, columns), in the unit of the source."""
        rows = self.source.astype(np.float64)
        if self.frames is not None:
            unit, shift, scale = self.frames.T[:, :, None]
            rows = (rows / unit - shift) / scale
        return rows


class DenseRows(PreparedRows):
    """Rows of an array.

    Float32 data with a Euclidean metric is not copied, and may be a file larger than
    memory: rows are centered, which keeps squared lengths small and the products
    accurate, when they are packed.  Other data is copied to float32: centered in its
    own precision, or scaled to length one (cosine, correlation).

    Attributes
    ----------
    points : :class:`DensePoints`
    origin : (columns,) float32, near the points, which is subtracted for products.
    """

    def __init__(self, data: np.ndarray, metric: str):
        super().__init__(data, metric)
        self._choose_frame(data)
        self.points = self.prepare(data) if self._are_copied else DensePoints(data, data)

    def _choose_frame(self, data) -> None:
        """Set what turns data into points: it depends on all rows."""
        self._shift = np.zeros(self.n_columns)
        self.origin = np.zeros(self.n_columns, np.float32)
        is_copied = True
        if not is_angular(self.metric):
            largest = _largest(data)
            frame = robust_frame(data, 2 * largest)
            self.unit = scaling.float32_unit(frame.size)
            is_float32 = data.dtype == np.float32 and data.flags.c_contiguous
            is_copied = not is_float32 or self.unit != 1 or largest >= scaling.MAX_ROW_SIZE
            if is_copied:
                self._shift = frame.origin.astype(np.float64)
            else:
                self.origin = frame.origin
        self._are_copied = is_copied
        self._bounds = error_bounds(self.n_columns, FAR_DISTANCE, is_copied, self.unit)

    def around(self, center: DensePoints, reach: float, indices: np.ndarray) -> "DenseRows":
        """Return some rows, by index, within reach of one that becomes the origin.

        reach : in the unit of the source, as ``coordinates``.
        """
        rows = copy(self)
        for name in ("exact_rows", "_is_on_grid", "_bytes"):
            vars(rows).pop(name, None)
        rows.n, rows._are_copied = len(indices), True
        if reach > 0:
            rows.unit = float(scaling.power_of_two(np.float64(reach)))
        rows._shift = center.coordinates()
        rows.origin = np.zeros(self.n_columns, np.float32)
        rows.points = rows.moved(self.points[indices])
        rows._bounds = error_bounds(self.n_columns, FAR_DISTANCE, True, rows.unit)
        return rows

    def moved(self, points: DensePoints) -> DensePoints:
        """Return points of other rows as prepared by these."""
        values = np.empty(points.source.shape, np.float32)
        result = replace(points, values=values, whole=None, rows=None)
        step = max(CHUNK_SIZE // self.n_columns, 1)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for a in range(0, len(points), step):
                rows = points[a : a + step].coordinates()
                if not is_angular(self.metric) or self.unit != 1:
                    rows = scaling.clip_far_rows((rows - self._shift) / self.unit)
                result.values[a : a + step] = rows
        return result

    def prepare(self, X: np.ndarray) -> DensePoints:
        is_ready = X.dtype == np.float32 and X.flags.c_contiguous
        if is_ready and not self._are_copied and _largest(X) < scaling.MAX_ROW_SIZE:
            return DensePoints(X, X)
        return self.moved(DensePoints(X, X, self._frames(X)))

    def _frames(self, X):
        """Return each row's unit, shift and scale, (n, 3) float64, or None for 1, 0 and 1."""
        if not is_angular(self.metric):
            return None
        frames = np.empty((len(X), 3))
        for a, chunk in iter_chunks(X):
            unit, shift, scale = frames[a : a + len(chunk)].T
            rows = chunk.astype(np.float64)
            unit[:] = scaling.power_of_two(np.abs(rows).max(1))
            rows /= unit[:, None]
            shift[:] = rows.mean(1) if self.metric == "correlation" else 0
            norms = np.linalg.norm(rows - shift[:, None], axis=1)
            # What is left of a constant row is rounding.
            scale[:] = np.where(norms > CONSTANT_ROW_NORM, norms, 1)
        return frames

    @staticmethod
    def to_dense(points: DensePoints) -> np.ndarray:
        """Return prepared rows as an array."""
        return points.values

    def reduce(self, rank: int, generator, n_threads: int):
        """Return principal components, lengths of residuals, and the projection.

        They are estimated from a sample of rows; see ``pca.components_and_residuals``.
        """
        return pca.components_and_residuals(self.points.values, rank, generator, n_threads)

    def project(self, queries: DensePoints, projection, n_threads: int) -> np.ndarray:
        out = np.empty((len(queries), projection.directions.shape[1]), np.float32)
        # Projections in old pickles may be in Fortran order.
        directions = np.ascontiguousarray(projection.directions)
        _kernels.knn_dense.project(queries.values, projection.origin, directions, out, n_threads)
        return out

    @staticmethod
    def squared_lengths(queries: DensePoints, origin: np.ndarray) -> np.ndarray:
        """Return the squared lengths of prepared rows less an origin, (m,)."""
        squares = np.empty(len(queries))
        for a, chunk in iter_chunks(queries.values):
            rows = chunk - origin
            squares[a : a + len(chunk)] = np.einsum("ij,ij->i", rows, rows)
        return squares

    def search_costs(self) -> tuple[float, float]:
        """Return the costs of a distance and of comparing a row with all, in products."""
        return self.n_columns, self.n / 2 * self.n_columns

    def self_kneighbors(self, k: int, n_threads: int):
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

    def _pack(self, values, n_threads):
        return pack(values, origin=self.origin, n_threads=n_threads)

    def _sizes(self, packed):
        """Return the rows' lengths as packed; infinite for those that were moved nearer."""
        return lengths(packed.norms[: packed.n])

    def copied_lengths(self, queries):
        """Return the lengths of rows that were rounded, else 1, which angular rows have."""
        if is_angular(self.metric) or not self._are_copied:
            return np.ones(len(queries))
        squares = np.empty(len(queries))
        for a, chunk in iter_chunks(queries.values):
            part = squares[a : a + len(chunk)]
            np.einsum("ij,ij->i", chunk, chunk, out=part, dtype=np.float64)
        return lengths(squares)

    def _on_grid(self, points):
        if not points.is_source:
            return False
        for _, chunk in iter_chunks(points.values):
            rows = chunk - self.origin
            is_whole = (rows == np.rint(rows)).all()
            if not is_whole or np.einsum("ij,ij->i", rows, rows).max() > MAX_GRID_NORM:
                return False
        return True

    def _compare(self, queries, candidates, n_threads, progress):
        step = max(MAX_PACKED_NUMBERS // (16 * self.n_columns), 1)
        packed = self._pack(queries.values, n_threads)
        if not self._are_copied and not queries.is_source:
            # The origin is subtracted before they are rounded.
            with np.errstate(over="ignore"):
                rows = scaling.clip_far_rows(queries.source.astype(np.float64) - self.origin)
            packed = pack(rows.astype(np.float32), n_threads=n_threads)
        for first, points in iter_chunks(self.points.values, step * self.n_columns):
            candidates.compare_all(packed, self._pack(points, n_threads), first, n_threads)
            progress.advance(len(queries) * len(points) / self.n)
        return self._sizes(packed)

    def _bounds_for(self, queries):
        if self._are_copied or queries.is_source:
            return self._bounds
        bounds = self._bounds.copy()
        bounds[2] = np.inf  # the rounding of the queries is relative to another origin than theirs
        return bounds

    def _rerank(self, queries, *arguments):
        values = queries.values, self.points.values
        is_own = queries is self.points or queries.whole is self.points
        if is_own and self._bytes is not None:
            own = self._bytes if queries is self.points else self._bytes[queries.rows]
            values = own, self._bytes
        _kernels.rerank.rerank(*values, *arguments)

    @cached_property
    def _bytes(self) -> np.ndarray | None:
        """The values of many columns in a byte each, as images have them, where they fit.

        Candidates lie anywhere in memory: most of the time goes by until they are read.
        """
        low, high = BYTE_COLUMNS
        if not low <= self.n_columns <= high or not self.points.is_source:
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

    def float64_scores(self, queries, center):
        """Return the scores of all points for queries, in float64, and the queries' lengths.

        center : one row, the origin.
        """
        step = max(CHUNK_SIZE // self.n_columns, 1)
        origin = center.coordinates()
        rows = (queries.coordinates() - origin) / self.unit
        scores = np.empty((len(queries), self.n))
        for a in range(0, self.n, step):
            points = (self.points[a : a + step].coordinates() - origin) / self.unit
            norms = np.einsum("ij,ij->i", points, points)
            scores[:, a : a + len(points)] = norms - 2 * (rows @ points.T)
        return scores, np.linalg.norm(rows, axis=1)


def _largest(X):
    """Return the largest absolute value of an array, read in chunks."""
    return float(as_rows(X).fold(CHUNK_SIZE, _larger, -np.inf))


def _larger(largest, first, chunk):
    return max(largest, -chunk.min(), chunk.max())
