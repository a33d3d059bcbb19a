"""The progress of a command, on standard error."""

import math
import sys
import time

from fasttsne import callbacks
from fasttsne.optimize.plan import Phase, RunPlan
from fasttsne.runtime.progress import ITERATIONS, LineSink, clock, describe, is_terminal
from fasttsne.runtime.progress import Progress as StageProgress


class Progress(callbacks.Callback):
    """Shows each stage, and the time left of the whole descent, on standard error."""

    shows_progress = True

    def __init__(self) -> None:
        self._phases: tuple[Phase, ...] = ()
        self._phase = 0
        self._width = 0  # of the line that is open
        self._last = -math.inf
        self._sink = LineSink()
        self._first: float = 0

    def receive_plan(self, plan: RunPlan) -> None:
        """Set the phases that are to come."""
        self._phases = plan.phases

    def receive_progress(self, progress: StageProgress) -> None:
        """Show a stage before the descent."""
        if progress.unit == ITERATIONS:
            self._first = progress.first
        elif is_terminal():
            self._sink(progress)
        elif progress.seconds > 1 and not progress.has_ended and self._is_due(2.0):
            print(describe(progress), file=sys.stderr, flush=True)

    def _is_due(self, interval: float) -> bool:
        now = time.perf_counter()
        if now - self._last < interval:
            return False
        self._last = now
        return True

    def receive_settings(self, settings: Phase) -> None:
        """Set the phase that begins."""
        self._phase = [phase.name for phase in self._phases].index(settings.name)

    def optimization_about_to_start(self) -> None:
        self._start = time.perf_counter()

    def __call__(self, iteration: int, error: float, embedding: object) -> None:
        on_terminal = is_terminal()
        if not self._is_due(0.1 if on_terminal else 2.0):
            return
        phase, *later = self._phases[self._phase :]
        remaining = phase.n_iter - iteration + sum(phase.n_iter for phase in later)
        seconds = time.perf_counter() - self._start
        left = clock(seconds / (iteration - self._first) * max(remaining, 0))
        at_most = "at most " * any(phase.may_stop_early for phase in self._phases)
        text = f"{phase.name}: iteration {iteration}, KL divergence {error:.4f}"
        text += f", {at_most}{left} left"
        end = "\r" if on_terminal else "\n"
        print(text.ljust(self._width), end=end, file=sys.stderr, flush=True)
        self._width = len(text) if on_terminal else 0

    def close(self) -> None:
        """End the line."""
        if self._width:
            print(file=sys.stderr)
            self._width = 0
