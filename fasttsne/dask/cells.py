"""Cells of near rows on the workers: k-means, rows regrouped by cell, and the search of groups.

A group is a range of cells.  One task searches it, and is sent its border: the rows of those cells
of other groups that are near.  The client has the table of cells: centroids, sizes, which are near
each other, and the order of rows.
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from distributed import Future

from fasttsne.dask.cell_search import (
    Group,
    Search,
    UnfinishedCell,
    coordinates,
    nearest_in_group,
    search_again,
    search_at_first,
    take_cells,
)
from fasttsne.dask.prepared import ClusterRows
from fasttsne.dask.remote_rows import RemoteRows
from fasttsne.linalg.pca import Projection
from fasttsne.linalg.products import preallocate_blas_buffers
from fasttsne.nearest_neighbors.builtin.cells import Cells, cell_means, cells_of
from fasttsne.nearest_neighbors.builtin.clusters import (
    MAX_CLUSTERS_ONE_LEVEL,
    count_clusters,
    count_coarse,
    rows_by_position,
    tour_positions,
    train_centroids,
    training_rows,
)
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.packing import TILE_ROWS, PackedRows
from fasttsne.nearest_neighbors.builtin.search_plan import SearchPlan

PARTITION, SEARCH = "partitioning into cells", "search"
# Numbers of a group's rows, at most, and rows at least.
GROUP_NUMBERS, MIN_GROUP_ROWS = 2**24, 256


class ClusterCells(Cells):
    """Cells whose rows are on the workers, for the plan of a search and for ``search_groups``.

    Parameters are those of :class:`Cells`, but points are on the workers, rows are the prepared
    ones, and ``projection`` is from them to points, or None where they are the same.
    """

    def __init__(
        self,
        rows: ClusterRows,
        points: RemoteRows,
        origin: np.ndarray,
        generator: Any,
        n_threads: int,
        projection: Projection | None,
    ):
        preallocate_blas_buffers()
        self._rows, self._cluster, self._projection = rows, points.cluster, projection
        self.groups = self._regroup(points, origin, generator, n_threads)
        layouts = self._cluster.results(
            PARTITION,
            [self._cluster.submit(PARTITION, partial(_layout, rows.frame), g) for g in self.groups],
        )
        ids, sizes, means, squares = zip(*layouts, strict=True)
        self._lay_out(np.concatenate(ids), np.concatenate(sizes))
        self.group_cells = np.cumsum([0, *map(len, sizes)])
        self._set_centroids(
            (np.concatenate(means) - origin).astype(np.float32),
            np.sqrt(np.concatenate(squares)),
            origin,
        )

    def _regroup(
        self, points: RemoteRows, origin: np.ndarray, generator: Any, n_threads: int
    ) -> list[Future]:
        """Return the groups: k-means on a sample, here; the rest where rows are."""
        cluster, n = self._cluster, len(points)
        n_clusters = count_clusters(n)
        is_coarse = n_clusters > MAX_CLUSTERS_ONE_LEVEL
        n_positions = count_coarse(n_clusters) if is_coarse else n_clusters
        training = points[training_rows(n, n_positions, generator)]
        centroids = train_centroids(training, n_positions, origin, n_threads, lambda n_rows: None)
        positions = points.submit_blocks(PARTITION, partial(_assign, centroids, origin))
        counts = [cluster.submit(PARTITION, _count, each, n_positions) for each in positions]
        totals = np.sum(cluster.results(PARTITION, counts, points.sizes), axis=0)
        # The generator's next numbers, in the order in which the local fit draws them.
        samples = [
            training_rows(size, count_clusters(size), generator) if is_coarse and size else None
            for size in totals.tolist()
        ]
        n_groups = cluster.n_parts(n, MIN_GROUP_ROWS, max(GROUP_NUMBERS // points.shape[1], 1))
        groups = []
        for a, b in _ranges(totals, n_groups):
            pieces = [
                cluster.submit(
                    PARTITION,
                    partial(_piece, a, b, int(points.edges[i])),
                    positions[i],
                    self._rows.source.blocks[i],
                    None if self._projection is None else points.blocks[i],
                )
                for i in range(len(positions))
            ]
            gather = partial(_gather, self._rows.frame, a, b, samples[a:b], origin)
            groups.append(cluster.submit(PARTITION, gather, *pieces))
        cluster.finish(PARTITION, groups)
        return groups

    def nearest_positions(
        self, packed: PackedRows, count: int, n_threads: int
    ) -> tuple[np.ndarray, np.ndarray]:
        found = []
        for g, group in enumerate(self.groups):
            first = int(self.starts[self.group_cells[g]]) * TILE_ROWS
            run = partial(
                nearest_in_group,
                self._rows.frame,
                self._projection,
                self.origin,
                packed,
                count,
                first,
            )
            found.append(self._cluster.submit(PARTITION, run, group))
        parts = zip(*self._cluster.results(PARTITION, found), strict=True)
        keys, norms = (np.concatenate(part, axis=1) for part in parts)
        order = np.argsort(keys, axis=1)[:, :count]
        places = np.take_along_axis(keys, order, 1) & np.uint64(2**32 - 1)
        return places.astype(np.int64), np.take_along_axis(norms, order, 1)

    def search_groups(self, plan: SearchPlan, k: int) -> list[Future]:
        """Return futures of (ids, indices, distances) of parts of the rows, (m,) and (m, k).

        Rows whose bound reaches cells that their task was not sent are searched a second time, with
        those.
        """
        n_kept = min(plan.n_candidates, len(self.order) - 1)
        near = self.near[:, : max(plan.n_near, self._n_least)]
        how = Search(plan.n_far, plan.bound, n_kept, k)
        table = self._cluster.submit(SEARCH, _identity, (self.centroids, self.radii, self.origin))
        searched = []
        for a, b in zip(self.group_cells[:-1], self.group_cells[1:], strict=True):
            own = np.arange(a, b)
            run = partial(search_at_first, self._rows.frame, self._projection, how, own, near[a:b])
            searched.append(self._submit(run, table, np.union1d(own, near[a:b])))
        self._cluster.finish(SEARCH, searched, self._group_sizes())
        tables = [self._cluster.submit(SEARCH, itemgetter(0), each) for each in searched]
        found = [self._cluster.submit(SEARCH, itemgetter(1), each) for each in searched]
        for open_cells in self._cluster.results(SEARCH, found):
            for cells in self._in_parts(open_cells, near):
                reached, is_open, reaches = zip(
                    *(open_cells[cell] for cell in cells.tolist()), strict=True
                )
                again = partial(
                    search_again,
                    self._rows.frame,
                    self._projection,
                    how,
                    cells,
                    near[cells],
                    np.concatenate(is_open),
                    np.concatenate(reaches),
                )
                read = np.unique(np.concatenate([cells, near[cells].ravel(), *reached]))
                tables.append(self._submit(again, table, read))
        self._cluster.finish(SEARCH, tables)
        return tables

    def _submit(self, run: Any, table: Future, cells: np.ndarray) -> Future:
        """Return the future of a search that reads the rows of some cells, ascending."""
        parts: list[Any] = []
        for group, (a, b) in zip(self.groups, itertools.pairwise(self.group_cells), strict=True):
            wanted = cells[(cells >= a) & (cells < b)] - a
            if len(wanted) == b - a:
                parts.append(group)
            elif len(wanted):
                parts.append(self._cluster.submit(SEARCH, take_cells, group, wanted))
        return self._cluster.submit(SEARCH, partial(run, cells), table, *parts)

    def _in_parts(
        self, open_cells: dict[int, UnfinishedCell], near: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yield the numbers of open cells, ascending, with which not too many rows are read."""
        limit = max(GROUP_NUMBERS // self._rows.n_columns, 1)
        part: list[int] = []
        is_read = np.zeros(self.n_cells, bool)
        for cell in sorted(open_cells):
            is_read[cell] = is_read[near[cell]] = is_read[open_cells[cell].reached] = True
            part.append(cell)
            if self.sizes[is_read].sum() > limit:
                yield np.array(part)
                part = []
                is_read[:] = False
        if part:
            yield np.array(part)

    def _group_sizes(self) -> list[int]:
        return [int(size) for size in np.diff(self.firsts[self.group_cells])]


def _ranges(totals: np.ndarray, n_ranges: int) -> list[tuple[int, int]]:
    """Return ranges of positions with about as many rows each, none empty."""
    ends = np.cumsum(totals)
    wanted = np.arange(1, n_ranges) * ends[-1] // n_ranges
    edges = np.unique(np.concatenate([[0], np.searchsorted(ends, wanted) + 1, [len(totals)]]))
    edges = edges[edges <= len(totals)]
    pairs = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    return [(a, b) for a, b in pairs if totals[a:b].sum()]


def _assign(centroids: np.ndarray, origin: np.ndarray, points: np.ndarray, first: int) -> Any:
    return tour_positions(points, centroids, origin, 1, lambda n_rows: None)


def _count(positions: np.ndarray, n_positions: int) -> np.ndarray:
    return np.bincount(positions, minlength=n_positions)


def _piece(
    a: int, b: int, first: int, positions: np.ndarray, source: np.ndarray, points: Any
) -> tuple[Any, ...]:
    """Return the rows of a block at positions from a to b."""
    at = np.flatnonzero((positions >= a) & (positions < b))
    ids = (first + at).astype(np.int32)
    return ids, positions[at], source[at], None if points is None else points[at]


def _gather(
    frame: DenseRows, a: int, b: int, samples: Sequence[Any], origin: np.ndarray, *pieces: Any
) -> Group:
    """Return the rows at positions from a to b, in cells."""
    ids, positions, source = (np.concatenate([each[i] for each in pieces]) for i in range(3))
    points = None if pieces[0][3] is None else np.concatenate([each[3] for each in pieces])
    coordinates = frame.prepare(source).values if points is None else points
    clusters: list[np.ndarray] = []
    by_position = rows_by_position(positions - np.uint16(a), b - a)
    used = [sample for sample in samples if sample is not None]
    if not used:
        clusters = by_position
    else:
        for rows, sample in zip(by_position, used, strict=True):
            coarse = coordinates[rows]
            n_clusters, how = count_clusters(len(rows)), (origin, 1, lambda n_rows: None)
            centroids = train_centroids(coarse[sample], n_clusters, *how)
            fine = rows_by_position(tour_positions(coarse, centroids, *how), len(centroids))
            clusters.extend(rows[members] for members in fine)
    order, sizes = cells_of(clusters)
    return Group(ids[order], sizes, source[order], None if points is None else points[order])


def _layout(frame: DenseRows, group: Group) -> tuple[np.ndarray, ...]:
    """Return rows, sizes, means and mean squares of cells."""
    firsts = np.append(0, group.sizes.cumsum())
    points = coordinates(frame, group)
    return group.ids, group.sizes, *cell_means(points, np.arange(len(points)), firsts)


def _identity(value: Any) -> Any:
    return value
