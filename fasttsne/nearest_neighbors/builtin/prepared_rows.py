"""Prepared rows: points whose Euclidean distances determine the metric, and their neighbours.

The search is exact: candidates come from products in float32 and are ordered by differences in
float32; what the bounds of their errors leave open is decided by distances in float64.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from fasttsne import _kernels
from fasttsne.linalg import scaling
from fasttsne.nearest_neighbors.builtin.candidates import N_EXTRA_CANDIDATES, Candidates
from fasttsne.nearest_neighbors.builtin.float64_search import Float64Search
from fasttsne.nearest_neighbors.builtin.metrics import METRICS, to_metric
from fasttsne.runtime import memory
from fasttsne.runtime.progress import stage
from fasttsne.runtime.validation import check_choice

# Rows farther out than this may have been moved nearer: see ``scaling.clip_far_rows``.
FAR_DISTANCE = 0.1 * scaling.MAX_ROW_SIZE
# Length of a row, divided by its largest entry and centered, that is only rounding.
CONSTANT_ROW_NORM = 1e-14
# Whole numbers up to this squared length have scores that float32 holds without rounding.
MAX_GRID_NORM = 2.0**22
# Queries for which candidates are in memory at a time.
QUERY_BATCH_SIZE = 20_000


class PreparedRows:
    """What the prepared rows of an array and of a sparse matrix have in common.

    Both also have ``prepare`` (new rows, in the coordinates of ``points``), ``reduce`` (the first
    principal components), ``project`` (those of new rows; no row depends on another),
    ``to_dense`` and ``search_costs``.
    """

    points: Any
    unit = 1.0  # by which points were divided
    _bounds: np.ndarray  # of errors, as from ``error_bounds``
    _on_grid: Callable  # whether points are whole numbers within ``MAX_GRID_NORM``
    _rerank: Callable  # the kernel that finds the nearest among candidates
    # Compares queries with all points, a stage of them; returns the queries' lengths.
    _compare: Callable
    copied_lengths: Callable  # lengths of prepared rows, for the rounding of float32 copies
    around: Callable | None = None  # some of the rows with another origin
    float64_scores: Callable  # scores of all points for queries, and the queries' lengths

    def __init__(self, data, metric: str):
        self.metric = check_choice(metric, "metric", METRICS)
        self.n, self.n_columns = data.shape

    def to_metric(self, distances: np.ndarray) -> np.ndarray:
        """Convert Euclidean distances of points to the metric."""
        return to_metric(distances, self.metric, self.unit)

    @cached_property
    def _is_on_grid(self) -> bool:
        return self._on_grid(self.points)

    @cached_property
    def exact_rows(self):
        """The points as the kernel for float64 distances reads them."""
        return self.points.exact_rows()

    def rerank_queries(
        self,
        queries,
        candidates: Candidates,
        rows,
        index_map,
        k: int,
        n_threads: int,
        sizes=None,
        out=None,
    ):
        """Return the k candidates nearest to queries, prepared, by exact distance.

        Parameters
        ----------
        rows : (m,) the query of each row of the candidates.
        index_map : (n,) the point of each index among the candidates.
        sizes : (m,) lengths of the queries where they were compared; None where
            ``undecided`` is not read: then they only bound the rounding of copies.
        out : indices and distances, of which the queries in ``rows`` are written, or None.

        Returns
        -------
        indices, distances : (m, k) int32 and float32 arrays, nearest first.
        undecided : (m,) whether a point that is not a candidate may be nearer.
        """
        m = len(queries)
        indices, distances = out or (np.empty((m, k), np.int32), np.empty((m, k), np.float32))
        rows, undecided = rows.astype(np.int32), np.empty(m, np.uint8)
        self._rerank(
            queries,
            rows,
            np.asarray(index_map, np.int32),
            candidates.keys,
            candidates.counts,
            candidates.thresholds,
            candidates.n_kept,
            k,
            indices,
            distances,
            n_threads,
        )
        if self._is_exact(queries):
            return indices, distances, np.zeros(m, bool)
        if sizes is None:
            sizes = self.copied_lengths(queries)
        _kernels.exact_order.order_candidates(
            self.exact_rows if queries is self.points else queries.exact_rows(),
            self.exact_rows,
            rows,
            candidates.keys,
            candidates.counts,
            candidates.thresholds,
            sizes,
            self._bounds_for(queries),
            candidates.n_kept,
            k,
            indices,
            distances,
            undecided,
            n_threads,
        )
        return indices, distances, undecided.view(bool)

    def self_kneighbors(self, k: int, n_threads: int):
        """Return the k nearest other rows of each row."""
        name = "comparing all rows"
        return self.kneighbors(self.points, k, n_threads, np.arange(self.n), name)

    def kneighbors_of_rows(self, rows: np.ndarray, k: int, n_threads: int):
        """Return the k nearest other rows of some rows, (rows,) indices."""
        return self.kneighbors(self.points[rows], k, n_threads, rows, "neighbours of a sample")

    def kneighbors(self, queries, k: int, n_threads: int, self_indices=None, name: str = "search"):
        """Return the k rows nearest to each query.

        Parameters
        ----------
        queries : m rows as from ``prepare``.
        self_indices : (m,) integers, the row that each query is, which is not its own neighbour.
        name : of the stage, for those who show progress.
        """
        m = len(queries)
        indices = memory.allocate((m, k), np.int32, "the table of neighbours")
        distances = memory.allocate((m, k), np.float32, "the table of their distances")
        n_kept = min(k + N_EXTRA_CANDIDATES + (self_indices is not None), self.n)
        with stage(name, m) as progress:
            for a in range(0, m, QUERY_BATCH_SIZE):
                part = slice(a, a + QUERY_BATCH_SIZE)
                batch = queries[part]
                own = None if self_indices is None else self_indices[part]
                candidates = Candidates(len(batch), n_kept)
                sizes = self._compare(batch, candidates, n_threads, progress)
                if own is not None:
                    candidates.remove(own.astype(np.int32))
                indices[part], distances[part] = self._nearest(
                    batch, candidates, sizes, k, n_threads, own
                )
        return indices, distances

    def _bounds_for(self, queries) -> np.ndarray:
        return self._bounds

    def _is_exact(self, queries) -> bool:
        """Return whether all scores and distances are whole numbers that float32 can hold."""
        if queries is self.points:
            return self._is_on_grid
        return self._is_on_grid and self._on_grid(queries)

    def _nearest(self, queries, candidates, sizes, k, n_threads, self_indices):
        """Return the k nearest of all points: among the candidates, or found in float64."""
        rows = np.arange(len(queries))
        indices, distances, undecided = self.rerank_queries(
            queries, candidates, rows, np.arange(self.n), k, n_threads, sizes
        )
        if undecided.any():
            search = Float64Search(self, queries, self_indices, indices, distances, n_threads)
            search.run(np.flatnonzero(undecided))
        return indices, distances

    def distances_to(self, queries, others: np.ndarray, n_threads: int) -> np.ndarray:
        """Return float64 distances of queries, prepared, to points, (m, k) indices.

        They are in the unit of the rows' source: not divided by ``unit``.
        """
        m, k = others.shape
        out = np.empty(m * k)
        _kernels.exact_order.pair_distances(
            queries.exact_rows(),
            self.exact_rows,
            np.repeat(np.arange(m, dtype=np.int32), k),
            others.astype(np.int32).ravel(),
            out,
            n_threads,
        )
        return out.reshape(m, k)


def lengths(squares: np.ndarray) -> np.ndarray:
    """Return the lengths of prepared rows; infinite for those that were moved nearer."""
    result = np.sqrt(squares.astype(np.float64))
    result[result > FAR_DISTANCE] = np.inf
    return result
