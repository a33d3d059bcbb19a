"""The KL divergence of a map whose edges are on the workers.

In each iteration they are sent the map, 8 bytes a point in two dimensions, and send the forces
on their points back, while the repulsion is computed here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fasttsne.dask.descent import Attractors
from fasttsne.objective.kl import KLDivergence
from fasttsne.runtime.validation import is_permutation

# Points whose cross terms the kernel adds up together, one after the other.
BLOCK = 256


class ClusterKLDivergence(KLDivergence):
    """See the base; P is a :class:`fasttsne.dask.graph.ClusterGraph`."""

    def _read_edges(self, P: Any) -> None:
        self._attractors = Attractors(P, self.dof)

    def reorder(self, order: np.ndarray) -> None:
        """See the base."""
        if self._order is not None and np.array_equal(order, self._order):
            return
        if len(order) != self.shape[0] or not is_permutation(order):
            raise ValueError(f"order must be a permutation of 0 to {self.shape[0] - 1}")
        self._order = None
        self._attractors.reorder(order)
        self._order = order.copy()

    def _start_attraction(self, with_cross: bool) -> Callable[[], float]:
        answers = self._attractors.start("attract", self._points, with_cross)

        def finish() -> float:
            cross = np.empty(self.shape[0], np.float32) if with_cross else None
            for numbers, (forces, part) in answers():
                self.attractive[numbers] = forces
                if cross is not None:
                    cross[numbers] = part
            return 0.0 if cross is None else _sum_in_blocks(cross, self.dof)

        return finish

    def edge_moments(
        self,
        y: np.ndarray,
        v: np.ndarray,
        degree: np.ndarray,
        moments: np.ndarray,
        product: np.ndarray,
    ) -> None:
        self.round(y, self._points)
        for numbers, parts in self._attractors.start("moments", self._points, v)():
            for whole, part in zip((degree, moments, product), parts, strict=True):
                whole[numbers] = part

    def _entropy_term(self) -> float:
        self._total = float(self._P.total)
        return float(self._P.negative_entropy)


def _sum_in_blocks(values: np.ndarray, dof: float) -> float:
    """Return the sum in the order of the kernel: row by row in blocks, and then the blocks."""
    n_blocks = -(-len(values) // BLOCK)
    padded = np.zeros((n_blocks, BLOCK))
    padded.ravel()[: len(values)] = values
    return float(np.sum(padded.cumsum(1)[:, -1] * np.float32(dof)))
