"""Edges that stay on the workers while an embedding moves, and what happens when one is lost.

In each iteration the workers are sent the embedding, 8 bytes a point in two dimensions, and send
the forces on their points back, while the repulsion is computed in the client's process.
"""

import time
from collections.abc import Callable, Iterator
from operator import methodcaller
from typing import TypeAlias

import numpy as np
from distributed import Actor, Future, TimeoutError, get_worker
from distributed.actor import BaseActorFuture

from fasttsne import _kernels
from fasttsne.dask.cluster import LOOK_EVERY, Cluster, StallMonitor, log
from fasttsne.dask.graph import ClusterGraph
from fasttsne.objective.edges import (
    CSREdges,
    Entropy,
    Moments,
    PackedEdges,
    RowBlock,
    inverse_order,
    pack_blocks,
)

STAGE = "attraction"
# Points whose cross terms the kernel adds up together, one after the other.
BLOCK = 256

Answer: TypeAlias = tuple[np.ndarray, ...]
# Answers of actors, and the numbers, in the map's order, of the points that each is about.
Answers: TypeAlias = Iterator[tuple[np.ndarray, Answer]]


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
        self._packed = pack_blocks(
            blocks, self._numbers, position, self._largest, self._n_threads, spare
        )
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


class LostActor(Exception):
    """The worker of an actor is gone."""


class PlacedActor:
    """An actor, its worker and its blocks."""

    def __init__(self, cluster: Cluster, worker: str, blocks: list[int], future: Future):
        self.worker, self.blocks, self.future = worker, blocks, future
        self.actor = Actor(EdgesActor, worker, future.key)
        # It has a future of its own, and is part of circles that outlive it.
        cluster.keep(self.actor._future)
        self.order: np.ndarray | None = None  # that ``numbers`` are of
        self.numbers = np.empty(0, np.int32)

    def call(self, method: Callable[[Actor], BaseActorFuture]) -> BaseActorFuture | None:
        """Call a method; return the future of its answer, or None if the worker is gone."""
        try:
            return method(self.actor)
        except RuntimeError:
            return None

    def release(self) -> None:
        """Have the worker forget the actor."""
        self.future.release()
        self.actor._future.release()


class ActorEdges:
    """The edges of a graph held by actors, one on each worker; an ``EdgeSource``.

    A worker that is lost takes its actor along: the others get its blocks, which the cluster
    computes again from what it still has, and the call is repeated.  Each block's answer is the
    same wherever it is computed.
    """

    def __init__(self, graph: ClusterGraph, dof: float):
        self._graph, self._dof = graph, dof
        self._cluster = graph.cluster
        self._actors: list[PlacedActor] = []
        self._order = self._position = np.empty(0, np.int32)
        # The scheduler would have to pass every map on.
        self._cluster.client.direct_to_workers = True

    def reorder(self, order: np.ndarray) -> None:
        """Have all edges packed in another order of the points.

        Workers that have come since the last time get their share of the blocks.
        """
        self._order, self._position = order.astype(np.int32), inverse_order(order)
        workers = self._cluster.wait_for_workers(STAGE)
        if set(workers) != {placed.worker for placed in self._actors}:
            for placed in self._actors:
                placed.release()
            self._actors = []
            self._place(list(range(len(self._graph.blocks))), workers)
        for _ in self._start(methodcaller("reorder", self._order)):
            pass

    def start_attraction(
        self, y: np.ndarray, forces: np.ndarray, with_cross: bool
    ) -> Callable[[], float]:
        answers = self._start(methodcaller("attract", y, with_cross))

        def wait() -> float:
            cross = np.empty(len(y), np.float32)
            for numbers, answer in answers:
                for whole, part in zip((forces, cross), answer, strict=False):
                    whole[numbers] = part
            return _sum_in_blocks(cross, self._dof) if with_cross else 0.0

        return wait

    def moments(self, y: np.ndarray, v: np.ndarray, out: Moments) -> None:
        for numbers, parts in self._start(methodcaller("moments", y, v)):
            for whole, part in zip(out, parts, strict=True):
                whole[numbers] = part

    @property
    def entropy(self) -> Entropy:
        return self._graph.entropy

    def _start(self, method: Callable[[Actor], BaseActorFuture]) -> Answers:
        """Call a method of all actors now; return an iterator that waits for their answers."""
        left = [(placed, placed.call(method)) for placed in self._actors]

        def answers() -> Answers:
            watch = StallMonitor(self._cluster, STAGE)
            while left:
                placed, call = left.pop(0)
                try:
                    answer = self._wait(placed, call, watch, len(left))
                except LostActor:
                    left.extend((new, new.call(method)) for new in self._replace(placed))
                    continue
                yield self._numbers(placed), answer

        return answers()

    def _wait(
        self, placed: PlacedActor, call: BaseActorFuture | None, watch: StallMonitor, n_left: int
    ) -> Answer:
        """Return an answer; LostActor where there will be none."""
        while call is not None:
            try:
                answer: Answer = call.result(timeout=LOOK_EVERY)
                return answer
            except TimeoutError:
                watch.look(0, f"{n_left + 1} answers of actors")
            except Exception as error:
                if placed.worker in self._cluster.workers() and not isinstance(error, OSError):
                    raise
                break
            if placed.future.status != "finished" or placed.worker not in self._cluster.workers():
                break
        raise LostActor

    def _replace(self, lost: PlacedActor) -> list[PlacedActor]:
        """Give the blocks of a lost actor to the workers that are left; return the new actors."""
        self._cluster.check_open()
        log.warning("the worker %s was lost: its edges are made again", lost.worker)
        self._actors.remove(lost)
        lost.release()
        start = time.monotonic()
        workers = self._cluster.wait_for_workers(STAGE)
        while lost.worker in workers and time.monotonic() - start < LOOK_EVERY:
            time.sleep(0.05)
            workers = self._cluster.wait_for_workers(STAGE)
        if lost.worker in workers:  # it cannot be reached from here, but by the scheduler
            self._cluster.client.direct_to_workers = False
        before = len(self._actors)
        self._place(lost.blocks, workers)
        for placed in self._actors[before:]:
            self._pack(placed)
        return self._actors[before:]

    def _pack(self, placed: PlacedActor) -> None:
        watch = StallMonitor(self._cluster, STAGE)
        try:
            self._wait(placed, placed.call(methodcaller("reorder", self._order)), watch, 0)
        except LostActor:
            self._replace(placed)

    def _place(self, blocks: list[int], workers: dict[str, int]) -> None:
        """Make actors for blocks, where those are already, if their workers have not too many."""
        while blocks:
            for b in blocks:
                self._cluster.raise_if_failed(self._graph.blocks[b], STAGE)
            shares = self._shares(blocks, workers)
            made = [self._make(worker, share) for worker, share in shares.items() if share]
            watch = StallMonitor(self._cluster, STAGE)
            missing: list[int] = []
            for placed in made:
                if self._is_made(placed, watch):
                    self._actors.append(placed)
                else:
                    missing += placed.blocks
            blocks, workers = missing, self._cluster.wait_for_workers(STAGE)

    def _make(self, worker: str, blocks: list[int]) -> PlacedActor:
        graph = self._graph
        arguments = [int(graph.edges[b]) for b in blocks], graph.largest, self._dof
        arrays = [graph.blocks[b] for b in blocks]
        future = self._cluster.submit(
            STAGE, EdgesActor, *arguments, *arrays, actor=True, workers=[worker]
        )
        return PlacedActor(self._cluster, worker, blocks, future)

    def _is_made(self, placed: PlacedActor, watch: StallMonitor) -> bool:
        """Wait until an actor is there; return False where its worker is gone."""
        while not placed.future.done():
            time.sleep(0.005)
            watch.look(1, "")
            if placed.worker not in self._cluster.workers():
                placed.release()
                return False
        if placed.future.status == "finished":
            return True
        if placed.worker in self._cluster.workers():
            self._cluster.raise_if_failed(placed.future, STAGE)
        return False

    def _shares(self, blocks: list[int], workers: dict[str, int]) -> dict[str, list[int]]:
        """Return the blocks of each worker, as many as its share of the threads."""
        n_threads = sum(workers.values())
        room = {name: -(-len(blocks) * n // n_threads) for name, n in workers.items()}
        shares: dict[str, list[int]] = {name: [] for name in workers}
        futures = self._graph.blocks
        with self._cluster.open_client() as client:
            where = client.who_has([futures[b] for b in blocks])
        homeless = []
        for b in blocks:
            homes = [name for name in where.get(futures[b].key, ()) if room.get(name, 0) > 0]
            if not homes:
                homeless.append(b)
                continue
            shares[homes[0]].append(b)
            room[homes[0]] -= 1
        for b in homeless:
            name = max(room, key=lambda each: room[each])
            shares[name].append(b)
            room[name] -= 1
        return {name: sorted(share) for name, share in shares.items()}

    def _numbers(self, placed: PlacedActor) -> np.ndarray:
        """Return the numbers of an actor's points in the map's order, ascending."""
        if placed.order is not self._order:
            edges = self._graph.edges
            own = [self._position[edges[b] : edges[b + 1]] for b in placed.blocks]
            placed.numbers = np.sort(np.concatenate(own))
            placed.order = self._order
        return placed.numbers


def _sum_in_blocks(values: np.ndarray, dof: float) -> float:
    """Return the sum in the order of the kernel: row by row in blocks, and then the blocks."""
    n_blocks = -(-len(values) // BLOCK)
    padded = np.zeros((n_blocks, BLOCK))
    padded.ravel()[: len(values)] = values
    return float(np.sum(padded.cumsum(1)[:, -1] * np.float32(dof)))
