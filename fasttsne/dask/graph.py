"""Affinities on the workers: of each row to its neighbours, and their symmetric graph, by blocks.

Edges are exchanged once: each block of rows sends every other block the edges that end there.
"""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from distributed import Future

from fasttsne.affinity.conditional import from_mixture
from fasttsne.affinity.csr import csr_from_arrays, merge_directions
from fasttsne.dask.cluster import Cluster, check_fits
from fasttsne.dask.remote_rows import RemoteRows
from fasttsne.nearest_neighbors.graph import to_scaled_float32
from fasttsne.objective.edges import (
    PIECE,
    CSREdges,
    Entropy,
    entropy_of,
    largest_value,
    sum_entropies,
)

CONDITIONAL, SYMMETRIC, ENTROPY = "conditional affinities", "symmetric affinities", "entropy of P"
# An int32 column and a float32 value.
EDGE_BYTES = 8


class Conditional(NamedTuple):
    """Affinities of rows to their neighbours, (m, k), and the neighbours."""

    indices: np.ndarray
    values: np.ndarray


class ClusterGraph:
    """The symmetric affinities of all rows, in blocks of rows on the workers.

    Attributes
    ----------
    blocks : futures of the arrays of a CSR matrix: row pointers, columns, values.
    edges : (blocks + 1,) the first row of each, and the number of rows.
    largest : of all affinities.
    entropy : sums over all affinities.
    """

    def __init__(self, cluster: Cluster, blocks: list[Future], edges: np.ndarray):
        self.cluster, self.blocks, self.edges = cluster, blocks, edges
        self.shape = int(edges[-1]), int(edges[-1])
        found = [cluster.submit(SYMMETRIC, _summary, block) for block in blocks]
        counts, largest = zip(
            *cluster.results(SYMMETRIC, found, np.diff(edges).tolist()), strict=True
        )
        self.largest = max(largest)
        self._firsts = np.cumsum([0, *counts])  # edge of each block
        self.entropy = self._sum_entropy()

    def _sum_entropy(self) -> Entropy:
        """Return the sums, of the pieces of which the local fit adds them up."""
        firsts, pieces = self._firsts, []
        n_edges = int(firsts[-1])
        for start in range(0, n_edges, PIECE):
            stop, parts = min(start + PIECE, n_edges), []
            for b in range(
                int(np.searchsorted(firsts, start, "right")) - 1,
                int(np.searchsorted(firsts, stop, "left")),
            ):
                a, z = (int(np.clip(e, *firsts[b : b + 2]) - firsts[b]) for e in (start, stop))
                parts.append(self.cluster.submit(ENTROPY, _cut_values, self.blocks[b], a, z))
            pieces.append(self.cluster.submit(ENTROPY, _entropy_of, *parts))
        return sum_entropies(self.cluster.results(ENTROPY, pieces))

    def fetch(self) -> sp.csr_matrix:
        """Return the graph as a matrix in this process, with the bits of the local fit.

        Raises
        ------
        MemoryError
            If it takes more than is free.
        """
        check_fits(2 * EDGE_BYTES * int(self._firsts[-1]), "the graph of affinities")
        parts = self.cluster.results(SYMMETRIC, self.blocks)
        indptr = [part[0][1:] + first for part, first in zip(parts, self._firsts, strict=False)]
        columns, values = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
        return csr_from_arrays(np.concatenate([[0], *indptr]), columns, values, self.shape[1])


def conditional_affinities(
    indices: RemoteRows, distances: RemoteRows, perplexities: Sequence[float]
) -> list[Future]:
    """Return futures of :class:`Conditional` by block of rows; workers forget the tables."""
    cluster, run = indices.cluster, partial(_conditional, perplexities)
    blocks = [
        cluster.submit(CONDITIONAL, run, own, far)
        for own, far in zip(indices.blocks, distances.blocks, strict=True)
    ]
    cluster.forget(indices.blocks + distances.blocks)
    cluster.finish(CONDITIONAL, blocks, indices.sizes)
    return blocks


def symmetric_graph(cluster: Cluster, conditional: list[Future], edges: np.ndarray) -> ClusterGraph:
    """Return the graph of conditional affinities of blocks of rows; workers forget those."""
    split = partial(_transposed, edges)
    transposed = [cluster.submit(SYMMETRIC, split, block) for block in conditional]
    merge, blocks = partial(_merge, int(edges[-1]), edges[:-1]), []
    for b, own in enumerate(conditional):
        pieces = [cluster.submit(SYMMETRIC, _piece, each, b) for each in transposed]
        blocks.append(cluster.submit(SYMMETRIC, merge, own, *pieces))
        cluster.forget(pieces)
    cluster.forget(conditional + transposed)
    cluster.finish(SYMMETRIC, blocks, np.diff(edges).tolist())
    return ClusterGraph(cluster, blocks, edges)


def _conditional(
    perplexities: Sequence[float], indices: np.ndarray, distances: np.ndarray
) -> Conditional:
    scaled, _ = to_scaled_float32(distances)
    values = from_mixture(scaled, perplexities, n_threads=1)
    return Conditional(np.ascontiguousarray(indices), np.ascontiguousarray(values))


def _transposed(edges: np.ndarray, block: Conditional) -> list[CSREdges]:
    """Return the edges that end in each block of rows, by the row in which they end."""
    m, k = block.indices.shape
    indptr = np.arange(m + 1, dtype=np.int64) * k
    forward = sp.csr_array(
        (block.values.ravel(), block.indices.ravel(), indptr), shape=(m, int(edges[-1]))
    )
    backward = forward.tocsc()  # of each column, rows ascending
    pieces = []
    for a, b in itertools.pairwise(edges):
        pointers = backward.indptr[a : b + 1].astype(np.int64)
        part = slice(pointers[0], pointers[-1])
        pieces.append(
            (pointers - pointers[0], backward.indices[part].astype(np.int32), backward.data[part])
        )
    return pieces


def _piece(pieces: list[CSREdges], block: int) -> CSREdges:
    indptr, rows, values = pieces[block]
    return indptr, rows.copy(), values.copy()


def _merge(n: int, firsts: np.ndarray, own: Conditional, *pieces: CSREdges) -> CSREdges:
    """Return rows of (C + C^T) / 2n from rows of C and the edges that end in them, by block."""
    counts = np.array([np.diff(indptr) for indptr, _, _ in pieces])
    pointers = np.append(0, counts.sum(0).cumsum())
    columns = np.empty(pointers[-1], np.int32)
    values = np.empty(pointers[-1], np.float32)
    begin = pointers[:-1].copy()
    for first, count, (indptr, rows, weights) in zip(firsts, counts, pieces, strict=True):
        at = np.repeat(begin - indptr[:-1], count) + np.arange(len(rows))
        columns[at], values[at] = rows + np.int32(first), weights
        begin += count
    return merge_directions(own.indices, own.values, (pointers, columns, values), n, 1)


def _summary(block: CSREdges) -> tuple[int, float]:
    """Return the number of edges, and the largest value."""
    return len(block[2]), largest_value(block[2])


def _cut_values(block: CSREdges, first: int, stop: int) -> np.ndarray:
    return block[2][first:stop].copy()


def _entropy_of(*parts: np.ndarray) -> Entropy:
    return entropy_of(np.concatenate(parts))
