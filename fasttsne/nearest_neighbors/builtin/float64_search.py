"""Neighbours of the few rows whose neighbours float32 could not tell.

Rows are taken in groups around a center, which becomes the origin.  Where few of the points are as
near to it as their neighbours, float32 tells those apart, since its errors shrink with the distance
from the origin; else products in float64 do.  Points that the bound of the products' error does not
exclude are compared by their distances themselves.
"""

import numpy as np

from fasttsne import _kernels
from fasttsne.linalg.products import preallocate_blas_buffers
from fasttsne.nearest_neighbors.builtin.error_bounds import FLOAT64_UNIT, error_bounds

# Scores in memory at a time, and rows at least.
BLOCK_ENTRIES = 2**22
MIN_BLOCK_ROWS = 8
# Rows of a group are no farther from its center than so many times the distance of the center's
# k-th neighbour: products then tell apart what differs by a hundredth of that, in 1000 columns.
FLOAT32_RADIUS, FLOAT64_RADIUS = 1e2, 1e5
# Float32 is used for so many rows at least, and up to this share of the points.
MIN_FLOAT32_ROWS = 32
MAX_FLOAT32_SHARE = 0.7
# Larger distances are written as this, as the kernels do.
MAX_DISTANCE = 3.4e38


class Float64Search:
    """Replaces neighbours in arrays of indices and distances.

    Parameters
    ----------
    rows : the prepared rows.
    queries : m rows as from ``rows.prepare``.
    self_indices : (m,) the row that each query is, which is not its own neighbour, or None.
    indices, distances : (m, k) arrays to write to.
    """

    def __init__(self, rows, queries, self_indices, indices, distances, n_threads: int):
        preallocate_blas_buffers()
        self._rows, self._queries, self._self_indices = rows, queries, self_indices
        self._indices, self._distances, self._n_threads = indices, distances, n_threads
        self._k = indices.shape[1]
        self._bounds = error_bounds(rows.n_columns, np.inf, False, rows.unit, rounding=FLOAT64_UNIT)

    def run(self, undecided: np.ndarray) -> None:
        """Find the neighbours of queries, (any,) indices."""
        step = max(BLOCK_ENTRIES // self._rows.n, MIN_BLOCK_ROWS)
        with np.errstate(all="ignore"):
            while len(undecided):
                center, others = undecided[:1], undecided[1:]
                self._search(center, center)
                kth = float(self._distances[center[0], -1])
                r = self._distances_from(center, self._queries[others])
                group = others[r <= FLOAT32_RADIUS * kth]
                if not self._search_around(center, group):
                    group = others[r <= FLOAT64_RADIUS * kth]
                    for a in range(0, len(group), step):
                        self._search(center, group[a : a + step])
                undecided = np.setdiff1d(others, group, assume_unique=True)

    def _distances_from(self, center, points):
        """Return the distances of points from the center, (points,) float64."""
        out, n = np.empty(len(points)), len(points)
        _kernels.exact_order.pair_distances(
            self._queries[center].exact_rows(),
            points.exact_rows(),
            np.zeros(n, np.int32),
            np.arange(n, dtype=np.int32),
            out,
            self._n_threads,
        )
        return out / self._rows.unit

    def _search_around(self, center, group):
        """Search in float32 among the points near the center; return whether that is worth it."""
        rows = self._rows
        if len(group) < MIN_FLOAT32_ROWS or rows.around is None:
            return False
        queries = self._queries[group]
        kth = rows.distances_to(queries, self._indices[group], self._n_threads).max(1)
        kth /= rows.unit
        reach = float((self._distances_from(center, queries) + kth).max()) * (1 + 1e-9)
        near = np.flatnonzero(self._distances_from(center, rows.points) <= reach)
        if len(near) > MAX_FLOAT32_SHARE * rows.n:
            return False
        some, own = rows.around(self._queries[center], reach * rows.unit, near), None
        if self._self_indices is not None:
            own = np.searchsorted(near, self._self_indices[group])
        found, _ = some.kneighbors(some.moved(queries), self._k, self._n_threads, own)
        self._indices[group] = near[found]
        # Distances around this center would depend on which rows are in the group.
        distances = rows.distances_to(queries, self._indices[group], self._n_threads) / rows.unit
        self._distances[group] = np.minimum(distances, MAX_DISTANCE)
        return True

    def _search(self, center, block):
        queries, n_rows = self._queries[block], np.arange(len(block))
        scores, sizes = self._rows.float64_scores(queries, self._queries[center])
        if self._self_indices is not None:
            scores[n_rows, self._self_indices[block]] = np.inf
        kth = self._bound_of_kth(np.partition(scores, self._k - 1, axis=1)[:, self._k - 1], sizes)
        limits = _kernels.exact_order.limits(sizes, kth, self._bounds)
        # Numbers that overflow say nothing: no point is excluded by them.
        is_candidate = ~(scores >= np.where(np.isfinite(limits), limits, np.nan)[:, None])
        if self._self_indices is not None:
            is_candidate[n_rows, self._self_indices[block]] = False
        rows, points = np.nonzero(is_candidate)
        starts = np.searchsorted(rows, np.arange(len(block) + 1)).astype(np.int64)
        indices = np.empty((len(block), self._k), np.int32)
        distances = np.empty((len(block), self._k), np.float32)
        _kernels.exact_order.nearest_of_lists(
            queries.exact_rows(),
            self._rows.exact_rows,
            starts,
            points.astype(np.int32),
            np.empty(len(points)),
            self._rows.unit,
            indices,
            distances,
            self._n_threads,
        )
        self._indices[block], self._distances[block] = indices, distances

    def _bound_of_kth(self, scores, sizes):
        """Return an upper bound of the distance of which this is the k-th smallest score."""
        distances = np.sqrt(np.maximum(scores + sizes**2, 0))
        return distances + 2 * np.sqrt(self._bounds[0]) * (2 * sizes + distances)
