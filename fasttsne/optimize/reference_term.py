"""What draws a map as a whole to a reference, such as its principal components.

The target of a point is its place in the reference, turned, scaled and moved to the map in each
iteration::

    target_i = mean(y) + max(|Y|, 1) Q^T r_i

with the reference r centered and of a root mean square of 1, |Y| that of the centered map, and Q
the rotation or reflection that brings the reference nearest to the map (Procrustes; Schoenemann
1966).  Scaled by least squares, a target would be smaller than the map while the two differ, and
draw all points inwards.

For a weight from 0 to 1, w, the loss is that of anchors (:mod:`fasttsne.anchors`) with

    w / (1 - w) * STRENGTH / (1 + |Y|) * exaggeration * factor of the stage

Distances to targets grow with the map, forces of neighbours do not: by |Y| a weight means the same
for few and many points.  While the points arrange themselves the factor is larger than later, when
local structure forms, with which a strong reference would compete.

Source: Kury, Kobak & Damrich 2025, DREAMS, arXiv 2508.13747; there the weights are (1 - w) and w.
"""

import numpy as np

from fasttsne import _kernels
from fasttsne.optimize.anchor_term import AnchorTerm
from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.target_term import TargetTerm

STRENGTH = 0.17
# The share of the KL divergence that even a weight of 1 leaves, so that the map has a size.
MIN_SHARE = 0.02
# Of targets: a map that is small because a reference contradicts its neighbours would stay so.
MIN_SIZE = 1.0


class ReferenceTerm(TargetTerm):
    """Targets that follow the map, and anchors beside them if there are any.

    Parameters
    ----------
    reference : (n, d) float64, not all points in one place.
    weight : above 0, up to 1.
    anchors : the term of points with targets of their own, or None.
    """

    def __init__(
        self, reference: np.ndarray, weight: float, anchors: AnchorTerm | None, n_threads: int
    ):
        centered = reference - reference.mean(axis=0)
        self._reference = centered / np.sqrt((centered**2).sum(axis=1).mean())
        self._strength = STRENGTH * weight / max(1 - weight, MIN_SHARE)
        self._anchors = anchors
        self.keeps_center = anchors is None
        self.origin = None if anchors is None else anchors.origin
        super().__init__(len(reference), n_threads)

    def reorder(self, order: np.ndarray) -> None:
        self._rows = np.ascontiguousarray(self._reference[order])
        self.targets, self.weights = np.zeros_like(self._rows), np.zeros(len(order))
        self.pins = np.zeros(len(order))
        if self._anchors is not None:
            self._anchors.reorder(order)
            self.pins = self._anchors.pins

    def pin(self, y: np.ndarray) -> None:
        if self._anchors is not None:
            self._anchors.pin(y)

    def begin(self, y: np.ndarray, stage: Stage) -> None:
        turn, shift, size = self._fit(y)
        # Stages of version 0.1.0 have no factor.
        factor = stage.exaggeration * getattr(stage, "structure_factor", 1.0)
        own = self._anchors
        _kernels.follow.place(
            self._rows,
            turn,
            shift,
            self._strength * factor / (1 + size) / len(y),
            self.targets,
            self.weights,
            self._n_threads,
            None if own is None else own.targets,
            None if own is None else own.weights,
        )

    def _fit(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """The matrix and the vector that take the reference to the map, and the map's size."""
        near = y if self.origin is None else y - self.origin
        square, mean, products = _kernels.follow.moments(near, self._rows, self._n_threads)
        size = float(np.sqrt(max(square - (mean**2).sum(), 0.0)))
        left, _, right = np.linalg.svd(products)
        shift = mean if self.origin is None else mean + self.origin
        return max(size, MIN_SIZE) * (left @ right), shift, size
