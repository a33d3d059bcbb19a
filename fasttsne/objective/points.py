"""The KL divergences of new points in a map that does not move.

    KL_i = sum_j p_ij log(p_ij / (w_ij / Z_i)),    Z_i = sum_j w_ij,    over the map's points j

Each new point has affinities p_i that sum to one, and a KL divergence of its own: points
that are placed together do not see each other.
"""

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.objective.base import Objective, RowTasks
from fasttsne.objective.edges import edges_of, pack_edges
from fasttsne.repulsion.fixed_reference import FixedRepulsion

# Of a point by itself: below it float32 forces are denormal, or 0.
MIN_Z = 1e-30


class NewPointsDivergence(Objective):
    """The mean of the KL divergences of new points, and the gradient of each.

    Points keep the caller's order, so that the result for one does not depend on the others.

    Parameters
    ----------
    P : (m, n) CSR matrix, each row of which sums to one.
    reference : (n, d) float32 array, the map.
    repulsion : of the map on other points (:mod:`fasttsne.repulsion.fixed_reference`).
    dof : degrees of freedom of the kernel.
    n_threads : how many threads share the work.
    """

    is_translation_invariant = False
    gains_by_order = False
    scale = 2.0  # of each point's divergence: a pair counts once

    def __init__(
        self,
        P: sp.csr_matrix,
        reference: np.ndarray,
        repulsion: FixedRepulsion,
        dof: float = 1.0,
        n_threads: int = 1,
    ):
        super().__init__((P.shape[0], reference.shape[1]), n_threads)
        edges = edges_of(P, "P")
        if P.shape[1] != len(reference):
            raise ValueError(
                f"P must have {len(reference)} columns, the points of the map; got {P.shape[1]}"
            )
        self.dof = dof
        self._reference = reference
        self._repulsion = repulsion
        self._P = P
        m, n = P.shape
        # What no row can exceed: the bits of a row's values do not depend on the other rows.
        self._edges = pack_edges(
            edges,
            np.arange(m, dtype=np.int32),
            np.arange(n, dtype=np.int32),
            1.0,
            n_threads,
            is_between=True,
        )
        self._points, self._attractive, self._repulsive = np.empty((3, *self.shape), np.float32)
        self._z = np.empty(m)
        self._partial_sums = np.empty(_kernels.attraction.count_blocks(m))

    def reorder(self, order: np.ndarray) -> None:
        """Raise ValueError for any order but the caller's."""
        if not np.array_equal(order, np.arange(self.shape[0])):
            raise ValueError("new points keep the caller's order")

    def gradient(
        self, y: np.ndarray, exaggeration: float = 1.0, with_error: bool = False
    ) -> tuple[np.ndarray, float | None]:
        np.copyto(self._points, y, casting="same_kind")
        cross = _kernels.attraction.attraction_to(
            *self._edges,
            self._points,
            self._reference,
            self._attractive,
            self.dof,
            with_error,
            self.n_threads,
            self._partial_sums,
        )
        self._repulsion(self._points, self._repulsive, self._z)
        # The map's kernel may have tails too light for a point so far out.
        np.maximum(self._z, MIN_Z, out=self._z)
        self._repulsive /= self._z[:, None]
        _kernels.gradient_step.combine_forces(
            self._attractive, self._repulsive, 1.0, exaggeration, self._gradient, self.n_threads
        )
        return self._gradient, self._mean_divergence(cross) if with_error else None

    def row_tasks(self) -> RowTasks | None:
        field = self._repulsion.row_task(self._points, self._repulsive, self._z)
        if field is None:
            return None
        attraction = _kernels.attraction.row_task(
            *self._edges, self._points, self._reference, self._attractive, self.dof
        )
        return RowTasks(
            (attraction, field), self._points, self._attractive, self._repulsive, self._z, MIN_Z
        )

    def _mean_divergence(self, cross: float) -> float:
        p = self._P.data[self._P.data > 0]
        totals = np.asarray(self._P.sum(axis=1)).ravel()
        log_z = (totals * np.log(self._z)).sum()
        return float(((p * np.log(p)).sum() + cross + log_z) / self.shape[0])
