"""Partition of rows into cells of near rows, and the search of each row in the nearest cells."""

import numpy as np

from fasttsne import _kernels
from fasttsne.linalg.products import preallocate_blas_buffers
from fasttsne.nearest_neighbors.builtin.candidates import Candidates
from fasttsne.nearest_neighbors.builtin.clusters import cluster_rows, count_assignments
from fasttsne.nearest_neighbors.builtin.packing import TILE_ROWS, PackedRows, pack
from fasttsne.runtime.progress import stage

MAX_CELL_ROWS = _kernels.knn_dense.MAX_CELL_ROWS
NEAR_CENTROID = _kernels.knn_dense.NEAR_CENTROID
# Rows, or cells, whose candidates are in memory at a time.
SEARCH_BATCH = 8192
# Cells whose rows are copied at a time.
MEANS_BATCH = 128


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
    """

    def __init__(self, points, origin, generator, n_threads, norms=None):
        preallocate_blas_buffers()
        with stage("partitioning into cells", count_assignments(len(points))) as progress:
            clusters = cluster_rows(points, origin, generator, n_threads, progress.advance)
        self._lay_out(*cells_of(clusters))
        self.packed = pack_cells(
            points, self.index_map, self.starts, self.sizes, origin, n_threads, norms
        )
        self._set_centroids(
            (cell_means(points, self.order, self.firsts) - origin).astype(np.float32), origin
        )

    def _lay_out(self, order, sizes) -> None:
        """Give rows their positions: those of cells of these sizes, in this order."""
        self.order, self.n_cells = order, len(sizes)
        self.firsts = np.append(0, sizes.cumsum()).astype(np.int32)
        self.starts = np.append(0, (-(-sizes // TILE_ROWS)).cumsum()).astype(np.int32)
        # Slots of each cell: its rows, then its first row again, which fills its last tile.
        cell, slot = _slots(self.starts)
        slot[slot >= sizes[cell]] = 0
        self.index_map = self.order[self.firsts[cell] + slot].astype(np.int32)

    def _set_centroids(self, centroids, origin) -> None:
        self.centroids, self.origin = centroids, origin
        self.norms = np.einsum("ij,ij->i", centroids, centroids)

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each cell."""
        return np.diff(self.firsts)

    def _batch_end(self, first):
        """Return the end of a batch of cells that begins with this one."""
        return int(np.searchsorted(self.firsts, self.firsts[first] + SEARCH_BATCH, "right")) - 1

    def find_near(self, n_near: int, n_kept: int, n_threads: int) -> None:
        """Find the cells among which the rows of each cell choose: more than ``n_kept`` rows."""
        n_near = min(n_near, self.n_cells)
        while True:
            self.near = self._nearest_cells(n_near, n_threads)
            self._near_rows = self.sizes[self.near].cumsum(1)
            if (self._near_rows[:, -1] > n_kept).all():
                return
            n_near = min(2 * n_near, self.n_cells)

    def count_always(self, n_kept: int) -> int:
        """Return how many near cells all rows must probe to find ``n_kept`` candidates."""
        return int((self._near_rows <= n_kept).sum(1).max()) + 1

    def _nearest_cells(self, n_near, n_threads):
        """Return each cell and those with the nearest centroids, (cells, n_near) int32."""
        own = np.arange(self.n_cells, dtype=np.int32)[:, None]
        if n_near == 1:
            return own
        others = np.empty((self.n_cells, n_near - 1), np.int32)
        packed = pack(self.centroids)
        for a in range(0, self.n_cells, SEARCH_BATCH):
            part = slice(a, a + SEARCH_BATCH)
            best = Candidates(len(own[part]), n_near)
            best.compare_all(pack(self.centroids[part]), packed, 0, n_threads)
            best.remove(own[part].ravel())
            others[part] = best.top(n_near - 1)
        return np.concatenate([own, others], axis=1)

    def nearest_positions(self, packed: PackedRows, count: int, n_threads: int) -> np.ndarray:
        """Return the positions of the points nearest to packed rows, (m, count), nearest first."""
        candidates = Candidates(packed.n, count)
        candidates.compare_all(packed, self.packed, 0, n_threads)
        return candidates.top(count)

    def search(self, n_near: int, reach: float, n_kept: int, n_threads: int):
        """Yield rows, (any,) indices, with their candidates, by position, in batches.

        Parameters
        ----------
        n_near : cells among which the rows of a cell choose, those with the nearest centroids.
        reach : limit of the squared distances from a row to the centroids of the cells it probes,
            in units of that to the ``NEAR_CENTROID``-th nearest.
        n_kept : candidates of each row.
        """
        n_kept = min(n_kept, len(self.order) - 1)
        n_always = self.count_always(n_kept)
        near = np.ascontiguousarray(self.near[:, : max(n_near, n_always)])
        yield from self._search(near, n_always, reach, n_kept, n_threads, 0, self.n_cells)

    def _search(self, near, n_always, reach, n_kept, n_threads, first, stop):
        """Yield the rows of some cells, and candidates, as ``search``."""
        last, memory = first, Candidates(min(SEARCH_BATCH, len(self.order)), n_kept)
        while last < stop:
            first = last
            last = min(self._batch_end(first), stop)
            rows = self.order[self.firsts[first] : self.firsts[last]]
            candidates = Candidates(len(rows), n_kept, memory)
            _kernels.knn_dense.search_cells(
                self.packed.panels, self.packed.norms, self.starts, self.firsts, self.centroids,
                self.norms, near, first, last, n_always, reach, n_kept, candidates.keys,
                candidates.counts, candidates.thresholds, n_threads,
            )  # fmt: skip
            yield rows, candidates


def cells_of(clusters: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of clusters cell by cell, and the sizes of the cells."""
    cells = [
        part for rows in clusters
        for part in np.array_split(rows, -(-len(rows) // MAX_CELL_ROWS))
    ]  # fmt: skip
    return np.concatenate(cells), np.array([len(rows) for rows in cells])


def cell_means(points, order, firsts) -> np.ndarray:
    """Return the mean of each cell, (cells, columns) float64.

    order, firsts : as of ``Cells``.
    """
    n_cells = len(firsts) - 1
    means = np.empty((n_cells, points.shape[1]))
    for a in range(0, n_cells, MEANS_BATCH):
        part = firsts[a : a + MEANS_BATCH + 1]
        rows = points[order[part[0] : part[-1]]].astype(np.float64)
        sums = np.add.reduceat(rows, part[:-1] - part[0])
        means[a : a + len(sums)] = sums / np.diff(part)[:, None]
    return means


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
