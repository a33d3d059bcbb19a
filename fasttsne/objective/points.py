"""The KL divergences of points that move among points that do not.

New points in a map, each by itself::

    KL_i = sum_j p_ij log(p_ij / (w_ij / Z_i)),    Z_i = sum_j w_ij,    over the map's points j

Each has affinities p_i that sum to one: points that are placed together do not see each other.
And the free points of a map whose others are fixed.  What the others are to each other is constant,
and their repulsion is a field, made once: an iteration costs in proportion to the points that move,
and to their edges.
"""

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.objective.base import Objective, RowTasks
from fasttsne.objective.edges import (
    BETWEEN,
    PackedEdges,
    RowBlock,
    edges_of,
    largest_value,
    pack_edges,
)
from fasttsne.repulsion import Repulsion
from fasttsne.repulsion.fixed_reference import FixedRepulsion

# Of a point by itself: below it float32 forces are denormal, or 0.
MIN_Z = 1e-30


class _MovingPoints(Objective):
    """Base class of the objectives of points among fixed ones; they keep the caller's order."""

    is_translation_invariant = False
    gains_by_order = False

    def __init__(self, P: sp.csr_matrix, fixed: np.ndarray, dof: float, n_threads: int):
        super().__init__((P.shape[0], fixed.shape[1]), n_threads)
        self.dof, self._fixed = dof, fixed
        self._points, self._attractive, self._repulsive = np.empty((3, *self.shape), np.float32)
        self._z = np.empty(self.shape[0])

    def _pack(self, P: sp.csr_matrix, largest: float) -> PackedEdges:
        order, position = (np.arange(n, dtype=np.int32) for n in P.shape)
        blocks = [RowBlock(edges_of(sp.csr_matrix(P), "P"), order)]
        return pack_edges(blocks, position, largest, self.n_threads, reach=BETWEEN)

    def reorder(self, order: np.ndarray) -> None:
        """Raise ValueError for any order but the caller's."""
        if not np.array_equal(order, np.arange(self.shape[0])):
            raise ValueError("points among fixed ones keep the caller's order")


class NewPointsDivergence(_MovingPoints):
    """The mean of the KL divergences of new points, and the gradient of each.

    The result for one does not depend on the others.

    Parameters
    ----------
    P : (m, n) CSR matrix, each row of which sums to one.
    reference : (n, d) float32 array, the map.
    repulsion : of the map on other points (:mod:`fasttsne.repulsion.fixed_reference`).
    """

    scale = 2.0  # of each point's divergence: a pair counts once

    def __init__(
        self,
        P: sp.csr_matrix,
        reference: np.ndarray,
        repulsion: FixedRepulsion,
        dof: float = 1.0,
        n_threads: int = 1,
    ):
        super().__init__(P, reference, dof, n_threads)
        if P.shape[1] != len(reference):
            raise ValueError(
                f"P must have {len(reference)} columns, the points of the map; got {P.shape[1]}"
            )
        self._repulsion, self._P = repulsion, P
        # What no row can exceed: the bits of a row's values do not depend on the other rows.
        self._edges = self._pack(P, largest=1.0)
        self._partial_sums = np.empty(_kernels.attraction.count_blocks(P.shape[0]))

    def gradient(
        self, y: np.ndarray, exaggeration: float = 1.0, with_error: bool = False
    ) -> tuple[np.ndarray, float | None]:
        np.copyto(self._points, y, casting="same_kind")
        arrays = self._points, self._fixed, self._attractive
        cross = _kernels.attraction.attraction_to(
            *self._edges, *arrays, self.dof, with_error, self.n_threads, self._partial_sums
        )
        self._repulsion(self._points, self._repulsive, self._z)
        # The map's kernel may have tails too light for a point so far out.
        np.maximum(self._z, MIN_Z, out=self._z)
        self._repulsive /= self._z[:, None]
        _kernels.gradient_step.combine_forces(
            self._attractive, self._repulsive, 1.0, exaggeration, self._gradient, self.n_threads
        )
        return self._gradient, self._mean_divergence(cross) if with_error else None

    def row_tasks(self, with_spares: bool = False) -> RowTasks | None:
        arrays = self._points, self._repulsive, self._z
        field = self._repulsion.row_task(*arrays)
        if field is None:
            return None
        spare = self._repulsion.spare_task(*arrays) if with_spares else None
        attraction = _kernels.attraction.row_task(
            *self._edges, self._points, self._fixed, self._attractive, self.dof
        )
        forces = self._attractive, self._repulsive, self._z
        return RowTasks((attraction, field), (None, spare), self._points, *forces, MIN_Z)

    def _mean_divergence(self, cross: float) -> float:
        p = self._P.data[self._P.data > 0]
        totals = np.asarray(self._P.sum(axis=1)).ravel()
        log_z = (totals * np.log(self._z)).sum()
        return float(((p * np.log(p)).sum() + cross + log_z) / self.shape[0])


class FreePointsDivergence(_MovingPoints):
    """The KL divergence of n fixed and m free points, as a function of the free ones.

    The error is the KL divergence less what does not depend on the free points, the sum over the
    edges between fixed points.

    Parameters
    ----------
    P : (m, n + m) CSR matrix, the rows of the free points of all affinities; in its columns, too,
        they are the last.
    fixed : (n, d) float32 array, where the others are.
    field : of the fixed points, on others.
    repulsion : of the free points on each other, and of the fixed ones.
    """

    def __init__(
        self,
        P: sp.csr_matrix,
        fixed: np.ndarray,
        field: FixedRepulsion,
        repulsion: Repulsion,
        dof: float = 1.0,
        n_threads: int = 1,
    ):
        super().__init__(P, fixed, dof, n_threads)
        self._field, self._repulsion = field, repulsion
        largest = largest_value(P.data)
        self._to_fixed = self._pack(P[:, : len(fixed)], largest)
        self._to_free = self._pack(P[:, len(fixed) :], largest)
        self._more = np.empty(self.shape, np.float32)
        self._z_of_fixed = repulsion(fixed, np.empty_like(fixed))

    def sums_of_fixed(self, places: np.ndarray) -> np.ndarray:
        """Return the sum of w over the fixed points, (any,) float64, at places, (any, d)."""
        places = np.ascontiguousarray(places, np.float32)
        sums = np.empty(len(places))
        self._field(places, np.empty_like(places), sums)
        return sums

    def normalization(self, y: np.ndarray) -> float:
        """Return Z, the sum of w over all pairs but the pairs of free points."""
        return self._z_of_fixed + 2 * float(self.sums_of_fixed(y).sum())

    def gradient(
        self, y: np.ndarray, exaggeration: float = 1.0, with_error: bool = False
    ) -> tuple[np.ndarray, float | None]:
        np.copyto(self._points, y, casting="same_kind")
        cross = 2 * self._attract(self._to_fixed, self._fixed, self._attractive, with_error)
        cross += self._attract(self._to_free, self._points, self._more, with_error)
        self._attractive += self._more
        self._field(self._points, self._repulsive, self._z)
        z = self._z_of_fixed + 2 * float(self._z.sum())
        if len(y) > 1:
            z += self._repulsion(self._points, self._more)
            self._repulsive += self._more
        _kernels.gradient_step.combine_forces(
            self._attractive, self._repulsive, z, exaggeration, self._gradient, self.n_threads
        )
        return self._gradient, cross + float(np.log(z)) if with_error else None

    def _attract(
        self, edges: PackedEdges, others: np.ndarray, out: np.ndarray, with_error: bool
    ) -> float:
        cross: float = _kernels.attraction.attraction_to(
            *edges, self._points, others, out, self.dof, with_error, self.n_threads
        )
        return cross
