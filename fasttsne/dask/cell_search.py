"""The search of some cells by a task, among the rows of the cells that it was sent."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fasttsne.dask.prepared import rows_of
from fasttsne.linalg.pca import Projection
from fasttsne.nearest_neighbors.builtin.candidates import Candidates
from fasttsne.nearest_neighbors.builtin.cells import Bound, Cells, pack_cells
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.packing import PackedRows
from fasttsne.nearest_neighbors.builtin.reduction import score_norms

# What the kernel's float32 may add to a limit, and to squared lengths.
SLACK = 1e-4


class Group(NamedTuple):
    """The rows of some cells, cell by cell.

    ids : (m,) int32, their numbers; sizes : (cells,) rows of each cell.
    source : (m, columns); points : (m, any) reduced coordinates, or None where they are not.
    """

    ids: np.ndarray
    sizes: np.ndarray
    source: np.ndarray
    points: np.ndarray | None


class Search(NamedTuple):
    """How rows search: as of ``Cells.search``, and the number of neighbours."""

    n_far: int
    bound: Bound
    n_kept: int
    k: int


class UnfinishedCell(NamedTuple):
    """A cell with rows whose search goes on, which are open.

    reached : the cells beyond the near ones that these may reach.
    is_open, reaches : of all its rows, uint8 and float32, as of ``Cells``.
    """

    reached: np.ndarray
    is_open: np.ndarray
    reaches: np.ndarray


class FirstPassResult(NamedTuple):
    """What a first search found: a table of rows, and the others.

    table : ids, indices and distances, (m,) and (m, k), of the rows that are not open.
    open_cells : by their numbers, the cells of the others.
    """

    table: tuple[np.ndarray, np.ndarray, np.ndarray]
    open_cells: dict[int, UnfinishedCell]


def coordinates(frame: DenseRows, group: Group) -> np.ndarray:
    if group.points is not None:
        return group.points
    values: np.ndarray = frame.prepare(group.source).values
    return values


def take_cells(group: Group, cells: np.ndarray) -> Group:
    """Return some of the cells, by their numbers in the group, ascending."""
    firsts = np.append(0, group.sizes.cumsum())
    rows = np.concatenate([np.arange(firsts[c], firsts[c + 1]) for c in cells])
    points = None if group.points is None else group.points[rows]
    return Group(group.ids[rows], group.sizes[cells], group.source[rows], points)


def packed_cells(
    cells: Cells, points: np.ndarray, origin: np.ndarray, projection: Projection | None
) -> PackedRows:
    norms = score_norms(points, projection)
    return pack_cells(points, cells.index_map, cells.starts, cells.sizes, origin, 1, norms)


def nearest_in_group(
    frame: DenseRows,
    projection: Projection | None,
    origin: np.ndarray,
    queries: PackedRows,
    count: int,
    first: int,
    group: Group,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of the group's points that are nearest to packed rows: score, position.

    And their squared lengths; of empty places the largest number, and anything.
    """
    cells, points = Cells.__new__(Cells), coordinates(frame, group)
    cells._lay_out(np.arange(len(points)), group.sizes)
    candidates = Candidates(queries.n, count)
    packed = packed_cells(cells, points, origin, projection)
    candidates.compare_all(queries, packed, first, 1)
    keys: np.ndarray = np.sort(candidates._all_keys(), axis=1)[:, :count]
    places = (keys & np.uint64(2**32 - 1)).astype(np.int64) - first
    return keys, packed.norms[np.minimum(places, len(packed.norms) - 1)]


class CellShard:
    """Some of all cells, with their rows; the others have none.

    Parameters
    ----------
    cells : their numbers, ascending, which are those of the rows in ``parts``, in order.
    table : centroids and radii of all cells, and the origin.

    Attributes
    ----------
    ids : the numbers of all rows, ascending: of equal distances the smaller is the nearer, and so
        they are numbered among these as among all.
    """

    def __init__(
        self,
        frame: DenseRows,
        projection: Projection | None,
        cells: np.ndarray,
        table: Any,
        parts: Sequence[Group],
    ):
        ids = np.concatenate([part.ids for part in parts])
        order = np.argsort(ids)
        number = np.empty(len(ids), np.int64)
        number[order] = np.arange(len(ids))
        self.ids = ids[order]
        self.rows = rows_of(frame, _in_order([part.source for part in parts], number))
        if projection is None:
            self.points: np.ndarray = self.rows.points.values
        else:
            self.points = _in_order([part.points for part in parts], number)
        centroids, radii, origin = table
        sizes = np.zeros(len(centroids), np.int64)
        sizes[cells] = np.concatenate([part.sizes for part in parts])
        self.cells = Cells.__new__(Cells)
        self.cells._lay_out(number, sizes)
        self.cells.packed = packed_cells(self.cells, self.points, origin, projection)
        self.cells._set_centroids(centroids, radii, origin)

    def rows_between(self, first: int, last: int) -> np.ndarray:
        """Return the numbers here of the rows of a range of cells."""
        rows: np.ndarray = self.cells.order[self.cells.firsts[first] : self.cells.firsts[last]]
        return rows

    def nearest(self, rows: np.ndarray, candidates: Any, k: int) -> tuple[np.ndarray, ...]:
        """Return ids of rows, and their nearest candidates: indices and distances."""
        queries = self.rows.points[rows]
        indices, distances, _ = self.rows.rerank_queries(
            queries,
            candidates,
            np.arange(len(rows)),
            self.cells.index_map,
            k,
            1,
            self.rows.copied_lengths(queries),
        )
        return self.ids[rows], self.ids[indices], distances


def search_at_first(
    frame: DenseRows,
    projection: Projection | None,
    how: Search,
    own: np.ndarray,
    near: np.ndarray,
    cells: np.ndarray,
    table: Any,
    *parts: Group,
) -> FirstPassResult:
    """Search the rows of a range of cells, ``own``, in those that are near.

    And beyond, where the cells that they may reach are here.
    """
    shard, tables, open_cells = CellShard(frame, projection, cells, table, parts), [], {}
    n_near = near.shape[1]
    for batch in shard.cells._search_near(int(own[0]), near, how.bound, how.n_kept, 1):
        first, last, candidates, _, is_open = batch
        rows = shard.rows_between(first, last)
        if how.n_far == n_near:
            is_open[:] = False  # there is nothing beyond
        elif is_open.any():
            open_cells.update(_search_beyond(shard, how, n_near, *batch))
        done = np.flatnonzero(is_open == 0)
        tables.append(shard.nearest(rows[done], candidates.take(done), how.k))
    ids, indices, distances = (np.concatenate(each) for each in zip(*tables, strict=True))
    return FirstPassResult((ids, indices, distances), open_cells)


def _search_beyond(
    shard: CellShard,
    how: Search,
    n_near: int,
    first: int,
    last: int,
    candidates: Candidates,
    reaches: np.ndarray,
    is_open: np.ndarray,
) -> dict[int, UnfinishedCell]:
    """Go on with the open rows of a batch of cells; return the cells in which that is not possible.

    The others are no longer open: all that they may reach is here.
    """
    cells, rows, open_cells = shard.cells, shard.rows_between(first, last), {}
    is_here, goes_on = cells.sizes > 0, np.zeros_like(is_open)
    far = cells._far_cells(first, last, is_open, n_near, how.n_far, 1)
    limits = _limits(shard, rows, candidates, reaches, how.bound)
    firsts = cells.firsts[first : last + 1] - cells.firsts[first]
    for c in cells._open_cells(first, last, is_open).tolist():
        part = slice(firsts[c], firsts[c + 1])
        some = np.flatnonzero(is_open[part]) + part.start
        reached = _reached(shard, rows[some], limits[some], far[c], how.bound)
        if is_here[reached].all():
            goes_on[some], is_open[some] = True, False
        else:
            open_cells[first + c] = UnfinishedCell(reached, is_open[part], reaches[part])
    if goes_on.any():
        cells._compare(first, far, how.bound, candidates, reaches, goes_on, True, 1)
    return open_cells


def search_again(
    frame: DenseRows,
    projection: Projection | None,
    how: Search,
    own: np.ndarray,
    near: np.ndarray,
    is_open: np.ndarray,
    reaches: np.ndarray,
    cells: np.ndarray,
    table: Any,
    *parts: Group,
) -> tuple[np.ndarray, ...]:
    """Search the open rows of some cells, ``own``, in those that are near and beyond.

    is_open, reaches : of their rows, as of :class:`UnfinishedCell`.  Returns a table.
    """
    shard, tables, begin = CellShard(frame, projection, cells, table, parts), [], 0
    far = shard.cells.nearest(own, how.n_far, 1)[:, near.shape[1] :]
    for first, last, run in _runs(shard.cells, own):
        rows = shard.rows_between(first, last)
        part, begin = slice(begin, begin + len(rows)), begin + len(rows)
        candidates = Candidates(len(rows), how.n_kept)
        for probed in near[run], far[run]:
            shard.cells._compare(
                first, probed, how.bound, candidates, reaches[part], is_open[part], True, 1
            )
        some = np.flatnonzero(is_open[part])
        tables.append(shard.nearest(rows[some], candidates.take(some), how.k))
    return tuple(np.concatenate(each) for each in zip(*tables, strict=True))


def _runs(cells: Cells, own: np.ndarray) -> Iterator[tuple[int, int, slice]]:
    """Yield ranges of cells, in ``own``, (any,) ascending, that one call searches; and where."""
    begin = 0
    while begin < len(own):
        first = int(own[begin])
        end = begin + int(np.searchsorted(own[begin:], cells._batch_end(first)))
        is_next = own[begin:end] == np.arange(first, first + end - begin)
        end = begin + (len(is_next) if is_next.all() else int(is_next.argmin()))
        yield first, first + end - begin, slice(begin, end)
        begin = end


def _limits(
    shard: CellShard, rows: np.ndarray, candidates: Any, reaches: np.ndarray, bound: Bound
) -> np.ndarray:
    """Return how far rows search beyond the near cells, at most; see ``cell_search.pxd``."""
    own = shard.points[rows] - shard.cells.origin
    norms = np.einsum("ij,ij->i", own, own, dtype=np.float64)
    squares = candidates.thresholds[: len(rows)].astype(np.float64) + norms * (1 + SLACK)
    reaches = reaches + SLACK * np.abs(reaches)
    limits: np.ndarray = reaches + bound.pull * np.sqrt(np.maximum(squares, 0))
    return limits


def _reached(
    shard: CellShard, rows: np.ndarray, limits: np.ndarray, far: np.ndarray, bound: Bound
) -> np.ndarray:
    """Return which cells of ``far`` some rows may reach, and some more.

    A row x with the limit l reaches a cell with the centroid c and the width w where

        |x - c|^2 <= (l + w)^2, which is |c|^2 - w^2 <= 2 x c + 2 l w - (|x|^2 - l^2):

    a product of matrices, of which the largest number in each column decides.  All cells are
    taken to be reached by rows too far out for float32.
    """
    cells, more, less = shard.cells, np.float32(1 + SLACK), np.float32(1 - SLACK)
    own, limits = shard.points[rows] - cells.origin, limits.astype(np.float32)
    widths = np.float32(bound.width * (1 + SLACK)) * cells.radii[far]
    with np.errstate(invalid="ignore", over="ignore"):
        rest = less * np.einsum("ij,ij->i", own, own) - more * limits**2
        if not np.isfinite(rest).all():
            return far
        left = np.column_stack([own, more * limits, rest])
        ones = np.ones(len(far), np.float32)
        right = np.column_stack([2 * cells.centroids[far], 2 * widths, -ones])
        largest = (left @ right.T).max(0)
        reached: np.ndarray = far[~(largest < less * cells.norms[far] - more * widths**2)]
    return reached


def _in_order(parts: Sequence[Any], number: np.ndarray) -> np.ndarray:
    """Return the rows of all parts, each at its number."""
    out = np.empty((len(number), parts[0].shape[1]), parts[0].dtype)
    first = 0
    for part in parts:
        out[number[first : first + len(part)]] = part
        first += len(part)
    return out
