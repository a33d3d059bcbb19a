"""How far a fit is."""

import math
import sys
import time

from fasttsne import callbacks
from fasttsne.runtime.progress import ITERATIONS
from fasttsne.runtime.progress_display import TerminalDisplay, clock, describe


class Progress(callbacks.Callback):
    """How far each stage is, and the time left of the whole descent, on standard error."""

    shows_progress = True

    def __init__(self):
        self._phases = ()
        self._phase = 0
        self._width = 0
        self._last = -math.inf
        self._display = TerminalDisplay()
        self._first = 0

    def receive_plan(self, plan):
        """Learn from a :class:`fasttsne.optimize.plan.RunPlan` which phases there will be."""
        self._phases = plan.phases

    def receive_progress(self, progress):
        """Show a stage before the descent."""
        if progress.unit == ITERATIONS:
            self._first = progress.first
        elif sys.stderr.isatty():
            self._display(progress)
        elif progress.seconds > 1 and not progress.has_ended and self._is_due(2.0):
            print(describe(progress), file=sys.stderr, flush=True)

    def _is_due(self, interval):
        now = time.perf_counter()
        if now - self._last < interval:
            return False
        self._last = now
        return True

    def receive_settings(self, settings):
        """Learn which phase begins."""
        self._phase = [phase.name for phase in self._phases].index(settings.name)

    def optimization_about_to_start(self):
        self._start = time.perf_counter()

    def __call__(self, iteration, error, embedding):
        on_terminal = sys.stderr.isatty()
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

    def close(self):
        """End the line."""
        if self._width:
            print(file=sys.stderr)
            self._width = 0
