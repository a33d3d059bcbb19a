"""Cells of near rows on the workers: k-means, rows regrouped by cell, and the search of groups.

A group is a range of cells.  One task searches it, and is sent its border: the rows of those cells
of other groups that are near.  The client has the table of cells: centroids, sizes, which are near
each other, and the order of rows.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from distributed import Future

from fasttsne.dask.prepared import ClusterRows, rows_of
from fasttsne.dask.remote_rows import RemoteRows
from fasttsne.linalg.pca import Projection
from fasttsne.linalg.products import preallocate_blas_buffers
from fasttsne.nearest_neighbors.builtin.candidates import Candidates
from fasttsne.nearest_neighbors.builtin.cells import Cells, cell_means, cells_of, pack_cells
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
from fasttsne.nearest_neighbors.builtin.reduction import score_norms
from fasttsne.nearest_neighbors.builtin.search_plan import SearchPlan

PARTITION, SEARCH = "partitioning into cells", "search"
# Numbers of a group's rows, at most, and rows at least.
GROUP_NUMBERS, MIN_GROUP_ROWS = 2**24, 256


class Group(NamedTuple):
    """The rows of some cells, cell by cell.

    ids : (m,) int32, their numbers; sizes : (cells,) rows of each cell.
    source : (m, columns); points : (m, any) reduced coordinates, or None where they are not.
    """

    ids: np.ndarray
    sizes: np.ndarray
    source: np.ndarray
    points: np.ndarray | None


class ClusterCells(Cells):
    """Cells whose rows are on the workers, for the plan of a search and for ``search_groups``.

    Parameters are those of :class:`Cells`, but points are on the workers, rows are the prepared
    ones, and ``projection`` is from them to points, or None where they are the same.
    """

    def __init__(
        self, rows: ClusterRows, points: RemoteRows, origin: np.ndarray, generator: Any,
        n_threads: int, projection: Projection | None,
    ):  # fmt: skip
        preallocate_blas_buffers()
        self._rows, self._cluster, self._projection = rows, points.cluster, projection
        self.groups = self._regroup(points, origin, generator, n_threads)
        layouts = self._cluster.results(
            PARTITION,
            [self._cluster.submit(PARTITION, partial(_layout, rows.frame), g) for g in self.groups],
        )  # fmt: skip
        ids, sizes, means = zip(*layouts, strict=True)
        self._lay_out(np.concatenate(ids), np.concatenate(sizes))
        self.group_cells = np.cumsum([0, *map(len, sizes)])
        self._set_centroids((np.concatenate(means) - origin).astype(np.float32), origin)

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
                    PARTITION, partial(_piece, a, b, int(points.edges[i])), positions[i],
                    self._rows.source.blocks[i],
                    None if self._projection is None else points.blocks[i],
                )
                for i in range(len(positions))
            ]  # fmt: skip
            gather = partial(_gather, self._rows.frame, a, b, samples[a:b], origin)
            groups.append(cluster.submit(PARTITION, gather, *pieces))
        cluster.finish(PARTITION, groups)
        return groups

    def nearest_positions(self, packed: PackedRows, count: int, n_threads: int) -> np.ndarray:
        found = []
        for g, group in enumerate(self.groups):
            a, b = self.group_cells[g : g + 2]
            tiles = self.starts[a : b + 1]
            run = partial(
                _nearest_in_group, self._rows.frame, self._projection, self.origin, packed, count,
                int(tiles[0]) * TILE_ROWS,
            )  # fmt: skip
            found.append(self._cluster.submit(PARTITION, run, group))
        keys = np.sort(np.concatenate(self._cluster.results(PARTITION, found), axis=1), axis=1)
        return (keys[:, :count] & np.uint64(2**32 - 1)).astype(np.int64)

    def search_groups(self, plan: SearchPlan, k: int) -> list[Future]:
        """Return futures of (ids, indices, distances) of the groups' rows, (m,) and (m, k)."""
        n_kept = min(plan.n_candidates, len(self.order) - 1)
        n_always = self.count_always(n_kept)
        near = self.near[:, : max(plan.n_near, n_always)]
        tables = []
        for g, group in enumerate(self.groups):
            a, b = int(self.group_cells[g]), int(self.group_cells[g + 1])
            cells = np.union1d(near[a:b], np.arange(a, b))
            parts: list[Any] = []
            for h, other in enumerate(self.groups):
                c, d = self.group_cells[h : h + 2]
                wanted = cells[(cells >= c) & (cells < d)] - c
                if h == g:
                    parts.append(group)
                elif len(wanted):
                    parts.append(self._cluster.submit(SEARCH, _take_cells, other, wanted))
            world = World(
                np.searchsorted(cells, (a, b)), self.centroids[cells], self.origin,
                np.searchsorted(cells, near[a:b]).astype(np.int32),
            )  # fmt: skip
            run = partial(
                _search, self._rows.frame, self._projection, world, n_always, plan.reach, n_kept, k
            )
            tables.append(self._cluster.submit(SEARCH, run, *parts))
        self._cluster.finish(SEARCH, tables, self._group_sizes())
        return tables

    def _group_sizes(self) -> list[int]:
        return [int(size) for size in np.diff(self.firsts[self.group_cells])]


class World(NamedTuple):
    """The cells that the search of a group reads.

    own : the first of the group's cells among them, and the end of these.
    near : (own cells, any) the numbers, among these cells, of those that are near.
    """

    own: np.ndarray
    centroids: np.ndarray
    origin: np.ndarray
    near: np.ndarray


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


def _coordinates(frame: DenseRows, group: Group) -> np.ndarray:
    if group.points is not None:
        return group.points
    values: np.ndarray = frame.prepare(group.source).values
    return values


def _layout(frame: DenseRows, group: Group) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, sizes and means of cells."""
    firsts = np.append(0, group.sizes.cumsum())
    points = _coordinates(frame, group)
    return group.ids, group.sizes, cell_means(points, np.arange(len(points)), firsts)


def _take_cells(group: Group, cells: np.ndarray) -> Group:
    """Return some of the cells, by their numbers in the group, ascending."""
    firsts = np.append(0, group.sizes.cumsum())
    rows = np.concatenate([np.arange(firsts[c], firsts[c + 1]) for c in cells])
    points = None if group.points is None else group.points[rows]
    return Group(group.ids[rows], group.sizes[cells], group.source[rows], points)


def _packed_cells(
    cells: Cells, points: np.ndarray, origin: np.ndarray, projection: Projection | None
) -> PackedRows:
    norms = score_norms(points, projection)
    return pack_cells(points, cells.index_map, cells.starts, cells.sizes, origin, 1, norms)


def _nearest_in_group(
    frame: DenseRows, projection: Projection | None, origin: np.ndarray, queries: PackedRows,
    count: int, first: int, group: Group,
) -> np.ndarray:  # fmt: skip
    """Return the keys of the group's points that are nearest to packed rows: score, position."""
    cells, points = Cells.__new__(Cells), _coordinates(frame, group)
    cells._lay_out(np.arange(len(points)), group.sizes)
    candidates = Candidates(queries.n, count)
    packed = _packed_cells(cells, points, origin, projection)
    candidates.compare_all(queries, packed, first, 1)
    keys: np.ndarray = candidates._all_keys()
    return keys


def _search(
    frame: DenseRows, projection: Projection | None, world: World, n_always: int, reach: float,
    n_kept: int, k: int, *parts: Group,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Search the rows of a group among all its parts' cells."""
    ids = np.concatenate([part.ids for part in parts])
    # Of equal distances the smaller number is the nearer: so rows are numbered as among all.
    order = np.argsort(ids)
    number = np.empty(len(ids), np.int64)
    number[order] = np.arange(len(ids))
    rows = rows_of(frame, _in_order([part.source for part in parts], number))
    if projection is None:
        points = rows.points.values
    else:
        points = _in_order([part.points for part in parts], number)
    cells = Cells.__new__(Cells)
    cells._lay_out(number, np.concatenate([part.sizes for part in parts]))
    cells.packed = _packed_cells(cells, points, world.origin, projection)
    cells._set_centroids(world.centroids, world.origin)
    first, stop = (int(cell) for cell in world.own)
    near = np.zeros((cells.n_cells, world.near.shape[1]), np.int32)
    near[first:stop] = world.near
    own = number[cells.firsts[first] : cells.firsts[stop]]
    indices = np.empty((len(own), k), np.int32)
    distances = np.empty((len(own), k), np.float32)
    done, sorted_ids = 0, ids[order]
    for batch, candidates in cells._search(near, n_always, reach, n_kept, 1, first, stop):
        part = slice(done, done + len(batch))
        queries = rows.points[batch]
        found, distances[part], _ = rows.rerank_queries(
            queries, candidates, np.arange(len(batch)), cells.index_map, k, 1,
            rows.copied_lengths(queries),
        )  # fmt: skip
        indices[part], done = sorted_ids[found], part.stop
    return sorted_ids[own], indices, distances


def _in_order(parts: Sequence[Any], number: np.ndarray) -> np.ndarray:
    """Return the rows of all parts, each at its number."""
    out = np.empty((len(number), parts[0].shape[1]), parts[0].dtype)
    first = 0
    for part in parts:
        out[number[first : first + len(part)]] = part
        first += len(part)
    return out
