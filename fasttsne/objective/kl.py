"""The KL divergence between affinities and a map, and its gradient.

    KL = sum p log p + sum p (-log w) + log Z,    w = (1 + r^2 / dof)^-dof
    dKL/dy_i = 4 (exaggeration * attractive_i - repulsive_i / Z)

P itself is never changed: exaggeration scales the attractive forces.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.objective.base import Objective
from fasttsne.objective.edges import PIECE, PackedEdges, edges_of, largest_value, pack_edges
from fasttsne.repulsion import Repulsion
from fasttsne.runtime.validation import check_number, is_permutation

# Z of a map whose points are all far apart is nearly zero, and an approximation of it may be
# below; this share of n is a floor that no map in use comes near.
MIN_Z_PER_POINT = 1e-6


class KLDivergence(Objective):
    """The KL divergence of a map.

    Parameters
    ----------
    P : (n, n) CSR matrix of affinities.
    repulsion : one of ``fasttsne.repulsion``: called with points, (n, d) float32, and an array of
        that shape for the forces, it returns Z.
    n_components : dimensions of the map, at most 3.
    dof : degrees of freedom of the kernel.
    n_threads : how many threads share the work.  Results do not depend on it.

    Attributes
    ----------
    attractive, repulsive : (n, d) float32 arrays; ``repulsive`` is not divided by ``z``.
    z : sum of the similarities of all pairs.
    """

    has_curvature = True

    def __init__(
        self,
        P: sp.csr_matrix,
        repulsion: Repulsion,
        n_components: int,
        dof: float = 1.0,
        n_threads: int = 1,
    ):
        super().__init__((P.shape[0], n_components), n_threads)
        check_number(n_components, "n_components", low=1, high=3, integer=True)
        self._P = P
        self.repulsion = repulsion
        self.dof = dof
        self._points, self.attractive, self.repulsive = np.empty((3, *self.shape), np.float32)
        self._partial_sums = np.empty(_kernels.attraction.count_blocks(P.shape[0]))
        self.z = 1.0
        self._edges: PackedEdges | None = None
        self._order: np.ndarray | None = None
        self._negative_entropy: float | None = None
        self._read_edges(P)

    def _read_edges(self, P: sp.csr_matrix) -> None:
        self._indptr, self._columns, self._values = edges_of(P, "affinities.P")
        self._largest = largest_value(self._values)

    def reorder(self, order: np.ndarray) -> None:
        """Take another order of points, as the base says; it costs as much as a few iterations."""
        if self._order is not None and np.array_equal(order, self._order):
            return
        if len(order) != self.shape[0] or not is_permutation(order):
            raise ValueError(f"order must be a permutation of 0 to {self.shape[0] - 1}")
        columns, n_edges = self._columns, self._indptr[-1]
        if n_edges > min(len(columns), len(self._values)) or (
            columns.size and not 0 <= columns.min() <= columns.max() < len(order)
        ):
            raise ValueError("affinities.P was changed in place: its indices are out of bounds")
        self._order = None  # an interrupt must not leave edges in another order than this
        spare, self._edges = list(self._edges or ()), None
        position = np.empty(len(order), np.int32)
        position[order] = np.arange(len(order), dtype=np.int32)
        self._edges = pack_edges(
            (self._indptr, self._columns, self._values),
            order,
            position,
            self._largest,
            self.n_threads,
            spare=spare,
        )
        self._order = order.copy()

    def gradient(
        self, y: np.ndarray, exaggeration: float = 1.0, with_error: bool = False
    ) -> tuple[np.ndarray, float | None]:
        error = self.compute_forces(y, with_error)
        _kernels.gradient_step.combine_forces(
            self.attractive, self.repulsive, self.z, exaggeration, self._gradient, self.n_threads
        )
        return self._gradient, error

    def compute_forces(self, y: np.ndarray, with_error: bool = False) -> float | None:
        """Write ``attractive``, ``repulsive`` and ``z``; return the KL divergence if wanted."""
        for array in self._points, self.attractive, self.repulsive:
            if array.shape != y.shape:
                raise ValueError(f"y and forces must have the shape {self.shape}; got {y.shape}")
        self.round(y, self._points)
        attraction = self._start_attraction(with_error)
        z = self.repulsion(self._points, self.repulsive)
        cross = attraction()
        self.z = max(z, MIN_Z_PER_POINT * len(y))
        if not with_error:
            return None
        return self._entropy_term() + cross + float(np.log(self.z)) * self._total

    def _start_attraction(self, with_cross: bool) -> Callable[[], float]:
        """Compute ``attractive`` at ``_points``, at the latest when what is returned is called.

        That returns the cross term.
        """
        assert self._edges is not None
        cross: float = _kernels.attraction.attraction(
            *self._edges,
            self._points,
            self.attractive,
            self.dof,
            with_cross,
            self.n_threads,
            self._partial_sums,
        )
        return lambda: cross

    def edge_moments(
        self,
        y: np.ndarray,
        v: np.ndarray,
        degree: np.ndarray,
        moments: np.ndarray,
        product: np.ndarray,
    ) -> None:
        assert self._edges is not None
        self.round(y, self._points)
        _kernels.attraction.edge_moments(
            *self._edges, self._points, v, self.dof, degree, moments, product, self.n_threads
        )

    def exaggerated_loss(self, error: float, exaggeration: float) -> float:
        """exaggeration * sum p (log p - log w) + log Z."""
        log_z = float(np.log(self.z))
        return exaggeration * (error - log_z) + log_z

    def gradient_norm(self) -> float:
        gradient = 4 * (self.attractive - self.repulsive / np.float32(self.z))
        return float(np.linalg.norm(gradient.astype(np.float64)))

    def error_of_one_place(self) -> float:
        n = self.shape[0]
        return self._entropy_term() + float(np.log(n * (n - 1.0))) * self._total

    @property
    def approximation(self) -> str | None:
        return getattr(self.repulsion, "last_method", None)

    def _entropy_term(self) -> float:
        """sum p log p, which no map changes; computed when first asked for, in pieces."""
        if self._negative_entropy is None:
            entropy = total = 0.0
            for start in range(0, len(self._values), PIECE):
                p = self._values[start : start + PIECE]
                p = p[p > 0]
                total += p.sum(dtype=np.float64)
                entropy += (p * np.log(p)).sum(dtype=np.float64)
            self._negative_entropy, self._total = float(entropy), float(total)
        return self._negative_entropy


def kl_divergence(
    P: sp.csr_matrix, y: np.ndarray, repulsion: Repulsion, dof: float = 1.0, n_threads: int = 1
) -> float:
    """The KL divergence of one map, (n, d) array; the other arguments as for the class."""
    objective = KLDivergence(P, repulsion, y.shape[1], dof, n_threads)
    objective.reorder(np.arange(len(y), dtype=np.int32))
    error = objective.compute_forces(np.asarray(y), with_error=True)
    assert error is not None
    return error
