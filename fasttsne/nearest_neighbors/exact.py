"""Exact neighbours, by matrix products on tiles."""

import numpy as np

from fasttsne import _kernels
from fasttsne.nearest_neighbors.base import KNNIndex

# Tiles of the matrix of inner products: 32 MiB of float32.
TILE_ROWS = 1024
TILE_COLUMNS = 8192
# Candidates beyond k: rounding of the products may swap neighbours near the k-th.
SPARE = 16
# Keys kept for a row before all but the best are dropped.
ROOM = 256
# Row number that excludes no column.
NO_ROW = -(2**40)


class Exact(KNNIndex):
    """All pairs of rows, as |x|^2 + |y|^2 - 2 x.y in float32 matrix products.

    The products only choose candidates; distances of the chosen are computed
    again from differences, so equal rows are at distance 0.  Ties fall to the
    smaller row number.  Memory: one float32 copy of the data, and the tiles.
    """

    VALID_METRICS = ("euclidean", "l2", "cosine")

    def _build(self):
        self._prepare()
        return self._search(self._points, self.k, self_join=True)

    def _query(self, X, k):
        self._prepare()
        return self._search(self._normalised(X), k, self_join=False)

    def _prepare(self):
        """Centre the rows, which keeps the squared norms small and the products accurate."""
        if hasattr(self, "_points"):
            return
        self._unit = 1.0
        self._mean = 0.0
        if self.metric != "cosine":
            self._mean = self.data.mean(0, dtype=np.float64).astype(self.data.dtype)
            largest = float(np.abs(self.data - self._mean).max())
            if largest > 0 and not 1e-10 < largest < 1e10:
                self._unit = largest
        self._points = self._normalised(self.data)
        self._norms = np.einsum("ij,ij->i", self._points, self._points)

    def _normalised(self, X):
        """Rows as float32 in a unit of measurement where squares are safe."""
        if self.metric == "cosine":
            norms = np.linalg.norm(X.astype(float), axis=1, keepdims=True)
            X = X / np.where(norms > 0, norms, 1)
        else:
            X = (X - self._mean) / self._unit
        return np.ascontiguousarray(X, dtype=np.float32)

    def _search(self, queries, k, self_join):
        n_queries, n = len(queries), self.n_samples
        kept = min(k + SPARE, n - self_join)
        indices = np.empty((n_queries, k), np.int32)
        distances = np.empty((n_queries, k), np.float32)
        products = np.empty((min(TILE_ROWS, n_queries), min(TILE_COLUMNS, n)), np.float32)
        for top in range(0, n_queries, TILE_ROWS):
            rows = queries[top : top + TILE_ROWS]
            keys = np.empty((len(rows), kept + ROOM), np.uint64)
            counts = np.zeros(len(rows), np.int32)
            thresholds = np.full(len(rows), np.inf, np.float32)
            for left in range(0, n, TILE_COLUMNS):
                columns = self._points[left : left + TILE_COLUMNS]
                tile = products.ravel()[: len(rows) * len(columns)].reshape(len(rows), -1)
                np.matmul(rows, columns.T, out=tile)
                _kernels.topk.offer(
                    tile, self._norms[left : left + len(columns)], left,
                    top if self_join else NO_ROW, kept, keys, counts, thresholds, self.n_threads,
                )  # fmt: skip
            here = slice(top, top + len(rows))
            _kernels.topk.rank(
                rows, self._points, keys, counts, k, indices[here], distances[here],
                self.n_threads,
            )  # fmt: skip
        return indices, self._in_metric(distances)

    def _in_metric(self, distances):
        if self.metric == "cosine":
            return distances**2 / 2
        return distances if self._unit == 1 else distances.astype(np.float64) * self._unit
