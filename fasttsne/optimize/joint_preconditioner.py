"""The preconditioner of several maps whose points are tied to each other.

Ties hold partners together, but not maps that move together.  The preconditioner of each map
alone, which has the weights of ties on its diagonal, would hold back both.  So there is one more,
of all points and without the ties, whose hat functions have the same value for all maps at a
place: it moves what is common to them.
"""

import numpy as np

from fasttsne.objective.joint import JointObjective
from fasttsne.optimize.preconditioner import Preconditioner
from fasttsne.optimize.target_term import TargetTerm
from fasttsne.optimize.ties import TieTerm


class JointPreconditioner(Preconditioner):
    """The sum of a preconditioner of all points, without a local part, and one of each map.

    Parameters
    ----------
    objective : of which each part has a curvature; y and gradients are in its order of points.
    anchors : what ties its points to each other, if anything does.
    """

    _jacobi = 0.0

    def __init__(self, objective: JointObjective, anchors: TargetTerm | None):
        super().__init__(objective)
        self._anchors = anchors
        self._blocks = [(part, Preconditioner(part.objective)) for part in objective.parts]

    def reorder(self) -> None:
        super().reorder()
        for _, block in self._blocks:
            block.reorder()

    def rebuild(self, y: np.ndarray, pulls: np.ndarray | None = None) -> None:
        for part, block in self._blocks:
            own = None if pulls is None else pulls[part.rows] / np.float32(part.share)
            block.rebuild(y[part.rows], own)
        self._weights = pulls
        super().rebuild(y)

    def apply(self, gradient: np.ndarray) -> tuple[np.ndarray, float]:
        direction, total = super().apply(gradient)
        for part, block in self._blocks:
            own, product = block.apply(gradient[part.rows])
            direction[part.rows] += own / part.share
            total += product / part.share
        return direction, total

    def _add_pulls(self, product: np.ndarray) -> None:
        if self._weights is None:
            return
        change = self._vector.astype(np.float64)
        if isinstance(self._anchors, TieTerm):
            change -= self._anchors.average(change)
        product += self._weights[:, None] * change
