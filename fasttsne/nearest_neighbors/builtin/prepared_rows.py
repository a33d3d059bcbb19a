"""Prepared rows: points whose Euclidean distances determine the metric, and their neighbours."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fasttsne.linalg import pca
from fasttsne.nearest_neighbors.builtin.candidates import N_EXTRA_CANDIDATES, Candidates
from fasttsne.nearest_neighbors.builtin.metrics import METRICS, to_metric
from fasttsne.runtime.validation import check_choice

# Queries for which candidates are in memory at a time.
QUERY_BATCH_SIZE = 20_000


class PreparedRows:
    """What the prepared rows of an array and of a sparse matrix have in common.

    Both also have ``prepare`` (new rows, in the coordinates of ``points``), ``project`` (their
    principal components; no row depends on another) and ``to_dense``.
    """

    points: Any
    _unit = 1.0  # by which points were divided
    _rerank: Callable  # the kernel that finds the nearest among candidates
    _comparison: Callable  # returns a function that compares queries with all points

    def __init__(self, data, metric: str):
        self.metric = check_choice(metric, "metric", METRICS)
        self.n, self.n_columns = data.shape

    def to_metric(self, distances: np.ndarray) -> np.ndarray:
        """Convert Euclidean distances of points to the metric."""
        return to_metric(distances, self.metric, self._unit)

    def reduce(self, rank: int, generator, n_threads: int):
        """Return the first principal components, (n, rank) float32, and their projection.

        They are estimated from a sample of rows; see :class:`fasttsne.linalg.pca.Projection`.
        """
        return pca.approximate_components(self.points, rank, generator, n_threads)

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
        self._rerank(
            queries, rows.astype(np.int32), index_map.astype(np.int32), candidates.keys,
            candidates.counts, candidates.n_kept, k, indices, distances, n_threads,
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
        return self.kneighbors(self.points, k, n_threads, np.arange(self.n))

    def kneighbors_of_rows(self, rows: np.ndarray, k: int, n_threads: int):
        """Return the k nearest other rows of some rows, (rows,) indices."""
        return self.kneighbors(self.points[rows], k, n_threads, rows)

    def kneighbors(self, queries, k: int, n_threads: int, self_indices=None):
        """Return the k rows nearest to each query.

        Parameters
        ----------
        queries : m rows as from ``prepare``.
        self_indices : (m,) integers, the row that each query is, which is not its own neighbour.
        """
        compare, all_rows, results = self._comparison(n_threads), np.arange(self.n), []
        n_kept = min(k + N_EXTRA_CANDIDATES + (self_indices is not None), self.n)
        for a in range(0, len(queries), QUERY_BATCH_SIZE):
            batch = queries[a : a + QUERY_BATCH_SIZE]
            candidates = Candidates(len(batch), n_kept)
            compare(batch, candidates)
            if self_indices is not None:
                candidates.remove(self_indices[a : a + len(batch)].astype(np.int32))
            rows = np.arange(len(batch))
            results.append(self.rerank_queries(batch, candidates, rows, all_rows, k, n_threads))
        return tuple(np.concatenate(parts) for parts in zip(*results, strict=True))
