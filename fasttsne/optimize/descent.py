"""Gradient descent with momentum and gains: the one loop, for maps and for new points."""

import copy
import dataclasses
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.objective.base import Objective
from fasttsne.objective.callable import FunctionObjective, ObjectiveFunction, check_no_reference
from fasttsne.optimize import schedule
from fasttsne.optimize.callback import Callbacks, as_callbacks, notify
from fasttsne.optimize.loop import Loop, OptimizationInterrupt
from fasttsne.optimize.plan import Phase, number_or_none
from fasttsne.optimize.state import (
    DescentState,
    RunState,
    StateSaver,
    WorkingPoints,
    check_state,
    initial_state,
)
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.validation import check_coordinates
from fasttsne.utils import warn_user

__all__ = ["GradientDescent", "OptimizationInterrupt"]

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
        self._replace("gains", gains)

    @property
    def update(self) -> np.ndarray | None:
        return None if self.state is None else self.state.update

    @update.setter
    def update(self, update: ArrayLike | None) -> None:
        self._replace("update", update)

    def _replace(self, name: str, value: ArrayLike | None) -> None:
        if value is None:
            self.state = None
            return
        value = np.array(value, np.float32, order="C")
        state = self.state
        if state is None or state.update.shape != value.shape:
            state = initial_state(value)
        changed: dict[str, Any] = {name: value}
        self.state = dataclasses.replace(state, **changed)

    def copy(self) -> "GradientDescent":
        """Return a deep copy."""
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
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
        if getattr(objective, "shape", embedding.shape) != embedding.shape:
            raise ValueError(
                f"the embedding must have the shape {objective.shape}, that of its affinities; "
                f"got {embedding.shape}"
            )
        check_coordinates(embedding, "embedding")
        notify(phase.callbacks, "receive_settings", phase)
        notify(phase.callbacks, "optimization_about_to_start")
        if resume_from is not None:
            resume_from.check(objective.shape, phase)
            embedding[...] = resume_from.embedding
            self.state = resume_from.descent
        state = self.state
        if state is None or state.update.shape != embedding.shape:
            order = objective.sorting(embedding) if objective.gains_by_order else None
            self.state = state = initial_state(embedding, order)
        # The caller's order may change; what is checked must not.
        state = dataclasses.replace(state, order=np.array(state.order))
        check_state(state, embedding.shape, "optimizer.state.")
        loop = Loop(self, state, embedding, objective, phase, saver)
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

        The others are those of ``TSNEEmbedding.optimize``.

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
        accuracy = {
            "theta": theta,
            "n_interpolation_points": n_interpolation_points,
            "min_num_intervals": min_num_intervals,
            "ints_in_interval": ints_in_interval,
        }
        phase = Phase(
            "objective function",
            schedule.classical(
                n_iter,
                len(embedding),
                1.0 if exaggeration is None else float(exaggeration),
                number_or_none(learning_rate),
                number_or_none(momentum),
            ),
            max_grad_norm=max_grad_norm,
            max_step_norm=max_step_norm,
            callbacks=as_callbacks(callbacks) if use_callbacks else (),
            callbacks_every_iters=callbacks_every_iters,
        )
        objective = FunctionObjective(
            objective_function, P, embedding.shape[1], dof, accuracy, resolve_n_jobs(n_jobs)
        )
        return self.run(embedding, objective, phase), embedding


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
