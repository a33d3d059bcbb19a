"""The preconditioner of several maps: that of each, on its own points."""

import numpy as np

from fasttsne.objective.joint import JointObjective
from fasttsne.optimize.preconditioner import Preconditioner


class JointPreconditioner:
    """Blocks, one a map; steps are divided by the largest eigenvalue of each already.

    What ties points of different maps is in the diagonal alone, which is an upper bound of it.

    Parameters
    ----------
    objective : of which each part has a curvature; y and gradients are in its order of points.
    """

    largest = 1.0

    def __init__(self, objective: JointObjective):
        self._blocks = [(part, Preconditioner(part.objective)) for part in objective.parts]
        self._direction = np.empty(objective.shape)

    def reorder(self) -> None:
        """Forget what depends on the order of points, which is another from now on."""
        for _, block in self._blocks:
            block.reorder()

    def rebuild(self, y: np.ndarray, pulls: np.ndarray | None = None) -> None:
        """Become the preconditioner of the maps y, (n, d) float64; pulls as of a single map."""
        for part, block in self._blocks:
            own = None if pulls is None else pulls[part.rows] / np.float32(part.share)
            block.rebuild(y[part.rows], own)

    def apply(self, gradient: np.ndarray) -> tuple[np.ndarray, float]:
        """The direction, which the next call overwrites, and its product with the gradient."""
        total = 0.0
        for part, block in self._blocks:
            direction, product = block.apply(gradient[part.rows])
            unit = 1 / (part.share * block.largest)
            np.multiply(direction, unit, out=self._direction[part.rows])
            total += unit * product
        return self._direction, total

    def vector_and_spacing(self) -> tuple[np.ndarray | None, float]:
        raise NotImplementedError("no state is kept of a run of several maps")

    def go_on(self, vector: np.ndarray | None, spacing: float) -> None:
        raise NotImplementedError("no state is kept of a run of several maps")
