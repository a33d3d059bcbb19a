"""The cheapest search that reaches a recall, by a sample of rows with known true neighbours.

Queries of new rows, too, are searched in the cells nearest to them: the number of cells and
candidates follows from the sample.  Cells and result of a query do not depend on other queries.
"""

from collections.abc import Iterator, Mapping
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from fasttsne import _kernels
from fasttsne.linalg.pca import Projection
from fasttsne.linalg.rows import RowSource, RowTable, Table, as_rows, iter_chunks
from fasttsne.nearest_neighbors.builtin.candidates import (
    N_EXTRA_CANDIDATES,
    PANEL_ROWS,
    TILE_ROWS,
    Candidates,
    PackedRows,
    capacity,
    pack,
)
from fasttsne.nearest_neighbors.builtin.cells import (
    MAX_FAR,
    NEAR_CENTROID,
    REFERENCE_CELLS,
    RESOLUTION,
    Bound,
    CellStore,
    CellTable,
    SearchPlan,
    pack_cells,
)
from fasttsne.nearest_neighbors.builtin.prepared_rows import (
    QUERY_BATCH_SIZE,
    RESIDUAL_COSINE,
    Neighbors,
    P,
    PreparedRows,
    score_norms,
)
from fasttsne.nearest_neighbors.builtin.rows import RowsToSearch, reduce_queries
from fasttsne.runtime.typing import RandomGenerator

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
# Cells in which the rows of a cell may search at first.
N_NEAR = 32, 64, 128, 256, 512
# Pull and width of a bound, for each of which the reach is found.
SHAPES = (0.25, 0.0), (0.5, 0.1), (1.0, 0.25)
# The reach that suffices for cells in which all rows search, in units of distances.
ANY_REACH = -1e6
# How full the lists of candidates are while rows search, of their room beyond the best: with 0.75
# the expected recall is what is found, within half a hundredth.
LIST_FILL = 0.75
# Numbers of differences between rows and centroids in memory at a time.
MAX_DIFFERENCES = 2**22
# Rows that are looked at for each neighbour.  Of MNIST's 70,000 images, 500 for 90 neighbours
# suffice for three of four, 1,000 for 97 %.
BOUNDED_PER_NEIGHBOR = 11
# What products of coordinates, and reading rows at random, cost in products of columns: rows of
# 200 columns do not pay.
COORDINATE_COST, READ_COST = 2.0, 6.0
# Relative error of the bounds: single precision loses half of its digits in residuals.
BOUND_ERROR = 2e-3
# Of the cells that are stored for queries.
ARRAYS = "index_map", "starts", "sizes", "centres", "origin"


class RecallSample:
    """Rows with known true neighbours, and the search that is needed to find those."""

    def __init__(
        self,
        rows: RowsToSearch[Table],
        points: RowTable,
        projection: Projection | None,
        store: CellStore[Table],
        k: int,
        generator: RandomGenerator,
        n_threads: int,
    ):
        n = rows.n
        self.k = k
        size = int(np.clip(SAMPLE_ENTRIES // rows.n_columns, *SAMPLE_SIZE_RANGE))
        size = min(size, max(n // 40, 200), n)
        self.rows = np.sort(generator.permutation(n)[:size])
        self.true = true_neighbors(rows, points, projection, self.rows, k, n_threads)
        self._distances_to = rows.distances_from(self.rows, n_threads)
        # Neighbours at equal distances are as good as each other; what is added is rounding.
        self._farthest = self._distances_to(self.true[:, -1:]) * (1 + 1e-12)
        self._n, self._n_reduced = n, points.shape[1]
        self._is_reduced = rows.n_columns > self._n_reduced
        distance_cost, self._exact_cost = rows.search_costs()
        self._rerank_cost = RERANK_COST * distance_cost
        self._factors = CANDIDATE_FACTORS if self._is_reduced else (1.0,)
        self._max_kept = self._count_candidates(max(self._factors))
        cells, coordinates = store.table, as_rows(points)
        cells.find_near(self._max_kept, n_threads)
        self._n_cells = cells.n_cells
        cell = np.empty(n, np.int32)
        cell[cells.order] = np.repeat(np.arange(cells.n_cells, dtype=np.int32), cells.sizes)
        own = coordinates.take(self.rows) - cells.origin
        self._rank_cells(own, cells, cell, n_threads)
        self._probe_rank = self._rank_centroids(own, cells, cell)
        self._squares = np.einsum("ij,ij->i", own, own, dtype=np.float64)
        self._rank_points(coordinates, own, store, n_threads)
        # As many equal rows are in each other's cells.
        is_equal = self._farthest[:, 0] == 0
        self._near_rank[is_equal] = self._point_rank[is_equal] = 0

    def _count_candidates(self, factor: float) -> int:
        return min(int(factor * self.k) + N_EXTRA_CANDIDATES, self._n - 1)

    def _rank_cells(
        self, points: np.ndarray, cells: CellTable, cell: np.ndarray, n_threads: int
    ) -> None:
        """Find the distances of each sampled row from the cells near to its own, nearest first.

        With their radii, numbers of points with padding, and of rows before each.  Each row's
        reference is its distance from the ``NEAR_CENTROID``-th nearest centroid; ``_near_rank`` is
        the place of each true neighbour's cell, or the number of cells.
        """
        known, which = np.unique(cell[self.rows], return_inverse=True)
        near = cells.nearest(known, min(MAX_FAR, cells.n_cells), n_threads)[which]
        self._distances = np.empty(near.shape, np.float32)
        step = max(MAX_DIFFERENCES // (near.shape[1] * points.shape[1]), 1)
        for a in range(0, len(near), step):
            part = slice(a, a + step)
            differences = points[part, None] - cells.centroids[near[part]]
            self._distances[part] = np.sqrt(np.einsum("ijk,ijk->ij", differences, differences))
        count = min(NEAR_CENTROID, near.shape[1])
        first = self._distances[:, :REFERENCE_CELLS]
        reference = np.partition(first, count - 1, axis=1)[:, count - 1 : count]
        self._reference = np.maximum(reference, np.float32(1e-15))
        self._radii = cells.radii[near]
        self._own = self._distances[:, 0].copy()
        ends = cells.centroids[near[:, [min(n, near.shape[1]) - 1 for n in N_NEAR]]]
        ends -= cells.centroids[near[:, :1]]
        self._ends = np.linalg.norm(ends, axis=2).astype(np.float64)
        self._padded = (TILE_ROWS * np.diff(cells.starts)).astype(np.float32)[near]
        sizes = cells.sizes[near]
        self._rows_before = sizes.cumsum(1) - sizes
        self._near_rank = np.full(self.true.shape, near.shape[1])
        rank_of_cell = np.full(cells.n_cells, near.shape[1])
        for r, own in enumerate(near):
            rank_of_cell[own] = np.arange(len(own))
            self._near_rank[r] = rank_of_cell[cell[self.true[r]]]
            rank_of_cell[own] = near.shape[1]

    def _rank_centroids(self, points: np.ndarray, cells: CellTable, cell: np.ndarray) -> np.ndarray:
        """Return how many centroids are nearer to each row than those of its neighbours' cells."""
        scores = cells.norms - 2 * (points @ cells.centroids.T)
        own = np.take_along_axis(scores, cell[self.true], 1)
        return np.array([np.searchsorted(np.sort(a), b) for a, b in zip(scores, own, strict=True)])

    def _rank_points(
        self, points: RowSource, own: np.ndarray, cells: CellStore[Table], n_threads: int
    ) -> None:
        """Find the ranks of true neighbours among candidates, and how far the last of these are.

        ``_last_distances``, (rows, numbers of candidates to try), are those while rows search:
        lists grow between truncations.
        """
        numbers = np.array([self._count_candidates(factor) for factor in self._factors])
        ranks = (1 - LIST_FILL) * numbers + LIST_FILL * capacity(numbers)
        if self._is_reduced:
            self._point_rank, distances = self._rank_reduced(points, own, cells, numbers, n_threads)
            self._last_distances = distances * self._growth(ranks / numbers)
            return
        # The true neighbours are the nearest points.
        self._point_rank = np.zeros_like(self.true)
        differences = own - (points.take(self.true[:, -1]) - cells.table.origin).astype(np.float64)
        distances = np.linalg.norm(differences, axis=1)[:, None]
        self._last_distances = distances * self._growth(ranks / self.k)

    def _rank_reduced(
        self,
        points: RowSource,
        own: np.ndarray,
        cells: CellStore[Table],
        numbers: np.ndarray,
        n_threads: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how many reduced points are nearer to each row than each true neighbour.

        Ranks beyond the largest number of candidates are not distinguished.  Also return the
        reduced distances of the last candidate, for each of the numbers.
        """
        packed = pack(points.take(self.rows), n_threads=n_threads)
        places, norms = cells.nearest_positions(packed, self._max_kept + 1, n_threads)
        nearest = cells.table.index_map[places]
        ranks = np.full(self.true.shape, self._max_kept)
        rank_of_row = np.full(self._n, self._max_kept)
        last = np.empty((len(own), len(numbers)), np.int64)
        last_norms = np.empty(last.shape, norms.dtype)
        for r, row in enumerate(self.rows):
            is_other = nearest[r] != row
            others = nearest[r][is_other][: self._max_kept]
            rank_of_row[others] = np.arange(len(others))
            ranks[r] = rank_of_row[self.true[r]]
            rank_of_row[others] = self._max_kept
            last[r], last_norms[r] = others[numbers - 1], norms[r][is_other][numbers - 1]
        coordinates = points.take(last.ravel()).reshape(*last.shape, -1) - cells.table.origin
        distances = np.empty(last.shape)
        for r in range(len(own)):
            squares = self._squares[r] + last_norms[r] - 2 * (coordinates[r] @ own[r])
            distances[r] = np.sqrt(np.maximum(squares, 0))
        return ranks, distances

    def _growth(self, factors: np.ndarray) -> np.ndarray:
        """Return by what the distance grows to neighbours whose rank is larger by factors."""
        half = self._distances_to(self.true[:, (self.k - 1) // 2][:, None])
        dimension = np.log(np.maximum(self._farthest, 1e-300) / np.maximum(half, 1e-300))
        dimension /= np.log(self.k / ((self.k - 1) // 2 + 1)) if self.k > 1 else 1
        growth: np.ndarray = factors ** np.clip(dimension, 0, 1)
        return growth

    def plan(self, recall: float) -> SearchPlan | None:
        """Return the cheapest search that reaches a recall, None if the exact one is cheaper.

        It has the tail, unless no search has it and the exact one costs much more.
        """
        plans: list[SearchPlan] = []
        for i, factor in enumerate(self._factors):
            n_candidates = self._count_candidates(factor)
            # More candidates cost more.
            cheapest = min((p.cost for p in plans if p.has_tail), default=np.inf)
            if self._rerank_cost * n_candidates > cheapest:
                break
            if (self._point_rank < n_candidates).mean() >= recall:
                for shape in SHAPES:
                    plans.extend(
                        self._plans_of(recall, n_candidates, self._last_distances[:, i], *shape)
                    )
        exact = self._exact_cost + self._rerank_cost * (self.k + N_EXTRA_CANDIDATES)
        with_tail = min((p for p in plans if p.has_tail), key=attrgetter("cost"), default=None)
        if with_tail is not None:
            return with_tail if with_tail.cost < exact else None
        best = min(plans, key=attrgetter("cost"), default=None)
        return best if best is not None and MAX_COST_OF_TAIL * best.cost < exact else None

    def _plans_of(
        self, recall: float, n_candidates: int, distances: np.ndarray, pull: float, width: float
    ) -> Iterator[SearchPlan]:
        """Yield plans that reach a recall, with and without its tail, for one shape of the bound.

        distances : of the last candidate of each row.
        """
        reaches = self._reaches(n_candidates, distances, pull, width)
        n_cells = reaches.shape[1]
        without = np.full((len(reaches), 1), np.inf, np.float32)
        all_needed = np.take_along_axis(np.hstack([reaches, without]), self._near_rank, 1)
        all_needed[self._point_rank >= n_candidates] = np.inf
        for n_near, ends in zip(N_NEAR, self._ends.T, strict=True):
            n_near = min(n_near, n_cells)
            # The reach with which a row goes on.
            sides = np.sqrt(np.maximum(ends**2 - self._own**2, 0))
            to_go_on = ((sides - pull * distances) / self._reference[:, 0]).astype(np.float32)
            needed = np.where(
                self._near_rank < n_near, all_needed, np.maximum(all_needed, to_go_on[:, None])
            )
            for reach, has_tail in self._reaches_for(needed, recall):
                cost = self._cost_of_cells(reaches <= reach, n_near, to_go_on <= reach)
                yield SearchPlan(
                    n_near,
                    n_cells,
                    Bound(reach, pull, width),
                    n_candidates,
                    float((needed <= reach).mean()),
                    cost + self._rerank_cost * n_candidates,
                    has_tail,
                )
            if n_near == n_cells:
                return

    def _reaches(
        self, n_candidates: int, distances: np.ndarray, pull: float, width: float
    ) -> np.ndarray:
        """Return the reach that each row needs for each cell near to it, (rows, cells)."""
        limits = pull * distances[:, None].astype(np.float32) + np.float32(width) * self._radii
        reaches: np.ndarray = (self._distances - limits) / self._reference
        # Candidates that float32 does not tell from the row itself end the search.
        reaches[RESOLUTION * distances**2 <= self._squares] = np.inf
        reaches[self._rows_before < capacity(n_candidates)] = ANY_REACH
        return reaches

    def _cost_of_cells(self, is_probed: np.ndarray, n_near: int, goes_on: np.ndarray) -> float:
        """Return the cost of choosing cells and comparing with their points, for a row."""
        compared = (self._padded[:, :n_near] * is_probed[:, :n_near]).sum()
        compared += (self._padded[goes_on, n_near:] * is_probed[goes_on, n_near:]).sum()
        n_chosen_from = n_near + goes_on.mean() * (is_probed.shape[1] - n_near)
        return float((GATHER_COST * compared / len(is_probed) + n_chosen_from) * self._n_reduced)

    def _reaches_for(self, needed: np.ndarray, recall: float) -> Iterator[tuple[float, bool]]:
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

    def recalls(self, indices: RowTable) -> np.ndarray:
        """Return for each sampled row the share of neighbours no farther than the true ones.

        indices : (n, k), the neighbours found; their distances are computed in float64.
        """
        shares: np.ndarray = (self._distances_to(indices[self.rows]) <= self._farthest).mean(1)
        return shares


def true_neighbors(
    rows: RowsToSearch[Table],
    points: RowTable,
    projection: Projection | None,
    sample: np.ndarray,
    k: int,
    n_threads: int,
) -> np.ndarray:
    """Return the k nearest other rows of each row of a sample, (m, k), nearest first.

    Projection shortens no distance less than the residuals' lengths differ: two rows with scores S
    and residuals of lengths r are at least sqrt(|S_i - S_j|^2 + (r_i - r_j)^2) apart.  So the rows
    that are nearest by that bound hold the true neighbours, where the last of them is farther by it
    than the k-th neighbour found among them is in truth.  The other rows are compared with all, and
    so are all where bounds do not pay, or rows are on workers, each of which compares its own.

    Parameters
    ----------
    rows : prepared rows; points : (n, columns), they or their reduced coordinates.
    projection : from rows to points, or None where they are the same.
    sample : (m,) indices.
    """
    n_bounded = BOUNDED_PER_NEIGHBOR * k
    is_bounded = (
        projection is not None and projection.max_residual > 0 and pays(rows, points, n_bounded)
    )
    if not (is_bounded and isinstance(points, np.ndarray) and isinstance(rows, PreparedRows)):
        return rows.kneighbors_of_rows(sample, k, n_threads)[0]
    assert projection is not None
    queries, own = rows.points[sample], _bounding_coordinates(points[sample])
    nearest = Candidates(len(sample), n_bounded)
    packed = pack(own, n_threads=n_threads)
    for first, part in iter_chunks(points):
        others = pack(_bounding_coordinates(part), n_threads=n_threads)
        nearest.compare_all(packed, others, first, n_threads)
    nearest.remove(sample.astype(np.int32))
    indices: np.ndarray = rows.rerank_queries(
        queries, nearest, np.arange(len(sample)), np.arange(len(points)), k, n_threads
    )[0]
    # Scores are squared distances less the row's own square; no other row has a lower one.
    squares = np.einsum("ij,ij->i", own, own, dtype=np.float64)
    bounds = np.sqrt(np.maximum(nearest.thresholds[: len(sample)] + squares, 0))
    farthest = rows.distances_to(queries, indices[:, -1:], n_threads)[:, 0]
    farthest /= projection.scale * rows.unit
    error = BOUND_ERROR * (np.sqrt(squares) + farthest)
    is_open = np.flatnonzero(~(bounds > farthest + error))
    if len(is_open):
        indices[is_open] = rows.kneighbors_of_rows(sample[is_open], k, n_threads)[0]
    return indices


def pays(rows: RowsToSearch[Table], points: RowTable, n_bounded: int) -> bool:
    """Return whether bounds in the reduced space are cheaper than comparing with all rows."""
    saved = rows.n * (rows.n_columns - COORDINATE_COST * points.shape[1])
    return saved > READ_COST * n_bounded * rows.n_columns


def _bounding_coordinates(points: np.ndarray) -> np.ndarray:
    """Return scores and residuals of reduced points, whose distances are the bounds."""
    result = points.copy()
    result[:, -1] /= np.float32(RESIDUAL_COSINE**0.5)
    return result


class Probes:
    """The cells of a search, stored for queries.

    Parameters
    ----------
    arrays : ``ARRAYS``: three of the cells' table, their centroids, and the (columns,) float32 that
        rows are packed around.
    projection : from rows to reduced ones, or None if rows are not reduced.
    n_probed : cells in which a query is searched, for up to ``k`` neighbours.
    kept : candidates for each neighbour that is requested.
    k : neighbours of the search.
    """

    index_map: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    centres: np.ndarray  # indexes are pickled: names stay
    origin: np.ndarray

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        projection: Projection | None,
        n_probed: int,
        kept: float,
        k: int,
    ):
        self._packed: PackedRows | None = None  # until the first query that memory is free
        vars(self).update({name: arrays[name] for name in ARRAYS})
        self.projection, self.n_probed, self.kept, self.k = projection, n_probed, kept, k

    @staticmethod
    def arrays_of(cells: CellTable, origin: np.ndarray) -> dict[str, np.ndarray]:
        """Return the arrays of the cells of a search."""
        values = cells.index_map, cells.starts, cells.sizes, cells.centroids, origin
        return dict(zip(ARRAYS, values, strict=True))

    def to_arrays(self) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return numbers, as JSON can express them, and arrays, for a file."""
        numbers = {"n_probed": int(self.n_probed), "kept": float(self.kept), "k": int(self.k)}
        arrays = {name: vars(self)[name] for name in ARRAYS}
        if self.projection is not None:
            origin, directions, scale, max_residual = self.projection
            numbers |= {"scale": float(scale), "max_residual": float(max_residual)}
            arrays |= {"projection_origin": origin, "projection_directions": directions}
        return numbers, arrays

    @classmethod
    def from_arrays(
        cls, numbers: Mapping[str, float], arrays: Mapping[str, np.ndarray], shape: tuple[int, int]
    ) -> "Probes":
        """Return the probes of the rows of a data set, (n, columns), from those.

        Raises
        ------
        ValueError
            Where kernels would read outside of an array.
        """
        n_columns, projection = shape[1], None
        if "scale" in numbers:
            directions = arrays["projection_directions"]
            projection = Projection(
                arrays["projection_origin"], directions, numbers["scale"], numbers["max_residual"]
            )
            _check(projection.origin, np.float32, (n_columns,))
            _check(directions, np.float32, (n_columns, directions.shape[-1]))
            n_columns = directions.shape[1] + (numbers["max_residual"] > 0)
        n_probed, kept, k = (numbers[name] for name in ("n_probed", "kept", "k"))
        result = cls(arrays, projection, int(n_probed), kept, int(k))
        n_positions = TILE_ROWS * int(result.starts[-1])
        n_cells = len(result.sizes)
        _check(result.starts, np.int32, (n_cells + 1,))
        _check(result.sizes, result.sizes.dtype, (n_cells,))
        _check(result.index_map, np.int32, (n_positions,))
        _check(result.centres, np.float32, (n_cells, n_columns))
        _check(result.origin, np.float32, (n_columns,))
        room = TILE_ROWS * np.diff(result.starts)
        if result.starts[0] != 0 or not ((result.sizes > 0) & (result.sizes <= room)).all():
            raise ValueError("the cells of the search overlap")
        if not 0 <= result.index_map.min() <= result.index_map.max() < shape[0]:
            raise ValueError(f"the cells have rows that are not from 0 to {shape[0] - 1}")
        return result

    def query(self, rows: PreparedRows[P], queries: P, k: int, n_threads: int) -> Neighbors:
        """Return the k nearest to each query: indices and distances, (m, k), nearest first.

        Parameters
        ----------
        rows, queries : the prepared rows of the data, and new rows that they prepared.
        """
        results = [
            self._search(rows, queries[a : a + QUERY_BATCH_SIZE], k, n_threads)
            for a in range(0, len(queries), QUERY_BATCH_SIZE)
        ]
        indices, distances = zip(*results, strict=True)
        return np.concatenate(indices), np.concatenate(distances)

    def _search(self, rows: PreparedRows[P], queries: P, k: int, n_threads: int) -> Neighbors:
        packed = self._packed_rows(rows, n_threads)
        n = len(rows.points)
        n_kept = min(int(self.kept * k) + N_EXTRA_CANDIDATES, n)
        n_probed = -(-self.n_probed * max(k, self.k) // self.k)
        # Enough candidates even if the smallest cells are probed.
        least = int(np.searchsorted(np.sort(self.sizes).cumsum(), n_kept)) + 1
        n_probed = min(max(n_probed, least), len(self.sizes))
        reduced = reduce_queries(rows, queries, self.projection, n_threads)
        probed = self._nearest_cells(reduced, n_probed, n_threads)
        # Queries of a panel that are searched in the same cell share the products.
        order = np.argsort(probed[:, 0], kind="stable")
        candidates = Candidates(len(reduced), n_kept)
        _kernels.knn_dense.search_probed(
            pack(reduced, order, self.origin, n_threads).panels,
            packed.panels,
            packed.norms,
            self.starts,
            *_by_panel(probed[order], len(self.sizes)),
            *candidates.lists,
            n_threads,
        )
        return rows.rerank_queries(queries, candidates, order, self.index_map, k, n_threads)[:2]

    def _packed_rows(self, rows: PreparedRows[P], n_threads: int) -> PackedRows:
        if self._packed is None:
            points = reduce_queries(rows, rows.points, self.projection, n_threads)
            self._packed = pack_cells(
                points,
                self.index_map,
                self.starts,
                self.sizes,
                self.origin,
                n_threads,
                score_norms(points, self.projection),
            )
        return self._packed

    def _nearest_cells(self, reduced: np.ndarray, n_probed: int, n_threads: int) -> np.ndarray:
        """Return the cells with the nearest centroids, (m, n_probed), nearest first."""
        best = Candidates(len(reduced), n_probed)
        packed = pack(reduced, origin=self.origin, n_threads=n_threads)
        best.compare_all(packed, pack(self.centres), 0, n_threads)
        return best.top(n_probed)


def _check(array: np.ndarray, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"an array of the search is {array.dtype} of shape {array.shape}")


def _by_panel(probed: np.ndarray, n_cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each panel of rows the cells that any of them probes, and which rows do.

    Returns
    -------
    starts : (panels + 1,) int64, of each panel in the next two.
    cells, masks : int32, a cell and the bits of the rows that probe it.
    """
    m, n_probed = probed.shape
    row = np.repeat(np.arange(m), n_probed)
    code = row // PANEL_ROWS * n_cells + probed.ravel()
    order = np.argsort(code, kind="stable")
    code = code[order]
    first = np.flatnonzero(np.r_[True, code[1:] != code[:-1]])
    masks = np.bitwise_or.reduceat(1 << (row % PANEL_ROWS)[order], first)
    panel, cells = np.divmod(code[first], n_cells)
    starts = np.searchsorted(panel, np.arange(-(-m // PANEL_ROWS) + 1))
    return starts.astype(np.int64), cells.astype(np.int32), masks.astype(np.int32)
