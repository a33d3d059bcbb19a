"""The cheapest search that reaches a recall, by a sample of rows with known true neighbours."""

from functools import partial
from typing import NamedTuple

import numpy as np

from fasttsne.nearest_neighbors.builtin.candidates import N_EXTRA_CANDIDATES
from fasttsne.nearest_neighbors.builtin.cells import NEAR_CENTROID
from fasttsne.nearest_neighbors.builtin.packing import TILE_ROWS, pack
from fasttsne.nearest_neighbors.builtin.sample_neighbors import true_neighbors

# Rows whose true neighbours are found: as many as have this many entries, within the bounds.
SAMPLE_ENTRIES = 200_000
SAMPLE_SIZE_RANGE = 500, 1000
# Numbers of candidates to try, as multiples of k.
CANDIDATE_FACTORS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0)
# Reading a row at random to rerank it costs this much more than its share of products.
RERANK_COST = 5.0
# Panels of gathered rows are not all full.
GATHER_COST = 1.2
# All but this share of rows find so many of their neighbours, if a search can reach it.
TAIL_SHARE, TAIL_RECALL = 0.01, 0.8
MAX_COST_OF_TAIL = 4.0  # exact search is used for the tail up to so many times the cost
QUANTILES = 0.01, 0.05, 0.5
# Cells among which the rows of a cell choose.
N_NEAR = 32, 64, 128, 256, 512
# Rows of the sample whose distances to cells are in memory at a time.
CELL_BATCH = 100


class SearchPlan(NamedTuple):
    """The size of a search: ``n_near`` and ``reach`` as of ``Cells.search``, and the candidates.

    recall : the expected share of true neighbours; cost : in products of one column.
    has_tail : whether all but TAIL_SHARE of the rows are expected to reach TAIL_RECALL.
    """

    n_near: int
    reach: float
    n_candidates: int
    recall: float
    cost: float
    has_tail: bool


class RecallSample:
    """Rows with known true neighbours, and the search that is needed to find those."""

    def __init__(self, rows, points, projection, cells, k, generator, n_threads):
        n = rows.n
        self.k = k
        size = int(np.clip(SAMPLE_ENTRIES // rows.n_columns, *SAMPLE_SIZE_RANGE))
        size = min(size, max(n // 40, 200), n)
        self.rows = np.sort(generator.permutation(n)[:size])
        self.true = true_neighbors(rows, points, projection, self.rows, k, n_threads)
        self._distances_to = partial(rows.distances_to, rows.points[self.rows], n_threads=n_threads)
        # Neighbours at equal distances are as good as each other; what is added is rounding.
        self._farthest = self._distances_to(self.true[:, -1:]) * (1 + 1e-12)
        self._n, self._n_columns, self._n_reduced = n, rows.n_columns, points.shape[1]
        self._is_reduced = self._n_columns > self._n_reduced
        max_kept = int(max(CANDIDATE_FACTORS if self._is_reduced else (1.0,)) * k)
        self._max_kept = min(max_kept + N_EXTRA_CANDIDATES, n - 1)
        cells.find_near(max(N_NEAR), self._max_kept, n_threads)
        self._n_cells, self._count_always = cells.n_cells, cells.count_always
        cell = np.empty(n, np.int32)
        cell[cells.order] = np.repeat(np.arange(cells.n_cells, dtype=np.int32), cells.sizes)
        own = points[self.rows] - cells.origin
        self._rank_cells(own, cells, cell)
        self._probe_rank = self._rank_centroids(own, cells, cell)
        # If nothing was reduced, the true neighbours are the nearest points.
        self._point_rank = np.zeros_like(self.true)
        if self._is_reduced:
            self._point_rank = self._rank_points(points, cells, n_threads)

    def _rank_cells(self, points, cells, cell):
        """Find the reach that each sampled row needs for each cell and each true neighbour.

        ``_reaches`` and ``_padded`` are those of the cells near to each row's and their numbers of
        points with padding, nearest first; ``_needed`` and ``_near_rank`` belong to each true
        neighbour's cell, its reach and its number among the near ones, infinite if it has none.
        """
        near = cells.near[cell[self.rows]]
        squares = np.empty(near.shape, np.float32)
        for a in range(0, len(near), CELL_BATCH):
            part = slice(a, a + CELL_BATCH)
            centroids = cells.centroids[near[part]]
            squares[part] = ((points[part, None] - centroids) ** 2).sum(2)
        count = min(NEAR_CENTROID, near.shape[1])
        reference = np.partition(squares, count - 1, axis=1)[:, count - 1 : count]
        self._reaches = squares / np.maximum(reference, np.float32(1e-30))
        self._padded = (TILE_ROWS * np.diff(cells.starts))[near]
        self._needed = np.full(self.true.shape, np.inf)
        self._near_rank = np.full(self.true.shape, near.shape[1])
        rank_of_cell = np.full(cells.n_cells, near.shape[1])
        for r, own in enumerate(near):
            rank_of_cell[own] = np.arange(len(own))
            self._near_rank[r] = rank_of_cell[cell[self.true[r]]]
            rank_of_cell[own] = len(own)
            self._needed[r] = np.append(self._reaches[r], np.inf)[self._near_rank[r]]

    def _rank_centroids(self, points, cells, cell):
        """Return how many centroids are nearer to each row than those of its neighbours' cells."""
        scores = cells.norms - 2 * (points @ cells.centroids.T)
        own = np.take_along_axis(scores, cell[self.true], 1)
        return np.array([np.searchsorted(np.sort(a), b) for a, b in zip(scores, own, strict=True)])

    def _rank_points(self, points, cells, n_threads):
        """Return how many reduced points are nearer to each row than each true neighbour.

        Ranks beyond the largest number of candidates of a plan are not distinguished.
        """
        packed = pack(points[self.rows], n_threads=n_threads)
        count = self._max_kept + 1
        nearest = cells.index_map[cells.nearest_positions(packed, count, n_threads)]
        ranks = np.full(self.true.shape, self._max_kept)
        rank_of_row = np.full(self._n, self._max_kept)
        for r, row in enumerate(self.rows):
            others = nearest[r][nearest[r] != row][: self._max_kept]
            rank_of_row[others] = np.arange(len(others))
            ranks[r] = rank_of_row[self.true[r]]
            rank_of_row[others] = self._max_kept
        return ranks

    def plan(self, recall: float) -> SearchPlan | None:
        """Return the cheapest search that reaches a recall, None if the exact one is cheaper.

        It has the tail, unless no search has it and the exact one costs much more.
        """
        plans = []
        for factor in CANDIDATE_FACTORS if self._is_reduced else (1.0,):
            n_candidates = min(int(factor * self.k) + N_EXTRA_CANDIDATES, self._n - 1)
            is_kept = self._point_rank < n_candidates
            n_always = self._count_always(n_candidates)
            needs = np.where(self._near_rank < n_always, 0, self._needed)
            for n_near in sorted({min(near, self._padded.shape[1]) for near in N_NEAR}):
                needed = np.where(
                    is_kept & (self._near_rank < max(n_near, n_always)), needs, np.inf
                )
                for reach, has_tail in self._reaches_for(needed, recall):
                    is_probed = self._reaches[:, :n_near] <= reach
                    is_probed[:, :n_always] = True
                    compared = (self._padded[:, :n_near] * is_probed).sum(1).mean()
                    cost = (GATHER_COST * compared + n_near) * self._n_reduced
                    cost += RERANK_COST * n_candidates * self._n_columns
                    expected = float((needed <= reach).mean())
                    plans.append(SearchPlan(n_near, reach, n_candidates, expected, cost, has_tail))
        exact = self._n / 2 * self._n_columns
        exact += RERANK_COST * (self.k + N_EXTRA_CANDIDATES) * self._n_columns
        with_tail = min((p for p in plans if p.has_tail), key=_cost, default=None)
        if with_tail is not None:
            return with_tail if with_tail.cost < exact else None
        best = min(plans, key=_cost, default=None)
        return best if best is not None and MAX_COST_OF_TAIL * best.cost < exact else None

    def _reaches_for(self, needed, recall):
        """Yield reaches that have a recall, and whether they have the tail."""
        sorted_needs = np.sort(needed, axis=None)
        reach = sorted_needs[max(int(np.ceil(recall * needed.size)), 1) - 1]
        # Two standard errors of the sample's mean on the safe side.
        found = (needed <= reach).mean(1)
        safe = min(recall + 2 * found.std() / np.sqrt(len(found)), (1 + recall) / 2)
        reach = sorted_needs[max(int(np.ceil(safe * needed.size)), 1) - 1]
        if not np.isfinite(reach):
            return
        yield float(reach), False
        # The reach of most rows for the recall of the tail, one standard error on the safe side.
        limit = min(TAIL_RECALL, recall)
        needs = np.sort(np.sort(needed, axis=1)[:, max(int(np.ceil(limit * self.k)), 1) - 1])
        share = TAIL_SHARE - np.sqrt(TAIL_SHARE * (1 - TAIL_SHARE) / len(needs))
        reach = max(needs[int(np.ceil((1 - share) * len(needs))) - 1], reach)
        if np.isfinite(reach):
            yield float(reach), True

    def count_probes(self, plan: SearchPlan) -> int:
        """Return the number of cells in which a query must search for the recall of a plan."""
        ranks = self._probe_rank[self._point_rank < plan.n_candidates]
        recalls = np.bincount(ranks, minlength=self._n_cells).cumsum() / self.true.size
        return min(int(np.searchsorted(recalls, plan.recall)) + 1, self._n_cells)

    def recalls(self, indices) -> np.ndarray:
        """Return for each sampled row the share of neighbours no farther than the true ones.

        indices : (n, k), the neighbours found; their distances are computed in float64.
        """
        shares: np.ndarray = (self._distances_to(indices[self.rows]) <= self._farthest).mean(1)
        return shares


def _cost(plan):
    return plan.cost
