"""Print a line at each call."""

import time
from typing import Any

from fasttsne.callbacks.base import Callback


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
