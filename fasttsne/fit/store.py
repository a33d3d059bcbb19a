"""What a fit keeps of its stages, so that it can resume."""

from typing import Any, Protocol

from fasttsne.nearest_neighbors.index import Index
from fasttsne.optimize.plan import Phase
from fasttsne.optimize.state import RunState, StateSaver


class StageStore(Protocol):
    """The results of stages, from an earlier fit that was interrupted or from this one.

    Attributes
    ----------
    phase : int
        The first phase to run.
    state : RunState or None
        The state from which it resumes; None at its beginning.
    """

    phase: int
    state: RunState | None

    def neighbors(self, index: Index) -> tuple[Any, Any]:
        """Return indices and distances, from the store if it has them; else search and save."""

    def read_run(self, shape: tuple[int, int], phases: tuple[Phase, ...]) -> None:
        """Read ``phase`` and ``state`` of an embedding of this shape."""

    def state_of(self, phase: int) -> RunState | None:
        """Return the state from which a phase resumes; None at its beginning."""

    def saver(self, phase: int) -> StateSaver | None:
        """Return what saves the states of a phase."""

    def remove(self) -> None:
        """Remove what was kept: the fit has succeeded."""


class NullStore:
    """The store of a fit without a checkpoint: it keeps nothing."""

    phase = 0
    state: RunState | None = None

    def neighbors(self, index: Index) -> tuple[Any, Any]:
        return index.build()

    def read_run(self, shape: tuple[int, int], phases: tuple[Phase, ...]) -> None:
        pass

    def state_of(self, phase: int) -> RunState | None:
        return None

    def saver(self, phase: int) -> StateSaver | None:
        return None

    def remove(self) -> None:
        pass
