"""Rows as the products kernels want them: a metric that is Euclidean in disguise, safe units."""

import numpy as np

from fasttsne._validation import check_choice

# Metrics whose neighbours are the Euclidean neighbours of rows prepared in some way.
METRICS = ("euclidean", "l2", "sqeuclidean", "cosine", "correlation")

# Squares of float32 numbers beyond these overflow, or vanish.
SAFE = 1e-10, 1e10
# Rows converted at a time: temporaries stay small beside the data.
CHUNK = 4096


class EuclideanRows:
    """The rows of a data set as float32 points whose Euclidean distance gives the metric.

    Points are centred (Euclidean) or of length one (cosine, correlation), which
    keeps the squared norms small and the products accurate.

    Attributes
    ----------
    points : (n, columns) float32 array.
    """

    def __init__(self, data: np.ndarray, metric: str):
        self.metric = check_choice(metric, "metric", METRICS)
        self._unit = 1.0
        self._mean = 0.0
        if not self._is_angular():
            mean = data.mean(0, dtype=np.float64)
            if not np.isfinite(mean).all():
                mean = (data / data.shape[0]).sum(0)
            self._mean = mean
            largest = max(
                float(np.abs(data[a : a + CHUNK] - mean).max()) for a in range(0, len(data), CHUNK)
            )
            if largest > 0 and not SAFE[0] < largest < SAFE[1]:
                self._unit = largest
        self.points = self.prepare(data)

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Other rows in the same way, (rows, columns) float32."""
        out = np.empty(X.shape, np.float32)
        for a in range(0, len(X), CHUNK):
            rows = X[a : a + CHUNK].astype(np.float64)
            if self._is_angular():
                if self.metric == "correlation":
                    rows -= rows.mean(1, keepdims=True)
                largest = np.abs(rows).max(1, keepdims=True)
                rows /= np.where(largest > 0, largest, 1)
                norms = np.linalg.norm(rows, axis=1, keepdims=True)
                rows /= np.where(norms > 0, norms, 1)
            else:
                rows -= self._mean
                rows /= self._unit
            out[a : a + CHUNK] = rows
        return out

    def in_metric(self, distances: np.ndarray) -> np.ndarray:
        """Distances of the metric from Euclidean distances of points."""
        if self._is_angular():
            return distances**2 / 2
        if self._unit != 1:
            distances = distances.astype(np.float64) * self._unit
        return distances**2 if self.metric == "sqeuclidean" else distances

    def _is_angular(self):
        return self.metric in ("cosine", "correlation")
