"""Rows that lie on the workers, in blocks; results do not depend on where blocks begin."""

import copy
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from distributed import Future

from fasttsne.dask.cluster import Cluster
from fasttsne.linalg.rows import RowSource


class RemoteRows(RowSource):
    """Rows on the workers.

    Parameters
    ----------
    blocks : futures of C-contiguous (rows, columns) arrays.
    edges : (blocks + 1,) the first row of each, and the number of rows.
    name : of the stage that reads them.
    """

    ndim = 2
    flags = np.empty((0, 0)).flags  # of each block: C-contiguous

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

    def __len__(self) -> int:
        return self.shape[0]

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

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Fetch rows by their numbers, or a slice of them."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        return self.take(np.asarray(rows))

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

    def fold(self, size: int, function: Callable[..., Any], state: Any, *arguments: Any) -> Any:
        """See the base; each worker resumes from the state of the one before."""
        step = max(size // self.shape[1], 1)
        regions = self._regions(step)
        for region in regions:
            run = partial(_fold, function, arguments, step, region.first)
            state = self.cluster.submit(self.name, run, state, *self._pieces(region))
        return self.cluster.results(self.name, [state])[0]

    def map(self, size: int, function: Callable[..., Any], *arguments: Any) -> np.ndarray:
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


class Region(NamedTuple):
    """Rows of whole chunks."""

    first: int
    stop: int


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
