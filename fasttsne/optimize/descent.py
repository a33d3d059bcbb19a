"""Gradient descent with momentum and gains: settings, state, and the loop."""

import logging
from dataclasses import dataclass

import numpy as np

from fasttsne import _kernels
from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.stopping import pace_of
from fasttsne.repulsion.morton import curve_order
from fasttsne.runtime.validation import FARTHEST

log = logging.getLogger(__name__)

# Iterations, counted over all calls, at which points are renumbered along the
# space-filling curve of the map: often while the map is made, seldom later.
RENUMBER_AT = (20, 100, 300)
RENUMBER_EVERY = 1000


class OptimizationInterrupt(InterruptedError):
    """A callback stopped the optimization.

    Attributes
    ----------
    error : the KL divergence when it stopped.
    final_embedding : the embedding so far.
    """

    def __init__(self, error: float, final_embedding):
        super().__init__(f"a callback stopped the optimization at KL divergence {error:.4f}")
        self.error = error
        self.final_embedding = final_embedding


@dataclass(frozen=True)
class DescentSettings:
    """What one call of the optimizer is to do.

    Attributes
    ----------
    stages : what is done, one after the other; see :mod:`fasttsne.schedule`.
    max_grad_norm, max_step_norm : bounds on a point's gradient and step, or None.
    callbacks : called at every ``callbacks_every_iters``-th iteration.
    """

    stages: tuple[Stage, ...]
    max_grad_norm: float | None = None
    max_step_norm: float | None = 5.0
    callbacks: tuple = ()
    callbacks_every_iters: int = 50

    @property
    def n_iter(self) -> int:
        """How many iterations, at most."""
        return sum(stage.n_iter for stage in self.stages)

    @property
    def may_settle(self) -> bool:
        """Whether there may be fewer."""
        return any(stage.until is not None for stage in self.stages)

    @property
    def exaggeration(self) -> float:
        """The largest of all stages."""
        return max((stage.exaggeration for stage in self.stages), default=1.0)


@dataclass
class DescentState:
    """What the next call continues with; arrays are in the caller's order of rows.

    Attributes
    ----------
    update, gains : (n, d) float32, the last step and the gain of each coordinate.
    order : (n,) int32, the point at each place of the optimizer's own order.
    iteration : how many iterations there have been in all calls.
    """

    update: np.ndarray
    gains: np.ndarray
    order: np.ndarray
    iteration: int = 0


class GradientDescent:
    """The optimizer of an embedding: keeps momentum, gains and order from call to call.

    Source: van der Maaten & Hinton 2008 (the schedule's form), Jacobs 1988 (gains).
    """

    def __init__(self):
        self._state: DescentState | None = None
        self._running: tuple | None = None

    @property
    def state(self) -> DescentState | None:
        """What the next call continues with; in a callback, as of the last step before it."""
        if self._running is None:
            return self._state
        points, iteration = self._running
        return points.as_state(iteration)

    @state.setter
    def state(self, state: DescentState | None) -> None:
        self._state = state

    @property
    def iteration(self) -> int:
        """How many iterations there have been in all calls; ``state`` costs more to ask for."""
        if self._running is not None:
            return self._running[1]
        return 0 if self._state is None else self._state.iteration

    def __getstate__(self):
        return {"_state": self.state, "_running": None}

    def run(self, embedding: np.ndarray, objective, settings: DescentSettings) -> float:
        """Optimize ``embedding``, (n, d) float64, in place; return its KL divergence.

        Raises
        ------
        OptimizationInterrupt
            Where a callback's answer is true.
        OverflowError
            Where points would leave all bounds; they stay where they were.
        """
        tell(settings.callbacks, "receive_settings", settings)
        tell(settings.callbacks, "optimization_about_to_start")
        if self.state is None or self.state.update.shape != embedding.shape:
            self.state = DescentState(
                update=np.zeros(embedding.shape, np.float32),
                gains=np.ones(embedding.shape, np.float32),
                order=curve_order(embedding),
            )
        points = _Points.of(embedding, self.state)
        objective.renumber(points.order)
        iteration, step = self.state.iteration, 0
        try:
            for stage in settings.stages:
                pace = pace_of(stage)
                objective.exaggeration = stage.exaggeration
                for number in range(stage.n_iter):
                    if renumber_is_due(iteration):
                        points = points.renumbered()
                        objective.renumber(points.order)
                    step += 1
                    report = settings.callbacks and step % settings.callbacks_every_iters == 0
                    check = pace.check_every and number % pace.check_every == 0
                    error = objective.evaluate(points.y, with_error=report or check)
                    if check and pace.is_over(number, error, objective, points):
                        step -= 1
                        break
                    if report:
                        points.show_in(embedding)
                        self._running = points, iteration
                        if any([bool(c(step, error, embedding)) for c in settings.callbacks]):
                            raise OptimizationInterrupt(error, embedding)
                        points.take_from(embedding)
                    gradient = np.empty(points.y.shape)
                    _kernels.gradient_step.combine_forces(
                        objective.attractive, objective.repulsive, objective.z,
                        stage.exaggeration, gradient, objective.n_threads,
                    )  # fmt: skip
                    lost = _kernels.gradient_step.gradient_step(
                        points.y, points.update, points.gains, gradient, *scratch(points.y),
                        pace.learning_rate, stage.momentum, settings.max_grad_norm,
                        settings.max_step_norm, objective.n_threads,
                    )  # fmt: skip
                    iteration += 1
                    raise_if_lost(lost, len(points.y), pace.learning_rate, settings.max_step_norm)
        finally:
            # Whatever ended the loop, the caller finds the map and the state as of the last step.
            points.show_in(embedding)
            self._running = None
            self.state = points.as_state(iteration)
            objective.exaggeration = 1.0
            tell(settings.callbacks, "optimization_ended")
        return objective.evaluate(points.y, with_error=True)


def scratch(y):
    n_blocks = _kernels.gradient_step.count_blocks(len(y))
    return np.empty((n_blocks + 1, y.shape[1])), np.empty(n_blocks, np.int64)


def tell(callbacks, what, *arguments):
    """Call a method of the callbacks that have it."""
    for callback in callbacks:
        if hasattr(callback, what):
            getattr(callback, what)(*arguments)


def raise_if_lost(count, n_samples, learning_rate, max_step_norm) -> None:
    """Raise OverflowError where a step could not move some points."""
    if count:
        raise OverflowError(
            f"{count} of {n_samples} points would be moved beyond {FARTHEST:g}: the map flies "
            f"apart.  Give a smaller learning_rate (it is {learning_rate:g}), max_step_norm (it is "
            f"{max_step_norm}) or density_weight, or another early_exaggeration or exaggeration"
        )


def check_written(embedding) -> None:
    """Raise ValueError where a callback has moved points of the live embedding out of bounds."""
    low, high = np.min(embedding, initial=0), np.max(embedding, initial=0)
    if not (low >= -FARTHEST and high <= FARTHEST):  # NaN is in no order
        raise ValueError(
            f"a callback may write finite numbers up to {FARTHEST:g} into the embedding; it "
            f"now has numbers from {low} to {high}"
        )


def renumber_is_due(iteration: int) -> bool:
    """Whether points are renumbered before the iteration of this number, counted from 0."""
    return iteration in RENUMBER_AT or (iteration > 0 and iteration % RENUMBER_EVERY == 0)


@dataclass(frozen=True)
class _Points:
    """The optimizer's working arrays, all in its own order of points.

    An order and its arrays are one object, replaced as a whole: an interrupt
    between two of its lines cannot leave them at odds.
    """

    order: np.ndarray
    y: np.ndarray
    update: np.ndarray
    gains: np.ndarray

    @classmethod
    def of(cls, embedding, state):
        order = state.order
        y = np.ascontiguousarray(np.asarray(embedding)[order], dtype=np.float64)
        return cls(order, y, state.update[order], state.gains[order])

    def renumbered(self):
        change = curve_order(self.y)
        return _Points(self.order[change], self.y[change], self.update[change], self.gains[change])

    def show_in(self, embedding):
        _kernels.coordinates.scatter(self.y, self.order, np.asarray(embedding))

    def take_from(self, embedding):
        """A callback may have moved points of the live embedding."""
        check_written(embedding)
        _kernels.coordinates.gather(np.asarray(embedding), self.order, self.y)

    def as_state(self, iteration):
        update, gains = np.empty_like(self.update), np.empty_like(self.gains)
        update[self.order], gains[self.order] = self.update, self.gains
        return DescentState(update, gains, self.order, iteration)
