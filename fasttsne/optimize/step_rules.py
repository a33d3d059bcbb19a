"""How points move in an iteration: by momentum and gains, or by preconditioned steps."""

from abc import ABC, abstractmethod

import numpy as np

from fasttsne import _kernels
from fasttsne.objective.base import JointObjective, Objective
from fasttsne.optimize.plan import Phase
from fasttsne.optimize.preconditioner import JointPreconditioner, Preconditioner
from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.state import RunState, WorkingPoints
from fasttsne.optimize.target_term import TargetTerm
from fasttsne.runtime.validation import MAX_COORDINATE

# Iterations from one preconditioner to the next: in the first ones of a stage the map changes most.
REBUILD_EVERY, REBUILD_EVERY_AT_FIRST, N_AT_FIRST = 10, 5, 20

# Rows that go through all iterations in one call, in which Ctrl-C is not noticed: 250 iterations
# of so many take a tenth of a second.
MAX_FEW_ROWS = 100


class StepRule(ABC):
    """One kind of steps, in all stages of a run that have it.

    Parameters
    ----------
    objective, phase, target : of the run; target is what draws points to targets, or None.
    recenters : whether a step keeps the embedding centered.

    Attributes
    ----------
    rate : learning rate of the stage, after its halvings.
    is_preconditioned : whether gains are left alone, and targets are part of the direction.
    """

    is_preconditioned = False

    def __init__(
        self, objective: Objective, phase: Phase, target: TargetTerm | None, recenters: bool
    ):
        self.rate = 0.0
        self._objective, self._phase, self._target = objective, phase, target
        self._recenters = recenters
        n, d = objective.shape
        n_blocks = _kernels.gradient_step.count_blocks(n)
        self._scratch = np.empty((n_blocks + 1, d)), np.empty(n_blocks, np.int64)

    @abstractmethod
    def start(self, stage: Stage) -> None:
        """Begin a stage."""

    def resume(self, state: RunState, order: np.ndarray) -> None:
        """Continue in the middle of a run, with points in an order."""
        self.rate = state.rate

    def halve(self) -> None:
        """Halve the steps of the stage."""
        self.rate /= 2

    @abstractmethod
    def direction(
        self, points: WorkingPoints, gradient: np.ndarray, number: int, stage: Stage
    ) -> tuple[np.ndarray, float]:
        """Return the direction of iteration ``number`` of a stage, and the length of its steps."""

    def is_resumable(self, number: int) -> bool:
        """Return whether a run can be resumed from iteration ``number`` of a stage."""
        return True

    def run_rows(self, points: WorkingPoints, stage: Stage, n_iter: int) -> bool:
        """Run iterations of few independent rows in one kernel call; return whether they ran."""
        return False

    def take(self, points: WorkingPoints, gradient: np.ndarray, number: int, stage: Stage) -> None:
        """Move points by iteration ``number`` of a stage.

        Raises
        ------
        OverflowError
            Where points would leave all bounds.
        ValueError
            Where the gradient has another shape, or is not finite.
        """
        if gradient.shape != points.y.shape:
            raise ValueError(f"gradient must have the shape {points.y.shape}; got {gradient.shape}")
        direction, rate = self.direction(points, gradient, number, stage)
        target, phase = self._target, self._phase
        weights = targets = None
        if target is not None:
            weights, targets = target.weights, target.targets
            if self.is_preconditioned:
                weights = target.pins
        n_stuck = _kernels.gradient_step.gradient_step(
            points.y,
            points.update,
            points.gains,
            direction,
            *self._scratch,
            rate,
            stage.momentum,
            phase.max_grad_norm,
            phase.max_step_norm,
            self._objective.n_threads,
            recenter=self._recenters,
            adapt_gains=not self.is_preconditioned,
            weights=weights,
            targets=targets,
        )
        if n_stuck:
            self._raise_stuck(n_stuck, direction, rate)

    def _raise_stuck(self, n_stuck: int, direction: np.ndarray, rate: float) -> None:
        n = len(direction)
        n_wrong = np.count_nonzero(~np.isfinite(direction).all(axis=1))
        if n_wrong:
            raise ValueError(
                f"the gradient of {self._objective.source} is not finite for {n_wrong} of "
                f"{n} points; it must be"
            )
        raise OverflowError(
            f"the optimization diverged: {n_stuck} of {n} points would move beyond "
            f"{MAX_COORDINATE:g}.  Give a smaller learning_rate (it is {rate:g}), max_step_norm "
            f"(it is {self._phase.max_step_norm}) or density_weight, or another "
            "early_exaggeration or exaggeration"
        )


class MomentumSteps(StepRule):
    """Plain steps against the gradient, with momentum and gains."""

    def start(self, stage: Stage) -> None:
        self.rate = stage.learning_rate

    def direction(
        self, points: WorkingPoints, gradient: np.ndarray, number: int, stage: Stage
    ) -> tuple[np.ndarray, float]:
        if self._target is not None and self._target.looks_ahead:
            step = stage.momentum * points.update - self.rate * points.gains * gradient
            self._target.look_ahead(points.y, step)
        return gradient, self.rate

    def run_rows(self, points: WorkingPoints, stage: Stage, n_iter: int) -> bool:
        n, phase = len(points.y), self._phase
        rows = self._objective.row_tasks() if n <= MAX_FEW_ROWS else None
        if rows is None:
            return False
        before = [array.copy() for array in (points.y, points.update, points.gains)]
        gradient = np.empty_like(points.y)  # which the task does not own
        np.copyto(rows.points, points.y, casting="same_kind")
        step = _kernels.gradient_step.row_task(
            points.y,
            points.update,
            points.gains,
            gradient,
            *rows[1:],
            stage.exaggeration,
            self.rate,
            stage.momentum,
            phase.max_grad_norm,
            phase.max_step_norm,
        )
        tasks = (*rows.tasks, step)
        if _kernels.row_descent.descend(tasks, n, n_iter, self._objective.n_threads):
            return True
        points.y[...], points.update[...], points.gains[...] = before  # a row needs more than that
        return False


class PreconditionedSteps(StepRule):
    """Steps along the preconditioned gradient; the preconditioner follows the embedding.

    Attributes
    ----------
    shortening : product of all halvings: what was too long is so in later stages.
    """

    is_preconditioned = True

    def __init__(
        self, objective: Objective, phase: Phase, target: TargetTerm | None, recenters: bool
    ):
        super().__init__(objective, phase, target, recenters)
        self.shortening = 1.0
        self._preconditioner: Preconditioner | None = None
        self._is_invalid = True

    def start(self, stage: Stage) -> None:
        """Begin a stage.

        Raises
        ------
        ValueError
            Where the curvature of the objective is not known.
        """
        self.rate = stage.learning_rate * self.shortening
        self._make_preconditioner()

    def resume(self, state: RunState, order: np.ndarray) -> None:
        super().resume(state, order)
        self.shortening = state.shortening
        if state.spacing is not None:
            vector = None if state.vector is None else state.vector[order]
            self._make_preconditioner().resume(vector, state.spacing)

    def vector_and_spacing(self, order: np.ndarray) -> tuple[np.ndarray | None, float | None]:
        """Return what :meth:`resume` needs of the preconditioner, from points in an order."""
        if self._preconditioner is None:
            return None, None
        vector, spacing = self._preconditioner.vector_and_spacing()
        if vector is None:
            return None, spacing
        ordered = np.empty_like(vector)
        ordered[order] = vector
        return ordered, spacing

    def halve(self) -> None:
        super().halve()
        self.shortening /= 2

    def reorder(self) -> None:
        """Take over another order of points."""
        if self._preconditioner is not None:
            self._preconditioner.reorder()
        self.invalidate()

    def invalidate(self) -> None:
        """Rebuild the preconditioner in the next iteration: points have moved otherwise."""
        self._is_invalid = True

    def is_resumable(self, number: int) -> bool:
        return rebuild_is_due(number)

    def direction(
        self, points: WorkingPoints, gradient: np.ndarray, number: int, stage: Stage
    ) -> tuple[np.ndarray, float]:
        preconditioner, pulls = self._make_preconditioner(), None
        if self._target is not None:
            self._target.pull(points.y, gradient)
            pulls = self._target.curvature(stage.exaggeration)
        if self._is_invalid or rebuild_is_due(number):
            preconditioner.rebuild(points.y, pulls)
            self._is_invalid = False
        direction, _ = preconditioner.apply(gradient)
        unit = 1 / preconditioner.largest
        return direction, self.rate * unit / stage.exaggeration

    def _make_preconditioner(self) -> Preconditioner:
        if self._preconditioner is None:
            objective = self._objective
            if not objective.has_curvature:
                raise ValueError(
                    "a preconditioned stage needs an objective whose curvature is known; "
                    f"{type(objective).__name__} has none"
                )
            self._preconditioner = (
                JointPreconditioner(objective, self._target)
                if isinstance(objective, JointObjective)
                else Preconditioner(objective)
            )
        return self._preconditioner


def rebuild_is_due(number: int) -> bool:
    """Return whether the preconditioner is rebuilt in iteration ``number`` of a stage."""
    every = REBUILD_EVERY_AT_FIRST if number < N_AT_FIRST else REBUILD_EVERY
    return number % every == 0
