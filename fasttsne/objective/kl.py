"""The KL divergence between affinities and a map, and its gradient.

    KL = sum p log p + sum p (-log w) + log Z,    w = (1 + r^2 / dof)^-dof
    dKL/dy_i = 4 (exaggeration * attractive_i - repulsive_i / Z)

P itself is never changed: exaggeration scales the attractive forces.
"""

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.objective.base import Objective
from fasttsne.objective.edges import edge_source
from fasttsne.repulsion import Repulsion
from fasttsne.runtime.validation import check_number, is_permutation

# Z of a map whose points are all far apart is nearly zero, and an approximation of it may be
# below; this share of n is a floor that no map in use comes near.
MIN_Z_PER_POINT = 1e-6


class KLDivergence(Objective):
    """The KL divergence of a map.

    Parameters
    ----------
    P : (n, n) CSR matrix of affinities, or a graph that ``edge_source`` knows.
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
        self.repulsion = repulsion
        self.dof = dof
        self._points, self.attractive, self.repulsive = np.empty((3, *self.shape), np.float32)
        self.z = 1.0
        self._edges = edge_source(P, dof, n_threads)
        self._order: np.ndarray | None = None

    def reorder(self, order: np.ndarray) -> None:
        """Take another order of points, as the base says; it costs as much as a few iterations."""
        if self._order is not None and np.array_equal(order, self._order):
            return
        if len(order) != self.shape[0] or not is_permutation(order):
            raise ValueError(f"order must be a permutation of 0 to {self.shape[0] - 1}")
        self._order = None  # an interrupt must not leave edges in another order than this
        self._edges.reorder(order)
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
        attraction = self._edges.start_attraction(self._points, self.attractive, with_error)
        z = self.repulsion(self._points, self.repulsive)
        cross = attraction()
        self.z = max(z, MIN_Z_PER_POINT * len(y))
        if not with_error:
            return None
        entropy = self._edges.entropy
        return entropy.negative_entropy + cross + float(np.log(self.z)) * entropy.total

    def edge_moments(
        self,
        y: np.ndarray,
        v: np.ndarray,
        degree: np.ndarray,
        moments: np.ndarray,
        product: np.ndarray,
    ) -> None:
        self.round(y, self._points)
        self._edges.moments(self._points, v, (degree, moments, product))

    def exaggerated_loss(self, error: float, exaggeration: float) -> float:
        """Return exaggeration * sum p (log p - log w) + log Z."""
        log_z = float(np.log(self.z))
        return exaggeration * (error - log_z) + log_z

    def gradient_norm(self) -> float:
        gradient = 4 * (self.attractive - self.repulsive / np.float32(self.z))
        return float(np.linalg.norm(gradient.astype(np.float64)))

    def error_of_one_place(self) -> float:
        n = self.shape[0]
        entropy = self._edges.entropy
        return entropy.negative_entropy + float(np.log(n * (n - 1.0))) * entropy.total

    @property
    def approximation(self) -> str | None:
        return getattr(self.repulsion, "last_method", None)


def kl_divergence(
    P: sp.csr_matrix, y: np.ndarray, repulsion: Repulsion, dof: float = 1.0, n_threads: int = 1
) -> float:
    """Return the KL divergence of one map, (n, d) array; see the class for the other arguments."""
    objective = KLDivergence(P, repulsion, y.shape[1], dof, n_threads)
    objective.reorder(np.arange(len(y), dtype=np.int32))
    error = objective.compute_forces(np.asarray(y), with_error=True)
    assert error is not None
    return error
