"""Cells of near rows on the workers: k-means, rows regrouped by cell, and the search of groups.

A group is a range of cells.  One task searches it, and is sent its border: the rows of those cells
of other groups that are near.  The client has the table of cells.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import NamedTuple, TypeAlias

import numpy as np
from distributed import Future

from fasttsne.dask.rows import RemoteRows, Tables, by_rows
from fasttsne.linalg.pca import Projection
from fasttsne.linalg.products import preallocate_blas_buffers
from fasttsne.nearest_neighbors.builtin.candidates import (
    TILE_ROWS,
    Candidates,
    PackedRows,
    numbers_of,
)
from fasttsne.nearest_neighbors.builtin.cells import (
    MAX_CLUSTERS_ONE_LEVEL,
    Cells,
    CellStore,
    CellTable,
    SearchedRows,
    SearchPlan,
    UnfinishedCell,
    cell_means,
    cells_of,
    count_clusters,
    count_coarse,
    lay_out,
    pack_cells,
    rows_by_position,
    tour_positions,
    train_centroids,
    training_rows,
)
from fasttsne.nearest_neighbors.builtin.prepared_rows import score_norms
from fasttsne.nearest_neighbors.builtin.rows import DenseFrame, DenseRows
from fasttsne.runtime.typing import RandomGenerator

PARTITION, SEARCH = "partitioning into cells", "search"
# Numbers of a group's rows, at most, and rows at least.
GROUP_NUMBERS, MIN_GROUP_ROWS = 2**24, 256

# Ids of rows, (m,), and their neighbours: indices and distances, (m, k).
Found: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
# Centroids and radii of all cells, and the origin.
CentroidTable: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


class Group(NamedTuple):
    """The rows of some cells, cell by cell.

    ids : (m,) int32, their numbers; sizes : (cells,) rows of each cell.
    source : (m, columns); points : (m, any) reduced coordinates, or None where they are not.
    """

    ids: np.ndarray
    sizes: np.ndarray
    source: np.ndarray
    points: np.ndarray | None


class Space(NamedTuple):
    """What turns rows into points: their frame, and the projection of points, if there is one."""

    frame: DenseFrame
    projection: Projection | None

    def points_of(self, group: Group) -> np.ndarray:
        """Return the coordinates of a group."""
        return self.frame.prepare(group.source).values if group.points is None else group.points


class ClusterCells(CellStore[RemoteRows]):
    """Cells whose rows are on the workers.

    Parameters
    ----------
    source : the rows; points : their coordinates, maybe reduced.
    space : what turns these into those.
    origin, generator, n_threads : as :meth:`Cells.partition`.
    """

    def __init__(
        self,
        source: RemoteRows,
        points: RemoteRows,
        space: Space,
        origin: np.ndarray,
        generator: RandomGenerator,
        n_threads: int,
    ):
        preallocate_blas_buffers()
        self._space, self._cluster = space, source.cluster
        self._n_columns = source.shape[1]
        self._groups = self._regroup(source, points, origin, generator, n_threads)
        layouts = self._cluster.results(
            PARTITION,
            [self._cluster.submit(PARTITION, partial(_layout, space), g) for g in self._groups],
        )
        ids, sizes, means, squares = zip(*layouts, strict=True)
        self._group_cells = np.cumsum([0, *map(len, sizes)])
        centroids = (np.concatenate(means) - origin).astype(np.float32)
        radii = np.sqrt(np.concatenate(squares))
        self.table = CellTable(np.concatenate(ids), np.concatenate(sizes), centroids, radii, origin)

    def _regroup(
        self,
        source: RemoteRows,
        points: RemoteRows,
        origin: np.ndarray,
        generator: RandomGenerator,
        n_threads: int,
    ) -> list[Future]:
        """Return the groups: k-means on a sample, here; the rest where rows are."""
        cluster, n = self._cluster, len(points)
        n_clusters = count_clusters(n)
        is_coarse = n_clusters > MAX_CLUSTERS_ONE_LEVEL
        n_positions = count_coarse(n_clusters) if is_coarse else n_clusters
        training = points[training_rows(n, n_positions, generator)]
        centroids = train_centroids(training, n_positions, origin, n_threads, _ignore)
        positions = points.submit_blocks(PARTITION, partial(_assign, centroids, origin))
        count = partial(np.bincount, minlength=n_positions)
        counts = [cluster.submit(PARTITION, count, each) for each in positions]
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
                    source.blocks[i],
                    None if self._space.projection is None else points.blocks[i],
                )
                for i in range(len(positions))
            ]
            gather = partial(_gather, self._space, a, b, samples[a:b], origin)
            groups.append(cluster.submit(PARTITION, gather, *pieces))
        cluster.finish(PARTITION, groups)
        return groups

    def nearest_positions(
        self, packed: PackedRows, count: int, n_threads: int
    ) -> tuple[np.ndarray, np.ndarray]:
        found = []
        for a, group in zip(self._group_cells[:-1], self._groups, strict=True):
            first = int(self.table.starts[a]) * TILE_ROWS
            run = partial(_nearest_in_group, self._space, self.table.origin, packed, count, first)
            found.append(self._cluster.submit(PARTITION, run, group))
        parts = zip(*self._cluster.results(PARTITION, found), strict=True)
        keys, norms = (np.concatenate(part, axis=1) for part in parts)
        order = np.argsort(keys, axis=1)[:, :count]
        positions = numbers_of(np.take_along_axis(keys, order, 1))
        return positions, np.take_along_axis(norms, order, 1)

    def search(self, plan: SearchPlan, k: int, n_threads: int) -> Tables:
        """Search as the base.

        Rows whose bound reaches cells that their task was not sent are searched a second time, with
        those.
        """
        cells, cluster, n = self.table, self._cluster, len(self.table.order)
        near = cells.near_cells(plan.n_near)
        plan = plan._replace(n_candidates=min(plan.n_candidates, n - 1))
        table = cluster.submit(SEARCH, tuple, (cells.centroids, cells.radii, cells.origin))
        searched = []
        for a, b in itertools.pairwise(self._group_cells):
            run = partial(search_at_first, self._space, plan, k, a, near[a:b])
            searched.append(self._submit(run, table, np.union1d(np.arange(a, b), near[a:b])))
        cluster.finish(SEARCH, searched, np.diff(cells.firsts[self._group_cells]).tolist())
        tables = [cluster.submit(SEARCH, itemgetter(0), each) for each in searched]
        found = [cluster.submit(SEARCH, itemgetter(1), each) for each in searched]
        for unfinished in cluster.results(SEARCH, found):
            for own in self._in_parts(unfinished, near):
                some = [unfinished[cell] for cell in own.tolist()]
                again = partial(search_again, self._space, plan, k, own, near[own], some)
                reached = [cell.reached for cell in some]
                read = np.unique(np.concatenate([own, near[own].ravel(), *reached]))
                tables.append(self._submit(again, table, read))
        cluster.finish(SEARCH, tables)
        return by_rows(cluster, tables, n, k)

    def _submit(self, run: Callable[..., object], table: Future, cells: np.ndarray) -> Future:
        """Return the future of a search that reads the rows of some cells, ascending."""
        parts: list[Future] = []
        for group, (a, b) in zip(self._groups, itertools.pairwise(self._group_cells), strict=True):
            wanted = cells[(cells >= a) & (cells < b)] - a
            if len(wanted) == b - a:
                parts.append(group)
            elif len(wanted):
                parts.append(self._cluster.submit(SEARCH, take_cells, group, wanted))
        return self._cluster.submit(SEARCH, partial(run, cells), table, *parts)

    def _in_parts(
        self, unfinished: dict[int, UnfinishedCell], near: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yield the numbers of unfinished cells in parts that do not read too many rows."""
        limit, sizes = max(GROUP_NUMBERS // self._n_columns, 1), self.table.sizes
        part: list[int] = []
        is_read = np.zeros(len(sizes), bool)
        for cell in sorted(unfinished):
            is_read[cell] = is_read[near[cell]] = is_read[unfinished[cell].reached] = True
            part.append(cell)
            if sizes[is_read].sum() > limit:
                yield np.array(part)
                part = []
                is_read[:] = False
        if part:
            yield np.array(part)


class CellShard:
    """Some of all cells, with their rows; the others have none.

    Parameters
    ----------
    cells : their numbers, ascending; ``parts`` has the rows of each, in this order.
    table : centroids and radii of all cells, and the origin.

    Attributes
    ----------
    ids : the numbers of all rows, ascending: of equal distances the smaller is the nearer, and so
        they are numbered among these as among all.
    """

    def __init__(
        self, space: Space, cells: np.ndarray, table: CentroidTable, parts: Sequence[Group]
    ):
        ids = np.concatenate([part.ids for part in parts])
        order = np.argsort(ids)
        number = np.empty(len(ids), np.int64)
        number[order] = np.arange(len(ids))
        self.ids = ids[order]
        source = _in_order([part.source for part in parts], number)
        self.rows = DenseRows(source, space.frame.metric, space.frame)
        points = self.rows.points.values
        if space.projection is not None:
            points = _in_order([space.points_of(part) for part in parts], number)
        sizes = np.zeros(len(table[0]), np.int64)
        sizes[cells] = np.concatenate([part.sizes for part in parts])
        norms = score_norms(points, space.projection)
        self.cells = Cells(points, number, sizes, table, norms, is_whole=False)

    def nearest(
        self, batches: Iterator[SearchedRows], k: int
    ) -> tuple[Found, dict[int, UnfinishedCell]]:
        """Return ids of rows with their nearest candidates, and the cells that are unfinished."""
        tables: list[Found] = []
        unfinished: dict[int, UnfinishedCell] = {}
        for batch in batches:
            queries, at = self.rows.points[batch.rows], np.arange(len(batch.rows))
            sizes, index_map = self.rows.copied_lengths(queries), self.cells.index_map
            indices, distances, _ = self.rows.rerank_queries(
                queries, batch.candidates, at, index_map, k, 1, sizes
            )
            tables.append((self.ids[batch.rows], self.ids[indices], distances))
            unfinished.update(batch.unfinished)
        ids, indices, distances = (np.concatenate(each) for each in zip(*tables, strict=True))
        return (ids, indices, distances), unfinished


def search_at_first(
    space: Space,
    plan: SearchPlan,
    k: int,
    start: int,
    near: np.ndarray,
    cells: np.ndarray,
    table: CentroidTable,
    *parts: Group,
) -> tuple[Found, dict[int, UnfinishedCell]]:
    """Search the rows of a range of cells in those that are near, and beyond if those are here."""
    shard = CellShard(space, cells, table, parts)
    return shard.nearest(shard.cells.search(near, plan, 1, int(start)), k)


def search_again(
    space: Space,
    plan: SearchPlan,
    k: int,
    own: np.ndarray,
    near: np.ndarray,
    unfinished: Sequence[UnfinishedCell],
    cells: np.ndarray,
    table: CentroidTable,
    *parts: Group,
) -> Found:
    """Search the open rows of unfinished cells, ``own``, in those that are near and beyond."""
    shard = CellShard(space, cells, table, parts)
    is_open, reaches = (np.concatenate([cell[i] for cell in unfinished]) for i in (1, 2))
    return shard.nearest(shard.cells.search_again(own, near, plan, is_open, reaches), k)[0]


def take_cells(group: Group, cells: np.ndarray) -> Group:
    """Return some of the cells, by their numbers in the group, ascending."""
    firsts = np.append(0, group.sizes.cumsum())
    rows = np.concatenate([np.arange(firsts[c], firsts[c + 1]) for c in cells])
    points = None if group.points is None else group.points[rows]
    return Group(group.ids[rows], group.sizes[cells], group.source[rows], points)


def _nearest_in_group(
    space: Space, origin: np.ndarray, queries: PackedRows, count: int, first: int, group: Group
) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of the group's points that are nearest to packed rows: score, position.

    And their squared lengths; of empty places the largest number, and anything.
    """
    points, sizes = space.points_of(group), group.sizes
    starts, index_map = lay_out(np.arange(len(points)), sizes)
    norms = score_norms(points, space.projection)
    packed = pack_cells(points, index_map, starts, sizes, origin, 1, norms)
    candidates = Candidates(queries.n, count)
    candidates.compare_all(queries, packed, first, 1)
    keys = candidates.top_keys(count)
    return keys, packed.norms[np.minimum(numbers_of(keys) - first, len(packed.norms) - 1)]


def _ranges(totals: np.ndarray, n_ranges: int) -> list[tuple[int, int]]:
    """Return ranges of positions with about as many rows each, none empty."""
    ends = np.cumsum(totals)
    wanted = np.arange(1, n_ranges) * ends[-1] // n_ranges
    edges = np.unique(np.concatenate([[0], np.searchsorted(ends, wanted) + 1, [len(totals)]]))
    edges = edges[edges <= len(totals)]
    return [(a, b) for a, b in itertools.pairwise(edges.tolist()) if totals[a:b].sum()]


def _assign(
    centroids: np.ndarray, origin: np.ndarray, points: np.ndarray, first: int
) -> np.ndarray:
    return tour_positions(points, centroids, origin, 1, _ignore)


# Rows of a block at some positions: ids, positions, rows, and reduced coordinates if there are.
Piece: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]


def _piece(
    a: int, b: int, first: int, positions: np.ndarray, source: np.ndarray, points: np.ndarray | None
) -> Piece:
    """Return the rows of a block at positions from a to b."""
    at = np.flatnonzero((positions >= a) & (positions < b))
    ids = (first + at).astype(np.int32)
    return ids, positions[at], source[at], None if points is None else points[at]


def _gather(
    space: Space,
    a: int,
    b: int,
    samples: Sequence[np.ndarray | None],
    origin: np.ndarray,
    *pieces: Piece,
) -> Group:
    """Return the rows at positions from a to b, in cells."""
    ids, positions, source = (np.concatenate([each[i] for each in pieces]) for i in range(3))
    reduced = [each[3] for each in pieces if each[3] is not None]
    points = np.concatenate(reduced) if reduced else None
    coordinates = space.points_of(Group(ids, positions, source, points))
    by_position = rows_by_position(positions - np.uint16(a), b - a)
    used = [sample for sample in samples if sample is not None]
    clusters = [] if used else by_position
    for rows, sample in zip(by_position, used, strict=bool(used)):
        coarse = coordinates[rows]
        n_clusters, how = count_clusters(len(rows)), (origin, 1, _ignore)
        centroids = train_centroids(coarse[sample], n_clusters, *how)
        fine = rows_by_position(tour_positions(coarse, centroids, *how), len(centroids))
        clusters.extend(rows[members] for members in fine)
    order, sizes = cells_of(clusters)
    return Group(ids[order], sizes, source[order], None if points is None else points[order])


def _layout(space: Space, group: Group) -> tuple[np.ndarray, ...]:
    """Return rows, sizes, means and mean squares of cells."""
    points = space.points_of(group)
    return group.ids, group.sizes, *cell_means(points, np.arange(len(points)), group.sizes)


def _in_order(parts: Sequence[np.ndarray], number: np.ndarray) -> np.ndarray:
    """Return the rows of all parts, each at its number."""
    out = np.empty((len(number), parts[0].shape[1]), parts[0].dtype)
    first = 0
    for part in parts:
        out[number[first : first + len(part)]] = part
        first += len(part)
    return out


def _ignore(n_rows: int) -> None:
    """Report nothing."""
