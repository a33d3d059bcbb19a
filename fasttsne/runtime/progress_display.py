"""How stages are shown: on a terminal, in a notebook, in a log."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

from fasttsne.runtime.progress import Progress, listeners, listening
from fasttsne.utils import messages_shown, terminal_line

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


class Display:
    """Shows stages: a listener of :mod:`fasttsne.runtime.progress`."""

    shows_progress = True

    def __call__(self, progress: Progress) -> None:
        raise NotImplementedError


class TerminalDisplay(Display):
    """One line of standard error, overwritten, and gone when the stage ends."""

    def __call__(self, progress: Progress) -> None:
        if progress.has_ended:
            terminal_line.clear()
        elif progress.seconds > SHOWN_AFTER:
            terminal_line.write(describe(progress))


class NotebookDisplay(Display):
    """One line of a notebook's output, updated in place."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, progress: Progress) -> None:
        if self._handle is None and progress.seconds <= SHOWN_AFTER:
            return
        from IPython.display import display

        content = {"text/plain": "" if progress.has_ended else describe(progress)}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


class LogDisplay(Display):
    """Messages through ``logging``, at most one every few seconds, and one at the end.

    Stages of less than a second are left out.
    """

    def __init__(self) -> None:
        self._of: Progress | None = None  # whose the last line is
        self._time = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.seconds <= LOG_AFTER:
            return
        now = time.perf_counter()
        if progress.has_ended:
            log.info("%s", _describe_end(progress))
        elif progress is not self._of or now >= self._time + LOG_EVERY:
            self._of, self._time = progress, now
            log.info("%s", describe(progress))


def _describe_end(progress: Progress) -> str:
    return f"{progress.name}: {_amount(progress)} in {clock(progress.seconds)}, {_rate(progress)}"


def is_notebook() -> bool:
    """Whether this is a kernel of Jupyter, whose output a line can be updated in."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def make_display() -> Display:
    """Return the display that suits where standard error goes."""
    if is_notebook():
        return NotebookDisplay()
    is_terminal = sys.stderr is not None and hasattr(sys.stderr, "isatty") and sys.stderr.isatty()
    return TerminalDisplay() if is_terminal else LogDisplay()


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
        with listening(make_display() if verbose else LogDisplay()):
            yield
