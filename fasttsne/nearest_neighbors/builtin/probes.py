"""Queries to rows that were searched by blocks: each looks into the blocks nearest to it.

How many blocks and candidates it takes is told by the sample of rows whose true
neighbours are known.  Which blocks a query looks into, and what it finds there,
does not depend on the others of the call.
"""

import numpy as np

from fasttsne import _kernels
from fasttsne.nearest_neighbors.builtin.candidates import PANEL_ROWS, SPARE, Candidates, pack

# Queries that have candidates at one time.
BATCH = 20_000


class Probes:
    """The blocks of a search, kept for queries.

    Parameters
    ----------
    blocks : the search's blocks, with ``packed``, ``order`` and ``centres``.
    projection : of rows to the reduced ones, or None where rows are not reduced.
    n_probed : blocks that a query looks into, for up to ``k`` neighbours.
    kept : candidates for each neighbour that is asked for.
    k : neighbours of the search.
    """

    def __init__(self, blocks, projection, n_probed: int, kept: float, k: int):
        # Rows that are not reduced are packed again when they are asked for: until then that
        # memory is free.
        self._packed = None if projection is None else blocks.packed
        self.order = blocks.order
        self.centres = np.ascontiguousarray(blocks.centres, np.float32)
        self.projection = projection
        self.n_probed, self.kept, self.k = n_probed, kept, k

    def query(self, rows, queries, k: int, n_threads: int):
        """The k nearest to each query: indices and distances, (m, k), nearest first.

        Parameters
        ----------
        rows : the rows of the data, and ``queries`` others that they prepared.
        """
        found = [
            self._search(rows, queries[a : a + BATCH], k, n_threads)
            for a in range(0, len(queries), BATCH)
        ]
        return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))

    def _search(self, rows, queries, k, n_threads):
        packed = self._packed_rows(rows, n_threads)
        n_blocks, block = packed.n_blocks, packed.block
        kept = min(int(self.kept * k) + SPARE, packed.n)
        n_probed = -(-self.n_probed * max(k, self.k) // self.k)
        # Whatever the last, short block is, there are enough candidates.
        n_probed = min(max(n_probed, 2 + kept // block), n_blocks)
        reduced = self._reduced(rows, queries, n_threads)
        probed = self._nearest_blocks(reduced, n_probed, n_threads)
        # Panels of queries that look into the same blocks share the products.
        order = np.argsort(probed[:, 0], kind="stable")
        candidates = Candidates(len(reduced), kept)
        _kernels.knn_dense.offer_probed(
            pack(reduced, order, n_threads=n_threads).panels, packed.panels, packed.norms, block,
            *_by_panel(probed[order], n_blocks), kept, candidates.keys, candidates.counts,
            candidates.thresholds, n_threads,
        )  # fmt: skip
        return rows.ranked(queries, candidates, order, self.order, k, n_threads)

    def _packed_rows(self, rows, n_threads):
        if self._packed is None:
            self._packed = pack(rows.dense(), self.order, n_threads=n_threads)
        return self._packed

    def _reduced(self, rows, queries, n_threads):
        if self.projection is None:
            return rows.as_dense(queries)
        return rows.project(queries, self.projection, n_threads)

    def _nearest_blocks(self, reduced, n_probed, n_threads):
        """The blocks whose centres are nearest to each row, (m, n_probed), nearest first."""
        best = Candidates(len(reduced), n_probed)
        best.offer_all(pack(reduced, n_threads=n_threads), pack(self.centres), 0, n_threads)
        return best.numbers(n_probed)


def _by_panel(probed, n_blocks):
    """For each panel of rows the blocks that any of them probes, and which rows do.

    Returns
    -------
    starts : (panels + 1,) int64, of each panel in the next two.
    blocks, masks : int32, a block and the bits of the rows that probe it.
    """
    m, n_probed = probed.shape
    row = np.repeat(np.arange(m), n_probed)
    code = row // PANEL_ROWS * n_blocks + probed.ravel()
    order = np.argsort(code, kind="stable")
    code = code[order]
    first = np.flatnonzero(np.r_[True, code[1:] != code[:-1]])
    masks = np.bitwise_or.reduceat(1 << (row % PANEL_ROWS)[order], first)
    panel, blocks = np.divmod(code[first], n_blocks)
    starts = np.searchsorted(panel, np.arange(-(-m // PANEL_ROWS) + 1))
    return starts.astype(np.int64), blocks.astype(np.int32), masks.astype(np.int32)
