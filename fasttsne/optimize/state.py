"""The state of an optimization: between two calls, in the middle of a phase, and in the loop."""

import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fasttsne import _kernels
from fasttsne.optimize.plan import Phase
from fasttsne.optimize.stopping import Check
from fasttsne.runtime.rows import check_finite
from fasttsne.runtime.validation import MAX_COORDINATE, check_coordinates, is_permutation

# Iterations, counted over all calls, at which points are sorted along the space-filling curve of
# the map: often while the map is made, seldom later.
REORDER_AT = (20, 100, 300)
REORDER_EVERY = 1000


@dataclass
class DescentState:
    """What the next call resumes from; arrays are in the caller's order of rows.

    Attributes
    ----------
    update, gains : (n, d) float32, the last step and the gain of each coordinate.
    order : (n,) int32, the point at each position of the optimizer's own order.
    iteration : number of iterations of all calls.
    """

    update: np.ndarray
    gains: np.ndarray
    order: np.ndarray
    iteration: int = 0


def initial_state(embedding: np.ndarray, order: np.ndarray | None = None) -> DescentState:
    """Return the state before the first iteration; None is the order of the rows."""
    n = len(embedding)
    return DescentState(
        update=np.zeros(embedding.shape, np.float32),
        gains=np.ones(embedding.shape, np.float32),
        order=np.arange(n, dtype=np.int32) if order is None else order,
    )


def check_state(state: DescentState, shape: tuple[int, ...], name: str) -> None:
    """Raise ValueError where a state is not of points of this shape, which kernels rely on."""
    for part, array in ("update", state.update), ("gains", state.gains):
        if not _is_array(array, np.float32, shape):
            raise ValueError(f"{name}{part} is not float32 of shape {shape}")
        check_finite(array, f"{name}{part}")
    n = shape[0]
    if not _is_array(state.order, np.int32, (n,)):
        raise ValueError(f"{name}order is not int32 of shape ({n},)")
    if not is_permutation(state.order):
        raise ValueError(f"{name}order is not a permutation of 0 to {n - 1}")
    if type(state.iteration) is not int or state.iteration < 0:
        raise ValueError(f"{name}iteration is {state.iteration!r}, no count")


def _is_array(value: object, dtype: type, shape: tuple[int, ...]) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == dtype and value.shape == shape


@dataclass(frozen=True, kw_only=True)
class RunState:
    """The state before an iteration of a phase; arrays are in the order of the rows.

    The preconditioner, if there is one, is rebuilt in this iteration: only the vector of its power
    iteration and its spacing are kept.

    Attributes
    ----------
    embedding : (n, d) float64.
    descent : steps, gains, order, and the number of iterations of all phases.
    stage, number, step : of the stage in the phase, the iteration in the stage, and the iteration
        in the phase, each from 0.
    checks : of the stage so far.
    rate, shortening : learning rate of the stage, after its halvings; product of all halvings of
        preconditioned steps.
    is_preconditioned : whether the iteration before was.
    loss_left : of the optimizer.
    kept : (n, d) float64, the embedding to which the loop may go back, or None.
    vector, spacing : (n, d) float32, of the preconditioner, and of its grid, or None.
    """

    embedding: np.ndarray
    descent: DescentState
    stage: int
    number: int
    step: int
    checks: tuple[Check, ...]
    rate: float
    shortening: float
    is_preconditioned: bool
    loss_left: float | None
    kept: np.ndarray | None = None
    vector: np.ndarray | None = None
    spacing: float | None = None

    def check(self, shape: tuple[int, int], phase: Phase) -> None:
        """Raise ValueError for what is no state of an embedding of this shape in this phase."""
        _check_points(self.embedding, "embedding", shape)
        if self.kept is not None:
            _check_points(self.kept, "kept", shape)
        if self.vector is not None:
            if not _is_array(self.vector, np.float32, shape):
                raise ValueError(f"vector is {self.vector.dtype} of shape {self.vector.shape}")
            check_finite(self.vector, "vector")
        check_state(self.descent, shape, "state_")
        if not 0 <= self.stage < len(phase.stages):
            raise ValueError(f"it has a stage {self.stage} of {len(phase.stages)}")
        if not 0 <= self.number < phase.stages[self.stage].n_iter or self.step < self.number:
            raise ValueError(f"it has an iteration {self.number} of stage {self.stage}")


def _check_points(array: np.ndarray, name: str, shape: tuple[int, int]) -> None:
    if not _is_array(array, np.float64, shape):
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    check_coordinates(array, name)


class StateSaver(Protocol):
    """Saves states of a run, from which it can be resumed."""

    def is_due(self) -> bool:
        """Whether a state should be saved now."""

    def save(self, state: RunState) -> None:
        """Save a state, whose arrays nobody else changes."""


def reordering_is_due(iteration: int) -> bool:
    """Return whether points are sorted before the iteration of this number, from 0."""
    return iteration in REORDER_AT or (iteration > 0 and iteration % REORDER_EVERY == 0)


@dataclass(frozen=True)
class WorkingPoints:
    """The loop's arrays, all in its own order of points.

    An order and its arrays are one object, replaced as a whole: an interrupt
    between two of its lines cannot leave them inconsistent.
    """

    order: np.ndarray
    y: np.ndarray
    update: np.ndarray
    gains: np.ndarray

    @classmethod
    def from_state(cls, embedding: np.ndarray, state: DescentState) -> "WorkingPoints":
        order = state.order
        y = np.ascontiguousarray(np.asarray(embedding)[order], dtype=np.float64)
        return cls(order, y, state.update[order], state.gains[order])

    def reordered(self, change: np.ndarray) -> "WorkingPoints":
        """Return the points in another order: row r is what row ``change[r]`` was."""
        return WorkingPoints(
            self.order[change], self.y[change], self.update[change], self.gains[change]
        )

    def check_array(self, embedding: np.ndarray) -> None:
        """Raise ValueError where a callback has changed what kind of array the embedding is.

        Kernels trust the shape; it is put right first, so that the embedding stays whole.
        """
        shape, dtype = np.shape(embedding), embedding.dtype
        if self.restore_array(embedding):
            raise ValueError(
                f"a callback must not change the shape of the embedding, {self.y.shape}, or its "
                f"dtype, or make it read-only; it was left with shape {shape}, dtype {dtype}"
            )

    def restore_array(self, embedding: np.ndarray) -> bool:
        """Restore its dtype, shape and write flag; return whether one of them had changed."""
        kind = embedding.dtype, embedding.shape, embedding.flags.writeable
        if kind == (self.y.dtype, self.y.shape, True):
            return False
        embedding.setflags(write=True)
        with warnings.catch_warnings():
            # NumPy 2.5 warns of what the callback did, and of undoing it: there is no other way.
            warnings.simplefilter("ignore", DeprecationWarning)
            if embedding.dtype != self.y.dtype:
                embedding.shape = (-1,)
                setattr(embedding, "dtype", self.y.dtype)  # noqa: B010 (its stub is read-only)
            if embedding.shape != self.y.shape:
                embedding.shape = self.y.shape
        return True

    def write_to(self, embedding: np.ndarray) -> None:
        _kernels.coordinates.scatter(self.y, self.order, np.asarray(embedding))

    def read_from(self, embedding: np.ndarray) -> None:
        """Take over points that a callback has moved in the live embedding."""
        check_written(embedding)
        _kernels.coordinates.gather(np.asarray(embedding), self.order, self.y)

    def to_state(self, iteration: int) -> DescentState:
        update, gains = np.empty_like(self.update), np.empty_like(self.gains)
        update[self.order], gains[self.order] = self.update, self.gains
        return DescentState(update, gains, self.order.copy(), iteration)


def check_written(embedding: np.ndarray) -> None:
    """Raise ValueError where a callback has moved points of the live embedding out of bounds."""
    low, high = np.min(embedding, initial=0), np.max(embedding, initial=0)
    if not (low >= -MAX_COORDINATE and high <= MAX_COORDINATE):  # false for NaN, too
        raise ValueError(
            f"a callback may write finite numbers up to {MAX_COORDINATE:g} into the embedding; it "
            f"now has numbers from {low} to {high}"
        )
