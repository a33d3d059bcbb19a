"""Packing of rows for the kernel that computes products of blocks."""

from typing import NamedTuple

import numpy as np

from fasttsne import _kernels

TILE_ROWS = _kernels.knn_dense.TILE_ROWS
PANEL_ROWS = _kernels.knn_dense.PANEL_ROWS
# Rows of a block: with their packed columns they stay in the cache of a core.
BLOCK_BYTES = 768 * 1024
MAX_BLOCK_ROWS = 384
# Numbers that a call of the kernel packs, after which Ctrl-C is noticed.
MAX_CALL_NUMBERS = 2**24


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
        return block_rows(self.panels.shape[1])

    @property
    def n_blocks(self) -> int:
        return -(-self.n // self.block_size)


def block_rows(n_columns: int) -> int:
    """Return the rows of a block of so many columns, whole tiles."""
    size = BLOCK_BYTES // (4 * n_columns) // TILE_ROWS * TILE_ROWS
    return int(np.clip(size, TILE_ROWS, MAX_BLOCK_ROWS))


def pack(points, order=None, origin=None, n_threads=1) -> PackedRows:
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
        _kernels.knn_dense.pack(
            points,
            order[a : a + step].astype(np.int32),
            origin,
            panels[a // PANEL_ROWS : (a + step) // PANEL_ROWS],
            norms[a : a + step],
            n_threads,
        )
    return PackedRows(panels, norms, len(order))
