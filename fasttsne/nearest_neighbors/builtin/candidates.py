"""Searching by blocks of rows: packing, each row's candidates, pairs in rounds without conflict."""

from typing import NamedTuple

import numpy as np

from fasttsne import _kernels

TILE_ROWS = _kernels.knn_dense.TILE_ROWS
PANEL_ROWS = _kernels.knn_dense.PANEL_ROWS
# Candidates beyond k: rounding of the products may swap neighbours near the k-th.
SPARE = 16
# Keys taken for a row beyond the best, before all but those are dropped: as many as the
# best, within these bounds.
ROOM = 32, 96
# Rows of a block: with their packed columns they stay in a core's own cache.
BLOCK_BYTES = 768 * 1024
BLOCK_ROWS = 384


class Packed(NamedTuple):
    """Rows in panels of eight, depth by depth, as the products kernel reads them.

    panels : (panels, depth, 8) float32, whole tiles, zeros beyond the last row.
    norms : (8 * panels,) float32, squared; infinite beyond the last row.
    n : how many rows.
    """

    panels: np.ndarray
    norms: np.ndarray
    n: int

    @property
    def block(self) -> int:
        """Rows of a block, whole tiles."""
        fitting = BLOCK_BYTES // (4 * self.panels.shape[1]) // TILE_ROWS * TILE_ROWS
        return int(np.clip(fitting, TILE_ROWS, BLOCK_ROWS))

    @property
    def n_blocks(self) -> int:
        return -(-self.n // self.block)


def pack(points, order=None, origin=None, n_threads=1) -> Packed:
    """Pack rows, or the rows that ``order`` names in its order, less an origin."""
    if order is None:
        order = np.arange(len(points))
    if origin is None:
        origin = np.zeros(points.shape[1], np.float32)
    tiles = max(-(-len(order) // TILE_ROWS), 1)
    panels = np.empty((tiles * TILE_ROWS // PANEL_ROWS, points.shape[1], PANEL_ROWS), np.float32)
    norms = np.empty(tiles * TILE_ROWS, np.float32)
    _kernels.knn_dense.pack(points, order.astype(np.int32), origin, panels, norms, n_threads)
    return Packed(panels, norms, len(order))


class Candidates:
    """The ``kept`` best candidates of each of n rows so far."""

    def __init__(self, n: int, kept: int):
        self.kept = kept
        self.keys = np.empty((n, kept + int(np.clip(kept, *ROOM))), np.uint64)
        self.counts = np.zeros(n, np.int32)
        self.thresholds = np.full(-(-n // TILE_ROWS) * TILE_ROWS, -np.inf, np.float32)
        self.thresholds[:n] = np.inf

    def offer_pairs(self, packed: Packed, pairs: np.ndarray, n_threads: int) -> None:
        """Meet the rows of pairs of blocks, (pairs, 2) int32, both ways."""
        for together in rounds(pairs):
            _kernels.knn_dense.offer_pairs(
                packed.panels, packed.norms, packed.n, packed.block, together, self.kept,
                self.keys, self.counts, self.thresholds, n_threads,
            )  # fmt: skip

    def offer_all(self, rows: Packed, points: Packed, first: int, n_threads: int) -> None:
        """Offer every point to every row; points are numbered from ``first`` on."""
        _kernels.knn_dense.offer_all(
            rows.panels, rows.n, points.panels, points.norms, first, self.kept, self.keys,
            self.counts, self.thresholds, n_threads,
        )  # fmt: skip

    def drop(self, numbers: np.ndarray) -> None:
        """Drop one number from each row's candidates where it is there, (rows,) int32."""
        _kernels.rerank.drop(self.keys, self.counts, numbers)

    def first(self) -> np.ndarray:
        """The best candidate of each row."""
        return (self._all_keys().min(1) & np.uint64(2**32 - 1)).astype(np.int64)

    def numbers(self, count: int) -> np.ndarray:
        """The best candidates of each row, (n, count), best first; there must be so many."""
        keys = np.sort(self._all_keys(), axis=1)[:, :count]
        return (keys & np.uint64(2**32 - 1)).astype(np.int64)

    def _all_keys(self):
        """The keys, with the largest number where there is none."""
        there = np.arange(self.keys.shape[1]) < self.counts[:, None]
        return np.where(there, self.keys, np.uint64(2**64 - 1))


def all_pairs(n_blocks: int) -> np.ndarray:
    """Every pair of blocks, each block with itself first, (pairs, 2) int32."""
    own = np.repeat(np.arange(n_blocks), 2).reshape(-1, 2)
    return np.concatenate([own, np.argwhere(np.tri(n_blocks, k=-1, dtype=bool))]).astype(np.int32)


def rounds(pairs: np.ndarray):
    """Split pairs into rounds in which no block stands twice, early pairs early.

    Blocks of one round can be worked on at once: none is written by two threads.
    """
    free_from: dict[int, int] = {}
    members: list[list[int]] = []
    for number, (a, b) in enumerate(pairs.tolist()):
        turn = max(free_from.get(a, 0), free_from.get(b, 0))
        free_from[a] = free_from[b] = turn + 1
        if turn == len(members):
            members.append([])
        members[turn].append(number)
    for together in members:
        yield np.ascontiguousarray(pairs[together])
