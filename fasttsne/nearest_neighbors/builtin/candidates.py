"""Top-k lists: rows packed for the kernel of products, and the best candidates of each so far."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fasttsne import _kernels

TILE_ROWS = _kernels.knn_dense.TILE_ROWS
PANEL_ROWS = _kernels.knn_dense.PANEL_ROWS
# Rows of a block: with their packed columns they stay in the cache of a core.
BLOCK_BYTES = 768 * 1024
MAX_BLOCK_ROWS = 384
# Numbers that a call of the kernel packs, after which Ctrl-C is noticed.
MAX_CALL_NUMBERS = 2**24
# Candidates beyond k: rounding of the products may swap neighbours near the k-th.
N_EXTRA_CANDIDATES = 16
# Slots of a list beyond the best, which are filled before it is truncated: as many as the best,
# within these bounds.
BUFFER_RANGE = 32, 96
# Products of two numbers in a call of the kernel: less than .1 s on one core, after which Ctrl-C is
# noticed.
MAX_CALL_WORK = 2 * 10**9
# The low half of a key is the candidate's number; empty slots have the largest key.
NUMBER_MASK, EMPTY_KEY = np.uint64(2**32 - 1), np.uint64(2**64 - 1)


class PackedRows(NamedTuple):
    """Rows in panels of eight, column by column, as the kernel for products reads them.

    panels : (panels, columns, 8) float32, whole tiles, zeros beyond the last row.
    norms : (8 * panels,) float32, squared; infinite beyond the last row.
    n : number of rows.
    """

    panels: np.ndarray
    norms: np.ndarray
    n: int

    @property
    def block_size(self) -> int:
        """Rows per block, whole tiles."""
        size = BLOCK_BYTES // (4 * self.panels.shape[1]) // TILE_ROWS * TILE_ROWS
        return int(np.clip(size, TILE_ROWS, MAX_BLOCK_ROWS))

    @property
    def n_blocks(self) -> int:
        return -(-self.n // self.block_size)


def pack(
    points: np.ndarray,
    order: np.ndarray | None = None,
    origin: np.ndarray | None = None,
    n_threads: int = 1,
) -> PackedRows:
    """Pack rows, or those with the indices ``order``, minus an origin."""
    if order is None:
        order = np.arange(len(points))
    if origin is None:
        origin = np.zeros(points.shape[1], np.float32)
    tiles = max(-(-len(order) // TILE_ROWS), 1)
    panels = np.empty((tiles * TILE_ROWS // PANEL_ROWS, points.shape[1], PANEL_ROWS), np.float32)
    norms = np.empty(tiles * TILE_ROWS, np.float32)
    step = max(MAX_CALL_NUMBERS // (points.shape[1] * TILE_ROWS), 1) * TILE_ROWS
    for a in range(0, max(len(order), 1), step):
        rows = order[a : a + step].astype(np.int32)
        own = panels[a // PANEL_ROWS : (a + step) // PANEL_ROWS]
        _kernels.knn_dense.pack(points, rows, origin, own, norms[a : a + step], n_threads)
    return PackedRows(panels, norms, len(order))


def capacity(n_kept: npt.ArrayLike) -> np.ndarray:
    """Return the slots of a list of ``n_kept`` best, a number or an array of them."""
    slots: np.ndarray = n_kept + np.clip(n_kept, *BUFFER_RANGE)
    return slots


class Candidates:
    """The ``n_kept`` best candidates of each of n rows so far.

    others : candidates of more rows, as many each, that are no longer needed: their memory is used.
    """

    def __init__(self, n: int, n_kept: int, others: "Candidates | None" = None):
        self.n_kept = n_kept
        shape = n, int(capacity(n_kept))
        self.keys: np.ndarray = np.empty(shape, np.uint64) if others is None else others.keys[:n]
        self.counts = np.zeros(n, np.int32)
        self.thresholds = np.full(-(-n // TILE_ROWS) * TILE_ROWS, -np.inf, np.float32)
        self.thresholds[:n] = np.inf

    @property
    def lists(self) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
        """What the kernels write to."""
        return self.n_kept, self.keys, self.counts, self.thresholds

    def compare_block_pairs(
        self,
        packed: PackedRows,
        pairs: np.ndarray,
        n_threads: int,
        advance: Callable[[int], None] = lambda n_pairs: None,
    ) -> None:
        """Update the rows of both blocks of each pair from each other, (pairs, 2) int32.

        advance : is told of each number of pairs that were compared.
        """
        size = packed.block_size
        for batch in conflict_free_batches(pairs):
            _kernels.knn_dense.search_pairs(*packed, size, batch, *self.lists, n_threads)
            advance(len(batch))

    def compare_all(self, rows: PackedRows, points: PackedRows, first: int, n_threads: int) -> None:
        """Update every row from every point; the first point has the index ``first``."""
        n_tiles, n_columns = len(points.norms) // TILE_ROWS, points.panels.shape[1]
        step = max(MAX_CALL_WORK // max(rows.n * n_columns * TILE_ROWS, 1), 1)
        for tile in range(0, n_tiles, step):
            a, b = tile * TILE_ROWS, (tile + step) * TILE_ROWS
            part = points.panels[a // PANEL_ROWS : b // PANEL_ROWS], points.norms[a:b], first + a
            _kernels.knn_dense.search_all(rows.panels, rows.n, *part, *self.lists, n_threads)

    def remove(self, indices: np.ndarray) -> None:
        """Remove one index from each row's candidates if it is there, (rows,) int32."""
        _kernels.rerank.drop(self.keys, self.counts, indices)

    def take(self, rows: np.ndarray) -> "Candidates":
        """Return the candidates of some rows, (any,) indices; a copy."""
        taken = Candidates(0, self.n_kept)
        taken.keys, taken.counts = self.keys[rows], self.counts[rows]
        taken.thresholds = self.thresholds[rows]
        return taken

    def best(self) -> np.ndarray:
        """Return the best candidate of each row."""
        return numbers_of(self._filled_keys().min(1))

    def top(self, count: int) -> np.ndarray:
        """Return the best candidates of each row, (n, count), best first; it must have so many."""
        return numbers_of(self.top_keys(count))

    def top_keys(self, count: int) -> np.ndarray:
        """Return the smallest keys of each row, (n, count) uint64; it may have fewer."""
        keys: np.ndarray = np.sort(self._filled_keys(), axis=1)[:, :count]
        return keys

    def _filled_keys(self) -> np.ndarray:
        filled = np.arange(self.keys.shape[1]) < self.counts[:, None]
        return np.where(filled, self.keys, EMPTY_KEY)


def numbers_of(keys: np.ndarray) -> np.ndarray:
    """Return the candidates of keys."""
    return (keys & NUMBER_MASK).astype(np.intp)


def all_block_pairs(n_blocks: int) -> np.ndarray:
    """Return every pair of blocks, each block with itself first, (pairs, 2) int32.

    The others follow in the rounds of a tournament, in which each block has one partner: as few
    batches as there can be, and as large.
    """
    same = np.repeat(np.arange(n_blocks), 2).reshape(-1, 2)
    pairs = np.argwhere(np.tri(n_blocks, k=-1, dtype=bool))
    n_rounds = n_blocks - 1 + n_blocks % 2
    sums = pairs.sum(1)
    if n_blocks % 2 == 0:  # the last block meets whom its round leaves over
        sums = np.where(pairs[:, 0] == n_blocks - 1, 2 * pairs[:, 1], sums)
    rounds = np.argsort(sums % n_rounds, kind="stable")
    return np.concatenate([same, pairs[rounds]]).astype(np.int32)


def conflict_free_batches(pairs: np.ndarray) -> Iterator[np.ndarray]:
    """Yield batches of pairs in which no block occurs twice, early pairs in early batches.

    The pairs of a batch can be processed in parallel: no block is written by two threads.
    """
    first_free: dict[int, int] = {}
    batches: list[list[int]] = []
    for pair, (a, b) in enumerate(pairs.tolist()):
        batch = max(first_free.get(a, 0), first_free.get(b, 0))
        first_free[a] = first_free[b] = batch + 1
        if batch == len(batches):
            batches.append([])
        batches[batch].append(pair)
    for members in batches:
        yield np.ascontiguousarray(pairs[members])
