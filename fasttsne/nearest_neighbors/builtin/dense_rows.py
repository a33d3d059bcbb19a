"""Dense rows and their exact neighbours, by products of packed panels."""

import numpy as np

from fasttsne import _kernels
from fasttsne.linalg import pca
from fasttsne.linalg.chunks import (
    clip_far_rows,
    float32_scale,
    is_memmapped,
    iter_chunks,
    mean_and_max_deviation,
)  # fmt: skip
from fasttsne.nearest_neighbors.builtin.block_pairs import all_block_pairs
from fasttsne.nearest_neighbors.builtin.candidates import N_EXTRA_CANDIDATES, Candidates
from fasttsne.nearest_neighbors.builtin.metrics import METRICS, is_angular, to_metric
from fasttsne.nearest_neighbors.builtin.packing import pack
from fasttsne.runtime.validation import check_choice

# Up to so many rows and packed numbers, the product of each pair of rows updates both.
# Beyond, and for files, batches of rows are compared with all others, some packed at a time.
SELF_JOIN_MAX_SAMPLES = 200_000
MAX_PACKED_NUMBERS = 2**27
QUERY_BATCH_SIZE = 20_000
# Rows with numbers beyond this are divided by it before they are summed.
OVERFLOW_LIMIT = 1e200


class DenseRows:
    """Rows of an array.

    Float32 data with a Euclidean metric is not copied, and may be a file larger than
    memory: rows are centered, which keeps squared lengths small and the products
    accurate, when they are packed.  Other data is copied to float32: centered in its
    own precision, or scaled to length one (cosine, correlation).

    Attributes
    ----------
    points : (n, columns) float32 array.
    """

    def __init__(self, data: np.ndarray, metric: str):
        self.metric = check_choice(metric, "metric", METRICS)
        self.n, self.n_columns = data.shape
        self._unit, self._shift = 1.0, np.zeros(self.n_columns)
        self._origin = np.zeros(self.n_columns, np.float32)
        if not is_angular(metric):
            mean, largest = mean_and_max_deviation(data)
            self._unit = float32_scale(largest)
            if data.dtype == np.float32 and data.flags.c_contiguous and self._unit == 1:
                self._origin = mean.astype(np.float32)
                self.points = data
                return
            self._shift = mean
        self.points = self.prepare(data)

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return new rows in the coordinates of ``points``, (rows, columns) float32."""
        out = np.empty(X.shape, np.float32)
        for a, chunk in iter_chunks(X):
            rows = chunk.astype(np.float64)
            if self.metric == "correlation":
                largest = np.abs(rows).max(1, keepdims=True)
                rows /= np.where(largest > OVERFLOW_LIMIT, OVERFLOW_LIMIT, 1)  # sums would overflow
                rows -= rows.mean(1, keepdims=True)
            if is_angular(self.metric):
                largest = np.abs(rows).max(1, keepdims=True)
                rows /= np.where(largest > 0, largest, 1)
                norms = np.linalg.norm(rows, axis=1, keepdims=True)
                rows /= np.where(norms > 0, norms, 1)
            else:
                with np.errstate(over="ignore"):
                    rows -= self._shift
                    rows = clip_far_rows(rows / self._unit)
            out[a : a + len(rows)] = rows
        return out

    def to_metric(self, distances: np.ndarray) -> np.ndarray:
        """Convert Euclidean distances of points to the metric."""
        return to_metric(distances, self.metric, self._unit)

    @staticmethod
    def to_dense(points: np.ndarray) -> np.ndarray:
        """Return prepared rows as an array."""
        return points

    def reduce(self, rank: int, generator, n_threads: int):
        """Return the first principal components, (n, rank) float32, and their projection.

        They are estimated from a sample of rows; see :class:`fasttsne.linalg.pca.Projection`.
        """
        return pca.approximate_components(self.points, rank, generator, n_threads)

    def project(self, queries: np.ndarray, projection, n_threads: int) -> np.ndarray:
        """Return the components of new rows, prepared; no row depends on another."""
        out = np.empty((len(queries), projection.directions.shape[1]), np.float32)
        # Projections in old pickles may be in Fortran order.
        directions = np.ascontiguousarray(projection.directions)
        _kernels.knn_dense.project(queries, projection.origin, directions, out, n_threads)
        return out

    def rerank_queries(
        self, queries, candidates: Candidates, rows, index_map, k: int, n_threads: int
    ):
        """Return the k candidates nearest to queries, prepared, by exact distance.

        Parameters
        ----------
        rows : (m,) the query of each row of the candidates.
        index_map : (n,) the point of each index among the candidates.
        """
        indices = np.empty((len(queries), k), np.int32)
        distances = np.empty((len(queries), k), np.float32)
        _kernels.rerank.rerank(
            queries, self.points, rows.astype(np.int32), index_map.astype(np.int32),
            candidates.keys, candidates.counts, candidates.n_kept, k, indices, distances, n_threads,
        )  # fmt: skip
        return indices, distances

    def rerank(self, candidates: Candidates, order: np.ndarray, k: int, n_threads: int):
        """Return the k nearest candidates of each row by exact distance.

        Parameters
        ----------
        order : (n,) the row at each position; candidates are positions, listed by position.

        Returns
        -------
        indices, distances : (n, k) int32 and float32 arrays, nearest first.
        """
        return self.rerank_queries(self.points, candidates, order, order, k, n_threads)

    def self_kneighbors(self, k: int, n_threads: int):
        """Return the k nearest other rows of each row, as ``rerank`` does."""
        many = self.n > SELF_JOIN_MAX_SAMPLES or self.n * self.n_columns > MAX_PACKED_NUMBERS
        if many or is_memmapped(self.points):
            return self.kneighbors(self.points, k, n_threads, np.arange(self.n))
        packed = pack(self.points, origin=self._origin, n_threads=n_threads)
        candidates = Candidates(self.n, min(k + N_EXTRA_CANDIDATES, self.n - 1))
        candidates.compare_block_pairs(packed, all_block_pairs(packed.n_blocks), n_threads)
        return self.rerank(candidates, np.arange(self.n), k, n_threads)

    def kneighbors_of_rows(self, rows: np.ndarray, k: int, n_threads: int):
        """Return the k nearest other rows of some rows, (rows,) indices."""
        return self.kneighbors(self.points[rows], k, n_threads, rows)

    def kneighbors(self, queries: np.ndarray, k: int, n_threads: int, self_indices=None):
        """Return the k rows nearest to each query.

        Parameters
        ----------
        queries : (m, columns) float32 array as from ``prepare``.
        self_indices : (m,) integers, the row that each query is, which is not its own neighbour.
        """
        results = []
        for a in range(0, len(queries), QUERY_BATCH_SIZE):
            batch = queries[a : a + QUERY_BATCH_SIZE]
            candidates = Candidates(
                len(batch), min(k + N_EXTRA_CANDIDATES + (self_indices is not None), self.n)
            )
            packed = pack(batch, origin=self._origin, n_threads=n_threads)
            step = max(MAX_PACKED_NUMBERS // (16 * self.n_columns), 1)
            for first in range(0, self.n, step):
                points = self.points[first : first + step]
                candidates.compare_all(
                    packed, pack(points, origin=self._origin, n_threads=n_threads), first, n_threads
                )
            if self_indices is not None:
                candidates.remove(self_indices[a : a + len(batch)].astype(np.int32))
            results.append(self.rerank_queries(
                batch, candidates, np.arange(len(batch)), np.arange(self.n), k, n_threads
            ))  # fmt: skip
        return tuple(np.concatenate(parts) for parts in zip(*results, strict=True))
