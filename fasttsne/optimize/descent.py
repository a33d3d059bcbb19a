"""Gradient descent with momentum and gains: the one loop, for maps and for new points."""

import copy
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.objective.base import Objective
from fasttsne.objective.callable import (
    NAMES,
    FunctionObjective,
    ObjectiveFunction,
    check_no_reference,
)
from fasttsne.optimize import Callbacks, as_callbacks, is_stop, notify, schedule
from fasttsne.optimize.plan import Phase, number_or_none, resolve_function_method
from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.state import (
    DescentState,
    RunState,
    StateSaver,
    WorkingPoints,
    check_state,
    initial_state,
    reordering_is_due,
)
from fasttsne.optimize.steps import MomentumSteps, PreconditionedSteps, StepRule
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
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Params
from fasttsne.runtime.validation import check_coordinates
from fasttsne.utils import warn_user

log = logging.getLogger("fasttsne.optimizer")

# Bytes of a point in two dimensions, by phase (``python benchmarks/memory.py``): its coordinates,
# forces and what the optimizer remembers of it; in the main phase, with the mesh of a map that has
# grown.
POINT_BYTES = {"early exaggeration": 350, "main phase": 570}
# Bytes of an edge in the map's order: an int32 column and a float32 value, mostly half of them.
PACKED_EDGE_BYTES = 4.1


def estimate_bytes(n: int, edges: float, n_components: int) -> dict[str, float]:
    """Return what each phase takes: points, and edges in the map's order, padded."""
    packed = PACKED_EDGE_BYTES * (edges + 8 * n)
    return {phase: packed + size * n * n_components / 2 for phase, size in POINT_BYTES.items()}


class OptimizationInterrupt(InterruptedError):
    """A callback stopped the optimization.

    Attributes
    ----------
    error : the KL divergence when it stopped.
    final_embedding : the embedding so far.
    """

    def __init__(self, error: float, final_embedding: np.ndarray):
        super().__init__(f"a callback stopped the optimization at KL divergence {error:.4f}")
        self.error = error
        self.final_embedding = final_embedding


class GradientDescent:
    """The optimizer of an embedding: keeps momentum, gains and order from call to call.

    It can be called by itself, as openTSNE's is, with an objective function.

    Attributes
    ----------
    gains, update : (n, d) float32 arrays, the gain of each coordinate and its last step, in the
        order of the rows; None before the first call.
    loss_left : share of the loss that is estimated to be left to be gained, while a stage runs
        that ends by it, and after it; None before.

    Source: van der Maaten & Hinton 2008 (the schedule's form), Jacobs 1988 (gains).
    """

    # Derived classes need not call this class's __init__.
    loss_left: float | None = None
    _state: DescentState | None = None
    _running: tuple[WorkingPoints, int] | None = None

    @property
    def state(self) -> DescentState | None:
        """What the next call resumes from; in a callback, the state after the last step."""
        if self._running is None:
            return self._state
        points, iteration = self._running
        return points.to_state(iteration)

    @state.setter
    def state(self, state: DescentState | None) -> None:
        self._state = state

    @property
    def iteration(self) -> int:
        """Number of iterations of all calls; cheaper than ``state.iteration``."""
        if self._running is not None:
            return self._running[1]
        return 0 if self._state is None else self._state.iteration

    @property
    def gains(self) -> np.ndarray | None:
        return None if self.state is None else self.state.gains

    @gains.setter
    def gains(self, gains: ArrayLike | None) -> None:
        own = _own_copy(gains)
        self.state = None if own is None else replace(self._state_like(own), gains=own)

    @property
    def update(self) -> np.ndarray | None:
        return None if self.state is None else self.state.update

    @update.setter
    def update(self, update: ArrayLike | None) -> None:
        own = _own_copy(update)
        self.state = None if own is None else replace(self._state_like(own), update=own)

    def _state_like(self, points: np.ndarray) -> DescentState:
        """Return the state, or the initial one if there is none of points of this shape."""
        state = self.state
        if state is None or state.update.shape != points.shape:
            return initial_state(points)
        return state

    def copy(self) -> "GradientDescent":
        """Return a deep copy."""
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, object]:
        return {"_state": self.state, "_running": None, "loss_left": self.loss_left}

    def run(
        self,
        embedding: np.ndarray,
        objective: Objective,
        phase: Phase,
        saver: StateSaver | None = None,
        resume_from: RunState | None = None,
    ) -> float:
        """Optimize ``embedding``, (n, d) float64, in place; return its error.

        Parameters
        ----------
        objective : :class:`fasttsne.objective.Objective` of the map's shape.
        phase : :class:`fasttsne.optimize.plan.Phase`, which says what is done.
        saver : saves states of the run, for checkpoints, or None.
        resume_from : one of them, of the same phase.

        Raises
        ------
        OptimizationInterrupt
            Where a callback's answer is true.
        OverflowError
            Where points would leave all bounds; they stay where they were.
        ValueError
            Where the gradient of a user's objective is not finite.
        """
        if objective.shape != embedding.shape:
            raise ValueError(
                f"the embedding must have the shape of its affinities, {objective.shape}; "
                f"got {embedding.shape}"
            )
        check_coordinates(embedding, "embedding")
        notify(phase.callbacks, "receive_settings", phase)
        notify(phase.callbacks, "optimization_about_to_start")
        if resume_from is not None:
            resume_from.check(objective.shape, phase)
            embedding[...] = resume_from.embedding
            self.state = resume_from.descent
        loop = Loop(self, self._begin(embedding, objective), embedding, objective, phase, saver)
        try:
            loop.run(resume_from)
        finally:
            # Whatever ended the loop, the caller gets the map and the state after the last step.
            loop.points.restore_array(embedding)
            loop.points.write_to(embedding)
            self._running = None
            self.state = loop.points.to_state(loop.iteration)
            notify(phase.callbacks, "optimization_ended")
        _warn_if_unsettled(loop.points.update, phase.max_step_norm)
        _, error = objective.gradient(loop.points.y, with_error=True)
        assert error is not None
        if not np.isfinite(error):
            warn_user(f"the error that {objective.source} returns is {error}")
        return error

    def _begin(self, embedding: np.ndarray, objective: Objective) -> DescentState:
        """Return the state that a run begins with, checked: of the last call, or a new one."""
        state = self.state
        if state is None or state.update.shape != embedding.shape:
            order = objective.sorting(embedding) if objective.gains_by_order else None
            self.state = state = initial_state(embedding, order)
        # The caller's order may change; what is checked must not.
        state = replace(state, order=np.array(state.order))
        check_state(state, embedding.shape, "optimizer.state.")
        return state

    def __call__(
        self,
        embedding: np.ndarray,
        P: sp.csr_matrix,
        n_iter: int,
        objective_function: ObjectiveFunction,
        learning_rate: float | str = "auto",
        momentum: float = 0.8,
        exaggeration: float | None = None,
        dof: float = 1,
        max_grad_norm: float | None = None,
        max_step_norm: float | None = 5,
        theta: float = 0.5,
        n_interpolation_points: int = 3,
        min_num_intervals: int = 50,
        ints_in_interval: float = 1,
        reference_embedding: object = None,
        n_jobs: int | None = -1,
        use_callbacks: bool = True,
        callbacks: Callbacks = None,
        callbacks_every_iters: int = 50,
        verbose: bool = False,
    ) -> tuple[float, np.ndarray]:
        """Move an embedding, (n, d) float64, in place.

        Parameters
        ----------
        P : (n, n) CSR matrix of affinities, which is not changed.
        objective_function : see :mod:`fasttsne.objective.callable`; ``kl_divergence_bh`` and
            ``kl_divergence_fft`` are two of this package.

        See ``TSNEEmbedding.optimize`` for the others.

        Returns
        -------
        error : float, of the embedding afterwards.
        embedding : the same array.

        Raises
        ------
        OptimizationInterrupt
            If a callback stops the run.
        NotImplementedError
            With a ``reference_embedding``.
        """
        check_no_reference(reference_embedding)
        if not isinstance(embedding, np.ndarray) or embedding.dtype != np.float64:
            raise TypeError(f"embedding must be a float64 array; got {type(embedding).__name__}")
        exaggeration = 1.0 if exaggeration is None else float(exaggeration)
        rate, momentum_or_none = number_or_none(learning_rate), number_or_none(momentum)
        phase = Phase(
            "objective function",
            schedule.classical(n_iter, len(embedding), exaggeration, rate, momentum_or_none),
            max_grad_norm=max_grad_norm,
            max_step_norm=max_step_norm,
            callbacks=as_callbacks(callbacks) if use_callbacks else (),
            callbacks_every_iters=callbacks_every_iters,
        )
        accuracy = {
            "theta": theta,
            "n_interpolation_points": n_interpolation_points,
            "min_num_intervals": min_num_intervals,
            "ints_in_interval": ints_in_interval,
        }
        objective = FunctionObjective(
            objective_function, P, embedding.shape[1], dof, accuracy, resolve_n_jobs(n_jobs)
        )
        return self.run(embedding, objective, phase), embedding


def _own_copy(value: ArrayLike | None) -> np.ndarray | None:
    return None if value is None else np.array(value, np.float32, order="C")


def _warn_if_unsettled(steps: np.ndarray, max_step_norm: float | None) -> None:
    """Warn where most points end a run with a step that only its bound keeps from being longer."""
    if max_step_norm is not None and len(steps):
        lengths = np.linalg.norm(steps.astype(np.float64), axis=1)
        n_bounded = (lengths > 0.99 * max_step_norm).sum()
        if n_bounded > len(steps) / 2:
            warn_user(
                f"the map has not settled: {n_bounded} of {len(steps)} points still move by "
                f"max_step_norm, {max_step_norm:g}; learning_rate may be far too large"
            )


class Loop:
    """The iterations of one ``run``: stages one after the other, with one count of steps.

    Attributes
    ----------
    points : in the order of the loop, after the last step.
    iteration : number of iterations of all calls.
    """

    def __init__(
        self,
        optimizer: GradientDescent,
        state: DescentState,
        embedding: np.ndarray,
        objective: Objective,
        phase: Phase,
        saver: StateSaver | None = None,
    ):
        self._optimizer, self._embedding, self._saver = optimizer, embedding, saver
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
        ) as self._progress:
            for index, stage in enumerate(phase.stages[first:], first):
                resumed = state if index == first else None
                if stage.is_reserve:
                    if resumed is None and not self._much_is_left():
                        continue
                    self._progress.total = (self._progress.total or 0) + stage.n_iter
                self._run_stage(index, stage, resumed)
        left = self._optimizer.loss_left
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
            is_report = self._callbacks_are_due(self._step + 1)
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
                self._call_callbacks(error)
            self._steps.take(self.points, gradient, number, stage)
            self._advance(1, error)
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
        self._optimizer.loss_left = state.loss_left

    def _run_rows(self, stage: Stage, first: int) -> int:
        """Run the iterations that are left row by row, where that is possible; return how many."""
        n_iter = stage.n_iter - first
        is_watched = stage.stopping or self._phase.callbacks or self._saver or self._target
        if is_watched or n_iter <= 0:
            return 0
        rows = self._steps.row_descent(self.points, stage, n_iter)
        if rows is None or not rows.run(self._progress.advance):
            return 0
        self._step += n_iter
        self.iteration += n_iter
        return n_iter

    def _callbacks_are_due(self, step: int) -> bool:
        """Return whether callbacks are called in this iteration, counted from 1."""
        phase = self._phase
        return bool(phase.callbacks) and step % phase.callbacks_every_iters == 0

    def _call_callbacks(self, error: float) -> None:
        """Call every callback, also after one that stops the run; they may move points."""
        points, embedding = self.points, self._embedding
        points.write_to(embedding)
        self._optimizer._running = points, self.iteration
        answers = [callback(self._step, error, embedding) for callback in self._phase.callbacks]
        points.check_array(embedding)
        if any([is_stop(answer) for answer in answers]):
            raise OptimizationInterrupt(error, embedding)
        points.read_from(embedding)

    def _advance(self, n_iter: int, error: float | None = None) -> None:
        """Count iterations, and show them, with the error where it is known."""
        self.iteration += n_iter
        note = None
        if error is not None:
            share = progress.describe_loss_left(self._optimizer.loss_left)
            note = f"KL divergence {error:.4f}{share}"
        self._progress.advance(n_iter, note)

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
                loss_left=self._optimizer.loss_left,
                kept=self._kept,
                vector=vector,
                spacing=spacing,
            )
        )

    def _sort_if_due(self) -> None:
        if self._objective.gains_by_order and reordering_is_due(self.iteration):
            change = self._objective.sorting(self.points.y)
            self.points = self.points.reordered(change)
            self._take_over_order()
            self._preconditioned.reorder(change)

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
            self._optimizer.loss_left = left = rule.share_left(checks)
            if left is not None:
                log.debug("%.2g of the loss is left", left)
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


_OWN_CALL = GradientDescent.__call__


def is_custom(optimizer: GradientDescent) -> bool:
    """Return whether an optimizer has a ``__call__`` of its own, as openTSNE's users write them."""
    return type(optimizer).__call__ is not _OWN_CALL


def run_custom_optimizer(
    optimizer: GradientDescent,
    embedding: np.ndarray,
    P: sp.csr_matrix,
    phase: Phase,
    params: Params,
) -> float:
    """Let a custom optimizer move an embedding in place, called as by openTSNE; return the error.

    It gets the learning rate, momentum and exaggeration of the first plain stage, and P, which it
    may change.  ``params`` has the parameters of ``optimize``, as the user gave them.
    """
    if phase.anchors is not None or phase.reference is not None:
        raise ValueError(
            "anchors and global_structure cannot be used with an optimizer of a user's own"
        )
    callbacks = params["callbacks"]
    first = next(stage for stage in phase.stages if not stage.is_preconditioned)
    call: Callable[..., tuple[float, object]] = optimizer
    error, result = call(
        embedding=embedding,
        P=P,
        n_iter=phase.n_iter,
        objective_function=_function(params["negative_gradient_method"], len(embedding)),
        learning_rate=first.learning_rate,
        momentum=first.momentum,
        exaggeration=first.exaggeration,
        dof=phase.dof,
        max_grad_norm=phase.max_grad_norm,
        max_step_norm=phase.max_step_norm,
        use_callbacks=callbacks is not None,
        callbacks=callbacks if isinstance(callbacks, Iterable | None) else (callbacks,),
        callbacks_every_iters=phase.callbacks_every_iters,
        n_jobs=phase.n_threads,
        verbose=params["verbose"],
        **dict(phase.accuracy),
    )
    if isinstance(result, np.ndarray) and not np.shares_memory(result, embedding):
        np.asarray(embedding)[...] = result
    return error


def _function(method: str | ObjectiveFunction, n_samples: int) -> ObjectiveFunction:
    """Return the objective function of a method."""
    if callable(method):
        return method
    name = resolve_function_method(method, n_samples)
    return next(function for function in NAMES if NAMES[function] == name)
