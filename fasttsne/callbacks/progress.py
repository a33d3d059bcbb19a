"""Callbacks that show how far an optimization is: a bar, a line of text, a line at each call."""

import sys
import time
from typing import Any

from fasttsne.optimize import Callback
from fasttsne.optimize.plan import Phase
from fasttsne.runtime.progress import (
    ITERATIONS,
    Listener,
    Progress,
    TqdmSink,
    clock,
    describe_loss_left,
    is_terminal,
    make_sink,
    make_tqdm,
)
from fasttsne.utils import is_package_installed

# What a bar has while it is shown.
TRANSIENT = ("_sink", "_bar", "_is_running", "_line_is_open", "_start", "_first")


class ProgressBar(Callback):
    """Show how far a fit is on standard error: percent, rate and time left of each stage.

    Where there is no standard error, as in a program without a console, it shows nothing.

    Of a run it shows the iteration, the KL divergence and the time left.
    A run that stops at convergence (``n_iter="auto"``) has no time left to be shown, but the share
    of the loss that is.

    Parameters
    ----------
    use_tqdm : True for bars by tqdm (the extra ``progress``); False for text, one line that
        is overwritten on a terminal, one line per call elsewhere; None for tqdm if installed.
        Text of the stages before a run goes through ``logging`` where standard error is no
        terminal, at most a line every few seconds.
    """

    shows_progress = True

    def __init__(self, use_tqdm: bool | None = None):
        self.use_tqdm = use_tqdm
        self._n_iter: int | None = None
        self._clear()

    def _clear(self) -> None:
        self._sink: Listener | None = None  # of the stages before a run
        self._bar: Any = None  # tqdm's, of a run
        self._is_running = self._line_is_open = False
        self._start, self._first = 0.0, 0  # when the run began, and the iterations before it

    def __getstate__(self) -> dict[str, Any]:
        """Leave out bars, whose streams cannot be copied."""
        return {name: value for name, value in vars(self).items() if name not in TRANSIENT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._clear()
        vars(self).update(state)

    def receive_progress(self, progress: Progress) -> None:
        if progress.unit == ITERATIONS:  # shown by calls
            self._first = int(progress.first)
            return
        if self._sink is None:
            self._sink = TqdmSink() if self._uses_tqdm() else make_sink()
        self._sink(progress)

    def _uses_tqdm(self) -> bool:
        if sys.stderr is None:  # tqdm writes to it without asking
            return False
        return is_package_installed("tqdm") if self.use_tqdm is None else self.use_tqdm

    def receive_settings(self, settings: Phase) -> None:
        self._n_iter = None if settings.may_stop_early else settings.n_iter

    def optimization_about_to_start(self) -> None:
        self.optimization_ended()
        self._is_running, self._start, self._first = True, time.perf_counter(), 0
        self._bar = make_tqdm(total=self._n_iter, unit="it") if self._uses_tqdm() else None

    def __call__(self, iteration: int, error: float, embedding: Any) -> None:
        if not self._is_running:
            self.optimization_about_to_start()
        optimizer = getattr(embedding, "optimizer", None)  # any array may be passed
        text = f"{error:.4f}{describe_loss_left(getattr(optimizer, 'loss_left', None))}"
        if self._bar is not None:
            self._bar.set_postfix_str(f"KL {text}", refresh=False)
            self._bar.update(iteration - self._bar.n)
        elif sys.stderr is not None:  # else print would write to standard output
            self._print(f"{self._describe(iteration)}, KL divergence {text}")

    def _describe(self, iteration: int) -> str:
        if self._n_iter is None:
            return f"iteration {iteration}"
        seconds = time.perf_counter() - self._start
        left = seconds / (iteration - self._first) * (self._n_iter - iteration)
        return f"iteration {iteration}/{self._n_iter}, {clock(left)} left"

    def _print(self, text: str) -> None:
        self._line_is_open = is_terminal()
        if self._line_is_open:
            print(f"\r{text:60s}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def optimization_ended(self) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._line_is_open:
            print(file=sys.stderr)
        self._bar, self._is_running, self._line_is_open = None, False, False


class ErrorLogger(Callback):
    """Print the iteration, the KL divergence, and the time since the last call."""

    def __init__(self) -> None:
        self.optimization_about_to_start()

    def optimization_about_to_start(self) -> None:
        self._iteration = 0
        self._time = time.perf_counter()

    def __call__(self, iteration: int, error: float, embedding: Any) -> None:
        now = time.perf_counter()
        print(
            f"Iteration {iteration:5d}, KL divergence {error:7.4f}, "
            f"{iteration - self._iteration} iterations in {now - self._time:.2f} s"
        )
        self._iteration, self._time = iteration, now
