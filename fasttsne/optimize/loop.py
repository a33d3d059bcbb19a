"""The loop of gradient descent: stages, checks, callbacks, steps."""

import logging
from typing import Any, Protocol

import numpy as np

from fasttsne.objective.base import Objective
from fasttsne.optimize.callback import is_stop
from fasttsne.optimize.plan import Phase
from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.state import (
    DescentState,
    RunState,
    StateSaver,
    WorkingPoints,
    reordering_is_due,
)
from fasttsne.optimize.step_rules import MomentumSteps, PreconditionedSteps, StepRule
from fasttsne.optimize.stopping import (
    LOSS_LEFT,
    Check,
    Decision,
    GoesBack,
    LossEstimator,
    ReserveRule,
    StoppingRule,
)
from fasttsne.optimize.target_term import (
    AnchorTerm,
    ReferenceTerm,
    TargetTerm,
    Ties,
    TieTerm,
    far_origin,
)
from fasttsne.runtime import progress

log = logging.getLogger("fasttsne.optimizer")


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


class OptimizerStatus(Protocol):
    """What a run publishes of itself, for callbacks."""

    loss_left: float | None
    _running: tuple[WorkingPoints, int] | None


class Recorder:
    """The callbacks of a run, and its progress."""

    def __init__(
        self, status: OptimizerStatus, embedding: np.ndarray, phase: Phase, shown: progress.Progress
    ):
        self._status, self._embedding = status, embedding
        self._callbacks, self._every = phase.callbacks, phase.callbacks_every_iters
        self._progress = shown

    def is_due(self, step: int) -> bool:
        """Return whether callbacks are called in this iteration, counted from 1."""
        return bool(self._callbacks) and step % self._every == 0

    def call(self, points: WorkingPoints, step: int, iteration: int, error: float) -> None:
        """Call every callback, also after one that stops the run; they may move points."""
        points.write_to(self._embedding)
        self._status._running = points, iteration
        answers = [callback(step, error, self._embedding) for callback in self._callbacks]
        points.check_array(self._embedding)
        if any([is_stop(answer) for answer in answers]):
            raise OptimizationInterrupt(error, self._embedding)
        points.read_from(self._embedding)

    def extend(self, n_iter: int) -> None:
        """Add the iterations of a stage in reserve."""
        assert self._progress.total is not None
        self._progress.total += n_iter

    def advance(self, n_iter: int, error: float | None = None) -> None:
        """Report iterations, and the error where it is known."""
        note, left = None, self._status.loss_left
        if error is not None:
            share = progress.describe_loss_left(left)
            note = f"KL divergence {error:.4f}{share}"
        self._progress.advance(n_iter, note)


class Loop:
    """The iterations of one ``run``: stages one after the other, with one count of steps.

    Attributes
    ----------
    points : in the order of the loop, after the last step.
    iteration : number of iterations of all calls.
    """

    def __init__(
        self,
        status: OptimizerStatus,
        state: DescentState,
        embedding: np.ndarray,
        objective: Objective,
        phase: Phase,
        saver: StateSaver | None = None,
    ):
        self._status, self._embedding, self._saver = status, embedding, saver
        self._objective, self._phase = objective, phase
        self.points = WorkingPoints.from_state(embedding, state)
        self.iteration, self._step = state.iteration, 0
        self._target = target = make_target(phase, objective)
        self._take_over_order()
        if target is not None:
            target.pin(self.points.y)
        recenters = objective.is_translation_invariant and (target is None or target.keeps_center)
        objective.set_origin(self._origin(recenters))
        self._plain = MomentumSteps(objective, phase, target, recenters)
        self._preconditioned = PreconditionedSteps(objective, phase, target, recenters)
        self._steps: StepRule = self._plain
        # The rule and the checks of the last stage with a rule, where that did not end it.
        self._unfinished: tuple[StoppingRule, list[Check]] | None = None
        self._kept: np.ndarray | None = None

    def _origin(self, recenters: bool) -> np.ndarray | None:
        """Return the point about which forces are computed: None is 0."""
        if not self._objective.is_translation_invariant or (recenters and self._phase.n_iter > 0):
            return None
        return far_origin(self.points.y) if self._target is None else self._target.origin

    def run(self, state: RunState | None = None) -> None:
        """Run all stages, or, from a state, the iterations that are left."""
        phase = self._phase
        first, self._step = (0, 0) if state is None else (state.stage, state.step)
        with progress.stage(
            phase.name, phase.n_iter, progress.ITERATIONS, phase.may_stop_early, self._step
        ) as shown:
            self._recorder = Recorder(self._status, self._embedding, phase, shown)
            for index, stage in enumerate(phase.stages[first:], first):
                resumed = state if index == first else None
                if stage.is_reserve:
                    if resumed is None and not self._much_is_left():
                        continue
                    self._recorder.extend(stage.n_iter)
                self._run_stage(index, stage, resumed)
        left = self._status.loss_left
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
        return isinstance(rule, ReserveRule) and rule.leaves_much(checks)

    def _run_stage(self, index: int, stage: Stage, state: RunState | None) -> None:
        rule = stage.stopping
        checks: list[Check] = []
        first = 0
        if state is None:
            self._start(stage)
        else:
            self._resume(state)
            checks, first = list(state.checks), state.number
        for number in range(first + self._run_rows(stage, first), stage.n_iter):
            self._save_if_due(index, number, checks)
            self._sort_if_due()
            is_check = rule is not None and number % rule.check_every == 0
            is_report = self._recorder.is_due(self._step + 1)
            gradient, error = self._gradient(stage, is_check or is_report)
            if rule is not None and is_check:
                assert error is not None
                checks.append(self._check(number, error, stage.exaggeration))
                decision = self._decide(rule, checks)
                if decision is Decision.STOP:
                    log.info("stage %r ended after %d iterations: %s", stage.name, number, rule)
                    self._unfinished = None
                    return
                if decision is Decision.GO_BACK:
                    gradient, error = self._gradient(stage, is_report)
            self._step += 1
            if is_report:
                assert error is not None
                self._recorder.call(self.points, self._step, self.iteration, error)
            self._steps.take(self.points, gradient, number, stage)
            self.iteration += 1
            self._recorder.advance(1, error)
        if rule is not None:
            self._unfinished = rule, checks

    def _start(self, stage: Stage) -> None:
        """Begin a stage; the momentum of one kind of steps means nothing to the other."""
        before = self._steps
        self._steps = self._preconditioned if stage.is_preconditioned else self._plain
        self._steps.start(stage)
        if stage.starts_anew or self._steps is not before:
            self.points.update[...] = 0
        if stage.starts_anew:
            self.points.gains[...] = 1

    def _resume(self, state: RunState) -> None:
        """Continue in the middle of a stage; the constructor has restored points and counts."""
        self._steps = self._preconditioned if state.is_preconditioned else self._plain
        for steps in self._plain, self._preconditioned:
            steps.resume(state, self.points.order)
        self._kept = None if state.kept is None else state.kept.copy()
        self._status.loss_left = state.loss_left

    def _run_rows(self, stage: Stage, first: int) -> int:
        """Run the iterations that are left in one call, where that is possible; return how many."""
        n_iter = stage.n_iter - first
        is_watched = stage.stopping or self._phase.callbacks or self._saver or self._target
        if is_watched or n_iter <= 0 or not self._steps.run_rows(self.points, stage, n_iter):
            return 0
        self._step += n_iter
        self.iteration += n_iter
        self._recorder.advance(n_iter)
        return n_iter

    def _save_if_due(self, stage: int, number: int, checks: list[Check]) -> None:
        """Save the state before an iteration, where it is due and the steps can be resumed."""
        if self._saver is None or not self._saver.is_due() or not self._steps.is_resumable(number):
            return
        embedding = np.empty_like(self.points.y)
        self.points.write_to(embedding)
        vector, spacing = self._preconditioned.vector_and_spacing(self.points.order)
        self._saver.save(
            RunState(
                embedding=embedding,
                descent=self.points.to_state(self.iteration),
                stage=stage,
                number=number,
                step=self._step,
                checks=tuple(checks),
                rate=self._steps.rate,
                shortening=self._preconditioned.shortening,
                is_preconditioned=self._steps.is_preconditioned,
                loss_left=self._status.loss_left,
                kept=self._kept,
                vector=vector,
                spacing=spacing,
            )
        )

    def _sort_if_due(self) -> None:
        if self._objective.gains_by_order and reordering_is_due(self.iteration):
            self.points = self.points.reordered(self._objective.sorting(self.points.y))
            self._take_over_order()
            self._preconditioned.reorder()

    def _take_over_order(self) -> None:
        self._objective.reorder(self.points.order)
        if self._target is not None:
            self._target.reorder(self.points.order)

    def _gradient(self, stage: Stage, with_error: bool) -> tuple[np.ndarray, float | None]:
        if self._target is not None:
            self._target.begin(self.points.y, stage)
        return self._objective.gradient(self.points.y, stage.exaggeration, with_error=with_error)

    def _check(self, number: int, error: float, exaggeration: float) -> Check:
        more = 0.0 if self._target is None else self._target.loss(self.points.y)
        return Check(
            number,
            self._objective.loss(error) + more,
            self._objective.exaggerated_loss(error, exaggeration) + more,
            float(np.std(self.points.y)),
            self._objective.approximation,
        )

    def _decide(self, rule: StoppingRule, checks: list[Check]) -> Decision:
        """Return the decision of a rule, after having carried it out unless it ends the stage."""
        if isinstance(rule, LossEstimator):
            self._status.loss_left = rule.share_left(checks)
            if self._status.loss_left is not None:
                log.debug("%.2g of the loss is left", self._status.loss_left)
        decision = rule.decide(checks)
        if decision is Decision.SLOW_DOWN:
            self._halve_step(checks[-1].loss)
        elif decision is Decision.GO_BACK:
            self._halve_step(checks.pop().loss)
            if self._kept is not None:
                self.points.read_from(self._kept)
                self._preconditioned.invalidate()
        elif decision is Decision.CONTINUE and isinstance(rule, GoesBack) and rule.goes_back:
            if self._kept is None:
                self._kept = np.empty_like(self.points.y)
            self.points.write_to(self._kept)
        return decision

    def _halve_step(self, loss: float) -> None:
        """Halve the steps, and drop their momentum."""
        log.info("the loss rose to %.4f: slowing down", loss)
        self._steps.halve()
        self.points.update[...] = 0


def make_target(phase: Phase, objective: Objective) -> TargetTerm | None:
    """Return what draws the points of a phase to targets, or None."""
    n_threads = objective.n_threads
    if isinstance(phase.anchors, Ties):
        return TieTerm(phase.anchors, Objective.scale / objective.scale, n_threads)
    anchors = None if phase.anchors is None else AnchorTerm(phase.anchors, n_threads)
    if phase.reference is None:
        return anchors
    return ReferenceTerm(phase.reference, phase.global_structure, anchors, n_threads)
