"""Affinities on the workers: their symmetric graph, and its edges while an embedding moves.

Edges are exchanged once: each block of rows sends every other block the edges that end there.  In
each iteration the workers are sent the embedding, 8 bytes a point in two dimensions, and send the
forces on their points back, while the repulsion is computed in the client's process.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import methodcaller
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp
from distributed import Actor, Future, TimeoutError, get_worker
from distributed.actor import BaseActorFuture

from fasttsne import _kernels
from fasttsne.affinity.conditional import from_mixture
from fasttsne.affinity.csr import csr_from_arrays, merge_directions
from fasttsne.dask.cluster import LOOK_EVERY, Cluster, StallMonitor, check_fits, log
from fasttsne.dask.rows import RemoteRows
from fasttsne.nearest_neighbors.graph import to_scaled_float32
from fasttsne.objective.edges import (
    PIECE,
    CSREdges,
    Entropy,
    Moments,
    PackedEdges,
    RowBlock,
    entropy_of,
    inverse_order,
    largest_value,
    pack_edges,
    sum_entropies,
)

CONDITIONAL, SYMMETRIC, ENTROPY = "conditional affinities", "symmetric affinities", "entropy of P"
ATTRACTION = "attraction"
# An int32 column and a float32 value.
EDGE_BYTES = 8
# Points whose cross terms the kernel adds up together, one after the other.
BLOCK = 256

Answer: TypeAlias = tuple[np.ndarray, ...]
# Answers of actors, and the numbers, in the map's order, of the points that each is about.
Answers: TypeAlias = Iterator[tuple[np.ndarray, Answer]]
Method: TypeAlias = Callable[[Actor], BaseActorFuture]


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


class EdgesActor:
    """The edges of some blocks of rows, packed in the order of the map; it uses all threads.

    Parameters
    ----------
    firsts : the first row of each block.
    largest : no value of the whole graph is larger.
    dof : degrees of freedom of the kernel.
    blocks : arrays of CSR matrices with n columns.
    """

    def __init__(self, firsts: list[int], largest: float, dof: float, *blocks: CSREdges):
        self._firsts, self._blocks, self._largest, self._dof = firsts, blocks, largest, dof
        self._n_threads = get_worker().state.nthreads
        self._packed: PackedEdges | None = None
        self._numbers = np.empty(0, np.int32)

    def reorder(self, order: np.ndarray) -> Answer:
        """Pack the edges anew: row r of maps is from now on the point ``order[r]``."""
        position = inverse_order(order)
        own = [
            position[first : first + len(block[0]) - 1]
            for first, block in zip(self._firsts, self._blocks, strict=True)
        ]
        self._numbers = np.sort(np.concatenate(own))
        blocks = []
        for numbers, block in zip(own, self._blocks, strict=True):
            rows = np.argsort(numbers).astype(np.int32)
            places = np.searchsorted(self._numbers, numbers[rows]).astype(np.int32)
            blocks.append(RowBlock(block, rows, places))
        spare, self._packed = list(self._packed or ()), None
        largest, n_threads = self._largest, self._n_threads
        self._packed = pack_edges(blocks, position, largest, n_threads, self._numbers, spare=spare)
        return ()

    def attract(self, y: np.ndarray, with_cross: bool) -> Answer:
        """Return forces on the actor's points, in the map's order, and their cross terms.

        y : (n, d) float32.
        """
        assert self._packed is not None
        forces = np.empty((len(self._numbers), y.shape[1]), np.float32)
        cross = np.empty(len(self._numbers), np.float32) if with_cross else None
        _kernels.attraction.attraction_of(
            *self._packed, self._numbers, y, forces, cross, self._dof, self._n_threads
        )
        return (forces,) if cross is None else (forces, cross)

    def moments(self, y: np.ndarray, v: np.ndarray) -> Answer:
        """Return degrees, moments and products of the actor's points: ``edge_moments``."""
        assert self._packed is not None
        m, d = len(self._numbers), y.shape[1]
        degree = np.empty(m, np.float32)
        moments = np.empty((m, d * (d + 1) // 2), np.float32)
        product = np.empty((m, d), np.float32)
        _kernels.attraction.edge_moments(
            *self._packed, y, v, self._dof, degree, moments, product, self._n_threads, self._numbers
        )
        return degree, moments, product


class PlacedActor:
    """An actor, its worker, its blocks, and its points as numbers in the map's order, ascending."""

    def __init__(self, cluster: Cluster, worker: str, blocks: list[int], future: Future):
        self.worker, self.blocks, self.future = worker, blocks, future
        self.actor = Actor(EdgesActor, worker, future.key)
        # Its own future is part of reference cycles, which outlive it.
        cluster.keep(self.actor._future)
        self.numbers = np.empty(0, np.int32)

    def release(self) -> None:
        """Have the worker forget the actor."""
        self.future.release()
        self.actor._future.release()


class ActorEdges:
    """The edges of a graph held by actors, one on each worker; an ``EdgeSource``.

    A worker that is lost takes its actor along: blocks are shared out anew, the cluster computes
    again what it has lost, and the call is repeated.  Each block's answer is the same wherever it
    is computed.
    """

    def __init__(self, graph: ClusterGraph, dof: float):
        self._graph, self._dof = graph, dof
        self._cluster = graph.cluster
        self._actors: list[PlacedActor] = []
        self._order = np.empty(0, np.int32)
        self.cross = 0.0
        # The scheduler would have to pass every map on.
        self._cluster.client.direct_to_workers = True

    def reorder(self, order: np.ndarray) -> None:
        """Have all edges packed in another order of the points.

        Workers that have come since the last time get their share of the blocks.
        """
        self._order = order.astype(np.int32)
        workers = self._cluster.wait_for_workers(ATTRACTION)
        if set(workers) != {placed.worker for placed in self._actors}:
            self._place(workers)
        self._pack()

    @contextmanager
    def attraction(
        self, y: np.ndarray, forces: np.ndarray, with_cross: bool
    ) -> Iterator[int | None]:
        answers = self._start(methodcaller("attract", y, with_cross))
        yield None
        cross = np.empty(len(y), np.float32)
        for numbers, answer in answers:
            for whole, part in zip((forces, cross), answer, strict=False):
                whole[numbers] = part
        self.cross = _sum_in_blocks(cross, self._dof) if with_cross else 0.0

    def moments(self, y: np.ndarray, v: np.ndarray, out: Moments) -> None:
        for numbers, parts in self._start(methodcaller("moments", y, v)):
            for whole, part in zip(out, parts, strict=True):
                whole[numbers] = part

    @property
    def entropy(self) -> Entropy:
        return self._graph.entropy

    def _pack(self) -> None:
        position, edges = inverse_order(self._order), self._graph.edges
        for placed in self._actors:
            own = [position[edges[b] : edges[b + 1]] for b in placed.blocks]
            placed.numbers = np.sort(np.concatenate(own))
        for _ in self._start(methodcaller("reorder", self._order)):
            pass

    def _start(self, method: Method) -> Answers:
        """Call a method of all actors now; return an iterator that waits for their answers.

        Where a worker is lost, all actors answer once more.
        """
        return self._answers(method, self._call(method))

    def _call(self, method: Method) -> list[BaseActorFuture | None]:
        """Call a method of all actors; None is of a worker that is gone."""
        calls = []
        for placed in self._actors:
            try:
                calls.append(method(placed.actor))
            except RuntimeError:
                calls.append(None)
        return calls

    def _answers(self, method: Method, calls: list[BaseActorFuture | None]) -> Answers:
        watch = StallMonitor(self._cluster, ATTRACTION)
        while True:
            for i, (placed, call) in enumerate(zip(self._actors, calls, strict=True)):
                answer = self._wait(placed, call, watch, len(calls) - i)
                if answer is None:
                    self._recover(placed.worker)
                    calls = self._call(method)
                    break
                yield placed.numbers, answer
            else:
                return

    def _wait(
        self, placed: PlacedActor, call: BaseActorFuture | None, watch: StallMonitor, n_left: int
    ) -> Answer | None:
        """Return an answer; None if the worker is lost."""
        while call is not None:
            try:
                answer: Answer = call.result(timeout=LOOK_EVERY)
                return answer
            except TimeoutError:
                watch.look(0, f"{n_left} answers of actors")
            except Exception as error:
                if placed.worker in self._cluster.workers() and not isinstance(error, OSError):
                    raise
                break
            if placed.future.status != "finished" or placed.worker not in self._cluster.workers():
                break
        return None

    def _recover(self, lost: str) -> None:
        """Share out all blocks among the workers that are left."""
        self._cluster.check_open()
        log.warning("the worker %s was lost: its edges are made again", lost)
        start = time.monotonic()
        workers = self._cluster.wait_for_workers(ATTRACTION)
        while lost in workers and time.monotonic() - start < LOOK_EVERY:
            time.sleep(0.05)
            workers = self._cluster.wait_for_workers(ATTRACTION)
        if lost in workers:  # it cannot be reached from here, but by the scheduler
            self._cluster.client.direct_to_workers = False
        self._place(workers)
        self._pack()

    def _place(self, workers: dict[str, int]) -> None:
        """Make an actor on each worker, in place of those that there are."""
        graph, is_made = self._graph, False
        while not is_made:
            for placed in self._actors:
                placed.release()
            for block in graph.blocks:
                self._cluster.raise_if_failed(block, ATTRACTION)
            self._actors = [
                self._make(worker, share)
                for worker, share in self._shares(workers).items()
                if share
            ]
            is_made = all(map(self._is_made, self._actors))
            workers = self._cluster.wait_for_workers(ATTRACTION)

    def _make(self, worker: str, blocks: list[int]) -> PlacedActor:
        graph = self._graph
        arguments = [int(graph.edges[b]) for b in blocks], graph.largest, self._dof
        arrays = [graph.blocks[b] for b in blocks]
        future = self._cluster.submit(
            ATTRACTION, EdgesActor, *arguments, *arrays, actor=True, workers=[worker]
        )
        return PlacedActor(self._cluster, worker, blocks, future)

    def _is_made(self, placed: PlacedActor) -> bool:
        """Wait until an actor is there; return False where its worker is gone."""
        watch = StallMonitor(self._cluster, ATTRACTION)
        while not placed.future.done():
            time.sleep(0.005)
            watch.look(1, "")
            if placed.worker not in self._cluster.workers():
                return False
        if placed.future.status == "finished":
            return True
        if placed.worker in self._cluster.workers():
            self._cluster.raise_if_failed(placed.future, ATTRACTION)
        return False

    def _shares(self, workers: dict[str, int]) -> dict[str, list[int]]:
        """Return the blocks of each worker, as many as its share of the threads.

        A block stays where it is, if that worker has not too many.
        """
        blocks, n_threads = self._graph.blocks, sum(workers.values())
        room = {name: -(-len(blocks) * n // n_threads) for name, n in workers.items()}
        shares: dict[str, list[int]] = {name: [] for name in workers}
        with self._cluster.open_client() as client:
            where = client.who_has(blocks)
        homeless = []
        for b, block in enumerate(blocks):
            homes = [name for name in where.get(block.key, ()) if room.get(name, 0) > 0]
            if homes:
                shares[homes[0]].append(b)
                room[homes[0]] -= 1
            else:
                homeless.append(b)
        for b in homeless:
            name = max(room, key=lambda each: room[each])
            shares[name].append(b)
            room[name] -= 1
        return {name: sorted(share) for name, share in shares.items()}


def _sum_in_blocks(values: np.ndarray, dof: float) -> float:
    """Return the sum in the order of the kernel: row by row in blocks, and then the blocks."""
    n_blocks = -(-len(values) // BLOCK)
    padded = np.zeros((n_blocks, BLOCK))
    padded.ravel()[: len(values)] = values
    return float(np.sum(padded.cumsum(1)[:, -1] * np.float32(dof)))
