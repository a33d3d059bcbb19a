"""The cheapest search that reaches a recall, by a sample of rows with known true neighbours."""

from functools import partial
from typing import NamedTuple

import numpy as np

from fasttsne.nearest_neighbors.builtin.candidates import N_EXTRA_CANDIDATES

# Rows whose true neighbours are found: as many as have this many entries, within the bounds.
SAMPLE_ENTRIES = 200_000
SAMPLE_SIZE_RANGE = 500, 2000
# Rows of the sample whose ranks are computed at a time.
RANK_BATCH = 50
# Numbers of candidates to try, as multiples of k.
CANDIDATE_FACTORS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0)
# Reading a row at random to rerank it costs this much more than its share of products.
RERANK_COST = 6.0


class SearchPlan(NamedTuple):
    """The size of a search: blocks compared with each block, candidates of each row.

    recall : the expected share of true neighbours; cost : in products of one column.
    """

    n_blocks: int
    n_candidates: int
    recall: float
    cost: float


class RecallSample:
    """Rows with known true neighbours, and the search that is needed to find those."""

    def __init__(self, rows, points, blocks, k, generator, n_threads):
        n = rows.n
        self.k = k
        size = int(np.clip(SAMPLE_ENTRIES // rows.n_columns, *SAMPLE_SIZE_RANGE))
        size = min(size, max(n // 40, 200), n)
        self.rows = np.sort(generator.permutation(n)[:size])
        self.true, _ = rows.kneighbors_of_rows(self.rows, k, n_threads)
        self._distances_to = partial(rows.distances_to, rows.points[self.rows], n_threads=n_threads)
        # Neighbours at equal distances are as good as each other; what is added is rounding.
        self._farthest = self._distances_to(self.true[:, -1:]) * (1 + 1e-12)
        self._n, self._n_columns, self._n_reduced = n, rows.n_columns, points.shape[1]
        self._n_blocks, self._block_size = blocks.packed.n_blocks, blocks.packed.block_size
        # Every row must be compared with k others, also if its block is the short last one.
        self._min_blocks = min(2 + k // self._block_size, self._n_blocks)
        position = np.empty(n, np.int64)
        position[blocks.order] = np.arange(n)
        block = position // self._block_size
        self._block_rank = self._rank_blocks(blocks, block)
        self._probe_rank = self._rank_centroids(points[self.rows], blocks.centroids, block)
        self._is_reduced = self._n_columns > self._n_reduced
        # If nothing was reduced, the true neighbours are the nearest points.
        self._point_rank = np.zeros_like(self.true)
        if self._is_reduced:
            self._point_rank = self._rank_points(points)

    def _rank_blocks(self, blocks, block):
        """Return the rank of each true neighbour's block for the row's, or the reverse if lower."""
        rank = _inverse_permutations(blocks.nearest)
        a, b = block[self.rows][:, None], block[self.true]
        return np.minimum(rank[a, b], rank[b, a])

    def _rank_centroids(self, points, centroids, block):
        """Return how many centroids are nearer to each row than those of its neighbours' blocks."""
        scores = (centroids**2).sum(1) - 2 * (points @ centroids.T)
        ranks = _inverse_permutations(np.argsort(scores, axis=1, kind="stable"))
        return np.take_along_axis(ranks, block[self.true], 1)

    def _rank_points(self, points):
        """Return how many reduced points are nearer to each row than each true neighbour."""
        ranks = np.empty(self.true.shape, np.int64)
        norms = np.einsum("ij,ij->i", points, points)
        # Ranks beyond the largest number of candidates of a plan are not distinguished.
        max_rank = min(int(max(CANDIDATE_FACTORS) * self.k) + N_EXTRA_CANDIDATES, self._n - 1)
        for start in range(0, len(self.rows), RANK_BATCH):
            rows = self.rows[start : start + RANK_BATCH]
            true = self.true[start : start + RANK_BATCH].astype(np.int64)
            scores = norms - 2 * (points[rows] @ points.T)
            scores[np.arange(len(rows)), rows] = np.inf
            true_scores = np.take_along_axis(scores, true, 1)
            scores.partition(max_rank, axis=1)
            scores = np.sort(scores[:, :max_rank], axis=1)
            for r in range(len(rows)):
                ranks[start + r] = np.searchsorted(scores[r], true_scores[r])
        return ranks

    def plan(self, recall: float) -> SearchPlan | None:
        """Return the cheapest search that reaches a recall, None if the exact one is cheaper."""
        best = None
        for factor in CANDIDATE_FACTORS if self._is_reduced else (1.0,):
            n_candidates = int(factor * self.k) + N_EXTRA_CANDIDATES
            is_kept = self._point_rank < n_candidates
            counts = np.bincount(self._block_rank[is_kept], minlength=self._n_blocks)
            recalls = counts.cumsum() / self.true.size
            if recalls[-1] < recall:
                continue
            # Two standard errors of the sample's mean on the safe side.
            n_blocks = int(np.searchsorted(recalls, recall)) + 1
            found = (is_kept & (self._block_rank < n_blocks)).mean(1)
            needed = min(recall + 2 * found.std() / np.sqrt(len(found)), (1 + recall) / 2)
            if recalls[-1] < needed:
                continue
            n_blocks = max(int(np.searchsorted(recalls, needed)) + 1, self._min_blocks)
            cost = n_blocks * self._block_size * self._n_reduced
            cost += RERANK_COST * n_candidates * self._n_columns
            if best is None or cost < best.cost:
                best = SearchPlan(n_blocks, n_candidates, float(recalls[n_blocks - 1]), cost)
        exact = self._n / 2 * self._n_columns
        exact += RERANK_COST * (self.k + N_EXTRA_CANDIDATES) * self._n_columns
        return best if best is not None and best.cost < exact else None

    def count_probes(self, plan: SearchPlan) -> int:
        """Return the number of blocks in which a query must search for the recall of a plan."""
        ranks = self._probe_rank[self._point_rank < plan.n_candidates]
        recalls = np.bincount(ranks, minlength=self._n_blocks).cumsum() / self.true.size
        return min(int(np.searchsorted(recalls, plan.recall)) + 1, self._n_blocks)

    def recall(self, indices) -> float:
        """Return the share of a result's neighbours that are no farther than the true ones.

        indices : (n, k), the neighbours found; their distances are computed in float64.
        """
        return float((self._distances_to(indices[self.rows]) <= self._farthest).mean())


def _inverse_permutations(order):
    """Return the position of each column in each row of an array of permutations."""
    positions = np.empty_like(order)
    np.put_along_axis(positions, order, np.arange(order.shape[1], dtype=order.dtype)[None], 1)
    return positions
