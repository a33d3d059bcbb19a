"""Rows on the workers, in blocks: read once, in canonical form; passes over them; tables of them.

Canonical is the form of the local fit (:mod:`fasttsne.runtime.rows`): float32 where every
number is exactly a float32, else float64.  Results do not depend on where blocks begin.
"""

import copy
import itertools
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import getitem, itemgetter
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import dask
import dask.array as da
import numpy as np
import scipy.sparse as sp
from distributed import Future
from numpy.typing import ArrayLike, DTypeLike

from fasttsne.dask.cluster import Cluster, refusal
from fasttsne.linalg.rows import Blocks, Result, RowSource, State, Value
from fasttsne.runtime.rows import check_finite, is_sparse, to_canonical_floats
from fasttsne.runtime.typing import Storage
from fasttsne.runtime.validation import (
    MAX_DENSE_NUMBERS,
    check_shape,
    refuse_containers,
    refuse_masked,
    to_numbers,
)

STAGE, TABLE, SAMPLE = "reading rows", "table of neighbours", "rows of a sample"
# Numbers of a block, at most, and rows at least; neighbours of the rows of a block, and rows.
BLOCK_NUMBERS, MIN_BLOCK_ROWS = 2**23, 256
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
        dtype: DTypeLike,
        name: str = STAGE,
    ):
        self.cluster, self.blocks, self.name = cluster, list(blocks), name
        self.edges = np.asarray(edges, np.int64)
        self.shape, self.dtype = (int(edges[-1]), n_columns), np.dtype(dtype)

    @property
    def sizes(self) -> list[int]:
        """Rows of each block."""
        return [int(size) for size in np.diff(self.edges)]

    def submit_blocks(
        self, name: str, function: Callable[..., object], *others: Sequence[object]
    ) -> list[Future]:
        """Return futures of ``function(block, first row, *others[block])``."""
        return [
            self.cluster.submit(name, function, block, int(first), *(each[i] for each in others))
            for i, (block, first) in enumerate(zip(self.blocks, self.edges[:-1], strict=True))
        ]

    def with_blocks(
        self, name: str, function: Callable[..., np.ndarray], n_columns: int, dtype: DTypeLike
    ) -> "RemoteRows":
        """Return the rows ``function(block, first row)``, which stay on the workers."""
        blocks = self.submit_blocks(name, function)
        return RemoteRows(self.cluster, blocks, self.edges, n_columns, dtype, self.name)

    def take(self, ids: np.ndarray) -> np.ndarray:
        """See the base; the rows are fetched."""
        out = np.empty((len(ids), self.shape[1]), self.dtype)
        block = np.searchsorted(self.edges, ids, "right") - 1
        places = {b: np.flatnonzero(block == b) for b in np.unique(block).tolist()}
        parts = [
            self.cluster.submit(SAMPLE, getitem, self.blocks[b], ids[at] - self.edges[b])
            for b, at in places.items()
        ]
        for at, part in zip(places.values(), self.cluster.results(SAMPLE, parts), strict=True):
            out[at] = part
        return out

    def fold(
        self, size: int, function: Callable[..., State], state: State, *arguments: object
    ) -> State:
        """See the base; each worker resumes from the state of the one before."""
        step = max(size // self.shape[1], 1)
        last: State | Future = state
        for first, _, cuts, blocks in self._regions(step):
            run = partial(_fold, function, arguments, step, first, cuts)
            last = self.cluster.submit(self.name, run, last, *blocks)
        found: list[State] = self.cluster.results(self.name, [last])
        return found[0]

    def map(self, size: int, function: Callable[..., np.ndarray], *arguments: object) -> np.ndarray:
        """See the base; the arrays are fetched."""
        step = max(size // self.shape[1], 1)
        parts, sizes = [], []
        for first, stop, cuts, blocks in self._regions(step):
            run = partial(_map, function, arguments, step, first, cuts)
            parts.append(self.cluster.submit(self.name, run, *blocks))
            sizes.append(stop - first)
        return np.concatenate(self.cluster.results(self.name, parts, sizes))

    def in_blocks(self, name: str) -> "RemoteBlocks[np.ndarray]":
        return RemoteBlocks(self, name, self.blocks)

    def _regions(self, step: int) -> Iterator["Region"]:
        """Yield parts of whole chunks of ``step`` rows, about as large as the blocks."""
        edges = np.unique(np.append(self.edges[:-1] // step * step, len(self)))
        for first, stop in itertools.pairwise(edges.tolist()):
            yield Region(first, stop, *self._pieces(first, stop))

    def _pieces(self, first: int, stop: int) -> tuple[list[tuple[int, int]], list[Future]]:
        """Return the pieces of blocks that rows consist of, and where in them the rows are.

        The largest piece is not cut before: its block is not sent anywhere.
        """
        pieces = []
        for b in range(
            int(np.searchsorted(self.edges, first, "right")) - 1,
            int(np.searchsorted(self.edges, stop, "left")),
        ):
            start, end = self.edges[b : b + 2].tolist()
            pieces.append((b, max(first, start) - start, min(stop, end) - start, end - start))
        largest = max(pieces, key=lambda piece: piece[2] - piece[1])
        cuts, blocks = [], []
        for piece in pieces:
            b, a, z, size = piece
            if piece == largest or z - a == size:
                cuts.append((a, z))
                blocks.append(self.blocks[b])
            else:
                cuts.append((0, z - a))
                blocks.append(self.cluster.submit(self.name, _cut, self.blocks[b], a, z))
        return cuts, blocks


class Region(NamedTuple):
    """Rows of whole chunks; the blocks that have them, and where in each block they are."""

    first: int
    stop: int
    cuts: list[tuple[int, int]]
    blocks: list[Future]


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


def _apply(
    function: Callable[..., object], arguments: tuple[object, ...], first: int, value: object
) -> object:
    return function(first, value, *arguments)


def _cut(block: np.ndarray, first: int, stop: int) -> np.ndarray:
    return block[first:stop].copy()


def _chunks(
    blocks: tuple[np.ndarray, ...], cuts: list[tuple[int, int]], step: int, first: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the chunks of a region, each with the number of its first row."""
    pieces = [block[a:b] for block, (a, b) in zip(blocks, cuts, strict=True)]
    rows = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    for a in range(0, len(rows), step):
        yield first + a, rows[a : a + step]


def _fold(
    function: Callable[..., State],
    arguments: tuple[object, ...],
    step: int,
    first: int,
    cuts: list[tuple[int, int]],
    state: State,
    *blocks: np.ndarray,
) -> State:
    state = copy.deepcopy(state)  # another task may need the old one again
    for number, chunk in _chunks(blocks, cuts, step, first):
        state = function(state, number, chunk, *arguments)
    return state


def _map(
    function: Callable[..., np.ndarray],
    arguments: tuple[object, ...],
    step: int,
    first: int,
    cuts: list[tuple[int, int]],
    *blocks: np.ndarray,
) -> np.ndarray:
    chunks = _chunks(blocks, cuts, step, first)
    return np.concatenate([function(number, chunk, *arguments) for number, chunk in chunks])


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
    cluster: Cluster, blocks: list[Future], edges: np.ndarray, k: int, dtype: DTypeLike = np.float32
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


@runtime_checkable
class AnnData(Protocol):
    """Annotated rows, as the package anndata has them."""

    @property
    def X(self) -> object: ...
    @property
    def obsm(self) -> object: ...


@runtime_checkable
class DataArray(Protocol):
    """An array with names, as the package xarray has them."""

    @property
    def data(self) -> object: ...


@runtime_checkable
class DataFrame(Protocol):
    """A data frame of Dask."""

    def to_dask_array(self, *, lengths: bool) -> da.Array: ...


@runtime_checkable
class SparseBlock(Protocol):
    """A sparse block, as the package sparse has them."""

    def todense(self) -> ArrayLike: ...


def as_dask_array(X: object, name: str = "X", min_rows: int = 2) -> da.Array:
    """Return rows as a Dask array, nothing of which is computed.

    Parameters
    ----------
    X : (n, columns) Dask array, of dense or sparse chunks; Dask data frame; ``zarr.Array``;
        AnnData with one of them as its ``X``; xarray's ``DataArray`` of Dask; NumPy array.
    name : for messages.

    Raises
    ------
    TypeError, ValueError
        Where it is none of them, its numbers are no real ones, or its chunks have no known sizes.
    """
    rows = _to_dask(X, name)
    if rows.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got dtype {rows.dtype}")
    if rows.ndim == 2 and any(np.isnan(size) for chunks in rows.chunks for size in chunks):
        raise ValueError(
            f"{name} must have chunks of known sizes; got shape {rows.shape}: call "
            f"{name}.compute_chunk_sizes() first"
        )
    check_shape(rows.shape, name, min_rows)
    return rows


def _to_dask(X: object, name: str) -> da.Array:
    if isinstance(X, AnnData):
        X = X.X
    if isinstance(X, da.Array):
        return X
    if isinstance(X, DataArray) and isinstance(X.data, da.Array):
        return X.data
    if isinstance(X, DataFrame):
        return X.to_dask_array(lengths=True)
    refuse_containers(X, name)
    if sp.issparse(X):
        raise TypeError(
            f"{name} is a SciPy sparse matrix in memory: fit it with fasttsne.TSNE, or make a "
            "Dask array of sparse chunks of it"
        )
    if not isinstance(X, Storage):
        raise TypeError(
            f"{name} must be a Dask array, a Dask data frame, a zarr array or AnnData of one; "
            f"got {type(X).__name__}"
        )
    return da.from_array(X, chunks=getattr(X, "chunks", None) or "auto")


def read_rows(cluster: Cluster, X: da.Array, name: str = "X") -> RemoteRows:
    """Have the workers read all rows, once, and keep them.

    Raises
    ------
    ValueError
        For the first number that is not finite: in which row and column; and for large sparse
        chunks.
    """
    n, d = X.shape
    is_sparse = sp.issparse(X._meta)
    if is_sparse and n * d > MAX_DENSE_NUMBERS:
        raise refusal("X", (n, d))
    n_blocks = cluster.n_parts(n, MIN_BLOCK_ROWS, max(BLOCK_NUMBERS // d, 1))
    edges = np.arange(n_blocks + 1) * n // n_blocks
    rows = X.rechunk((tuple(np.diff(edges).tolist()), (d,)))
    token = uuid.uuid4().hex
    read = [
        dask.delayed(read_block, pure=False)(block, name, dask_key_name=f"{STAGE}-{token}-{i}")
        for i, block in enumerate(rows.to_delayed().ravel())
    ]
    blocks = cluster.compute(read)
    sizes = np.diff(edges).tolist()
    cluster.finish(STAGE, blocks, sizes)
    examined = [
        cluster.submit(STAGE, _examine, block, name, int(first))
        for block, first in zip(blocks, edges[:-1], strict=True)
    ]
    found = cluster.results(STAGE, examined)
    wrong = [message for _, message in found if message]
    if wrong:
        raise ValueError(wrong[0])
    kinds = {dtype for dtype, _ in found}
    dtype = max(kinds, key=lambda kind: kind.itemsize)
    if len(kinds) > 1:
        blocks = [cluster.submit(STAGE, _to_float64, block) for block in blocks]
    return RemoteRows(cluster, blocks, edges, d, dtype)


def read_block(block: object, name: str = "X") -> np.ndarray:
    """Return a block of rows in its own canonical form.

    Raises
    ------
    TypeError, ValueError
        Where it does not hold real numbers: the dtype that a Dask array declares may be wrong.
    """
    refuse_masked(block, name)
    if is_sparse(block):
        block = block.toarray()
    elif isinstance(block, SparseBlock):
        block = block.todense()
    rows = to_canonical_floats(to_numbers(block, name))
    # A part of a larger chunk would keep it in memory.
    return rows if rows.base is None else rows.copy()


def _examine(rows: np.ndarray, name: str, first: int) -> tuple[np.dtype, str | None]:
    """Return the type of rows, and what is said of a number that is not finite."""
    try:
        check_finite(rows, name, first)
    except ValueError as error:
        return rows.dtype, str(error)
    return rows.dtype, None


def _to_float64(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.float64)
