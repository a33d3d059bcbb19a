"""Approximate neighbours with a recall that is measured: near blocks in few dimensions.

Rows are projected to their first principal components where they have many
columns, sorted into cells by k-means, and cut into blocks.  A block meets the
blocks that are nearest to it, by the kernel that serves the exact search; the
best candidates of each row are ranked by their exact distance.

How many blocks, and how many candidates, a sample of rows tells whose true
neighbours are known: the cheapest choice that finds the asked share of them.
The same sample then measures the result, and the search widens until the share
is there.  Where that would cost as much as the exact search, it is the exact search.

Queries look into the same blocks, by ``probes.py``.
"""

from typing import NamedTuple

import numpy as np

from fasttsne.linalg.products import wake_blas
from fasttsne.nearest_neighbors.builtin.candidates import SPARE, Candidates, pack
from fasttsne.nearest_neighbors.builtin.probes import Probes
from fasttsne.nearest_neighbors.builtin.rows import METRICS, KeepsRows, as_rows
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.runtime.validation import check_number, check_random_state
from fasttsne.utils import log

RECALL = 0.95
# Principal components that candidates are chosen in.
DIMENSIONS = 64
# Rows whose true neighbours are looked up: more where rows are short, and it costs little.
SAMPLE = 500, 2000
SAMPLE_ENTRIES = 200_000
# Rows of a cell, about; rows for each cell that k-means is trained on, and its rounds.
CELL_ROWS = 250
TRAINING_ROWS = 20
KMEANS_ROUNDS = 5
MOST_CELLS = 8192
# More are sought within the cells of a coarse division, whose number is the root of theirs: to
# compare each row with all centres would take time with the square of the rows.
CELLS_AT_ONCE = 512
# Where a block ends in another cell than it began in, its centre is near neither.  So blocks are
# as near as the nearest of so many parts of them.
PARTS = 4
# Distances to all others are computed for so many blocks at once.
BLOCKS_AT_ONCE = 64
# Candidates to try, as multiples of k.
CANDIDATE_FACTORS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0)
# A random read of a row for its exact distance costs this much more than its share of products.
RANK_COST = 6.0
# Searches, each wider than the last, before the exact one.
ATTEMPTS = 3
# Fewer rows than this are searched exactly: there is nothing to gain.
EXACT_UP_TO = 3000


class Plan(NamedTuple):
    """How wide to search: blocks that each block meets, candidates kept for each row."""

    blocks: int
    kept: int
    recall: float
    cost: float


class Approx(KeepsRows, KNNIndex):
    """Neighbours of which the asked share are the true ones.

    ``knn_kwargs``: ``recall`` (0.95), the share of true neighbours to find.

    Attributes
    ----------
    recall_ : the share that was found for a sample of rows; 1.0 where the search was exact.
    """

    VALID_METRICS = METRICS
    ACCEPTS_SPARSE = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        unknown = set(self.knn_kwargs) - {"recall"}
        if unknown:
            raise TypeError(f"unknown knn_kwargs {sorted(unknown)}; accepted is 'recall'")
        self.recall = check_number(self.knn_kwargs.get("recall", RECALL), "recall", low=0, high=1)
        self.recall_ = None
        self._probes = None

    def _build(self):
        rows = as_rows(self.data, self.metric)
        found = self._probes = None
        if self.n_samples > EXACT_UP_TO and self.recall < 1:
            found = self._search(rows, check_random_state(self.random_state))
        if found is None:
            self.recall_ = 1.0
            found = rows.join(self.k, self.n_threads)
        indices, distances = found
        return indices, rows.in_metric(distances)

    def _search(self, rows, generator):
        """The neighbours, or None where the exact search costs less."""
        reduced, projection = _reduced(rows, generator)
        blocks = _Blocks(reduced, generator, self.n_threads)
        sample = _Sample(rows, reduced, blocks, self.k, generator, self.n_threads)
        wanted = self.recall
        for _ in range(ATTEMPTS):
            plan = sample.plan(wanted)
            if plan is None:
                return None
            candidates = blocks.search(plan.blocks, plan.kept, self.n_threads)
            indices, distances = rows.rank(candidates, blocks.order, self.k, self.n_threads)
            self.recall_ = sample.recall(distances)
            log.info(
                "each of %d blocks met %d, %d candidates a row: recall %.4f",
                blocks.packed.n_blocks, plan.blocks, plan.kept, self.recall_,
            )  # fmt: skip
            if self.recall_ >= self.recall:
                n_probed = sample.blocks_to_probe(plan)
                self._probes = Probes(blocks, projection, n_probed, plan.kept / self.k, self.k)
                return indices, distances
            wanted = wanted + (1 - wanted) / 2
        return None

    def _query(self, X, k):
        rows = self.rows
        queries = rows.prepare(X)
        if self._probes is None:
            indices, distances = rows.nearest_to(queries, k, self.n_threads)
        else:
            indices, distances = self._probes.query(rows, queries, k, self.n_threads)
        return indices, rows.in_metric(distances)


def _reduced(rows, generator):
    """The first principal components of rows with many columns, and their projection.

    Else the rows, dense float32, and None.
    """
    if rows.n_columns > DIMENSIONS * 3 // 2:
        return rows.reduced(DIMENSIONS, generator)
    return rows.dense(), None


class _Blocks:
    """Rows in the order of their cells, cut into blocks, each of which knows the others' nearness.

    Attributes
    ----------
    order : (n,) row at each place.
    packed : the reduced rows in that order.
    centres : (blocks, columns) means of the blocks.
    nearest : (blocks, blocks) all blocks for each, itself first, then by their distance.
    """

    def __init__(self, reduced, generator, n_threads):
        wake_blas()
        self.order = _order_by_cell(reduced, generator, n_threads)
        self.packed = pack(reduced, self.order, n_threads=n_threads)
        edges = np.arange(0, self.packed.n, self.packed.block // PARTS)
        sums = np.add.reduceat(reduced[self.order].astype(np.float64), edges)
        counts = np.diff(np.append(edges, self.packed.n))[:, None]
        self.nearest = _by_nearest_parts(sums / counts, self.packed.n_blocks)
        firsts = np.arange(0, len(edges), PARTS)
        self.centres = np.add.reduceat(sums, firsts) / np.add.reduceat(counts, firsts)

    def search(self, n_nearest: int, kept: int, n_threads: int) -> Candidates:
        """Candidates of each row from the nearest blocks; rows are numbered by their place."""
        n = self.packed.n
        candidates = Candidates(n, min(kept, n - 1))
        candidates.offer_pairs(self.packed, self._pairs(n_nearest), n_threads)
        return candidates

    def _pairs(self, n_nearest):
        """Each block with its nearest, once, near before far; (pairs, 2) int32."""
        near = self.nearest[:, :n_nearest]
        a = np.repeat(np.arange(len(near), dtype=np.int32), near.shape[1])
        rank = np.tile(np.arange(near.shape[1]), len(near))
        b = near.ravel()
        low, high = np.minimum(a, b), np.maximum(a, b)
        by_rank = np.argsort(rank, kind="stable")
        code = (low.astype(np.int64) * len(near) + high)[by_rank]
        _, first = np.unique(code, return_index=True)
        chosen = by_rank[np.sort(first)]
        return np.stack([low[chosen], high[chosen]], axis=1)


def _by_nearest_parts(parts, n_blocks):
    """All blocks for each, itself first, then by the distance of their nearest parts; int32."""
    # The last block may have fewer parts: what is repeated does not change the nearest.
    parts = np.concatenate([parts, parts[-1:].repeat(n_blocks * PARTS - len(parts), axis=0)])
    square = (parts**2).sum(1)
    # First parts of all blocks, second parts, and so on: the minimum is then along memory.
    by_part = np.arange(len(parts)).reshape(-1, PARTS).T.ravel()
    others, square_of_others = parts[by_part], square[by_part]
    nearest = np.empty((n_blocks, n_blocks), np.int32)
    for start in range(0, n_blocks, BLOCKS_AT_ONCE):
        own = slice(start * PARTS, (start + BLOCKS_AT_ONCE) * PARTS)
        distance = -2 * parts[own] @ others.T
        distance += square[own, None]
        distance += square_of_others
        distance = distance.reshape(-1, PARTS * PARTS, n_blocks).min(1)
        np.fill_diagonal(distance[:, start:], -np.inf)
        nearest[start : start + BLOCKS_AT_ONCE] = np.argsort(distance, axis=1, kind="stable")
    return nearest


class _Sample:
    """Rows whose true neighbours are known, and what it would take to find them."""

    def __init__(self, rows, reduced, blocks, k, generator, n_threads):
        n = rows.n
        self.k = k
        size = int(np.clip(SAMPLE_ENTRIES // rows.n_columns, *SAMPLE))
        size = min(size, max(n // 40, 200), n)
        self.rows = np.sort(generator.permutation(n)[:size])
        self.true, distances = rows.sample_nearest(self.rows, k, n_threads)
        self._farthest = distances[:, -1:] * (1 + 1e-5)
        place = np.empty(n, np.int64)
        place[blocks.order] = np.arange(n)
        block = place // blocks.packed.block
        self._block_rank = self._ranks_of_blocks(blocks, block)
        self._probe_rank = _ranks_of_centres(reduced[self.rows], blocks.centres, block[self.true])
        self._n_blocks = blocks.packed.n_blocks
        self._is_reduced = rows.n_columns > reduced.shape[1]
        # Where nothing was reduced, the true neighbours are the nearest.
        self._point_rank = (
            self._ranks_of_points(reduced) if self._is_reduced else np.zeros_like(self.true)
        )
        self._block = blocks.packed.block
        # Every row must meet k others, also where a block is the short last one.
        self._least_blocks = min(2 + k // self._block, self._n_blocks)
        self._depth = reduced.shape[1]
        self._columns = rows.n_columns
        self._n = n

    def _ranks_of_blocks(self, blocks, block):
        """How near the block of each true neighbour is to that of its row, as either counts it."""
        rank = np.empty_like(blocks.nearest)
        np.put_along_axis(
            rank, blocks.nearest, np.arange(rank.shape[1], dtype=np.int32)[None, :], 1
        )
        own, theirs = block[self.rows][:, None], block[self.true]
        return np.minimum(rank[own, theirs], rank[theirs, own])

    def _ranks_of_points(self, reduced):
        """How many points are nearer than each true neighbour in the reduced dimensions."""
        ranks = np.empty(self.true.shape, np.int64)
        norms = np.einsum("ij,ij->i", reduced, reduced)
        # Ranks beyond the most candidates that a plan may keep need not be told apart.
        most = min(int(max(CANDIDATE_FACTORS) * self.k) + SPARE, len(reduced) - 1)
        for start in range(0, len(self.rows), 50):
            rows = self.rows[start : start + 50]
            scores = norms - 2 * (reduced[rows] @ reduced.T)
            scores[np.arange(len(rows)), rows] = np.inf
            true = np.take_along_axis(scores, self.true[start : start + 50].astype(np.int64), 1)
            scores.partition(most, axis=1)
            scores = np.sort(scores[:, :most], axis=1)
            for r in range(len(rows)):
                ranks[start + r] = np.searchsorted(scores[r], true[r])
        return ranks

    def plan(self, recall: float) -> Plan | None:
        """The cheapest search that finds the share of true neighbours; None if the exact one is."""
        best = None
        for factor in CANDIDATE_FACTORS if self._is_reduced else (1.0,):
            kept = int(factor * self.k) + SPARE
            is_kept = self._point_rank < kept
            counts = np.bincount(self._block_rank[is_kept], minlength=self._n_blocks)
            counts = counts.cumsum() / self.true.size
            if counts[-1] < recall:
                continue
            # Two standard errors of the sample's mean on the safe side.
            blocks = int(np.searchsorted(counts, recall)) + 1
            share = (is_kept & (self._block_rank < blocks)).mean(1)
            needed = min(recall + 2 * share.std() / np.sqrt(len(share)), (1 + recall) / 2)
            if counts[-1] < needed:
                continue
            blocks = max(int(np.searchsorted(counts, needed)) + 1, self._least_blocks)
            cost = blocks * self._block * self._depth + RANK_COST * kept * self._columns
            if best is None or cost < best.cost:
                best = Plan(blocks, kept, float(counts[blocks - 1]), cost)
        exact = self._n / 2 * self._columns + RANK_COST * (self.k + SPARE) * self._columns
        return best if best is not None and best.cost < exact else None

    def blocks_to_probe(self, plan: Plan) -> int:
        """How many blocks a row alone must look into for the recall of a plan."""
        found = self._probe_rank[self._point_rank < plan.kept]
        counts = np.bincount(found, minlength=self._n_blocks).cumsum() / self.true.size
        return min(int(np.searchsorted(counts, plan.recall)) + 1, self._n_blocks)

    def recall(self, distances) -> float:
        """The share of a result's neighbours that are no farther than the true ones."""
        return float((distances[self.rows] <= self._farthest).mean())


def _ranks_of_centres(rows, centres, block):
    """How many centres are nearer to each row than those of the blocks, (rows, any)."""
    scores = (centres**2).sum(1) - 2 * (rows @ centres.T)
    order = np.argsort(scores, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None, :], 1)
    return np.take_along_axis(ranks, block, 1)


def _order_by_cell(reduced, generator, n_threads):
    """Rows sorted by cell, cells along the chain of nearest centres."""
    n_cells = _count_cells(reduced)
    if n_cells <= CELLS_AT_ONCE:
        return np.concatenate(_cells(reduced, n_cells, generator, n_threads))
    order = []
    for rows in _cells(reduced, round(n_cells**0.5), generator, n_threads):
        part = reduced[rows]
        fine = _cells(part, _count_cells(part), generator, n_threads)
        order.extend(rows[members] for members in fine)
    return np.concatenate(order)


def _count_cells(points):
    """How many cells so many points are worth."""
    return int(np.clip(len(points) // CELL_ROWS, 1, MOST_CELLS))


def _cells(reduced, n_cells, generator, n_threads):
    """The rows of each cell of a division by k-means, neighbouring cells one after the other."""
    n = len(reduced)
    training = reduced[np.sort(generator.permutation(n)[: n_cells * TRAINING_ROWS])]
    centres = training[:: max(len(training) // n_cells, 1)][:n_cells].copy()
    for _ in range(KMEANS_ROUNDS):
        cell = _nearest_centre(training, centres, n_threads)
        counts = np.bincount(cell, minlength=len(centres))
        by_cell = np.argsort(cell, kind="stable")
        filled = np.flatnonzero(counts)
        starts = np.cumsum(counts)[filled] - counts[filled]
        sums = np.add.reduceat(training[by_cell].astype(np.float64), starts)
        centres[filled] = sums / counts[filled, None]
    place = _chain(centres)[_nearest_centre(reduced, centres, n_threads)]
    ends = np.cumsum(np.bincount(place, minlength=len(centres)))
    cells = np.split(np.argsort(place, kind="stable"), ends[:-1])
    return [rows for rows in cells if len(rows)]


def _nearest_centre(points, centres, n_threads):
    packed_centres = pack(np.ascontiguousarray(centres, np.float32))
    out = np.empty(len(points), np.int64)
    step = 100_000
    for a in range(0, len(points), step):
        rows = points[a : a + step]
        best = Candidates(len(rows), 1)
        best.offer_all(pack(rows, n_threads=n_threads), packed_centres, 0, n_threads)
        out[a : a + step] = best.first()
    return out


def _chain(centres):
    """The place of each centre on a path that goes from one to the nearest not yet visited."""
    centres = centres.astype(np.float64)
    left = np.ones(len(centres), bool)
    place = np.empty(len(centres), np.int64)
    current = int(np.argmin(centres[:, 0]))
    for position in range(len(centres)):
        place[current] = position
        left[current] = False
        distance = ((centres - centres[current]) ** 2).sum(1)
        distance[~left] = np.inf
        current = int(np.argmin(distance))
    return place
