"""Stages of long work: code says how far it is, and whoever listens shows it.

    with stage("search", n, "rows") as progress:
        for rows in batches:
            ...
            progress.advance(len(rows))

Listeners belong to the context (:mod:`contextvars`) in which :func:`listening` was entered: two
fits in two threads do not hear each other.  Without listeners it costs next to nothing.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeAlias

from fasttsne.utils import timed_together

# Seconds from one call of the listeners to the next.
INTERVAL = 0.1
# The unit of the stages of a descent, which callbacks are told of otherwise, too.
ITERATIONS = "iterations"


class Progress:
    """How far a stage of a fit is.

    Attributes
    ----------
    name : such as "search".
    total : the amount of work, in units; None where it is not known.
    unit : "rows", "iterations", ...
    done : the amount that is done.
    is_maximum : whether the stage may end before ``total``.
    first : what was done before, where a run goes on; the rate leaves it out.
    note : what else there is to say, such as the KL divergence.
    has_ended : whether this is the last call for the stage.
    """

    def __init__(
        self,
        name: str,
        total: float | None = None,
        unit: str = "rows",
        is_maximum: bool = False,
        first: float = 0,
    ):
        self.name, self.total, self.unit, self.is_maximum = name, total, unit, is_maximum
        self.done, self.first, self.note, self.has_ended = first, first, "", False
        self._start = self._told = time.perf_counter()
        self._listeners = _LISTENERS.get()

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        """Say that so much more is done."""
        self.done += amount
        if note is not None:
            self.note = note
        if self._listeners and time.perf_counter() - self._told >= INTERVAL:
            self._tell()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self._start

    @property
    def share(self) -> float | None:
        """The part that is done, from 0 to 1; None where that is not known."""
        return min(self.done / self.total, 1.0) if self.total else None

    @property
    def rate(self) -> float:
        """Units a second."""
        return (self.done - self.first) / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None where that is not known."""
        if not self.total or self.done <= self.first:
            return None
        return max(self.total - self.done, 0) / self.rate

    def _tell(self) -> None:
        self._told = time.perf_counter()
        for listener in self._listeners:
            listener(self)


Listener: TypeAlias = Callable[[Progress], object]
_LISTENERS: ContextVar[tuple[Listener, ...]] = ContextVar("fasttsne_listeners", default=())


@contextlib.contextmanager
def stage(
    name: str,
    total: float | None = None,
    unit: str = "rows",
    is_maximum: bool = False,
    first: float = 0,
) -> Iterator[Progress]:
    """Yield a :class:`Progress`, with its attributes; listeners hear of its beginning and end.

    first : the amount that was done before, where a run goes on.
    """
    progress = Progress(name, total, unit, is_maximum, first)
    try:
        progress._tell()
        yield progress
    finally:
        progress.has_ended = True
        progress._tell()


@contextlib.contextmanager
def listening(*listeners: Listener) -> Iterator[None]:
    """Let functions hear of the stages within this block: each gets the :class:`Progress`.

    It is called at the beginning of a stage, about ten times a second, and at its end.  What it
    raises ends the work.
    """
    token = _LISTENERS.set((*_LISTENERS.get(), *listeners))
    try:
        yield
    finally:
        _LISTENERS.reset(token)


class _Silent:
    shows_progress = True  # so that nobody else begins to

    def __call__(self, progress: Progress) -> None:
        pass


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Let nobody hear of the stages within this block: they are parts of one that is heard of."""
    token = _LISTENERS.set((_Silent(),))
    try:
        with timed_together():
            yield
    finally:
        _LISTENERS.reset(token)


def iter_rows(name: str, n: int, n_columns: int, max_numbers: int = 2**22) -> Iterator[slice]:
    """Yield slices of n rows of so many numbers each, a stage; between them Ctrl-C is noticed."""
    step = max(max_numbers // max(n_columns, 1), 1)
    with stage(name, n) as progress:
        for first in range(0, n, step):
            yield slice(first, first + step)
            progress.advance(min(step, n - first))


def listeners() -> tuple[Listener, ...]:
    """Who listens."""
    return _LISTENERS.get()
