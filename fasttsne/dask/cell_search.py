"""The search of some cells by a task, among the rows of the cells that it was sent."""

from collections.abc import Sequence
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


class Found(NamedTuple):
    """What a first search found: a table of rows, and the cells of the others.

    table : ids, indices and distances, (m,) and (m, k), of rows none of whose cell is open.
    far : for each open cell, by its number, the cells that its open rows may reach.
    """

    table: tuple[np.ndarray, np.ndarray, np.ndarray]
    far: dict[int, np.ndarray]


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
    frame: DenseRows, projection: Projection | None, origin: np.ndarray, queries: PackedRows,
    count: int, first: int, group: Group,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
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


class World:
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
        self, frame: DenseRows, projection: Projection | None, cells: np.ndarray, table: Any,
        parts: Sequence[Group],
    ):  # fmt: skip
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

    def nearest(self, rows: np.ndarray, candidates: Any, k: int) -> tuple[np.ndarray, ...]:
        """Return ids of rows, and their nearest candidates: indices and distances."""
        queries = self.rows.points[rows]
        indices, distances, _ = self.rows.rerank_queries(
            queries, candidates, np.arange(len(rows)), self.cells.index_map, k, 1,
            self.rows.copied_lengths(queries),
        )  # fmt: skip
        return self.ids[rows], self.ids[indices], distances


def search_at_first(
    frame: DenseRows, projection: Projection | None, how: Search, own: np.ndarray,
    near: np.ndarray, cells: np.ndarray, table: Any, *parts: Group,
) -> Found:  # fmt: skip
    """Search the rows of a range of cells, ``own``, in those that are near."""
    world, tables, far = World(frame, projection, cells, table, parts), [], {}
    found = world.cells._search_near(int(own[0]), near, how.bound, how.n_kept, 1)
    for first, last, candidates, reaches, is_open in found:
        rows = world.cells.order[world.cells.firsts[first] : world.cells.firsts[last]]
        is_done = np.ones(len(rows), bool)
        if how.n_far > near.shape[1] and is_open.any():
            opened = first + world.cells._open_cells(first, last, is_open)
            limits = _limits(world, rows, candidates, reaches, how.bound)
            begin = world.cells.firsts[first]
            for cell in opened.tolist():
                part = slice(*(world.cells.firsts[cell : cell + 2] - begin))
                is_done[part] = False
                reached = np.flatnonzero(is_open[part]) + part.start
                some = rows[reached], limits[reached]
                far[cell] = _reached(world, cell, *some, how, near.shape[1])
        batch = world.nearest(rows, candidates, how.k)
        tables.append([each[is_done] for each in batch])
    ids, indices, distances = (np.concatenate(each) for each in zip(*tables, strict=True))
    return Found((ids, indices, distances), far)


def search_again(
    frame: DenseRows, projection: Projection | None, how: Search, own: np.ndarray,
    near: np.ndarray, cells: np.ndarray, table: Any, *parts: Group,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Search the rows of some cells, ``own``, in those that are near and beyond; return a table."""
    world, tables = World(frame, projection, cells, table, parts), []
    for run in np.split(np.arange(len(own)), np.flatnonzero(np.diff(own) != 1) + 1):
        found = world.cells._search(
            int(own[run[0]]), near[run], how.n_far, how.bound, how.n_kept, 1
        )
        tables += [world.nearest(rows, candidates, how.k) for rows, candidates in found]
    return tuple(np.concatenate(each) for each in zip(*tables, strict=True))


def _limits(
    world: World, rows: np.ndarray, candidates: Any, reaches: np.ndarray, bound: Bound
) -> np.ndarray:
    """Return how far rows search beyond the near cells, at most; see ``cell_search.pxd``."""
    own = world.points[rows] - world.cells.origin
    norms = np.einsum("ij,ij->i", own, own, dtype=np.float64)
    squares = candidates.thresholds[: len(rows)].astype(np.float64) + norms * (1 + SLACK)
    reaches = reaches + SLACK * np.abs(reaches)
    limits: np.ndarray = reaches + bound.pull * np.sqrt(np.maximum(squares, 0))
    return limits


def _reached(
    world: World, cell: int, rows: np.ndarray, limits: np.ndarray, how: Search, n_near: int
) -> np.ndarray:
    """Return the cells beyond the near ones that rows of a cell may reach, and some more."""
    cells = world.cells
    far = cells.nearest(np.array([cell]), how.n_far, 1)[0, n_near:]
    own = (world.points[rows] - cells.origin).astype(np.float64)
    centroids, norms = cells.centroids[far].astype(np.float64), cells.norms[far]
    sums = np.einsum("ij,ij->i", own, own)[:, None] + norms
    squares = sums - 2 * (own @ centroids.T)
    ends = np.maximum(limits[:, None] + how.bound.width * cells.radii[far] * (1 + SLACK), 0)
    is_reached = squares <= ends**2 * (1 + SLACK) + SLACK * sums
    reached: np.ndarray = far[is_reached.any(0)]
    return reached


def _in_order(parts: Sequence[Any], number: np.ndarray) -> np.ndarray:
    """Return the rows of all parts, each at its number."""
    out = np.empty((len(number), parts[0].shape[1]), parts[0].dtype)
    first = 0
    for part in parts:
        out[number[first : first + len(part)]] = part
        first += len(part)
    return out
