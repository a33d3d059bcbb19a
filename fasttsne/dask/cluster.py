"""The cluster as a fit sees it: tasks, their results, who is there, and what is refused."""

import contextlib
import logging
import platform
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dask
import numpy as np
import scipy
from distributed import CancelledError, Client, Future, TimeoutError, wait
from distributed.scheduler import KilledWorker

from fasttsne import _kernels
from fasttsne._version import __version__
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.runtime.memory import available_memory, format_bytes
from fasttsne.runtime.progress import stage

log = logging.getLogger("fasttsne.dask")

# Seconds without a finished task after which the log says what is waited for.
PATIENCE = 60.0
# Seconds that a cluster without workers may take to get one.
WITHOUT_WORKERS = 30.0
# Parts of rows for each thread, and parts at most: where all send something to all, the number of
# tasks is its square, and Dask's scheduler does some thousand tasks in a second.
PARTS_PER_THREAD, MAX_PARTS = 3, 512
# Seconds that workers get to forget what they held.
FORGETTING = 5.0
# Seconds from one look at the cluster to the next.
LOOK_EVERY = 2.0
# Arguments of tasks, such as the cells that a search reads, may be large: no reason to warn.
SETTINGS = {"distributed.admin.large-graph-warning-threshold": "1GiB"}


# What is refused, and why: by parameter, or method of an embedding.  docs/cluster.rst lists it.
REASONS = {
    "neighbors": (
        "on a cluster, neighbors must be 'auto', 'approx' or 'exact': other searches and graphs "
        "need all rows in one process; give affinities that were made of them"
    ),
    "metric": (
        f"on a cluster, metric must be one of {', '.join(map(repr, METRICS))}: the search on "
        "workers has no others; give affinities that were made with another"
    ),
    "X": (
        "large sparse chunks would be made dense: reduce the columns first, for example by "
        "dask_ml.decomposition.TruncatedSVD, or fit with fasttsne.TSNE"
    ),
    "optimize, save": (
        "the graph of affinities was on the cluster, which has its memory back since the fit "
        "ended: optimize and save need it; prepare_initial of fasttsne.dask.TSNE brings it to this "
        "process, or fit with fasttsne.TSNE"
    ),
    "transform of an embedding": (
        "the rows of the data are on the cluster: use transform of fasttsne.dask.TSNE, which reads "
        "them there"
    ),
    "update, drop": (
        "the rows of the data are on the cluster: update and drop need them in this process, as "
        "after a fit with fasttsne.TSNE"
    ),
    "transform": ("the affinities of the last fit were given: use transform of the embedding"),
}


class ClusterError(RuntimeError):
    """A stage cannot be finished: no worker is left, its tasks or the client are gone."""


def refusal(name: str, found: object = None) -> ValueError:
    """Return the error for what is refused, with its value if there is one."""
    return ValueError(REASONS[name] + ("" if found is None else f"; got {found!r}"))


class Cluster:
    """A client, and the futures of one fit.

    Parameters
    ----------
    client : a synchronous client of ``distributed``.
    """

    def __init__(self, client: Client):
        self.client = client
        self._futures: weakref.WeakSet[Future] = weakref.WeakSet()
        self._checked: set[str] = set()

    @contextlib.contextmanager
    def in_use(self) -> Iterator["Cluster"]:
        """Within the block tasks can be submitted; after it workers hold nothing of them."""
        direct = self.client.direct_to_workers
        with dask.config.set(SETTINGS), self.client.as_current():
            try:
                yield self
            finally:
                self.client.direct_to_workers = direct
                self.release()

    def check_open(self) -> None:
        """Raise ClusterError where the client was closed."""
        if self.client.status in ("closing", "closed"):
            raise ClusterError("the client was closed during the fit")

    @contextlib.contextmanager
    def open_client(self) -> Iterator[Client]:
        """Yield the client to ask it something; all questions to the scheduler are within.

        Another thread may close the client at any moment.  What it raises then depends on how far
        it has come (an error of its connection, of a cancelled future, or an AttributeError), and
        becomes a ClusterError.
        """
        self.check_open()
        try:
            yield self.client
        except Exception:
            self.check_open()
            raise

    def release(self) -> None:
        """Release all futures, and cancel pending tasks."""
        if self.client.status != "running":
            return
        own = {future.key for future in self._futures}
        for future in list(self._futures):
            future.release()
        # A cluster that is gone holds nothing.
        with contextlib.suppress(OSError, TimeoutError, ClusterError), self.open_client() as client:
            start = time.monotonic()
            while time.monotonic() - start < FORGETTING:
                held = client.has_what().values()
                if not any(own.intersection(keys) for keys in held):
                    return
                time.sleep(0.02)

    def forget(self, futures: Sequence[Future]) -> None:
        """Have workers forget results as soon as no task that was submitted needs them."""
        for future in futures:
            future.release()

    def workers(self) -> dict[str, int]:
        """Return the workers' addresses and numbers of threads, late workers included."""
        with self.open_client() as client:
            found: dict[str, int] = client.nthreads()
            new = set(found) - self._checked
            if new:
                check_workers(client, sorted(new))
                self._checked |= new
        return found

    def wait_for_workers(self, name: str) -> dict[str, int]:
        """Return the workers as soon as there is one; ClusterError where none comes."""
        start = time.monotonic()
        while True:
            found = self.workers()
            if found:
                return found
            if time.monotonic() - start > WITHOUT_WORKERS:
                raise ClusterError(f"no worker is left in the stage {name!r}")
            time.sleep(0.2)

    def n_parts(self, n: int, min_rows: int, max_rows: int) -> int:
        """Return how many parts n rows have: some for each thread, of these sizes."""
        n_threads = sum(self.wait_for_workers("planning").values())
        wanted = min(PARTS_PER_THREAD * n_threads, n // min_rows)
        return min(max(wanted, -(-n // max_rows), 1), MAX_PARTS)

    def submit(
        self, name: str, function: Callable[..., object], *arguments: object, **how: object
    ) -> Future:
        """Return the future of a function's result; ``name`` is its stage, on the dashboard."""
        key = f"{name}-{uuid.uuid4().hex}"
        with self.open_client() as client:
            return self.keep(client.submit(function, *arguments, key=key, pure=False, **how))

    def compute(self, tasks: Sequence[object]) -> list[Future]:
        """Return the futures of Dask's delayed tasks."""
        with self.open_client() as client:
            return [self.keep(future) for future in client.compute(tasks)]

    def keep(self, future: Future) -> Future:
        """Return a future that ``release`` knows from now on."""
        self._futures.add(future)
        return future

    def finish(
        self, name: str, futures: Sequence[Future], amounts: Sequence[float] | None = None
    ) -> None:
        """Wait until tasks are done, a stage of progress; raise what a task raised.

        amounts : of rows, which each task deals with; None counts tasks.
        """
        left = dict(zip(futures, [1.0] * len(futures) if amounts is None else amounts, strict=True))
        unit = "tasks" if amounts is None else "rows"
        watch = StallMonitor(self, name)
        with stage(name, sum(left.values()), unit) as progress:
            while left:
                with (
                    contextlib.suppress(TimeoutError, CancelledError),  # which is seen below
                    self.open_client(),
                ):
                    wait(list(left), timeout=LOOK_EVERY, return_when="FIRST_COMPLETED")
                done = [future for future in left if future.done()]
                for future in done:
                    self.raise_if_failed(future, name)
                    progress.advance(left.pop(future))
                watch.look(len(done), f"{len(left)} of {len(futures)} tasks")

    def results(
        self, name: str, futures: Sequence[Future], amounts: Sequence[float] | None = None
    ) -> list[Any]:
        """Wait until tasks are done, as :meth:`finish`; return what they returned."""
        watch = StallMonitor(self, name)
        while True:
            self.finish(name, futures, amounts)
            watch.look(1, "")
            with (
                contextlib.suppress(OSError, KeyError, CancelledError),  # seen in the next round
                self.open_client() as client,
            ):
                return list(client.gather(list(futures)))

    def raise_if_failed(self, future: Future, name: str) -> None:
        """Raise what a task raised, or ClusterError where it has no result for another reason."""
        if future.status == "error":
            with self.open_client():
                error = future.exception()
            if isinstance(error, KilledWorker):
                raise ClusterError(
                    f"the stage {name!r} cannot be finished: workers died in it, again and again; "
                    f"they may have too little memory ({error})"
                ) from error
            raise error
        if future.status == "cancelled":
            self.check_open()  # which cancels all
            raise ClusterError(f"the stage {name!r} was cancelled, or data that it needs was lost")


class StallMonitor:
    """Ends a stage that waits for what cannot come, and logs what a slow one waits for."""

    def __init__(self, cluster: Cluster, name: str):
        self._cluster, self._name = cluster, name
        self._last = self._looked = self._seen = time.monotonic()

    def look(self, n_done: int, left: str) -> None:
        """Look at the workers every few seconds; ClusterError where there were none for a while."""
        now = time.monotonic()
        if n_done:
            self._last = self._seen = now
        if now - self._looked < LOOK_EVERY and n_done != 0:
            return
        self._looked = now
        workers: dict[str, int] = {}
        with contextlib.suppress(OSError, TimeoutError):  # a scheduler that is gone
            workers = self._cluster.workers()
        if workers:
            self._seen = now
        elif now - self._seen > WITHOUT_WORKERS:
            raise ClusterError(f"no worker is left in the stage {self._name!r}")
        if now - self._last > PATIENCE:
            message = "the stage %r has waited for %.0f s: %s, of %d workers"
            log.warning(message, self._name, PATIENCE, left, len(workers))
            self._last = now


def check_fits(n_bytes: int, what: str) -> None:
    """Raise MemoryError for what this process has no room for."""
    free = available_memory()
    if n_bytes > free:
        raise MemoryError(
            f"{what} would take {format_bytes(n_bytes)} of memory in this process, and "
            f"{format_bytes(free)} are free"
        )


def own_versions() -> dict[str, str]:
    """Return the versions of this process, on which bits may depend."""
    return {
        "fasttsne": __version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "kernels": _kernels.simd,
    }


def check_workers(client: Client, workers: Sequence[str]) -> None:
    """Raise RuntimeError where workers lack fasttsne, or have other versions than the client."""

    # A local function is pickled by value: a worker may not have this module.
    def versions() -> dict[str, str] | str:
        try:
            from fasttsne.dask.cluster import own_versions
        except ImportError as error:
            return f"{type(error).__name__}: {error}"
        return own_versions()

    expected = own_versions()
    found = client.run(versions, workers=list(workers), on_error="return")
    for address, there in sorted(found.items()):
        if there == expected or isinstance(there, OSError):  # which has left since
            continue
        if not isinstance(there, dict):
            raise RuntimeError(
                f"worker {address} cannot import fasttsne.dask ({there}): install there what the "
                f"client has, fasttsne[dask]=={__version__}"
            )
        names = [name for name in expected if there.get(name) != expected[name]]
        shown = (f"{name} is {there.get(name)} there and {expected[name]} here" for name in names)
        raise RuntimeError(
            f"worker {address} has other versions than the client, and would compute other bits: "
            + "; ".join(shown)
        )
