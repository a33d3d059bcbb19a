"""The loop of gradient descent: stages, checks, callbacks, steps."""

import logging
from typing import Any, Protocol

import numpy as np

from fasttsne import _kernels
from fasttsne.objective.base import Objective
from fasttsne.objective.joint import JointObjective
from fasttsne.optimize.callback import is_stop
from fasttsne.optimize.joint_preconditioner import JointPreconditioner
from fasttsne.optimize.plan import Phase
from fasttsne.optimize.preconditioner import Preconditioner
from fasttsne.optimize.run_state import Keeper, RunState
from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.select_term import make_term
from fasttsne.optimize.state import DescentState, WorkingPoints, reordering_is_due
from fasttsne.optimize.stopping import LOSS_LEFT, Check, Decision, StoppingRule
from fasttsne.optimize.target_term import TargetTerm, far_origin
from fasttsne.runtime import progress
from fasttsne.runtime.validation import MAX_COORDINATE

log = logging.getLogger("fasttsne.optimizer")

# Iterations from one preconditioner to the next: in the first ones of a stage the map changes most.
REBUILD_EVERY, REBUILD_EVERY_AT_FIRST, N_AT_FIRST = 10, 5, 20

# Rows that go through all iterations in one call, in which Ctrl-C is not noticed: 250 iterations
# of so many take a tenth of a second.
MAX_FEW_ROWS = 100


class OptimizationInterrupt(InterruptedError):
    """A callback stopped the optimization.

    Attributes
    ----------
    error : the KL divergence when it stopped.
    final_embedding : the embedding so far.
    """

    def __init__(self, error: float, final_embedding: Any):
        super().__init__(f"a callback stopped the optimization at KL divergence {error:.4f}")
        self.error = error
        self.final_embedding = final_embedding


class Watched(Protocol):
    """What the loop tells the optimizer while it runs."""

    loss_left: float | None
    _running: tuple[WorkingPoints, int] | None


class Loop:
    """The iterations of one ``run``: stages one after the other, with one count of steps."""

    def __init__(
        self,
        optimizer: Watched,
        state: DescentState,
        embedding: np.ndarray,
        objective: Objective,
        phase: Phase,
        keeper: Keeper | None = None,
    ):
        self.optimizer, self.embedding, self._keeper = optimizer, embedding, keeper
        self.objective, self.phase = objective, phase
        self.points = WorkingPoints.from_state(embedding, state)
        self.iteration = state.iteration  # of all calls
        self.step = 0  # of this one
        objective.reorder(self.points.order)
        self.anchors = make_term(phase, objective)
        if self.anchors is not None:
            self.anchors.reorder(self.points.order)
            self.anchors.pin(self.points.y)
        self._recenters = objective.is_translation_invariant and (
            self.anchors is None or self.anchors.keeps_center
        )
        objective.set_origin(self._origin())
        n, d = embedding.shape
        n_blocks = _kernels.gradient_step.count_blocks(n)
        self._scratch = np.empty((n_blocks + 1, d)), np.empty(n_blocks, np.int64)
        self._preconditioned: PreconditionedSteps | None = None
        self._is_preconditioned = False  # the stage is
        self._rate = 0.0
        self._shortening = 1.0  # of preconditioned steps
        # The rule and the checks of the last stage with a rule, where that did not end it.
        self._unfinished: tuple[StoppingRule, list[Check]] | None = None
        self._kept: np.ndarray | None = None

    def _origin(self) -> np.ndarray | None:
        """Return the place about which forces are computed: None is 0, to which maps are moved."""
        moves = self._recenters and self.phase.n_iter > 0
        if moves or not self.objective.is_translation_invariant:
            return None
        return far_origin(self.points.y) if self.anchors is None else self.anchors.origin

    def run(self, state: RunState | None = None) -> None:
        """Run all stages, or, from a state, the iterations that are left."""
        first = 0 if state is None else state.stage
        phase, self.step = self.phase, 0 if state is None else state.step
        with progress.stage(
            phase.name, phase.n_iter, progress.ITERATIONS, phase.may_stop_early, self.step
        ) as self._progress:
            for index, stage in enumerate(phase.stages[first:], first):
                resumed = state if index == first else None
                if getattr(stage, "is_reserve", False):  # stages of version 0.1.0 do not say
                    if resumed is None and not self._much_is_left():
                        continue
                    assert self._progress.total is not None
                    self._progress.total += stage.n_iter
                self._run_stage(index, stage, resumed)
        left = self.optimizer.loss_left
        if self._unfinished is not None and left is not None and left > LOSS_LEFT:
            log.warning(
                "the run ended at its limit with an estimated %.0f %% of the loss left to be "
                'gained; optimize("auto") continues it',
                100 * left,
            )

    def _much_is_left(self) -> bool:
        """Return whether the last stage with a rule ended far from where that would end it."""
        if self._unfinished is None:
            return False
        rule, checks = self._unfinished
        return hasattr(rule, "leaves_much") and rule.leaves_much(checks)

    def _run_stage(self, index: int, stage: Stage, state: RunState | None) -> None:
        rule = stage.stopping
        checks: list[Check] = []
        start = 0
        if state is None:
            self._start(stage)
        else:
            self._go_on(state)
            start, checks = state.number, list(state.checks)
        for number in range(start + self._run_rows(stage, start), stage.n_iter):
            self._keep_state(index, number, checks)
            self._sort_if_due()
            if self.anchors is not None:
                self.anchors.begin(self.points.y, stage)
            check = rule is not None and number % rule.check_every == 0
            report = bool(self.phase.callbacks) and self._is_reported(self.step + 1)
            gradient, error = self.objective.gradient(
                self.points.y, stage.exaggeration, with_error=report or check
            )
            if rule is not None and check:
                assert error is not None
                checks.append(self._check(number, error, stage.exaggeration))
                decision = self._decide(rule, checks)
                if decision is Decision.STOP:
                    log.info("stage %r ended after %d iterations: %s", stage.name, number, rule)
                    self._unfinished = None
                    return
                if decision is Decision.SLOW_DOWN:
                    self._slow_down(checks[-1].loss)
                elif decision is Decision.GO_BACK:
                    self._slow_down(checks.pop().loss)
                    self._go_back()
                    if self.anchors is not None:
                        self.anchors.begin(self.points.y, stage)
                    gradient, error = self.objective.gradient(
                        self.points.y, stage.exaggeration, with_error=report
                    )
                elif getattr(rule, "goes_back", False):
                    self._keep()
            self.step += 1
            if report:
                assert error is not None
                self._call_callbacks(error)
            self._take_step(*self._direction(gradient, number, stage), stage.momentum)
            self._progress.advance(1, self._note(error))
        if rule is not None:
            self._unfinished = rule, checks

    def _run_rows(self, stage: Stage, start: int) -> int:
        """Run iterations of few rows that do not depend on each other in one call; their number.

        None are run where somebody watches them, or a row needs more than that call can.
        """
        n, n_iter = len(self.points.y), stage.n_iter - start
        is_watched = stage.stopping or self.phase.callbacks or self._keeper or self.anchors
        if n > MAX_FEW_ROWS or n_iter <= 0 or is_watched or self._is_preconditioned:
            return 0
        rows = self.objective.row_tasks()
        if rows is None:
            return 0
        points, phase = self.points, self.phase
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
            self._rate,
            stage.momentum,
            phase.max_grad_norm,
            phase.max_step_norm,
        )
        tasks = (*rows.tasks, step)
        if not _kernels.row_descent.descend(tasks, n, n_iter, self.objective.n_threads):
            points.y[...], points.update[...], points.gains[...] = before
            return 0
        self.step += n_iter
        self.iteration += n_iter
        self._progress.advance(n_iter, None)
        return n_iter

    def _start(self, stage: Stage) -> None:
        """Make ready for the kind of steps; one kind does not go on with the speed of another."""
        # Stages of version 0.1.0 say neither.
        is_preconditioned = getattr(stage, "is_preconditioned", False)
        starts_anew = getattr(stage, "starts_anew", False)
        if is_preconditioned and self._preconditioned is None:
            self._preconditioned = PreconditionedSteps(self.objective, self.anchors)
        if starts_anew or is_preconditioned != self._is_preconditioned:
            self.points.update[...] = 0
        if starts_anew:
            self.points.gains[...] = 1
        self._is_preconditioned = is_preconditioned
        self._rate = stage.learning_rate
        if is_preconditioned:  # what was too long is so in later stages
            self._rate *= self._shortening

    def _go_on(self, state: RunState) -> None:
        """Take up a run in the middle; points and counts are those of the constructor."""
        if state.spacing is not None:
            self._preconditioned = PreconditionedSteps(self.objective, self.anchors)
            vector = None if state.vector is None else state.vector[self.points.order]
            self._preconditioned.preconditioner.go_on(vector, state.spacing)
        self._is_preconditioned = state.is_preconditioned
        self._rate, self._shortening = state.rate, state.shortening
        self._kept = None if state.kept is None else state.kept.copy()
        self.optimizer.loss_left = state.loss_left

    def _keep_state(self, stage: int, number: int, checks: list[Check]) -> None:
        """Hand out the state before an iteration, where one is wanted and it is a whole one."""
        if self._keeper is None or not self._keeper.is_due():
            return
        if self._is_preconditioned and not rebuild_is_due(number):
            return
        points, vector, spacing = self.points, None, None
        if self._preconditioned is not None:
            found, spacing = self._preconditioned.preconditioner.vector_and_spacing()
            if found is not None:
                vector = np.empty_like(found)
                vector[points.order] = found
        embedding = np.empty_like(points.y)
        points.write_to(embedding)
        self._keeper.keep(
            RunState(
                embedding,
                points.to_state(self.iteration),
                stage,
                number,
                self.step,
                tuple(checks),
                self._rate,
                self._shortening,
                self._is_preconditioned,
                self.optimizer.loss_left,
                self._kept,
                vector,
                spacing,
            )
        )

    def _slow_down(self, loss: float) -> None:
        """Halve the steps, and drop the speed."""
        log.info("the loss rose to %.4f: slowing down", loss)
        self._rate /= 2
        self.points.update[...] = 0
        if self._is_preconditioned:
            self._shortening /= 2

    def _keep(self) -> None:
        """Keep the map, in the caller's order, to go back to."""
        if self._kept is None:
            self._kept = np.empty_like(self.points.y)
        self.points.write_to(self._kept)

    def _go_back(self) -> None:
        if self._kept is not None:
            self.points.read_from(self._kept)
            if self._preconditioned is not None:
                self._preconditioned.outdate()

    def _direction(
        self, gradient: np.ndarray, number: int, stage: Stage
    ) -> tuple[np.ndarray, float]:
        """Where iteration ``number`` of a stage goes, and the length of its steps."""
        if not self._is_preconditioned:
            return gradient, self._rate
        assert self._preconditioned is not None
        pulls = None
        if self.anchors is not None:
            self.anchors.pull(self.points.y, gradient)
            pulls = self.anchors.curvature(stage.exaggeration)
        direction, unit = self._preconditioned.direction(self.points.y, gradient, number, pulls)
        return direction, self._rate * unit / stage.exaggeration

    def _sort_if_due(self) -> None:
        if self.objective.gains_by_order and reordering_is_due(self.iteration):
            self.points = self.points.reordered(self.objective.sorting(self.points.y))
            self.objective.reorder(self.points.order)
            if self.anchors is not None:
                self.anchors.reorder(self.points.order)
            if self._preconditioned is not None:
                self._preconditioned.reorder()

    def _is_reported(self, step: int) -> bool:
        return step % self.phase.callbacks_every_iters == 0

    def _decide(self, rule: StoppingRule, checks: list[Check]) -> Decision:
        share_left = getattr(rule, "share_left", None)
        if share_left is not None:
            self.optimizer.loss_left = share_left(checks)
            if self.optimizer.loss_left is not None:
                log.debug("%.2g of the loss is left", self.optimizer.loss_left)
        return rule.decide(checks)

    def _note(self, error: float | None) -> str | None:
        """What progress says besides the iteration, where it is known anew."""
        if error is None:
            return None
        share = self.optimizer.loss_left
        left = "" if share is None else f", about {100 * max(share, 0):.2g} % of it left"
        return f"KL divergence {error:.4f}{left}"

    def _check(self, number: int, error: float, exaggeration: float) -> Check:
        more = 0.0 if self.anchors is None else self.anchors.loss(self.points.y)
        return Check(
            number,
            self.objective.loss(error) + more,
            self.objective.exaggerated_loss(error, exaggeration) + more,
            float(np.std(self.points.y)),
            self.objective.approximation,
        )

    def _call_callbacks(self, error: float) -> None:
        self.points.write_to(self.embedding)
        self.optimizer._running = self.points, self.iteration
        # Every callback is called, also after one that stops the run.
        answers = [call(self.step, error, self.embedding) for call in self.phase.callbacks]
        self.points.check_array(self.embedding)
        if any([is_stop(answer) for answer in answers]):
            raise OptimizationInterrupt(error, self.embedding)
        self.points.read_from(self.embedding)

    def _take_step(self, gradient: np.ndarray, rate: float, momentum: float) -> None:
        points, phase, anchors = self.points, self.phase, self.anchors
        weights = targets = None
        if anchors is not None:
            if anchors.looks_ahead and not self._is_preconditioned:
                step = momentum * points.update - rate * points.gains * gradient
                anchors.look_ahead(points.y, step)
            weights = anchors.pins if self._is_preconditioned else anchors.weights
            targets = anchors.targets
        if gradient.shape != points.y.shape:
            raise ValueError(f"gradient must have the shape {points.y.shape}; got {gradient.shape}")
        n_stuck = _kernels.gradient_step.gradient_step(
            points.y,
            points.update,
            points.gains,
            gradient,
            *self._scratch,
            rate,
            momentum,
            phase.max_grad_norm,
            phase.max_step_norm,
            self.objective.n_threads,
            recenter=self._recenters,
            adapt_gains=not self._is_preconditioned,
            weights=weights,
            targets=targets,
        )
        self.iteration += 1
        if n_stuck:
            n_wrong = np.count_nonzero(~np.isfinite(gradient).all(axis=1))
            if n_wrong:
                raise ValueError(
                    f"the gradient of {self.objective.source} is not finite for {n_wrong} of "
                    f"{len(points.y)} points; it must be"
                )
            raise OverflowError(
                f"the optimization diverged: {n_stuck} of {len(points.y)} points would move "
                f"beyond {MAX_COORDINATE:g}.  Give a smaller learning_rate (it is {rate:g}), "
                f"max_step_norm (it is {phase.max_step_norm}) or density_weight, or another "
                "early_exaggeration or exaggeration"
            )


class PreconditionedSteps:
    """Directions by a preconditioner that is kept near the map as it moves."""

    def __init__(self, objective: Objective, anchors: TargetTerm | None):
        if not objective.has_curvature:
            raise ValueError(
                "a preconditioned stage needs an objective whose curvature is known; "
                f"{type(objective).__name__} has none"
            )
        self.preconditioner = (
            JointPreconditioner(objective, anchors)
            if isinstance(objective, JointObjective)
            else Preconditioner(objective)
        )
        self._is_outdated = True

    def reorder(self) -> None:
        """The points have another order from now on."""
        self.preconditioner.reorder()
        self.outdate()

    def outdate(self) -> None:
        """The map is another from now on."""
        self._is_outdated = True

    def direction(
        self, y: np.ndarray, gradient: np.ndarray, number: int, pulls: np.ndarray | None
    ) -> tuple[np.ndarray, float]:
        """The direction of iteration ``number`` of a stage, and the unit of its steps' length."""
        if self._is_outdated or rebuild_is_due(number):
            self.preconditioner.rebuild(y, pulls)
            self._is_outdated = False
        direction, _ = self.preconditioner.apply(gradient)
        return direction, 1 / self.preconditioner.largest


def rebuild_is_due(number: int) -> bool:
    """Whether the preconditioner is made anew in iteration ``number`` of a stage."""
    every = REBUILD_EVERY_AT_FIRST if number < N_AT_FIRST else REBUILD_EVERY
    return number % every == 0
