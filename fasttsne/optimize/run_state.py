"""The state in the middle of a phase: what the loop goes on with as if nothing had happened."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fasttsne.optimize.plan import Phase
from fasttsne.optimize.state import DescentState, check_state
from fasttsne.optimize.stopping import Check
from fasttsne.runtime.canonical import check_finite
from fasttsne.runtime.validation import check_coordinates


@dataclass(frozen=True)
class RunState:
    """The state before an iteration of a phase; arrays are in the order of the rows.

    It is of iterations in which the preconditioner, if there is one, is made anew: of that only
    the vector of its power iteration and its spacing are left.

    Attributes
    ----------
    embedding : (n, d) float64.
    descent : steps, gains, order, and the number of iterations of all phases.
    stage, number, step : of the stage in the phase, the iteration in the stage, and the iteration
        in the phase, each from 0.
    checks : of the stage so far.
    rate, shortening : length of steps, and a factor on that of preconditioned ones.
    is_preconditioned : whether the iteration before was.
    loss_left : as of the optimizer.
    kept : (n, d) float64, the map that the loop may go back to, or None.
    vector : (n, d) float32 of the preconditioner, or None; spacing : of its grid, or None.
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
        """Raise ValueError for what is no state of a map of this shape in this phase."""
        arrays: dict[str, tuple[Any, type]] = {
            "embedding": (self.embedding, np.float64),
            "kept": (self.kept, np.float64),
            "vector": (self.vector, np.float32),
        }
        for name, (array, dtype) in arrays.items():
            if array is None and name != "embedding":
                continue
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
            (check_finite if dtype == np.float32 else check_coordinates)(array, name)
        check_state(self.descent, shape, "state_")
        if not 0 <= self.stage < len(phase.stages):
            raise ValueError(f"it has a stage {self.stage} of {len(phase.stages)}")
        if not 0 <= self.number < phase.stages[self.stage].n_iter or self.step < self.number:
            raise ValueError(f"it has an iteration {self.number} of stage {self.stage}")


class Keeper(Protocol):
    """Keeps states of a run, to go on from if it is killed."""

    def is_due(self) -> bool:
        """Whether a state is wanted."""

    def keep(self, state: RunState) -> None:
        """Take a state, whose arrays are its own."""
