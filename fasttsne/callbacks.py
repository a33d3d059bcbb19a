"""Watching and steering an optimization from outside.

A callback is anything that can be called as ``callback(iteration, error,
embedding)``; a true answer stops the run.  Iterations count from 1 within each
``optimize`` call; the error is the KL divergence of the map that is passed,
against affinities without exaggeration; the embedding is the live array, in
the order of the caller's rows.
"""

import time
from collections.abc import Callable, Iterable


class Callback:
    """Base for callbacks that want to know when a run starts."""

    def optimization_about_to_start(self) -> None:
        """Called once before the first iteration of each ``optimize`` call."""

    def __call__(self, iteration: int, error: float, embedding) -> bool | None:
        """Called at every n-th iteration; a true answer stops the optimization."""
        raise TypeError(f"{type(self).__name__} does not define __call__")


class ErrorLogger(Callback):
    """Print the iteration, the KL divergence, and the time since the last report."""

    def __init__(self):
        self._iteration = 0
        self._time = time.perf_counter()

    def optimization_about_to_start(self) -> None:
        self._iteration = 0
        self._time = time.perf_counter()

    def __call__(self, iteration: int, error: float, embedding) -> None:
        now = time.perf_counter()
        print(
            f"Iteration {iteration:5d}, KL divergence {error:7.4f}, "
            f"{iteration - self._iteration} iterations in {now - self._time:.2f} s"
        )
        self._iteration, self._time = iteration, now


def as_callbacks(callbacks) -> tuple[Callable, ...]:
    """One callable, several, or None, as a tuple.

    Raises
    ------
    TypeError
        Where one of them cannot be called.
    """
    if callbacks is None:
        return ()
    if callable(callbacks):
        return (callbacks,)
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be callable, or a list of callables; got {callbacks!r}")
    callbacks = tuple(callbacks)
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"callbacks must be callable; got {callback!r}")
    return callbacks
