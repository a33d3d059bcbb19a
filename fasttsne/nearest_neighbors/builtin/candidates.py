"""Top-k lists: the best candidates of each row so far."""

from collections.abc import Callable

import numpy as np

from fasttsne import _kernels
from fasttsne.nearest_neighbors.builtin.block_pairs import conflict_free_batches
from fasttsne.nearest_neighbors.builtin.packing import PANEL_ROWS, TILE_ROWS, PackedRows

# Candidates beyond k: rounding of the products may swap neighbours near the k-th.
N_EXTRA_CANDIDATES = 16
# Slots of a list beyond the best, which are filled before it is truncated: as many as the best,
# within these bounds.
BUFFER_RANGE = 32, 96
# Products of two numbers in a call of the kernel: less than .1 s on one core, after which Ctrl-C is
# noticed.
MAX_CALL_WORK = 2 * 10**9


def capacity(n_kept):
    """Return the slots of a list of ``n_kept`` best, a number or an array of them."""
    return n_kept + np.clip(n_kept, *BUFFER_RANGE)


class Candidates:
    """The ``n_kept`` best candidates of each of n rows so far.

    others : candidates of more rows, as many each, that are no longer needed: their memory is used.
    """

    def __init__(self, n: int, n_kept: int, others: "Candidates | None" = None):
        self.n_kept = n_kept
        keys = np.empty((n, capacity(n_kept)), np.uint64) if others is None else others.keys[:n]
        self.keys: np.ndarray = keys
        self.counts = np.zeros(n, np.int32)
        self.thresholds = np.full(-(-n // TILE_ROWS) * TILE_ROWS, -np.inf, np.float32)
        self.thresholds[:n] = np.inf

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
        for batch in conflict_free_batches(pairs):
            _kernels.knn_dense.search_pairs(
                packed.panels,
                packed.norms,
                packed.n,
                packed.block_size,
                batch,
                self.n_kept,
                self.keys,
                self.counts,
                self.thresholds,
                n_threads,
            )
            advance(len(batch))

    def compare_all(self, rows: PackedRows, points: PackedRows, first: int, n_threads: int) -> None:
        """Update every row from every point; the first point has the index ``first``."""
        n_tiles, n_columns = len(points.norms) // TILE_ROWS, points.panels.shape[1]
        step = max(MAX_CALL_WORK // max(rows.n * n_columns * TILE_ROWS, 1), 1)
        for tile in range(0, n_tiles, step):
            a, b = tile * TILE_ROWS, (tile + step) * TILE_ROWS
            _kernels.knn_dense.search_all(
                rows.panels,
                rows.n,
                points.panels[a // PANEL_ROWS : b // PANEL_ROWS],
                points.norms[a:b],
                first + a,
                self.n_kept,
                self.keys,
                self.counts,
                self.thresholds,
                n_threads,
            )

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
        return (self._all_keys().min(1) & np.uint64(2**32 - 1)).astype(np.intp)

    def top(self, count: int) -> np.ndarray:
        """Return the best candidates of each row, (n, count), best first; it must have so many."""
        keys = np.sort(self._all_keys(), axis=1)[:, :count]
        return (keys & np.uint64(2**32 - 1)).astype(np.intp)

    def _all_keys(self):
        """Return the keys, with the largest number in empty slots."""
        filled = np.arange(self.keys.shape[1]) < self.counts[:, None]
        return np.where(filled, self.keys, np.uint64(2**64 - 1))
