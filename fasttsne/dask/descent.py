"""The actors of a descent: where the edges are, and what happens when a worker is lost."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from distributed import Actor, Future, TimeoutError

from fasttsne.dask.actors import EdgesActor
from fasttsne.dask.cluster import LOOK_EVERY, Cluster, Watch, log
from fasttsne.dask.graph import ClusterGraph

STAGE = "attraction"

# What each actor answered, and the numbers, in the map's order, of the points it is about.
Answers = Iterator[tuple[np.ndarray, Any]]


class LostActor(Exception):
    """The worker of an actor is gone."""


class Attractors:
    """The edges of a graph in the hands of actors, one on each worker.

    A worker that is lost takes its actor along: the others get its blocks, which the cluster
    computes again from what it still has, and the call is repeated.  Each block's answer is the
    same wherever it is computed.
    """

    def __init__(self, graph: ClusterGraph, dof: float):
        self._graph, self._dof = graph, dof
        self._cluster: Cluster = graph.cluster
        self._actors: list[_Placed] = []
        self._order: np.ndarray | None = None
        self._position = np.empty(0, np.int32)
        # The scheduler would have to pass every map on.
        self._cluster.client.direct_to_workers = True

    def reorder(self, order: np.ndarray) -> None:
        """Have all edges packed in another order of the points.

        Workers that have come since the last time get their share of the blocks.
        """
        self._order = order.astype(np.int32)
        self._position = np.empty(len(order), np.int32)
        self._position[order] = np.arange(len(order), dtype=np.int32)
        workers = self._cluster.wait_for_workers(STAGE)
        if set(workers) != {placed.worker for placed in self._actors}:
            for placed in self._actors:
                placed.release()
            self._actors = []
            self._place(list(range(len(self._graph.blocks))), workers)
        for _ in self.start("reorder", self._order)():
            pass

    def start(self, method: str, *arguments: Any) -> Callable[[], Answers]:
        """Call a method of all actors; return a function that waits for their answers."""
        waiting = [(placed, self._call(placed, method, arguments)) for placed in self._actors]

        def answers() -> Answers:
            left, watch = list(waiting), Watch(self._cluster, STAGE)
            while left:
                placed, call = left.pop(0)
                try:
                    answer = self._wait(placed, call, watch, len(left))
                except LostActor:
                    for new in self._replace(placed, method):
                        left.append((new, self._call(new, method, arguments)))
                    continue
                yield self._numbers(placed), answer

        return answers

    def _call(self, placed: "_Placed", method: str, arguments: Any) -> Any:
        try:
            return getattr(placed.actor, method)(*arguments)
        except RuntimeError:  # its worker is gone
            return None

    def _wait(self, placed: "_Placed", call: Any, watch: Watch, n_left: int) -> Any:
        """Return an answer.

        Raises
        ------
        LostActor
            Where there will be none.
        """
        while call is not None:
            try:
                return call.result(timeout=LOOK_EVERY)
            except TimeoutError:
                watch.look(0, f"{n_left + 1} answers of actors")
            except Exception as error:
                if placed.worker in self._cluster.workers() and not isinstance(error, OSError):
                    raise
                break
            if placed.future.status != "finished" or placed.worker not in self._cluster.workers():
                break
        raise LostActor

    def _replace(self, lost: "_Placed", method: str) -> list["_Placed"]:
        """Give the blocks of a lost actor to the workers that are left."""
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
        new = self._actors[before:]
        if method != "reorder":
            for placed in list(new):
                self._pack(placed)
        return self._actors[before:]

    def _pack(self, placed: "_Placed") -> None:
        watch = Watch(self._cluster, STAGE)
        try:
            self._wait(placed, self._call(placed, "reorder", (self._order,)), watch, 0)
        except LostActor:
            self._replace(placed, "")

    def _place(self, blocks: list[int], workers: dict[str, int]) -> None:
        """Make actors for blocks, where those are already, if their workers have not too many."""
        while blocks:
            for b in blocks:
                self._cluster.raise_if_failed(self._graph.blocks[b], STAGE)
            wanted = self._shares(blocks, workers)
            made = [self._make(worker, share) for worker, share in wanted.items() if share]
            watch = Watch(self._cluster, STAGE)
            missing: list[int] = []
            for placed in made:
                if self._is_made(placed, watch):
                    self._actors.append(placed)
                else:
                    missing += placed.blocks
            blocks, workers = missing, self._cluster.wait_for_workers(STAGE)

    def _make(self, worker: str, blocks: list[int]) -> "_Placed":
        graph = self._graph
        firsts = [int(graph.edges[b]) for b in blocks]
        future = self._cluster.submit(
            STAGE,
            EdgesActor,
            firsts,
            graph.largest,
            self._dof,
            None,
            *(graph.blocks[b] for b in blocks),
            actor=True,
            workers=[worker],
        )
        return _Placed(self._cluster, worker, blocks, future)

    def _is_made(self, placed: "_Placed", watch: Watch) -> bool:
        """Wait until an actor is there; return False where its worker is gone."""
        while not placed.future.done():
            time.sleep(0.005)
            watch.look(1, "")
            if placed.worker not in self._cluster.workers():
                placed.release()
                return False
        if placed.future.status != "finished":
            if placed.worker in self._cluster.workers():
                self._cluster.raise_if_failed(placed.future, STAGE)
            return False
        return True

    def _shares(self, blocks: list[int], workers: dict[str, int]) -> dict[str, list[int]]:
        """Return the blocks of each worker, as many as its share of the threads."""
        n_threads = sum(workers.values())
        room = {name: -(-len(blocks) * n // n_threads) for name, n in workers.items()}
        shares: dict[str, list[int]] = {name: [] for name in workers}
        graph = self._graph
        with self._cluster.open_client() as client:
            where = client.who_has([graph.blocks[b] for b in blocks])
        homeless = []
        for b in blocks:
            homes = [name for name in where.get(graph.blocks[b].key, ()) if room.get(name, 0) > 0]
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

    def _numbers(self, placed: "_Placed") -> np.ndarray:
        """Return the numbers of an actor's points in the map's order, ascending."""
        if placed.order is not self._order:
            edges = self._graph.edges
            own = [self._position[edges[b] : edges[b + 1]] for b in placed.blocks]
            placed.numbers = np.sort(np.concatenate(own))
            placed.order = self._order
        return placed.numbers


class _Placed:
    """An actor, its worker and its blocks."""

    def __init__(self, cluster: Cluster, worker: str, blocks: list[int], future: Future):
        self.worker, self.blocks, self.future = worker, blocks, future
        self.actor = Actor(EdgesActor, worker, future.key)
        # It has a future of its own, and is part of circles that outlive it.
        cluster.keep(self.actor._future)
        self.order: np.ndarray | None = None  # that ``numbers`` are of
        self.numbers = np.empty(0, np.int32)

    def release(self) -> None:
        """Let the worker forget the actor."""
        self.future.release()
        self.actor._future.release()
