"""Exact neighbours: products of all rows with all others, or a blocked loop for any metric."""

import numpy as np
from scipy.spatial.distance import cdist

from fasttsne.nearest_neighbors.base import KNNIndex
from fasttsne.nearest_neighbors.candidates import Candidates, all_pairs, pack
from fasttsne.nearest_neighbors.rows import METRICS, EuclideanRows

# Candidates beyond k: rounding of the products may swap neighbours near the k-th.
SPARE = 16
# Above this many rows each row is met twice, a batch of rows at a time, which
# needs candidates for the batch only.
BOTH_WAYS_UP_TO = 200_000
BATCH = 20_000
# Distances computed at a time by the blocked loop.
LOOP_ENTRIES = 2**22

OTHER_METRICS = (
    "manhattan", "l1", "cityblock", "chebyshev", "minkowski", "canberra", "braycurtis",
    "hamming", "jaccard", "dice", "rogerstanimoto", "russellrao", "sokalsneath", "yule",
    "seuclidean", "mahalanobis", "jensenshannon",
)  # fmt: skip
SCIPY_NAMES = {"manhattan": "cityblock", "l1": "cityblock"}
BOOLEAN_METRICS = ("jaccard", "dice", "rogerstanimoto", "russellrao", "sokalsneath", "yule")


class Exact(KNNIndex):
    """The true neighbours, at the price of looking at all pairs.

    Euclidean, cosine and correlation: float32 products choose candidates, whose
    distances are computed again from differences, so equal rows are at distance
    0.  Other metrics of SciPy, and any callable f(u, v), by a blocked loop.
    Ties fall to the smaller row number.  Memory: one float32 copy of the data and
    one packed for the kernel, and candidates of 8 bytes.
    """

    VALID_METRICS = METRICS + OTHER_METRICS

    def check_metric(self, metric):
        return metric if callable(metric) else super().check_metric(metric)

    def _build(self):
        if self.metric not in METRICS:
            return self._loop(self.data, self.k, self_join=True)
        rows = EuclideanRows(self.data, self.metric)
        kept = min(self.k + SPARE, self.n_samples - 1)
        packed = pack(rows.points)
        if self.n_samples > BOTH_WAYS_UP_TO:
            indices, distances = self._batches(rows.points, rows.points, packed, self.k, True)
        else:
            candidates = Candidates(self.n_samples, kept)
            candidates.offer_pairs(packed, all_pairs(packed.n_blocks), self.n_threads)
            indices, distances = candidates.nearest(
                rows.points, rows.points, self.k, self.n_threads
            )
        return indices, rows.in_metric(distances)

    def _query(self, X, k):
        if self.metric not in METRICS:
            return self._loop(X, k, self_join=False)
        rows = EuclideanRows(self.data, self.metric)
        queries = rows.prepare(X)
        indices, distances = self._batches(queries, rows.points, pack(rows.points), k, False)
        return indices, rows.in_metric(distances)

    def _batches(self, queries, points, packed, k, self_join):
        """One way, a batch of rows at a time; a row's own number is dropped in the end."""
        found = []
        for a in range(0, len(queries), BATCH):
            rows = queries[a : a + BATCH]
            candidates = Candidates(len(rows), min(k + SPARE + self_join, len(points)))
            candidates.offer_all(pack(rows), packed, self.n_threads)
            if self_join:
                candidates.drop(np.arange(a, a + len(rows), dtype=np.int32))
            found.append(candidates.nearest(rows, points, k, self.n_threads))
        return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))

    def _loop(self, X, k, self_join):
        """Distances of a block of rows to all others at a time, by SciPy or the callable."""
        data = self.data
        params = dict(self.metric_params or {})
        metric = SCIPY_NAMES.get(self.metric, self.metric) if isinstance(self.metric, str) else (
            self.metric
        )  # fmt: skip
        if metric in BOOLEAN_METRICS:
            X, data = X != 0, data != 0
        if metric == "seuclidean":
            params.setdefault("V", np.var(data, axis=0, ddof=1, dtype=np.float64))
        if metric == "mahalanobis" and "VI" not in params:
            params["VI"] = np.linalg.pinv(np.atleast_2d(np.cov(data.T)))
        indices = np.empty((len(X), k), np.int32)
        distances = np.empty((len(X), k))
        step = max(LOOP_ENTRIES // self.n_samples, 1)
        for a in range(0, len(X), step):
            block = cdist(X[a : a + step], data, metric, **params)
            block[np.isnan(block)] = np.inf
            if self_join:
                own = np.arange(len(block))
                block[own, a + own] = np.inf
            found = _smallest(block, k)
            indices[a : a + step] = found
            distances[a : a + step] = np.take_along_axis(block, found, 1)
        return indices, distances


def _smallest(block, k):
    """Columns of the k smallest of each row, in order, ties by number."""
    if k < block.shape[1]:
        # The partition may choose among ties at the k-th as it likes: take all of them.
        kth = np.partition(block, k - 1, axis=1)[:, k - 1 : k]
        out = np.empty((len(block), k), np.int32)
        for row, (values, limit) in enumerate(zip(block, kth, strict=True)):
            near = np.flatnonzero(values <= limit)
            out[row] = near[np.argsort(values[near], kind="stable")[:k]]
        return out
    return np.argsort(block, axis=1, kind="stable").astype(np.int32)
