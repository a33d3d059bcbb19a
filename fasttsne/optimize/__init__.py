"""A run: its parameters, its plan, the loop that carries it out, and what the loop calls.

- :mod:`parameters` : each parameter, its default, its limits, and what users read of it;
- :mod:`plan` : what a run will do, with every "auto" resolved to a number;
- :mod:`schedule` and :mod:`stopping` : the stages, and the rules that end them, as pure functions;
- :mod:`state` : what one call leaves for the next;
- :mod:`descent` : the optimizer and its loop, over :mod:`steps` and :mod:`target_term`.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeAlias

from fasttsne.runtime.progress import Listener, Progress

# Called with iteration, error and embedding: a TSNEEmbedding, or for new points a
# PartialTSNEEmbedding.
CallbackFunction: TypeAlias = Callable[..., object]
Callbacks: TypeAlias = CallbackFunction | Iterable[CallbackFunction] | None


class Callback:
    """Base for callbacks that want to know when a run starts and ends.

    A run is one call of ``optimize``.  A fit has two, early exaggeration and main phase, and with
    ``density_weight`` a third.
    """

    def receive_settings(self, settings: Any) -> None:
        """Called before a run with its plan, a :class:`fasttsne.optimize.plan.Phase`."""

    def receive_progress(self, progress: Progress) -> None:
        """Called about ten times a second in every stage of a fit, and at its begin and end.

        Iterations are a stage in which the callback itself is called, too.  An exception that it
        raises ends the fit.

        Parameters
        ----------
        progress : an object with ``name`` (of the stage, such as "search"), ``total`` and ``done``
            (the amount of work, in ``unit``; total is None where it is not known), ``unit``
            ("rows", "iterations"), ``is_maximum`` (whether the stage may end before total),
            ``share`` (from 0 to 1, or None), ``rate`` (units a second), ``seconds`` (since the
            stage began), ``seconds_left`` (or None), ``note`` (a text, such as the KL divergence)
            and ``has_ended``.
        """

    def optimization_about_to_start(self) -> None:
        """Called once before the first iteration of each ``optimize`` call."""

    def optimization_ended(self) -> None:
        """Called once when the run is over, however it ended."""

    def __call__(self, iteration: int, error: float, embedding: Any) -> bool | None:
        """Called every ``callbacks_every_iters`` iterations; a true answer stops the run."""
        raise TypeError(f"{type(self).__name__} does not define __call__")


def as_callbacks(callbacks: Callbacks) -> tuple[CallbackFunction, ...]:
    """Return one callable, several, or None, as a tuple; raise TypeError for anything else."""
    if callbacks is None:
        return ()
    if callable(callbacks):
        return (callbacks,)
    refusal = TypeError(f"callbacks must be callable, or a list of callables; got {callbacks!r}")
    if isinstance(callbacks, Iterator):  # it could be read only once, and every phase reads it
        raise refusal
    try:
        callbacks = tuple(callbacks)
    except TypeError:  # an array without dimensions says that it is iterable
        raise refusal from None
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"callbacks must be callable; got {callback!r}")
    return callbacks


def notify(callbacks: Iterable[CallbackFunction], method: str, *arguments: object) -> None:
    """Call a method of each callback that has it."""
    for callback in callbacks:
        if hasattr(callback, method):
            getattr(callback, method)(*arguments)


def progress_listeners(callbacks: Iterable[CallbackFunction]) -> tuple[Listener, ...]:
    """Return the methods of callbacks that are called with progress."""
    own = (getattr(callback, "receive_progress", None) for callback in callbacks)
    return tuple(method for method in own if method is not None)


def is_stop(answer: object) -> bool:
    """Return whether a callback's answer stops the run: its truth value.

    Raise TypeError for what is no answer: a generator (of a callback with ``yield``),
    NotImplemented, NaN, or an array of several entries.
    """
    is_nan = isinstance(answer, float) and answer != answer
    several = getattr(answer, "size", 1) != 1
    if isinstance(answer, Generator) or answer is NotImplemented or is_nan or several:
        raise TypeError(f"a callback must return True to stop the run, or False; got {answer!r}")
    return bool(answer)
