"""Dense rows: their exact neighbours by products of packed panels, one or both ways."""

import numpy as np

from fasttsne import _kernels
from fasttsne.linalg import pca
from fasttsne.linalg.chunks import brought_near, chunks, is_mapped, mean_and_largest, safe_unit
from fasttsne.nearest_neighbors.builtin.candidates import SPARE, Candidates, all_pairs, pack
from fasttsne.nearest_neighbors.builtin.metrics import METRICS, in_metric, is_angular
from fasttsne.runtime.validation import check_choice

# Up to so many rows, and numbers packed at once, each pair of rows is met once for both.
# Beyond, and for files, batches of rows meet all others in turn, some packed at a time.
BOTH_WAYS_UP_TO = 200_000
PACKED = 2**27
BATCH = 20_000
# Rows with numbers beyond this are divided by it before they are summed.
HUGE = 1e200


class DenseRows:
    """Rows of an array.

    Float32 data with a Euclidean metric is used where it lies, be that a file
    larger than memory: centring, which keeps squared lengths small and the
    products accurate, happens when rows are packed.  Other data is copied to
    float32: centred in its own precision, or scaled to length one (cosine,
    correlation).

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
            mean, largest = mean_and_largest(data)
            self._unit = safe_unit(largest)
            if data.dtype == np.float32 and data.flags.c_contiguous and self._unit == 1:
                self._origin = mean.astype(np.float32)
                self.points = data
                return
            self._shift = mean
        self.points = self.prepare(data)

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Other rows in the same frame as ``points``, (rows, columns) float32."""
        out = np.empty(X.shape, np.float32)
        for a, chunk in chunks(X):
            rows = chunk.astype(np.float64)
            if self.metric == "correlation":
                largest = np.abs(rows).max(1, keepdims=True)
                rows /= np.where(largest > HUGE, HUGE, 1)  # sums would overflow
                rows -= rows.mean(1, keepdims=True)
            if is_angular(self.metric):
                largest = np.abs(rows).max(1, keepdims=True)
                rows /= np.where(largest > 0, largest, 1)
                norms = np.linalg.norm(rows, axis=1, keepdims=True)
                rows /= np.where(norms > 0, norms, 1)
            else:
                with np.errstate(over="ignore"):
                    rows -= self._shift
                    rows = brought_near(rows / self._unit)
            out[a : a + len(rows)] = rows
        return out

    def in_metric(self, distances: np.ndarray) -> np.ndarray:
        """Distances of the metric from those of points."""
        return in_metric(distances, self.metric, self._unit)

    def dense(self) -> np.ndarray:
        """All rows as an array."""
        return self.points

    def as_dense(self, queries: np.ndarray) -> np.ndarray:
        """Others, prepared, as an array."""
        return queries

    def reduced(self, rank: int, generator):
        """The first principal components, (n, rank) float32, estimated from a sample of rows.

        Also returns the :class:`fasttsne.linalg.pca.Projection` that gives them.
        """
        return pca.approximate_components(self.points, rank, generator)

    def project(self, queries: np.ndarray, projection, n_threads: int) -> np.ndarray:
        """The components of others, prepared; each row by itself."""
        out = np.empty((len(queries), projection.directions.shape[1]), np.float32)
        _kernels.knn_dense.project(
            queries, projection.origin, projection.directions, out, n_threads
        )
        return out

    def ranked(self, queries, candidates: Candidates, rows, names, k: int, n_threads: int):
        """The k nearest by exact distance to queries, prepared, among candidates.

        Parameters
        ----------
        rows : (m,) the query whose candidates stand in each row.
        names : (n,) the point that each number among the candidates stands for.
        """
        indices = np.empty((len(queries), k), np.int32)
        distances = np.empty((len(queries), k), np.float32)
        _kernels.rerank.rank(
            queries, self.points, rows.astype(np.int32), names.astype(np.int32), candidates.keys,
            candidates.counts, candidates.kept, k, indices, distances, n_threads,
        )  # fmt: skip
        return indices, distances

    def rank(self, candidates: Candidates, order: np.ndarray, k: int, n_threads: int):
        """The k nearest by exact distance among candidates in another numbering.

        Parameters
        ----------
        order : (n,) the row at each place; candidates are of places and name places.

        Returns
        -------
        indices, distances : (n, k) int32 and float32 arrays, nearest first.
        """
        return self.ranked(self.points, candidates, order, order, k, n_threads)

    def join(self, k: int, n_threads: int):
        """The k nearest other rows of each row; as ``rank`` returns them."""
        many = self.n > BOTH_WAYS_UP_TO or self.n * self.n_columns > PACKED
        if many or is_mapped(self.points):
            return self.nearest_to(self.points, k, n_threads, own=np.arange(self.n, dtype=np.int32))
        packed = pack(self.points, origin=self._origin, n_threads=n_threads)
        candidates = Candidates(self.n, min(k + SPARE, self.n - 1))
        candidates.offer_pairs(packed, all_pairs(packed.n_blocks), n_threads)
        return self.rank(candidates, np.arange(self.n), k, n_threads)

    def sample_nearest(self, rows: np.ndarray, k: int, n_threads: int):
        """The k nearest other rows of some rows, (rows,) numbers."""
        return self.nearest_to(self.points[rows], k, n_threads, own=rows.astype(np.int32))

    def nearest_to(self, queries: np.ndarray, k: int, n_threads: int, own=None):
        """The k rows nearest to each query, a batch of queries at a time.

        Parameters
        ----------
        queries : (m, columns) float32 array as from ``prepare``.
        own : (m,) int32, the row that a query is and that is not its neighbour.
        """
        found = []
        for a in range(0, len(queries), BATCH):
            batch = queries[a : a + BATCH]
            candidates = Candidates(len(batch), min(k + SPARE + (own is not None), self.n))
            packed = pack(batch, origin=self._origin, n_threads=n_threads)
            step = max(PACKED // (16 * self.n_columns), 1)
            for first in range(0, self.n, step):
                points = self.points[first : first + step]
                candidates.offer_all(
                    packed, pack(points, origin=self._origin, n_threads=n_threads), first, n_threads
                )
            if own is not None:
                candidates.drop(own[a : a + BATCH])
            found.append(self.ranked(
                batch, candidates, np.arange(len(batch)), np.arange(self.n), k, n_threads
            ))  # fmt: skip
        return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))
