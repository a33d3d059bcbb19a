"""Progress reporting for long-running stages, and the sinks that show it.

    with stage("search", n, "rows") as progress:
        for rows in batches:
            ...
            progress.advance(len(rows))

Listeners belong to the context (:mod:`contextvars`) in which :func:`report_progress_to` was
entered: two fits in two threads do not see each other's.  Without listeners it costs next to
nothing.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias

from fasttsne.utils import messages_shown, require, terminal_line, timed_together

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
        self._start = self._reported = time.perf_counter()
        self._listeners = _LISTENERS.get()

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        """Count more work as done."""
        self.done += amount
        if note is not None:
            self.note = note
        if self._listeners and time.perf_counter() - self._reported >= INTERVAL:
            self._report()

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

    def _report(self) -> None:
        self._reported = time.perf_counter()
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
    """Yield a :class:`Progress`, reported at its beginning and its end.

    first : the amount that was done before, where a run goes on.
    """
    progress = Progress(name, total, unit, is_maximum, first)
    try:
        progress._report()
        yield progress
    finally:
        progress.has_ended = True
        progress._report()


@contextlib.contextmanager
def report_progress_to(*listeners: Listener) -> Iterator[None]:
    """Call each listener with the :class:`Progress` of every stage within this block.

    It is called at the beginning of a stage, about ten times a second, and at its end.  An
    exception that it raises ends the work.
    """
    token = _LISTENERS.set((*_LISTENERS.get(), *listeners))
    try:
        yield
    finally:
        _LISTENERS.reset(token)


class _Silent:
    shows_progress = True  # so that no sink is added

    def __call__(self, progress: Progress) -> None:
        pass


@contextlib.contextmanager
def suppress_progress() -> Iterator[None]:
    """Report no stages within this block: they are parts of one that is reported."""
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
    """Return the listeners of this context."""
    return _LISTENERS.get()


log = logging.getLogger("fasttsne.progress")

# A line has stages that last longer than this: others would flicker.
SHOWN_AFTER = 0.3
# A log has a line of stages that last so many seconds, and another one after as many as this.
LOG_AFTER, LOG_EVERY = 1.0, 5.0


def clock(seconds: float) -> str:
    """A duration as minutes and seconds, with hours if there are any."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"


def describe(progress: Progress) -> str:
    """A line: the stage, percent, how much of how much, rate, and time left."""
    parts = [] if progress.share is None else [f"{100 * progress.share:.0f} %"]
    parts += [_amount(progress), _rate(progress)]
    if progress.seconds_left is None:
        parts.append(clock(progress.seconds))
    else:
        parts.append(f"{'at most ' * progress.is_maximum}{clock(progress.seconds_left)} left")
    parts += [progress.note] if progress.note else []
    return f"{progress.name}: {', '.join(parts)}"


def _amount(progress: Progress) -> str:
    done = f"{progress.done:,.0f}"
    is_all = progress.has_ended and (progress.is_maximum or progress.share == 1)
    if progress.total is None or is_all:
        return f"{done} {progress.unit}"
    return f"{done} of {'at most ' * progress.is_maximum}{progress.total:,.0f} {progress.unit}"


def _rate(progress: Progress) -> str:
    rate = f"{progress.rate:,.0f}" if progress.rate >= 100 else f"{progress.rate:.3g}"
    return f"{rate} {progress.unit}/s"


class Line(Protocol):
    """A line of text that can be replaced: on a terminal, or in a notebook."""

    def write(self, text: str) -> None: ...
    def clear(self) -> None: ...


class LineSink:
    """Shows a stage on one line, overwritten, and gone when the stage ends."""

    shows_progress = True

    def __init__(self, line: Line = terminal_line):
        self._line = line

    def __call__(self, progress: Progress) -> None:
        if progress.has_ended:
            self._line.clear()
        elif progress.seconds > SHOWN_AFTER:
            self._line.write(describe(progress))


class LogSink:
    """Messages through ``logging``, at most one every few seconds, and one at the end.

    Stages of less than a second are left out.
    """

    shows_progress = True

    def __init__(self) -> None:
        self._last: Progress | None = None  # the stage of the last message
        self._time = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.seconds <= LOG_AFTER:
            return
        now = time.perf_counter()
        if progress.has_ended:
            amount, taken = _amount(progress), clock(progress.seconds)
            log.info("%s: %s in %s, %s", progress.name, amount, taken, _rate(progress))
        elif progress is not self._last or now >= self._time + LOG_EVERY:
            self._last, self._time = progress, now
            log.info("%s", describe(progress))


class TqdmSink:
    """A bar of tqdm for each stage, gone when it ends."""

    shows_progress = True

    def __init__(self) -> None:
        self._bar: Any = None
        self._stage: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        if progress.seconds <= SHOWN_AFTER:
            return
        if self._bar is None or self._stage is not progress:
            self._bar = make_tqdm(
                total=None if progress.total is None else round(progress.total),
                desc=progress.name,
                unit=f" {progress.unit}",
                unit_scale=True,
                leave=False,
            )
            self._stage = progress
        self._bar.update(round(progress.done) - self._bar.n)
        if progress.has_ended:
            self._bar.close()
            self._bar = None


def make_tqdm(**settings: Any) -> Any:
    """Return a bar of tqdm, for a terminal or a notebook."""
    return require("tqdm.auto", "ProgressBar(use_tqdm=True)", "progress").tqdm(**settings)


class _NotebookLine:
    """One line of a notebook's output, updated in place."""

    def __init__(self) -> None:
        self._handle: Any = None

    def write(self, text: str) -> None:
        from IPython.display import display

        content = {"text/plain": text}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def clear(self) -> None:
        if self._handle is not None:
            self.write("")


def is_notebook() -> bool:
    """Whether this is a kernel of Jupyter, whose output a line can be updated in."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def is_terminal() -> bool:
    """Whether standard error is a terminal, where a line can be overwritten."""
    return sys.stderr is not None and hasattr(sys.stderr, "isatty") and sys.stderr.isatty()


def make_sink() -> Listener:
    """Return the sink that suits where standard error goes."""
    if is_notebook():
        return LineSink(_NotebookLine())
    return LineSink() if is_terminal() else LogSink()


def describe_loss_left(share: float | None) -> str:
    """Return the share of the loss that is estimated to be left as text; "" if it is not known."""
    return "" if share is None else f", about {100 * max(share, 0):.2g} % of it left"


@contextlib.contextmanager
def progress_shown(verbose: bool) -> Iterator[None]:
    """Show the stages within the block if ``verbose``, else only to a log that takes them.

    Within another such block, or where a callback shows them, it does nothing more.
    """
    # Callbacks' methods are bound to them.
    shown_by = (getattr(listener, "__self__", listener) for listener in listeners())
    is_shown = any(getattr(each, "shows_progress", False) for each in shown_by)
    with messages_shown if verbose else contextlib.nullcontext():
        if is_shown or not (verbose or log.isEnabledFor(logging.INFO)):
            yield
            return
        with report_progress_to(make_sink() if verbose else LogSink()):
            yield
