"""Queries of new rows: each is searched in the blocks nearest to it (probes, as faiss says).

The number of blocks and candidates follows from the sample of rows with known true neighbours.
The blocks and the result of a query do not depend on the other queries.
"""

import numpy as np

from fasttsne import _kernels
from fasttsne.nearest_neighbors.builtin.candidates import N_EXTRA_CANDIDATES, Candidates
from fasttsne.nearest_neighbors.builtin.packing import PANEL_ROWS, pack
from fasttsne.nearest_neighbors.builtin.prepared_rows import QUERY_BATCH_SIZE


class Probes:
    """The blocks of a search, stored for queries.

    Parameters
    ----------
    blocks : :class:`fasttsne.nearest_neighbors.builtin.blocks.Blocks` of the search.
    origin : (columns,) float32, that the blocks' rows are packed around.
    projection : from rows to reduced ones, or None if rows are not reduced.
    n_probed : blocks in which a query is searched, for up to ``k`` neighbours.
    kept : candidates for each neighbour that is requested.
    k : neighbours of the search.
    """

    origin = None  # zero, in what version 0.1.0 pickled

    def __init__(self, blocks, origin, projection, n_probed: int, kept: float, k: int):
        # Rows that are not reduced are packed again at the first query: until then that memory
        # is free.
        self._packed = None if projection is None else blocks.packed
        self.order = blocks.order
        # Names of version 0.1.0: indexes are pickled.
        self.centres = np.ascontiguousarray(blocks.centroids, np.float32)
        self.projection, self.origin = projection, origin
        self.n_probed, self.kept, self.k = n_probed, kept, k

    def query(self, rows, queries, k: int, n_threads: int):
        """Return the k nearest to each query: indices and distances, (m, k), nearest first.

        Parameters
        ----------
        rows, queries : the prepared rows of the data, and new rows that they prepared.
        """
        results = [
            self._search(rows, queries[a : a + QUERY_BATCH_SIZE], k, n_threads)
            for a in range(0, len(queries), QUERY_BATCH_SIZE)
        ]
        return tuple(np.concatenate(parts) for parts in zip(*results, strict=True))

    def _search(self, rows, queries, k, n_threads):
        packed = self._packed_rows(rows, n_threads)
        n_blocks, block_size = packed.n_blocks, packed.block_size
        n_kept = min(int(self.kept * k) + N_EXTRA_CANDIDATES, packed.n)
        n_probed = -(-self.n_probed * max(k, self.k) // self.k)
        # Enough candidates even if one of the blocks is the short last one.
        n_probed = min(max(n_probed, 2 + n_kept // block_size), n_blocks)
        reduced = self._reduce(rows, queries, n_threads)
        probed = self._nearest_blocks(reduced, n_probed, n_threads)
        # Queries of a panel that are searched in the same block share the products.
        order = np.argsort(probed[:, 0], kind="stable")
        candidates = Candidates(len(reduced), n_kept)
        _kernels.knn_dense.search_probed(
            pack(reduced, order, self.origin, n_threads).panels, packed.panels, packed.norms,
            block_size, *_by_panel(probed[order], n_blocks), n_kept, candidates.keys,
            candidates.counts, candidates.thresholds, n_threads,
        )  # fmt: skip
        return rows.rerank_queries(queries, candidates, order, self.order, k, n_threads)[:2]

    def _packed_rows(self, rows, n_threads):
        if self._packed is None:
            points = rows.to_dense(rows.points)
            self._packed = pack(points, self.order, self.origin, n_threads)
        return self._packed

    def _reduce(self, rows, queries, n_threads):
        if self.projection is None:
            return rows.to_dense(queries)
        return rows.project(queries, self.projection, n_threads)

    def _nearest_blocks(self, reduced, n_probed, n_threads):
        """Return the blocks with the nearest centroids, (m, n_probed), nearest first."""
        best = Candidates(len(reduced), n_probed)
        packed = pack(reduced, origin=self.origin, n_threads=n_threads)
        best.compare_all(packed, pack(self.centres, origin=self.origin), 0, n_threads)
        return best.top(n_probed)


def _by_panel(probed, n_blocks):
    """Return for each panel of rows the blocks that any of them probes, and which rows do.

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
