"""Rows that lie on the workers, in blocks; results do not depend on where blocks begin."""

import copy
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from distributed import Future

from fasttsne.dask.cluster import Cluster
from fasttsne.linalg.rows import Blocks, Result, RowSource, State, Value

TABLE = "table of neighbours"
# Neighbours of the rows of a block, at most, and rows at least.
TABLE_NUMBERS, MIN_TABLE_ROWS = 2**22, 256


class RemoteRows(RowSource):
    """Rows on the workers.

    Parameters
    ----------
    blocks : futures of C-contiguous (rows, columns) arrays.
    edges : (blocks + 1,) the first row of each, and the number of rows.
    name : of the stage that reads them.
    """

    ndim, is_spread = 2, True

    def __init__(
        self,
        cluster: Cluster,
        blocks: Sequence[Future],
        edges: np.ndarray,
        n_columns: int,
        dtype: Any,
        name: str = "reading rows",
    ):
        self.cluster, self.blocks, self.name = cluster, list(blocks), name
        self.edges = np.asarray(edges, np.int64)
        self.shape, self.dtype = (int(edges[-1]), n_columns), np.dtype(dtype)

    @property
    def sizes(self) -> list[int]:
        """Rows of each block."""
        return [int(size) for size in np.diff(self.edges)]

    def submit_blocks(self, name: str, function: Callable[..., Any], *others: Any) -> list[Future]:
        """Return futures of ``function(block, first row, *others[block])``."""
        return [
            self.cluster.submit(name, function, block, int(first), *(each[i] for each in others))
            for i, (block, first) in enumerate(zip(self.blocks, self.edges[:-1], strict=True))
        ]

    def with_blocks(
        self, name: str, function: Callable[..., Any], n_columns: int, dtype: Any
    ) -> "RemoteRows":
        """Return the rows ``function(block, first row)``, which stay on the workers."""
        blocks = self.submit_blocks(name, function)
        return RemoteRows(self.cluster, blocks, self.edges, n_columns, dtype, self.name)

    def take(self, ids: np.ndarray) -> np.ndarray:
        """See the base; the rows are fetched."""
        out = np.empty((len(ids), self.shape[1]), self.dtype)
        block = np.searchsorted(self.edges, ids, "right") - 1
        wanted = [(b, np.flatnonzero(block == b)) for b in np.unique(block)]
        parts = [
            self.cluster.submit("rows of a sample", _take, self.blocks[b], ids[at] - self.edges[b])
            for b, at in wanted
        ]
        for (_, at), part in zip(
            wanted, self.cluster.results("rows of a sample", parts), strict=True
        ):
            out[at] = part
        return out

    def fold(
        self, size: int, function: Callable[..., State], state: State, *arguments: object
    ) -> State:
        """See the base; each worker resumes from the state of the one before."""
        step = max(size // self.shape[1], 1)
        regions = self._regions(step)
        found: Any = state
        for region in regions:
            run = partial(_fold, function, arguments, step, region.first)
            found = self.cluster.submit(self.name, run, found, *self._pieces(region))
        last: State = self.cluster.results(self.name, [found])[0]
        return last

    def map(self, size: int, function: Callable[..., np.ndarray], *arguments: object) -> np.ndarray:
        """See the base; the arrays are fetched."""
        step = max(size // self.shape[1], 1)
        regions = self._regions(step)
        parts = [
            self.cluster.submit(
                self.name,
                partial(_map, function, arguments, step, region.first),
                *self._pieces(region),
            )
            for region in regions
        ]
        sizes = [region.stop - region.first for region in regions]
        return np.concatenate(self.cluster.results(self.name, parts, sizes))

    def in_blocks(self, name: str) -> "RemoteBlocks[np.ndarray]":
        return RemoteBlocks(self, name, self.blocks)

    def _regions(self, step: int) -> list["Region"]:
        """Return parts of whole chunks, about as large as the blocks."""
        n = len(self)
        edges = np.unique(np.append(self.edges[:-1] // step * step, n))
        return [Region(int(a), int(b)) for a, b in itertools.pairwise(edges)]

    def _pieces(self, region: "Region") -> list[Any]:
        """Return the pieces of blocks that a region consists of, as futures and slices.

        The largest piece is not cut before: its block is not sent anywhere.
        """
        first = int(np.searchsorted(self.edges, region.first, "right")) - 1
        last = int(np.searchsorted(self.edges, region.stop, "left"))
        cuts = []
        for b in range(first, last):
            start, stop = self.edges[b], self.edges[b + 1]
            a, z = max(region.first, start) - start, min(region.stop, stop) - start
            cuts.append((b, int(a), int(z), int(stop - start)))
        main = max(range(len(cuts)), key=lambda i: cuts[i][2] - cuts[i][1])
        pieces: list[Any] = []
        for i, (b, a, z, size) in enumerate(cuts):
            if i == main or (a, z) == (0, size):
                pieces += [self.blocks[b], (a, z)]
            else:
                cut = self.cluster.submit(self.name, _cut, self.blocks[b], a, z)
                pieces += [cut, (0, z - a)]
        return pieces


class RemoteBlocks(Blocks[Value]):
    """A value for each block of rows, on the workers.

    rows_of : the rows, which say where blocks begin; name : of the stage.
    """

    def __init__(self, rows_of: RemoteRows, name: str, values: Sequence[Future]):
        self._rows, self._name, self._values = rows_of, name, values

    def apply(self, function: Callable[..., Result], *arguments: object) -> "RemoteBlocks[Result]":
        run, submit = partial(_apply, function, arguments), self._rows.cluster.submit
        firsts = self._rows.edges[:-1].tolist()
        pairs = zip(firsts, self._values, strict=True)
        values = [submit(self._name, run, first, value) for first, value in pairs]
        return RemoteBlocks(self._rows, self._name, values)

    def results(self) -> list[Value]:
        return self._rows.cluster.results(self._name, self._values, self._rows.sizes)

    def rows(self: "RemoteBlocks[np.ndarray]", n_columns: int, dtype: np.dtype) -> RemoteRows:
        rows = self._rows
        return RemoteRows(rows.cluster, self._values, rows.edges, n_columns, dtype, self._name)


# Indices and distances of neighbours, (n, k), whose blocks begin at the same rows.
Tables: TypeAlias = tuple[RemoteRows, RemoteRows]


class Region(NamedTuple):
    """Rows of whole chunks."""

    first: int
    stop: int


def _apply(function: Callable[..., object], arguments: Any, first: int, value: object) -> object:
    return function(first, value, *arguments)


def _take(block: np.ndarray, rows: np.ndarray) -> np.ndarray:
    taken: np.ndarray = block[rows]
    return taken


def _cut(block: np.ndarray, first: int, stop: int) -> np.ndarray:
    return block[first:stop].copy()


def _join(pieces: Sequence[Any]) -> np.ndarray:
    arrays = [block[cut[0] : cut[1]] for block, cut in zip(pieces[::2], pieces[1::2], strict=True)]
    whole: np.ndarray = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return whole


def _fold(function: Any, arguments: Any, step: int, first: int, state: Any, *pieces: Any) -> Any:
    rows, state = _join(pieces), copy.deepcopy(state)  # another task may need the old one again
    for a in range(0, len(rows), step):
        state = function(state, first + a, rows[a : a + step], *arguments)
    return state


def _map(function: Any, arguments: Any, step: int, first: int, *pieces: Any) -> np.ndarray:
    rows = _join(pieces)
    parts = [function(first + a, rows[a : a + step], *arguments) for a in range(0, len(rows), step)]
    return np.concatenate(parts)


def by_rows(cluster: Cluster, tables: list[Future], n: int, k: int) -> Tables:
    """Return tables in the order of rows, of parts that hold any: (ids, indices, distances).

    The list of parts is emptied: workers need not keep them.
    """
    n_blocks = cluster.n_parts(n, MIN_TABLE_ROWS, max(TABLE_NUMBERS // k, 1))
    edges = np.arange(n_blocks + 1) * n // n_blocks
    blocks = []
    for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        pieces = [cluster.submit(TABLE, _rows_between, table, a, b) for table in tables]
        blocks.append(cluster.submit(TABLE, partial(_join_rows, a, b), *pieces))
    pieces = []
    tables.clear()
    cluster.finish(TABLE, blocks, np.diff(edges).tolist())
    return as_tables(cluster, blocks, edges, k)


def as_tables(
    cluster: Cluster,
    blocks: list[Future],
    edges: np.ndarray,
    k: int,
    dtype: npt.DTypeLike = np.float32,
) -> Tables:
    """Return tables, of blocks of both; ``dtype`` is of the distances."""
    indices, distances = (
        [cluster.submit(TABLE, itemgetter(i), block) for block in blocks] for i in range(2)
    )
    return (
        RemoteRows(cluster, indices, edges, k, np.int32, TABLE),
        RemoteRows(cluster, distances, edges, k, dtype, TABLE),
    )


def _rows_between(table: tuple[np.ndarray, ...], a: int, b: int) -> tuple[np.ndarray, ...]:
    at = np.flatnonzero((table[0] >= a) & (table[0] < b))
    return tuple(part[at] for part in table)


def _join_rows(a: int, b: int, *pieces: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    k = pieces[0][1].shape[1]
    indices, distances = np.empty((b - a, k), np.int32), np.empty((b - a, k), np.float32)
    for ids, some, far in pieces:
        indices[ids - a], distances[ids - a] = some, far
    return indices, distances
