"""Points that are drawn to places of their own."""

import numpy as np

from fasttsne.anchors import Anchors
from fasttsne.optimize.target_term import MAX_WEIGHT, TargetTerm, far_origin


class AnchorTerm(TargetTerm):
    """Targets that stay where they are: :class:`fasttsne.Anchors`."""

    def __init__(self, anchors: Anchors, n_threads: int):
        self._anchors = anchors
        self.origin = far_origin(anchors.targets[anchors.weights > 0])
        super().__init__(len(anchors.weights), n_threads)

    def reorder(self, order: np.ndarray) -> None:
        self.targets = self._anchors.targets[order]
        weights = self._anchors.weights[order]
        finite = np.minimum(weights, MAX_WEIGHT)
        self.weights = np.where(np.isinf(weights), np.inf, finite) / len(order)
        self.pins = np.where(np.isinf(self.weights), np.inf, 0.0)

    def pin(self, y: np.ndarray) -> None:
        is_pinned = np.isinf(self.weights)
        y[is_pinned] = self.targets[is_pinned]
