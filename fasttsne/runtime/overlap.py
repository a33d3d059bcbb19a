"""Two parts of an iteration, one after the other or side by side, whichever takes less time.

One after the other each part has all threads.  Side by side one part has half of them, in a thread
of Python's own, the other part has the rest, and who is done first helps the other: parts in
which threads wait for each other then wait less.  Which way is faster depends on the parts,
the processor and what else it does, so it is measured.  Results are the same either way.
"""

import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Protocol

# Times of a way that are remembered, of which the shortest counts: others were disturbed.
N_REMEMBERED = 3
# The slower way is tried again in each so-manyth iteration: parts change.
TRY_EVERY = 16


class Work(Protocol):
    """A part that several threads can share."""

    def __call__(self, n_threads: int) -> object:
        """Do what nobody has begun yet, with so many threads."""

    def cancel(self) -> None:
        """Leave the rest undone: who works on it stops soon."""


class OverlapScheduler:
    """Chooses how to do a work and something else, iteration by iteration.

    Parameters
    ----------
    n_threads : how many threads share both parts.
    is_possible : whether the parts may be done side by side; for few points that takes longer.
    """

    def __init__(self, n_threads: int, is_possible: bool = True):
        self._n_threads = n_threads
        self._seconds = {way: deque[float](maxlen=N_REMEMBERED) for way in (False, True)}
        self._count = 0
        self._has_other = n_threads > 1 and is_possible
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def start(self, work: Work) -> "Running":
        """Begin a work; the caller does the other part in the context that is returned."""
        start, n_others = time.perf_counter(), self._n_threads // 2
        other = self._submit(work, n_others) if self.is_next_overlapped() else None
        if other is None:
            work(self._n_threads)
            n_others = 0
        return Running(self, work, start, other, self._n_threads - n_others)

    def record(self, is_overlapped: bool, seconds: float) -> None:
        """Remember how long both parts took in one way."""
        self._count += 1
        self._seconds[is_overlapped].append(seconds)

    def is_next_overlapped(self) -> bool:
        """Return whether the parts of the next iteration are done side by side."""
        if not self._has_other:
            return False
        if self._count < 2 * N_REMEMBERED:
            return self._count % 2 == 1
        is_faster = min(self._seconds[True], default=0.0) < min(self._seconds[False], default=0.0)
        return is_faster != (self._count % TRY_EVERY == 0)

    def _submit(self, work: Work, n_threads: int) -> "Future[object] | None":
        """Start a work in the other thread; return None if there can be none.

        So it is where the system starts no thread, or the process ends.  A fork does not copy
        threads: a child has a pool of its own.
        """
        if self._pool is None or self._process != os.getpid():
            self._pool, self._process = ThreadPoolExecutor(1, "fasttsne"), os.getpid()
        try:
            return self._pool.submit(work, n_threads)
        except RuntimeError:
            self._has_other, self._pool = False, None
            return None


class Running:
    """A work in progress: a context for the other part, at whose end both are done.

    Where the other part fails, the work is cancelled, and nobody writes to its arrays any more.

    Attributes
    ----------
    free_threads : how many threads the other part has.
    """

    def __init__(
        self,
        owner: OverlapScheduler,
        work: Work,
        start: float,
        other: "Future[object] | None",
        free: int,
    ):
        self.free_threads = free
        self._owner, self._work, self._start, self._other = owner, work, start, other

    def __enter__(self) -> "Running":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> None:
        if self._other is not None:
            try:
                if kind is None:
                    self._work(self.free_threads)
                    self._other.result()
            finally:
                self._work.cancel()
                wait([self._other])
        if kind is None:
            self._owner.record(self._other is not None, time.perf_counter() - self._start)
