"""The KL divergence of a map of which only some points move.

What the others are to each other is constant, and their repulsion is a field, made once: an
iteration costs in proportion to the points that move, and to their edges.
"""

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.objective.base import Objective
from fasttsne.objective.edges import PackedEdges, edges_of, largest_value, pack_edges
from fasttsne.repulsion import Repulsion
from fasttsne.repulsion.fixed_reference import FixedRepulsion


class FreePointsDivergence(Objective):
    """The KL divergence of n fixed and m free points, as a function of the free ones.

    Parameters
    ----------
    P : (m, n + m) CSR matrix, the rows of the free points of all affinities; in its columns, too,
        they are the last.
    fixed : (n, d) float32 array, where the others are.
    field : of the fixed points, on others.
    repulsion : of the free points on each other, and of the fixed ones.
    dof : degrees of freedom of the kernel.
    n_threads : how many threads share the work.

    The error is the KL divergence less what does not depend on the free points, the sum over the
    edges between fixed points.
    """

    is_translation_invariant = False
    gains_by_order = False

    def __init__(
        self,
        P: sp.csr_matrix,
        fixed: np.ndarray,
        field: FixedRepulsion,
        repulsion: Repulsion,
        dof: float = 1.0,
        n_threads: int = 1,
    ):
        n = len(fixed)
        super().__init__((P.shape[0], fixed.shape[1]), n_threads)
        self.dof, self._fixed, self._field, self._repulsion = dof, fixed, field, repulsion
        largest = largest_value(P.data)
        self._to_fixed = self._pack(P[:, :n], largest)
        self._to_free = self._pack(P[:, n:], largest)
        self._points, self._attractive, self._repulsive, self._more = np.empty(
            (4, *self.shape), np.float32
        )
        self._z = np.empty(self.shape[0])
        self._z_of_fixed = repulsion(fixed, np.empty_like(fixed))

    def _pack(self, P: sp.csr_matrix, largest: float) -> PackedEdges:
        n_rows, n_columns = P.shape
        order, position = np.arange(n_rows, dtype=np.int32), np.arange(n_columns, dtype=np.int32)
        return pack_edges(
            edges_of(sp.csr_matrix(P), "P"),
            order,
            position,
            largest,
            self.n_threads,
            is_between=True,
        )

    def sums_of_fixed(self, places: np.ndarray) -> np.ndarray:
        """Return the sum of w over the fixed points, (any,) float64, at places, (any, d)."""
        places = np.ascontiguousarray(places, np.float32)
        sums = np.empty(len(places))
        self._field(places, np.empty_like(places), sums)
        return sums

    def normalization(self, y: np.ndarray) -> float:
        """Return Z, the sum of w over all pairs, less those of free points with each other."""
        return self._z_of_fixed + 2 * float(self.sums_of_fixed(y).sum())

    def reorder(self, order: np.ndarray) -> None:
        """Raise ValueError for any order but the caller's."""
        if not np.array_equal(order, np.arange(self.shape[0])):
            raise ValueError("free points keep the caller's order")

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
