"""Rows in cells of near rows: the partition by k-means, and the search in the nearest cells."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple

import numpy as np

from fasttsne import _kernels
from fasttsne.linalg.products import preallocate_blas_buffers
from fasttsne.linalg.rows import Table
from fasttsne.nearest_neighbors.builtin.candidates import TILE_ROWS, Candidates, PackedRows, pack
from fasttsne.runtime.progress import stage
from fasttsne.runtime.typing import RandomGenerator

MAX_CELL_ROWS = _kernels.knn_dense.MAX_CELL_ROWS
NEAR_CENTROID = _kernels.knn_dense.NEAR_CENTROID
REFERENCE_CELLS = _kernels.knn_dense.REFERENCE_CELLS
RESOLUTION = _kernels.knn_dense.RESOLUTION
# Nearest cells in which rows may search at first, and at most, if they continue.
MAX_NEAR, MAX_FAR = 512, 4096
# Rows, or cells, whose candidates are in memory at a time.
SEARCH_BATCH = 8192
# Cells whose rows are copied at a time.
MEANS_BATCH = 128
# What the kernel's float32 may add to a limit, and to squared lengths.
SLACK = 1e-4
# Rows of a cluster, about; rows for each cluster on which k-means is trained, and its iterations.
CLUSTER_SIZE = 96
TRAINING_ROWS_PER_CLUSTER = 20
N_KMEANS_ITERATIONS = 5
MAX_CLUSTERS = 2**16
# More than these are found in two levels, within the clusters of a coarse k-means with the square
# root of as many: comparing each row with all centroids takes time quadratic in the rows.
MAX_CLUSTERS_ONE_LEVEL = 512
# Rows that are assigned to centroids at a time.
ASSIGNMENT_BATCH = 100_000

# Is told of each number of rows that were assigned to centroids.
Advance = Callable[[int], None]


class Bound(NamedTuple):
    """How far a row searches: in cells whose centroids are within

        reach d + pull r + width s,

    d its distance from the ``NEAR_CENTROID``-th nearest centroid, r that from the last of its
    candidates so far, and s the radius of the cell.
    """

    reach: float
    pull: float = 0.0
    width: float = 0.0


class SearchPlan(NamedTuple):
    """The size of a search.

    n_near : cells in which the rows of a cell may search, the ones with the nearest centroids.
    n_far : cells in which rows may whose bound reaches beyond these.
    bound : how far they search among these.
    n_candidates : candidates of each row.
    recall : the expected share of true neighbours; cost : in products of one column.
    has_tail : whether all but TAIL_SHARE of the rows are expected to reach TAIL_RECALL.
    """

    n_near: int
    n_far: int
    bound: Bound
    n_candidates: int
    recall: float = 0.0
    cost: float = 0.0
    has_tail: bool = False


class UnfinishedCell(NamedTuple):
    """A cell with open rows: their search continues in cells whose rows are elsewhere.

    reached : the cells beyond the near ones that these may reach.
    is_open, reaches : of all its rows, uint8 and float32, as the kernel writes them.
    """

    reached: np.ndarray
    is_open: np.ndarray
    reaches: np.ndarray


class SearchedRows(NamedTuple):
    """Rows whose search has ended, their candidates by position, and what has not ended."""

    rows: np.ndarray
    candidates: Candidates
    unfinished: dict[int, UnfinishedCell]


class CellTable:
    """Which rows are in which cell, and where the cells are; not the rows themselves.

    Parameters
    ----------
    order : (n,) rows, cell by cell; sizes : (cells,) rows of each.
    means : (cells, columns) float64; squares : (cells,) the rows' mean squared distance from them.
    origin : (columns,) float32, subtracted from the means.

    Attributes
    ----------
    firsts : (cells + 1,) int32, the first of each cell in ``order``.
    starts : (cells + 1,) int32, the first tile of each cell.
    index_map : (24 tiles,) int32, the row at each position; padding repeats a row of the cell.
    centroids, norms : (cells, columns) and (cells,) float32, means of the cells less the origin,
        and their squared lengths.
    radii : (cells,) float32, the root of the rows' mean squared distance from the centroid.
    near : (cells, any) int32, the cells in which the rows of each cell search at first.
    """

    near: np.ndarray

    def __init__(
        self,
        order: np.ndarray,
        sizes: np.ndarray,
        centroids: np.ndarray,
        radii: np.ndarray,
        origin: np.ndarray,
    ):
        self.order, self.n_cells = order, len(sizes)
        self.firsts = np.append(0, sizes.cumsum()).astype(np.int32)
        self.sizes = np.diff(self.firsts)
        self.starts, self.index_map = lay_out(order, sizes)
        self.centroids, self.radii, self.origin = centroids, radii, origin
        self.norms = np.einsum("ij,ij->i", centroids, centroids)

    def find_near(self, n_kept: int, n_threads: int) -> None:
        """Find the cells in which the rows of each cell search at first: more than n_kept rows."""
        n_near = min(MAX_NEAR, self.n_cells)
        while True:
            self.near = self.nearest(np.arange(self.n_cells), n_near, n_threads)
            rows = self.sizes[self.near].cumsum(1)
            if (rows[:, -1] > n_kept).all():
                self._n_least = int((rows <= n_kept).sum(1).max()) + 1
                return
            n_near = min(2 * n_near, self.n_cells)

    def near_cells(self, n_near: int) -> np.ndarray:
        """Return so many cells near to each, or as many as have enough rows."""
        return self.near[:, : max(n_near, self._n_least)]

    def nearest(self, cells: np.ndarray, n_near: int, n_threads: int) -> np.ndarray:
        """Return some cells and the others with the nearest centroids, (cells, n_near) int32."""
        own = cells.astype(np.int32)[:, None]
        if n_near == 1:
            return own
        others = np.empty((len(cells), n_near - 1), np.int32)
        packed = pack(self.centroids)
        step = max(SEARCH_BATCH // (n_near // MAX_NEAR + 1), 1)
        for a in range(0, len(cells), step):
            part = slice(a, a + step)
            best = Candidates(len(own[part]), n_near)
            best.compare_all(pack(self.centroids, own[part].ravel()), packed, 0, n_threads)
            best.remove(own[part].ravel())
            others[part] = best.top(n_near - 1)
        return np.concatenate([own, others], axis=1)

    def batch_end(self, first: int) -> int:
        """Return the end of a batch of cells that begins with this one."""
        return int(np.searchsorted(self.firsts, self.firsts[first] + SEARCH_BATCH, "right")) - 1

    def rows_between(self, first: int, last: int) -> np.ndarray:
        """Return the rows of a range of cells."""
        return self.order[self.firsts[first] : self.firsts[last]]


class Cells(CellTable):
    """Cells with their rows, padded to whole tiles; where others have some, these are empty here.

    Parameters
    ----------
    table : centroids, radii and origin of all cells.
    points : (n, columns) float32 rows, which ``order`` numbers.
    norms : (n,) float32 squared norms to use in place of the points' own, or None.
    is_whole : whether the rows of all cells are here.

    Attributes
    ----------
    packed : the rows by position; padding has an infinite norm.
    """

    def __init__(
        self,
        points: np.ndarray,
        order: np.ndarray,
        sizes: np.ndarray,
        table: tuple[np.ndarray, np.ndarray, np.ndarray],
        norms: np.ndarray | None = None,
        n_threads: int = 1,
        is_whole: bool = True,
    ):
        super().__init__(order, sizes, *table)
        layout = self.index_map, self.starts, sizes
        self.packed = pack_cells(points, *layout, self.origin, n_threads, norms)
        self._points = None if is_whole else points

    @classmethod
    def partition(
        cls,
        points: np.ndarray,
        origin: np.ndarray,
        generator: RandomGenerator,
        n_threads: int,
        norms: np.ndarray | None = None,
    ) -> "Cells":
        """Return the cells of all rows, found by k-means."""
        preallocate_blas_buffers()
        with stage("partitioning into cells", count_assignments(len(points))) as progress:
            clusters = cluster_rows(points, origin, generator, n_threads, progress.advance)
        order, sizes = cells_of(clusters)
        means, squares = cell_means(points, order, sizes)
        table = (means - origin).astype(np.float32), np.sqrt(squares), origin
        return cls(points, order, sizes, table, norms, n_threads)

    def nearest_positions(
        self, packed: PackedRows, count: int, n_threads: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of the points nearest to packed rows, (m, count), nearest first.

        And the squared lengths of these, as packed.
        """
        candidates = Candidates(packed.n, count)
        candidates.compare_all(packed, self.packed, 0, n_threads)
        positions = candidates.top(count)
        return positions, self.packed.norms[positions]

    def search(
        self, near: np.ndarray, plan: SearchPlan, n_threads: int, start: int = 0
    ) -> Iterator[SearchedRows]:
        """Yield the rows of cells from ``start`` on with their candidates, in batches.

        near : (cells that search, n_near), in which their rows search at first.
        """
        n_kept, n_near = plan.n_candidates, near.shape[1]
        last, memory = start, Candidates(min(SEARCH_BATCH, len(self.order)), n_kept)
        while last < start + len(near):
            first = last
            last = min(self.batch_end(first), start + len(near))
            rows = self.rows_between(first, last)
            candidates = Candidates(len(rows), n_kept, memory)
            unfinished: dict[int, UnfinishedCell] = {}
            reaches, is_open = np.empty(len(rows), np.float32), np.zeros(len(rows), np.uint8)
            own = near[first - start : last - start]
            self._compare(first, own, plan, candidates, reaches, is_open, False, n_threads)
            if plan.n_far > n_near and is_open.any():
                far = self._far_cells(first, last, is_open, n_near, plan.n_far, n_threads)
                goes_on = is_open
                if self._points is not None:
                    unfinished = self._unfinished(
                        first, last, far, plan, candidates, reaches, is_open
                    )
                    goes_on = is_open.copy()
                    for cell in unfinished:
                        goes_on[self._part(first, cell)] = False
                if goes_on.any():
                    self._compare(first, far, plan, candidates, reaches, goes_on, True, n_threads)
            if unfinished:
                done = np.flatnonzero((is_open == 0) | (goes_on > 0))
                rows, candidates = rows[done], candidates.take(done)
            yield SearchedRows(rows, candidates, unfinished)

    def search_again(
        self,
        own: np.ndarray,
        near: np.ndarray,
        plan: SearchPlan,
        is_open: np.ndarray,
        reaches: np.ndarray,
    ) -> Iterator[SearchedRows]:
        """Yield the open rows of unfinished cells, ``own``, ascending, with their candidates."""
        far, begin = self.nearest(own, plan.n_far, 1)[:, near.shape[1] :], 0
        for first, last, run in self.runs(own):
            rows = self.rows_between(first, last)
            part, begin = slice(begin, begin + len(rows)), begin + len(rows)
            candidates = Candidates(len(rows), plan.n_candidates)
            for probed in near[run], far[run]:
                self._compare(
                    first, probed, plan, candidates, reaches[part], is_open[part], True, 1
                )
            some = np.flatnonzero(is_open[part])
            yield SearchedRows(rows[some], candidates.take(some), {})

    def runs(self, own: np.ndarray) -> Iterator[tuple[int, int, slice]]:
        """Yield ranges of cells, in ``own``, ascending, that one call searches; and where."""
        begin = 0
        while begin < len(own):
            first = int(own[begin])
            end = begin + int(np.searchsorted(own[begin:], self.batch_end(first)))
            is_next = own[begin:end] == np.arange(first, first + end - begin)
            end = begin + (len(is_next) if is_next.all() else int(is_next.argmin()))
            yield first, first + end - begin, slice(begin, end)
            begin = end

    def _part(self, first: int, cell: int) -> slice:
        """Return where the rows of a cell are in a batch of cells."""
        return slice(*(self.firsts[cell : cell + 2] - self.firsts[first]))

    def _open_cells(self, first: int, last: int, is_open: np.ndarray) -> np.ndarray:
        """Return the cells of a batch in which a row is open, counted from the first."""
        firsts = self.firsts[first:last] - self.firsts[first]
        return np.flatnonzero(np.maximum.reduceat(is_open, firsts))

    def _far_cells(
        self, first: int, last: int, is_open: np.ndarray, n_near: int, n_far: int, n_threads: int
    ) -> np.ndarray:
        """Return the cells in which open rows continue, (last - first, n_far - n_near) int32."""
        cells = self._open_cells(first, last, is_open)
        far = np.zeros((last - first, n_far - n_near), np.int32)
        far[cells] = self.nearest(first + cells, n_far, n_threads)[:, n_near:]
        return far

    def _unfinished(
        self,
        first: int,
        last: int,
        far: np.ndarray,
        plan: SearchPlan,
        candidates: Candidates,
        reaches: np.ndarray,
        is_open: np.ndarray,
    ) -> dict[int, UnfinishedCell]:
        """Return the cells of a batch whose open rows may reach cells that are not here."""
        unfinished, rows = {}, self.rows_between(first, last)
        limits = self._limits(rows, candidates, reaches, plan.bound)
        for c in self._open_cells(first, last, is_open).tolist():
            part = self._part(first, first + c)
            some = np.flatnonzero(is_open[part]) + part.start
            reached = self.reached(rows[some], limits[some], far[c], plan.bound.width)
            if not (self.sizes[reached] > 0).all():
                unfinished[first + c] = UnfinishedCell(reached, is_open[part], reaches[part])
        return unfinished

    def _limits(
        self, rows: np.ndarray, candidates: Candidates, reaches: np.ndarray, bound: Bound
    ) -> np.ndarray:
        """Return how far rows search beyond the near cells, at most; see ``cell_search.pxd``."""
        own = self._coordinates(rows)
        norms = np.einsum("ij,ij->i", own, own, dtype=np.float64)
        squares = candidates.thresholds[: len(rows)].astype(np.float64) + norms * (1 + SLACK)
        reaches = reaches + SLACK * np.abs(reaches)
        limits: np.ndarray = reaches + bound.pull * np.sqrt(np.maximum(squares, 0))
        return limits

    def _coordinates(self, rows: np.ndarray) -> np.ndarray:
        assert self._points is not None
        own: np.ndarray = self._points[rows] - self.origin
        return own

    def reached(
        self, rows: np.ndarray, limits: np.ndarray, far: np.ndarray, width: float
    ) -> np.ndarray:
        """Return which cells of ``far`` some rows may reach, and some more.

        A row x with the limit l reaches a cell with the centroid c and the width w where

            |x - c|^2 <= (l + w)^2, which is |c|^2 - w^2 <= 2 x c + 2 l w - (|x|^2 - l^2):

        a product of matrices, of which the largest number in each column decides.  All cells are
        taken to be reached by rows too far out for float32.
        """
        more, less = np.float32(1 + SLACK), np.float32(1 - SLACK)
        own, limits = self._coordinates(rows), limits.astype(np.float32)
        widths = np.float32(width * (1 + SLACK)) * self.radii[far]
        with np.errstate(invalid="ignore", over="ignore"):
            rest = less * np.einsum("ij,ij->i", own, own) - more * limits**2
            if not np.isfinite(rest).all():
                return far
            left = np.column_stack([own, more * limits, rest])
            ones = np.ones(len(far), np.float32)
            right = np.column_stack([2 * self.centroids[far], 2 * widths, -ones])
            largest = (left @ right.T).max(0)
            reached: np.ndarray = far[~(largest < less * self.norms[far] - more * widths**2)]
        return reached

    def _compare(
        self,
        first: int,
        near: np.ndarray,
        plan: SearchPlan,
        candidates: Candidates,
        reaches: np.ndarray,
        is_open: np.ndarray,
        goes_on: bool,
        n_threads: int,
    ) -> None:
        n_kept, *lists = candidates.lists
        table = self.starts, self.firsts, self.centroids, self.norms, self.radii
        how = first, np.ascontiguousarray(near), *plan.bound, n_kept, reaches, is_open, goes_on
        _kernels.knn_dense.search_cells(
            self.packed.panels, self.packed.norms, *table, *how, *lists, n_threads
        )


class CellStore(ABC, Generic[Table]):
    """Cells wherever their rows are: one group of all cells in this process, or many on workers.

    Attributes
    ----------
    table : which rows are in which cell; the search is planned on it.
    """

    table: CellTable

    @abstractmethod
    def nearest_positions(
        self, packed: PackedRows, count: int, n_threads: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and squared lengths as :meth:`Cells.nearest_positions`."""

    @abstractmethod
    def search(self, plan: SearchPlan, k: int, n_threads: int) -> tuple[Table, Table]:
        """Return the k nearest neighbours that a search finds: indices and distances."""


def cells_of(clusters: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of clusters cell by cell, and the sizes of the cells."""
    cells = [
        part for rows in clusters for part in np.array_split(rows, -(-len(rows) // MAX_CELL_ROWS))
    ]
    return np.concatenate(cells), np.array([len(rows) for rows in cells])


def cell_means(
    points: np.ndarray, order: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each cell, float64, and its rows' mean squared distance, float32."""
    n_cells, firsts = len(sizes), np.append(0, sizes.cumsum())
    means, squares = np.empty((n_cells, points.shape[1])), np.empty(n_cells, np.float32)
    for a in range(0, n_cells, MEANS_BATCH):
        ends = firsts[a : a + MEANS_BATCH + 1]
        rows = points[order[ends[0] : ends[-1]]].astype(np.float64)
        counts, starts = np.diff(ends), ends[:-1] - ends[0]
        part = slice(a, a + len(counts))
        means[part] = np.add.reduceat(rows, starts) / counts[:, None]
        rows -= np.repeat(means[part], counts, axis=0)
        squares[part] = np.add.reduceat(np.einsum("ij,ij->i", rows, rows), starts) / counts
    return means, squares


def lay_out(order: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first tile of each cell, and the row at each position, of :class:`CellTable`."""
    starts = np.append(0, (-(-sizes // TILE_ROWS)).cumsum()).astype(np.int32)
    # Slots of each cell: its rows, then its first row again, which fills its last tile.
    cell, slot = _slots(starts)
    slot[slot >= sizes[cell]] = 0
    firsts = np.append(0, sizes.cumsum()).astype(np.int32)
    return starts, order[firsts[cell] + slot].astype(np.int32)


def pack_cells(
    points: np.ndarray,
    index_map: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    origin: np.ndarray,
    n_threads: int,
    norms: np.ndarray | None = None,
) -> PackedRows:
    """Pack cells of rows; no point is where there is padding."""
    packed = pack(points, index_map, origin, n_threads)
    if norms is not None:
        packed.norms[:] = norms[index_map]
    cell, slot = _slots(starts)
    packed.norms[slot >= sizes[cell]] = np.inf
    return packed


def _slots(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell and the slot in it of each position, (24 tiles,)."""
    cell = np.repeat(np.arange(len(starts) - 1), TILE_ROWS * np.diff(starts))
    return cell, np.arange(len(cell)) - TILE_ROWS * starts[cell].astype(np.int64)


def cluster_rows(
    points: np.ndarray,
    origin: np.ndarray,
    generator: RandomGenerator,
    n_threads: int,
    advance: Advance,
) -> list[np.ndarray]:
    """Return the rows of each cluster, neighbouring clusters one after the other."""
    n_clusters = count_clusters(len(points))
    how = origin, generator, n_threads, advance
    if n_clusters <= MAX_CLUSTERS_ONE_LEVEL:
        return _kmeans(points, n_clusters, *how)
    clusters: list[np.ndarray] = []
    for rows in _kmeans(points, count_coarse(n_clusters), *how):
        coarse = points[rows]
        fine = _kmeans(coarse, count_clusters(len(coarse)), *how)
        clusters.extend(rows[members] for members in fine)
    return clusters


def count_assignments(n: int) -> int:
    """Return about how often one of n rows is assigned to a centroid."""
    n_clusters, levels = count_clusters(n), [1.0]
    if n_clusters > MAX_CLUSTERS_ONE_LEVEL:
        levels = [n_clusters**-0.5, 1.0]
    training = (min(n_clusters * share * TRAINING_ROWS_PER_CLUSTER, n) for share in levels)
    return int(sum(N_KMEANS_ITERATIONS * rows + n for rows in training))


def count_coarse(n_clusters: int) -> int:
    """Return the clusters of the first of two levels."""
    n_coarse: int = round(n_clusters**0.5)
    return n_coarse


def count_clusters(n: int) -> int:
    """Return the clusters of n rows."""
    return int(np.clip(n // CLUSTER_SIZE, 1, MAX_CLUSTERS))


def _kmeans(
    points: np.ndarray,
    n_clusters: int,
    origin: np.ndarray,
    generator: RandomGenerator,
    n_threads: int,
    advance: Advance,
) -> list[np.ndarray]:
    """Return the rows of each cluster, neighbouring clusters one after the other."""
    training = points[training_rows(len(points), n_clusters, generator)]
    centroids = train_centroids(training, n_clusters, origin, n_threads, advance)
    position = tour_positions(points, centroids, origin, n_threads, advance)
    return rows_by_position(position, len(centroids))


def training_rows(n: int, n_clusters: int, generator: RandomGenerator) -> np.ndarray:
    """Return the rows, of n, on which so many clusters are trained, in ascending order."""
    return np.sort(generator.permutation(n)[: n_clusters * TRAINING_ROWS_PER_CLUSTER])


def train_centroids(
    training: np.ndarray, n_clusters: int, origin: np.ndarray, n_threads: int, advance: Advance
) -> np.ndarray:
    """Return the centroids of up to so many clusters of rows."""
    centroids: np.ndarray = training[:: max(len(training) // n_clusters, 1)][:n_clusters].copy()
    for _ in range(N_KMEANS_ITERATIONS):
        cluster = _nearest_centroid(training, centroids, origin, n_threads, advance)
        counts = np.bincount(cluster, minlength=len(centroids))
        by_cluster = np.argsort(cluster, kind="stable")
        filled = np.flatnonzero(counts)
        starts = np.cumsum(counts)[filled] - counts[filled]
        sums = np.add.reduceat(training[by_cluster].astype(np.float64), starts)
        centroids[filled] = sums / counts[filled, None]
    return centroids


def tour_positions(
    points: np.ndarray, centroids: np.ndarray, origin: np.ndarray, n_threads: int, advance: Advance
) -> np.ndarray:
    """Return for each row the position of its nearest centroid on a tour of them, uint16."""
    cluster = _nearest_centroid(points, centroids, origin, n_threads, advance)
    positions: np.ndarray = _tour_positions(centroids)[cluster]
    return positions.astype(np.uint16)  # sorted much faster


def rows_by_position(position: np.ndarray, n_positions: int) -> list[np.ndarray]:
    """Return the rows at each position that has any, ascending."""
    ends = np.cumsum(np.bincount(position, minlength=n_positions))
    clusters = np.split(np.argsort(position, kind="stable"), ends[:-1])
    return [rows for rows in clusters if len(rows)]


def _nearest_centroid(
    points: np.ndarray, centroids: np.ndarray, origin: np.ndarray, n_threads: int, advance: Advance
) -> np.ndarray:
    packed_centroids = pack(np.ascontiguousarray(centroids, np.float32), origin=origin)
    out = np.empty(len(points), np.intp)
    for a in range(0, len(points), ASSIGNMENT_BATCH):
        rows = points[a : a + ASSIGNMENT_BATCH]
        nearest = Candidates(len(rows), 1)
        packed = pack(rows, origin=origin, n_threads=n_threads)
        nearest.compare_all(packed, packed_centroids, 0, n_threads)
        out[a : a + len(rows)] = nearest.best()
        advance(len(rows))
    return out


def _tour_positions(centroids: np.ndarray) -> np.ndarray:
    """Return each centroid's position on a tour that always visits the nearest one left."""
    centroids = centroids.astype(np.float64)
    left = np.ones(len(centroids), bool)
    position = np.empty(len(centroids), np.intp)
    current = int(np.argmin(centroids[:, 0]))
    for step in range(len(centroids)):
        position[current] = step
        left[current] = False
        distance = ((centroids - centroids[current]) ** 2).sum(1)
        distance[~left] = np.inf
        current = int(np.argmin(distance))
    return position
