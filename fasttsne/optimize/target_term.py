"""What draws points to targets: a term of every descent, beside its objective.

In units of the gradient that objectives return, a quarter, it is weight / n * (y - target).  Plain
steps take it implicitly; preconditioned ones have it in the gradient and in the curvature.
"""

from abc import ABC, abstractmethod

import numpy as np

from fasttsne import _kernels
from fasttsne.optimize.schedule import Stage

# A point of this weight is as near to its target as float64 resolves.  The curvature, in float32,
# holds it, divided by any exaggeration, and for any number of points.
MAX_WEIGHT = 1e30
# Farther from 0 than this, float32 does not resolve the points of a start.
FAR = 100.0


def far_origin(places: np.ndarray) -> np.ndarray | None:
    """Return the middle of places, (any, d), if single precision is to be used about it."""
    middle: np.ndarray = np.median(places, axis=0)
    return middle if np.abs(middle).max() > FAR else None


class TargetTerm(ABC):
    """Targets of all points in the order of the loop.

    Attributes
    ----------
    targets : (n, d) float64.
    weights : (n,) float64, divided by n; infinite for points that are pinned.
    pins : (n,) float64, infinite for those and 0 for others: what preconditioned steps take.
    keeps_center : whether the map as a whole is drawn nowhere.
    origin : (d,) where it is drawn to, if that is far from 0; or None.
    looks_ahead : whether ``look_ahead`` does something.
    """

    targets: np.ndarray
    weights: np.ndarray
    pins: np.ndarray
    keeps_center = False
    origin: np.ndarray | None = None
    looks_ahead = False

    def __init__(self, n: int, n_threads: int):
        self._n_threads = n_threads
        self._sums = np.empty(_kernels.gradient_step.count_blocks(n))
        self.reorder(np.arange(n, dtype=np.int32))

    @abstractmethod
    def reorder(self, order: np.ndarray) -> None:
        """From now on row r is the point ``order[r]``."""

    def begin(self, y: np.ndarray, stage: Stage) -> None:  # noqa: B027 -- most stay
        """Place targets that depend on the map, (n, d), before an iteration of a stage."""

    def look_ahead(self, y: np.ndarray, step: np.ndarray) -> None:  # noqa: B027 -- most stay
        """Place targets for a plain step, (n, d), which the map is about to take."""

    @abstractmethod
    def pin(self, y: np.ndarray) -> None:
        """Move pinned points of a map, (n, d), to their targets."""

    def pull(self, y: np.ndarray, gradient: np.ndarray) -> None:
        """Add the term to a gradient, (n, d); that of pinned points becomes 0."""
        _kernels.gradient_step.pull(
            y, self.targets, self.weights, gradient, self._sums, self._n_threads
        )

    def loss(self, y: np.ndarray) -> float:
        """2 / n sum weight |y - target|^2 over the points that can move."""
        energy: float = _kernels.gradient_step.pull(
            y, self.targets, self.weights, np.zeros_like(y), self._sums, self._n_threads
        )
        return 2 * energy

    def curvature(self, exaggeration: float) -> np.ndarray:
        """(n,) float32, in units of the attraction, which an exaggeration multiplies."""
        with np.errstate(over="ignore"):
            result: np.ndarray = (self.weights / exaggeration).astype(np.float32)
        return result
