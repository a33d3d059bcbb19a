"""How far a fit is."""

import sys
import time

import numpy as np

from fasttsne import callbacks
from fasttsne.callbacks.progress import clock


class Progress(callbacks.Callback):
    """The iteration, the KL divergence and the time left of a whole fit, on standard error."""

    def __init__(self):
        self._phases = ()
        self._phase = -1
        self._width = 0
        self._last = -np.inf

    def receive_plan(self, plan):
        """Learn from a :class:`fasttsne.optimize.plan.RunPlan` which phases there will be."""
        self._phases = plan.phases

    def optimization_about_to_start(self):
        self._phase += 1
        self._start = time.perf_counter()

    def __call__(self, iteration, error, embedding):
        now = time.perf_counter()
        on_terminal = sys.stderr.isatty()
        if now - self._last < (0.1 if on_terminal else 2.0):
            return
        self._last = now
        phase, *later = self._phases[self._phase :]
        remaining = phase.n_iter - iteration + sum(phase.n_iter for phase in later)
        left = clock((now - self._start) / iteration * max(remaining, 0))
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
