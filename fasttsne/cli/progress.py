"""How far a fit is."""

import sys
import time

import numpy as np

from fasttsne import callbacks
from fasttsne.callbacks.progress import clock
from fasttsne.optimize import schedule


class Progress(callbacks.Callback):
    """The iteration, the KL divergence and the time left of a whole fit, on standard error."""

    def __init__(self):
        self._phases = []
        self._phase = -1
        self._width = 0
        self._last = -np.inf

    def receive_plan(self, tsne, n_samples):
        """Learn which phases there will be: (name, iterations at most, whether it may be fewer)."""
        for name, n_iter, _ in tsne._phases(n_samples):
            if n_iter == "auto":
                stages = schedule.until_it_settles(n_samples, 1.0, "auto", "auto", "auto")
                self._phases.append((name, sum(stage.n_iter for stage in stages), True))
            elif isinstance(n_iter, tuple):
                self._phases.append((name, sum(stage.n_iter for stage in n_iter), False))
            elif n_iter > 0:
                self._phases.append((name, n_iter, False))

    def optimization_about_to_start(self):
        self._phase += 1
        self._start = time.perf_counter()

    def __call__(self, iteration, error, embedding):
        now = time.perf_counter()
        on_terminal = sys.stderr.isatty()
        if now - self._last < (0.1 if on_terminal else 2.0):
            return
        self._last = now
        name, most, _ = self._phases[self._phase]
        remaining = most - iteration + sum(n for _, n, _ in self._phases[self._phase + 1 :])
        left = clock((now - self._start) / iteration * max(remaining, 0))
        at_most = "at most " * any(fewer for *_, fewer in self._phases)
        text = f"{name}: iteration {iteration}, KL divergence {error:.4f}, {at_most}{left} left"
        end = "\r" if on_terminal else "\n"
        print(text.ljust(self._width), end=end, file=sys.stderr, flush=True)
        self._width = len(text) if on_terminal else 0

    def close(self):
        """End the line."""
        if self._width:
            print(file=sys.stderr)
            self._width = 0
