"""Points that are drawn to places of their own."""

import numpy as np

from fasttsne.anchors import Anchors
from fasttsne.optimize.target_term import TargetTerm


class AnchorTerm(TargetTerm):
    """Targets that stay where they are: :class:`fasttsne.Anchors`."""

    def __init__(self, anchors: Anchors, n_threads: int):
        self._anchors = anchors
        super().__init__(len(anchors.weights), n_threads)

    def reorder(self, order: np.ndarray) -> None:
        self.targets = self._anchors.targets[order]
        self.weights = self._anchors.weights[order] / len(order)
        self.pins = np.where(np.isinf(self.weights), np.inf, 0.0)

    def pin(self, y: np.ndarray) -> None:
        is_pinned = np.isinf(self.weights)
        y[is_pinned] = self.targets[is_pinned]
