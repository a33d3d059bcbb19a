"""Partition of rows into cells of near rows, and the search of each row in the nearest cells."""

from typing import NamedTuple

import numpy as np

from fasttsne import _kernels
from fasttsne.linalg.products import preallocate_blas_buffers
from fasttsne.nearest_neighbors.builtin.candidates import Candidates
from fasttsne.nearest_neighbors.builtin.clusters import cluster_rows, count_assignments
from fasttsne.nearest_neighbors.builtin.packing import TILE_ROWS, PackedRows, pack
from fasttsne.runtime.progress import stage

MAX_CELL_ROWS = _kernels.knn_dense.MAX_CELL_ROWS
NEAR_CENTROID = _kernels.knn_dense.NEAR_CENTROID
REFERENCE_CELLS = _kernels.knn_dense.REFERENCE_CELLS
RESOLUTION = _kernels.knn_dense.RESOLUTION
# Nearest cells in which rows may search at first, and at most, if they go on.
MAX_NEAR, MAX_FAR = 512, 4096
# Rows, or cells, whose candidates are in memory at a time.
SEARCH_BATCH = 8192
# Cells whose rows are copied at a time.
MEANS_BATCH = 128


class Bound(NamedTuple):
    """How far a row searches: in cells whose centroids are within

        reach d + pull r + width s,

    d its distance from the ``NEAR_CENTROID``-th nearest centroid, r that from the last of its
    candidates so far, and s the radius of the cell.
    """

    reach: float
    pull: float = 0.0
    width: float = 0.0


class Cells:
    """Rows in cells, each padded to whole tiles.

    Parameters
    ----------
    points : (n, columns) float32 rows; origin : (columns,) float32, subtracted from them.
    norms : (n,) float32 squared lengths in place of those of the points, or None.

    Attributes
    ----------
    order : (n,) rows, cell by cell.
    firsts : (cells + 1,) int32, the first of each cell in ``order``.
    starts : (cells + 1,) int32, the first tile of each cell.
    index_map : (24 tiles,) int32, the row at each position; padding repeats a row of the cell.
    packed : the rows by position; padding has an infinite norm.
    centroids, norms : (cells, columns) and (cells,) float32, means of the cells less the origin,
        and their squared lengths.
    radii : (cells,) float32, the root of the rows' mean squared distance from the centroid.
    """

    def __init__(self, points, origin, generator, n_threads, norms=None):
        preallocate_blas_buffers()
        with stage("partitioning into cells", count_assignments(len(points))) as progress:
            clusters = cluster_rows(points, origin, generator, n_threads, progress.advance)
        self._lay_out(*cells_of(clusters))
        self.packed = pack_cells(
            points, self.index_map, self.starts, self.sizes, origin, n_threads, norms
        )
        means, squares = cell_means(points, self.order, self.firsts)
        self._set_centroids((means - origin).astype(np.float32), np.sqrt(squares), origin)

    def _lay_out(self, order, sizes) -> None:
        """Give rows their positions: those of cells of these sizes, in this order."""
        self.order, self.n_cells = order, len(sizes)
        self.firsts = np.append(0, sizes.cumsum()).astype(np.int32)
        self.starts = np.append(0, (-(-sizes // TILE_ROWS)).cumsum()).astype(np.int32)
        # Slots of each cell: its rows, then its first row again, which fills its last tile.
        cell, slot = _slots(self.starts)
        slot[slot >= sizes[cell]] = 0
        self.index_map = self.order[self.firsts[cell] + slot].astype(np.int32)

    def _set_centroids(self, centroids, radii, origin) -> None:
        self.centroids, self.radii, self.origin = centroids, radii, origin
        self.norms = np.einsum("ij,ij->i", centroids, centroids)

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each cell."""
        return np.diff(self.firsts)

    def _batch_end(self, first):
        """Return the end of a batch of cells that begins with this one."""
        return int(np.searchsorted(self.firsts, self.firsts[first] + SEARCH_BATCH, "right")) - 1

    def find_near(self, n_kept: int, n_threads: int) -> None:
        """Find the cells in which the rows of each cell search at first.

        They have more than ``n_kept`` rows.
        """
        n_near = min(MAX_NEAR, self.n_cells)
        while True:
            self.near = self.nearest(np.arange(self.n_cells), n_near, n_threads)
            rows = self.sizes[self.near].cumsum(1)
            if (rows[:, -1] > n_kept).all():
                self._n_least = int((rows <= n_kept).sum(1).max()) + 1
                return
            n_near = min(2 * n_near, self.n_cells)

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

    def nearest_positions(
        self, packed: PackedRows, count: int, n_threads: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of the points nearest to packed rows, (m, count), nearest first.

        And the squared lengths of these, as packed.
        """
        candidates = Candidates(packed.n, count)
        candidates.compare_all(packed, self.packed, 0, n_threads)
        places = candidates.top(count)
        return places, self.packed.norms[places]

    def search(self, n_near: int, n_far: int, bound: Bound, n_kept: int, n_threads: int):
        """Yield rows, (any,) indices, with their candidates, by position, in batches.

        Parameters
        ----------
        n_near : cells in which the rows of a cell may search, those with the nearest centroids.
        n_far : cells in which those of them may whose bound reaches beyond these.
        bound : how far they search among these.
        n_kept : candidates of each row.
        """
        n_kept = min(n_kept, len(self.order) - 1)
        near = self.near[:, : max(n_near, self._n_least)]
        for first, last, *found in self._search_near(0, near, bound, n_kept, n_threads):
            candidates, reaches, is_open = found
            if n_far > near.shape[1] and is_open.any():
                far = self._far_cells(first, last, is_open, near.shape[1], n_far, n_threads)
                self._compare(first, far, bound, candidates, reaches, is_open, True, n_threads)
            yield self.order[self.firsts[first] : self.firsts[last]], candidates

    def _search_near(self, start, near, bound, n_kept, n_threads):
        """Yield batches of cells: first, last, and their rows' candidates, limits, who is open."""
        last, memory = start, Candidates(min(SEARCH_BATCH, len(self.order)), n_kept)
        while last < start + len(near):
            first = last
            last = min(self._batch_end(first), start + len(near))
            n_rows = self.firsts[last] - self.firsts[first]
            candidates = Candidates(n_rows, n_kept, memory)
            reaches, is_open = np.empty(n_rows, np.float32), np.zeros(n_rows, np.uint8)
            own = near[first - start : last - start]
            self._compare(first, own, bound, candidates, reaches, is_open, False, n_threads)
            yield first, last, candidates, reaches, is_open

    def _open_cells(self, first, last, is_open):
        """Return those of a batch of cells in which a row is open, counted from the first."""
        firsts = self.firsts[first:last] - self.firsts[first]
        return np.flatnonzero(np.maximum.reduceat(is_open, firsts))

    def _far_cells(self, first, last, is_open, n_near, n_far, n_threads):
        """Return the cells in which open rows go on, (last - first, n_far - n_near) int32."""
        cells = self._open_cells(first, last, is_open)
        far = np.zeros((last - first, n_far - n_near), np.int32)
        far[cells] = self.nearest(first + cells, n_far, n_threads)[:, n_near:]
        return far

    def _compare(self, first, near, bound, candidates, reaches, is_open, goes_on, n_threads):
        _kernels.knn_dense.search_cells(
            self.packed.panels,
            self.packed.norms,
            self.starts,
            self.firsts,
            self.centroids,
            self.norms,
            self.radii,
            first,
            np.ascontiguousarray(near),
            *bound,
            candidates.n_kept,
            reaches,
            is_open,
            goes_on,
            candidates.keys,
            candidates.counts,
            candidates.thresholds,
            n_threads,
        )


def cells_of(clusters: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of clusters cell by cell, and the sizes of the cells."""
    cells = [
        part for rows in clusters for part in np.array_split(rows, -(-len(rows) // MAX_CELL_ROWS))
    ]
    return np.concatenate(cells), np.array([len(rows) for rows in cells])


def cell_means(points, order, firsts) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each cell, float64, and its rows' mean squared distance, float32.

    order, firsts : as of ``Cells``.
    """
    n_cells = len(firsts) - 1
    means, squares = np.empty((n_cells, points.shape[1])), np.empty(n_cells, np.float32)
    for a in range(0, n_cells, MEANS_BATCH):
        ends = firsts[a : a + MEANS_BATCH + 1]
        rows = points[order[ends[0] : ends[-1]]].astype(np.float64)
        sizes, starts = np.diff(ends), ends[:-1] - ends[0]
        part = slice(a, a + len(sizes))
        means[part] = np.add.reduceat(rows, starts) / sizes[:, None]
        rows -= np.repeat(means[part], sizes, axis=0)
        squares[part] = np.add.reduceat(np.einsum("ij,ij->i", rows, rows), starts) / sizes
    return means, squares


def pack_cells(points, index_map, starts, sizes, origin, n_threads, norms=None) -> PackedRows:
    """Pack cells of rows; no point is where there is padding. Arguments as of ``Cells``."""
    packed = pack(points, index_map, origin, n_threads)
    if norms is not None:
        packed.norms[:] = norms[index_map]
    cell, slot = _slots(starts)
    packed.norms[slot >= sizes[cell]] = np.inf
    return packed


def _slots(starts):
    """Return the cell and the slot in it of each position, (24 tiles,)."""
    cell = np.repeat(np.arange(len(starts) - 1), TILE_ROWS * np.diff(starts))
    return cell, np.arange(len(cell)) - TILE_ROWS * starts[cell].astype(np.int64)
