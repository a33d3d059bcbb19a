"""Dense rows and their exact neighbours, by products of packed panels."""

from functools import partial

import numpy as np

from fasttsne import _kernels
from fasttsne.linalg import chunks
from fasttsne.nearest_neighbors.builtin.block_pairs import all_block_pairs
from fasttsne.nearest_neighbors.builtin.candidates import N_EXTRA_CANDIDATES, Candidates
from fasttsne.nearest_neighbors.builtin.metrics import is_angular
from fasttsne.nearest_neighbors.builtin.packing import pack
from fasttsne.nearest_neighbors.builtin.prepared_rows import PreparedRows

# Up to so many rows and packed numbers, the product of each pair of rows updates both.
# Beyond, and for files, batches of rows are compared with all others, some packed at a time.
SELF_JOIN_MAX_SAMPLES = 200_000
MAX_PACKED_NUMBERS = 2**27
# Rows with numbers beyond this are divided by it before they are summed.
OVERFLOW_LIMIT = 1e200


class DenseRows(PreparedRows):
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
        super().__init__(data, metric)
        self._shift = np.zeros(self.n_columns)
        self._origin = np.zeros(self.n_columns, np.float32)
        if not is_angular(metric):
            mean, largest = chunks.mean_and_max_deviation(data)
            self._unit = chunks.float32_scale(largest)
            if data.dtype == np.float32 and data.flags.c_contiguous and self._unit == 1:
                self._origin = mean.astype(np.float32)
                self.points = data
                return
            self._shift = mean
        self.points = self.prepare(data)

    def prepare(self, X: np.ndarray) -> np.ndarray:
        out = np.empty(X.shape, np.float32)
        for a, chunk in chunks.iter_chunks(X):
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
                    rows = chunks.clip_far_rows(rows / self._unit)
            out[a : a + len(rows)] = rows
        return out

    @staticmethod
    def to_dense(points: np.ndarray) -> np.ndarray:
        """Return prepared rows as an array."""
        return points

    def project(self, queries: np.ndarray, projection, n_threads: int) -> np.ndarray:
        out = np.empty((len(queries), projection.directions.shape[1]), np.float32)
        # Projections in old pickles may be in Fortran order.
        directions = np.ascontiguousarray(projection.directions)
        _kernels.knn_dense.project(queries, projection.origin, directions, out, n_threads)
        return out

    def _rerank(self, queries, *arguments):
        _kernels.rerank.rerank(queries, self.points, *arguments)

    def self_kneighbors(self, k: int, n_threads: int):
        many = self.n > SELF_JOIN_MAX_SAMPLES or self.n * self.n_columns > MAX_PACKED_NUMBERS
        if many or chunks.is_memmapped(self.points):
            return super().self_kneighbors(k, n_threads)
        packed = pack(self.points, origin=self._origin, n_threads=n_threads)
        candidates = Candidates(self.n, min(k + N_EXTRA_CANDIDATES, self.n - 1))
        candidates.compare_block_pairs(packed, all_block_pairs(packed.n_blocks), n_threads)
        return self.rerank(candidates, np.arange(self.n), k, n_threads)

    def _comparison(self, n_threads):
        step = max(MAX_PACKED_NUMBERS // (16 * self.n_columns), 1)
        pack_rows = partial(pack, origin=self._origin, n_threads=n_threads)

        def compare(queries, candidates):
            packed = pack_rows(queries)
            for first, points in chunks.iter_chunks(self.points, step * self.n_columns):
                candidates.compare_all(packed, pack_rows(points), first, n_threads)

        return compare
