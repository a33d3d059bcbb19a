"""Prepared rows: points whose Euclidean distances determine the metric, and their neighbours.

The search is exact: candidates come from products in float32 and are ordered by differences in
float32; what the bounds of their errors leave open is decided by distances in float64.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sized
from functools import cached_property, partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from fasttsne import _kernels
from fasttsne.linalg.pca import Projection
from fasttsne.linalg.products import preallocate_blas_buffers
from fasttsne.linalg.robust import MAX_ROW_SIZE
from fasttsne.linalg.rows import RowTable
from fasttsne.nearest_neighbors.builtin.candidates import N_EXTRA_CANDIDATES, Candidates, PackedRows
from fasttsne.nearest_neighbors.builtin.cells import Cells, CellStore, SearchPlan
from fasttsne.nearest_neighbors.builtin.metrics import METRICS, to_metric
from fasttsne.runtime import memory
from fasttsne.runtime.progress import Progress, stage
from fasttsne.runtime.rows import is_memmapped
from fasttsne.runtime.typing import Matrix, RandomGenerator
from fasttsne.runtime.validation import check_choice

# Rows farther out than this may have been moved nearer: see ``robust.clip_far_rows``.
FAR_DISTANCE = 0.1 * MAX_ROW_SIZE
# Length of a row, divided by its largest entry and centered, that is only rounding.
CONSTANT_ROW_NORM = 1e-14
# Whole numbers up to this squared length have scores that float32 holds without rounding.
MAX_GRID_NORM = 2.0**22
# Queries for which candidates are in memory at a time.
QUERY_BATCH_SIZE = 20_000
# The cosine of the angle between what two rows lose (``rows.py``): on MNIST 0.3 to 0.45 need the
# fewest candidates, within one in a hundred.
RESIDUAL_COSINE = 0.35
# Numbers of a page of memory, and of what is taken from the system at a time.
PAGE_NUMBERS, PIECE_NUMBERS = 1024, 2**24
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
FLOAT32_UNIT, FLOAT64_UNIT = 2.0**-24, 2.0**-53
# What rounds the bounds themselves up.
SLACK = 1.01
# Columns that are summed side by side where a distance is computed from float32 differences.
DIFFERENCE_LANES = 16
S = TypeVar("S")


class Points(Sized, Protocol):
    """Prepared rows."""

    @property
    def source(self) -> Matrix:
        """The rows of which they were made."""

    def exact_rows(self) -> object:
        """Return the rows as the kernel for float64 distances reads them."""

    def __getitem__(self: S, rows: np.ndarray | slice, /) -> S: ...


P = TypeVar("P", bound=Points)
Neighbors = tuple[np.ndarray, np.ndarray]


class PreparedRows(ABC, Generic[P]):
    """What the prepared rows of an array and of a sparse matrix have in common."""

    points: P
    unit = 1.0  # by which points were divided
    origin: np.ndarray
    can_move = False  # whether rows can be prepared around another origin
    _bounds: np.ndarray  # of errors, as from ``error_bounds``

    def __init__(self, shape: tuple[int, int], metric: str):
        self.metric = check_choice(metric, "metric", METRICS)
        self.n, self.n_columns = shape

    @abstractmethod
    def prepare(self, X: Matrix) -> P:
        """Return new rows, in the coordinates of ``points``."""

    @property
    @abstractmethod
    def values(self) -> Matrix:
        """The coordinates, of which principal components are computed."""

    @abstractmethod
    def to_dense(self, points: P) -> np.ndarray:
        """Return prepared rows as an array."""

    @abstractmethod
    def project(self, queries: P, projection: Projection, n_threads: int) -> np.ndarray:
        """Return the principal components of prepared rows; no row depends on another."""

    @abstractmethod
    def squared_lengths(self, queries: P, origin: np.ndarray) -> np.ndarray:
        """Return the squared lengths of prepared rows less an origin, (m,)."""

    @abstractmethod
    def search_costs(self) -> tuple[float, float]:
        """Return the costs of a distance and of comparing a row with all, in products."""

    @abstractmethod
    def float64_scores(self, queries: P, center: P) -> Neighbors:
        """Return the scores of all points for queries, in float64, and the queries' lengths.

        center : one row, which may be the origin.
        """

    @abstractmethod
    def copied_lengths(self, queries: P) -> np.ndarray:
        """Return the lengths of rows that were rounded, else 1, which angular rows have."""

    def around(self, center: P, reach: float, indices: np.ndarray) -> "PreparedRows[P]":
        """Return some rows, by index, within reach of one that becomes the origin if they can move.

        reach : in the unit of the source.
        """
        return self

    def coordinates(self) -> np.ndarray:
        """Return the coordinates of all rows as an array."""
        return self.to_dense(self.points)

    def moved(self, points: P) -> P:
        """Return points of other rows as prepared by these."""
        return points

    @abstractmethod
    def _on_grid(self, points: P) -> bool:
        """Return whether points are whole numbers within ``MAX_GRID_NORM``."""

    @abstractmethod
    def _compare(
        self, queries: P, candidates: Candidates, n_threads: int, progress: Progress
    ) -> np.ndarray:
        """Compare queries with all points; return the queries' lengths."""

    @abstractmethod
    def _rerank(self, queries: P, *arguments: object) -> None:
        """Find the nearest among candidates, by a kernel."""

    def to_metric(self, distances: np.ndarray) -> np.ndarray:
        """Convert Euclidean distances of points to the metric."""
        return to_metric(distances, self.metric, self.unit)

    def partition(
        self,
        points: RowTable,
        origin: np.ndarray,
        projection: Projection | None,
        generator: RandomGenerator,
        n_threads: int,
    ) -> "LocalCells[P]":
        """Return the cells of the rows, whose coordinates, maybe reduced, are points."""
        assert isinstance(points, np.ndarray)
        norms = score_norms(points, projection)
        return LocalCells(self, Cells.partition(points, origin, generator, n_threads, norms))

    @cached_property
    def is_on_grid(self) -> bool:
        """Whether all points are whole and small: then float32 says all."""
        return self._on_grid(self.points)

    @cached_property
    def exact_rows(self) -> object:
        """The points as the kernel for float64 distances reads them."""
        return self.points.exact_rows()

    def rerank_queries(
        self,
        queries: P,
        candidates: Candidates,
        rows: np.ndarray,
        index_map: np.ndarray,
        k: int,
        n_threads: int,
        sizes: np.ndarray | None = None,
        out: Neighbors | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
        n_kept, *lists = candidates.lists
        found = n_kept, k, indices, distances
        self._rerank(queries, rows, np.asarray(index_map, np.int32), *lists, *found, n_threads)
        if self._is_exact(queries):
            return indices, distances, np.zeros(m, bool)
        if sizes is None:
            sizes = self.copied_lengths(queries)
        _kernels.exact_order.order_candidates(
            self.exact_rows if queries is self.points else queries.exact_rows(),
            self.exact_rows,
            rows,
            *lists,
            sizes,
            self._bounds_for(queries),
            *found,
            undecided,
            n_threads,
        )
        return indices, distances, undecided.view(bool)

    def self_kneighbors(self, k: int, n_threads: int) -> Neighbors:
        """Return the k nearest other rows of each row."""
        name = "comparing all rows"
        return self.kneighbors(self.points, k, n_threads, np.arange(self.n), name)

    def kneighbors_of_rows(self, rows: np.ndarray, k: int, n_threads: int) -> Neighbors:
        """Return the k nearest other rows of some rows, (rows,) indices."""
        return self.kneighbors(self.points[rows], k, n_threads, rows, "neighbours of a sample")

    def kneighbors(
        self,
        queries: P,
        k: int,
        n_threads: int,
        self_indices: np.ndarray | None = None,
        name: str = "search",
    ) -> Neighbors:
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

    def _bounds_for(self, queries: P) -> np.ndarray:
        return self._bounds

    def _is_exact(self, queries: P) -> bool:
        """Return whether all scores and distances are whole numbers that float32 can hold."""
        if queries is self.points:
            return self.is_on_grid
        return self.is_on_grid and self._on_grid(queries)

    def _nearest(
        self,
        queries: P,
        candidates: Candidates,
        sizes: np.ndarray,
        k: int,
        n_threads: int,
        self_indices: np.ndarray | None,
    ) -> Neighbors:
        """Return the k nearest of all points: among the candidates, or found in float64."""
        rows = np.arange(len(queries))
        indices, distances, undecided = self.rerank_queries(
            queries, candidates, rows, np.arange(self.n), k, n_threads, sizes
        )
        if undecided.any():
            search = Float64Search(self, queries, self_indices, indices, distances, n_threads)
            search.run(np.flatnonzero(undecided))
        return indices, distances

    def distances_to(self, queries: P, others: np.ndarray, n_threads: int) -> np.ndarray:
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

    def distances_from(
        self, rows: np.ndarray, n_threads: int
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Return ``distances_to`` of some rows, by their numbers: a function of (m, k) indices."""
        return partial(self.distances_to, self.points[rows], n_threads=n_threads)


# Of either kind: what they prepare, they take.
AnyPrepared: TypeAlias = PreparedRows[Any]


class LocalCells(CellStore[np.ndarray], Generic[P]):
    """The cells of all rows, in this process."""

    def __init__(self, rows: PreparedRows[P], cells: Cells):
        self._rows, self.table, self._cells = rows, cells, cells

    def nearest_positions(
        self, packed: PackedRows, count: int, n_threads: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._cells.nearest_positions(packed, count, n_threads)

    def search(self, plan: SearchPlan, k: int, n_threads: int) -> Neighbors:
        rows, n = self._rows, self._rows.n
        found = (
            memory.allocate((n, k), np.int32, "the table of neighbours"),
            memory.allocate((n, k), np.float32, "the table of their distances"),
        )
        for array in found:
            _take_pages(array)
        sizes, index_map = rows.copied_lengths(rows.points), self._cells.index_map
        plan = plan._replace(n_candidates=min(plan.n_candidates, n - 1))
        near = self._cells.near_cells(plan.n_near)
        with stage("search", n) as progress:
            for batch in self._cells.search(near, plan, n_threads):
                how = batch.candidates, batch.rows, index_map, k, n_threads, sizes, found
                rows.rerank_queries(rows.points, *how)
                progress.advance(len(batch.rows))
        return found


def _take_pages(array: np.ndarray) -> None:
    """Have the system give the memory of a new array, in pieces.

    The rows of the first batch are all over it, and would take all of its large pages in one call
    of a kernel, in which Ctrl-C is not noticed.
    """
    if is_memmapped(array):
        return
    numbers = array.reshape(-1)
    for a in range(0, len(numbers), PIECE_NUMBERS):
        numbers[a : a + PIECE_NUMBERS : PAGE_NUMBERS] = 0


class Float64Search(Generic[P]):
    """Replaces the neighbours, in arrays, of rows whose neighbours float32 could not tell.

    Rows are taken in groups around a center, which becomes the origin.  Where few of the points are
    as near to it as their neighbours, float32 distinguishes them, since its errors shrink with the
    distance from the origin; else products in float64 do.  Points that the bound of the products'
    error does not exclude are compared by their distances themselves.

    Parameters
    ----------
    rows : the prepared rows.
    queries : m rows as from ``rows.prepare``.
    self_indices : (m,) the row that each query is, which is not its own neighbour, or None.
    indices, distances : (m, k) arrays to write to.
    """

    def __init__(
        self,
        rows: PreparedRows[P],
        queries: P,
        self_indices: np.ndarray | None,
        indices: np.ndarray,
        distances: np.ndarray,
        n_threads: int,
    ):
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

    def _distances_from(self, center: np.ndarray, points: P) -> np.ndarray:
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

    def _search_around(self, center: np.ndarray, group: np.ndarray) -> bool:
        """Search in float32 among the points near the center; return whether that is worth it."""
        rows = self._rows
        if len(group) < MIN_FLOAT32_ROWS or not rows.can_move:
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

    def _search(self, center: np.ndarray, block: np.ndarray) -> None:
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

    def _bound_of_kth(self, scores: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Return an upper bound of the distance of which this is the k-th smallest score."""
        distances = np.sqrt(np.maximum(scores + sizes**2, 0))
        bound: np.ndarray = distances + 2 * np.sqrt(self._bounds[0]) * (2 * sizes + distances)
        return bound


def error_bounds(
    depth: int,
    far: float,
    copied: bool,
    unit: float = 1.0,
    rounding: float = FLOAT32_UNIT,
    growth: float = 1.0,
) -> np.ndarray:
    """Return the bounds that the kernel ``exact_order`` reads, (7,) float64.

    docs/math.rst, "Exact neighbours", proves them.

    Parameters
    ----------
    depth : largest number of products in a score.
    far : distance beyond which candidates may have been moved nearer.
    copied : whether candidates were reranked by rounded copies of their rows.
    unit : of the lengths that the errors are of.
    rounding : unit of rounding of the scores.
    growth : square of the longest row where scores are computed, if it is 1 after centering.
    """
    rounding *= SLACK
    score = (depth / 2 + 8) * rounding * growth
    difference = (depth / DIFFERENCE_LANES + 16) * rounding
    # Squares of float32 numbers below 1e-19 may vanish.
    tiny = 2e-19 * depth**0.5
    rounding *= growth**0.5
    return np.array([score, rounding, rounding if copied else 0.0, difference, tiny, far, unit])


def norms_of(squares: np.ndarray) -> np.ndarray:
    """Return the lengths of prepared rows; infinite for those that were moved nearer."""
    result = np.sqrt(squares.astype(np.float64))
    result[result > FAR_DISTANCE] = np.inf
    return result


def score_norms(points: np.ndarray, projection: Projection | None) -> np.ndarray | None:
    """Return the squared norms used in scores, (n,); None for the coordinates' own."""
    if projection is None or projection.max_residual == 0:
        return None
    norms: np.ndarray = np.einsum("ij,ij->i", points, points)
    norms += (1 / RESIDUAL_COSINE - 1) * points[:, -1] ** 2
    return norms
