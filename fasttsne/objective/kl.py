"""The KL divergence between affinities and a map, its gradient, and a term that preserves density.

    KL = sum p log p + sum p (-log w) + log Z,    w = (1 + r^2 / dof)^-dof
    dKL/dy_i = 4 (exaggeration * attractive_i - repulsive_i / Z)

P itself is never changed: exaggeration scales the attractive forces.  With density the loss is
KL - density_weight * C, where C is the correlation, over all points, of the log radius that a row's
neighbours have in the data with the one that they have in the map,

    log sum_j p_ij d_ij^2 / sum_j p_ij    and    log sum_j w_ij r_ij^2 / sum_j w_ij,

over the edges of the affinity graph, d being distances of rows and r distances of points.
t-SNE alone gives each row the same room.

Source: Narayan, Berger & Cho 2021, Assessing single-cell transcriptomic variability through
density-preserving data visualization (den-SNE).
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne import _kernels
from fasttsne.linalg.robust import largest_ordinary
from fasttsne.objective.base import Objective
from fasttsne.objective.edges import LocalEdges, edge_source
from fasttsne.repulsion import Repulsion
from fasttsne.runtime.validation import check_number, is_permutation

# Z of a map whose points are all far apart is nearly zero, and an approximation of it may be
# below; this share of n is a floor that no map in use comes near.
MIN_Z_PER_POINT = 1e-6
# Added to the squared radii of a map: smaller ones are not distinguished.
MIN_SQUARED_RADIUS = 1e-2
# Radii in the data are raised to this share of the median: equal rows are not infinitely dense.
MIN_RADIUS_SHARE = 1e-4
# Added to the variance of a map's log radii: a map of one density is not magnified to noise.
VARIANCE_SHIFT = 0.1
# float32 can hold it times any squared distance.
MAX_FACTOR = 1e15


class KLDivergence(Objective):
    """The KL divergence of a map.

    Parameters
    ----------
    P : (n, n) CSR matrix of affinities, or a graph that ``edge_source`` knows.
    repulsion : one of ``fasttsne.repulsion``: called with points, (n, d) float32, an array of that
        shape for the forces, and how many threads it may use, it returns Z.
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
        """Take over an order of points; it costs as much as a few iterations."""
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
        with self._edges.attraction(self._points, self.attractive, with_error) as n_threads:
            z = self.repulsion(self._points, self.repulsive, n_threads)
        self.z = max(z, MIN_Z_PER_POINT * len(y))
        if not with_error:
            return None
        entropy = self._edges.entropy
        return entropy.negative_entropy + self._edges.cross + float(np.log(self.z)) * entropy.total

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
        return self.repulsion.last_method


def kl_divergence(
    P: sp.csr_matrix, y: np.ndarray, repulsion: Repulsion, dof: float = 1.0, n_threads: int = 1
) -> float:
    """Return the KL divergence of one map, (n, d) array; see the class for the other arguments."""
    objective = KLDivergence(P, repulsion, y.shape[1], dof, n_threads)
    objective.reorder(np.arange(len(y), dtype=np.int32))
    error = objective.compute_forces(np.asarray(y), with_error=True)
    assert error is not None
    return error


class DensityObjective(KLDivergence):
    """The KL divergence less the correlation of radii.

    Parameters
    ----------
    P, repulsion, n_components, dof, n_threads : as for the base.
    log_radii : (n,) array, of the rows in the data
        (:meth:`fasttsne.affinity.Affinities.log_radii`).
    weight : of the correlation.

    Attributes
    ----------
    correlation : C at the points of the last ``gradient``.

    The error is the KL divergence alone; ``repulsive`` has the forces of both terms.
    """

    def __init__(
        self,
        P: sp.csr_matrix,
        repulsion: Repulsion,
        n_components: int,
        dof: float,
        n_threads: int,
        log_radii: ArrayLike,
        weight: float,
    ):
        super().__init__(P, repulsion, n_components, dof, n_threads)
        n = P.shape[0]
        self.weight = weight
        self.correlation = 0.0
        self._all_target_radii = self._target_radii = standardize_log_radii(log_radii)
        self._sums, self._squares = np.empty((2, n), np.float32)
        self._factors = np.empty((n, 2), np.float32)
        self._density_forces = np.empty(self.shape, np.float32)

    def reorder(self, order: np.ndarray) -> None:
        super().reorder(order)
        self._target_radii = self._all_target_radii[order]

    def compute_forces(self, y: np.ndarray, with_error: bool = False) -> float | None:
        error = super().compute_forces(y, with_error)
        assert isinstance(self._edges, LocalEdges)  # P is in this process
        packed = self._edges.packed
        assert packed is not None
        _kernels.local_radii.radii(
            *packed, self._points, self.dof, self._sums, self._squares, self.n_threads
        )
        self.correlation, slope = correlation_and_gradient(self._target_radii, self._squares)
        with np.errstate(divide="ignore", invalid="ignore"):
            a = np.where(self._sums > 0, slope / self._sums, 0)
        # The sum of weights of an isolated point hardly differs from 0.
        np.clip(a, -MAX_FACTOR, MAX_FACTOR, out=a)
        self._factors[:, 0] = a
        self._factors[:, 1] = a * self._squares
        _kernels.local_radii.forces(
            *packed, self._points, self._factors, self.dof, self._density_forces, self.n_threads
        )
        # The gradient has repulsive / z, and is a quarter.
        self.repulsive += np.float32(self.z * self.weight / 4) * self._density_forces
        return error

    def loss(self, error: float) -> float:
        return error - self.weight * self.correlation


def standardize_log_radii(log_radii: ArrayLike) -> np.ndarray:
    """Return log radii with mean 0 and variance 1, (n,) float64; zeros where all are equal.

    Before that, radii below 1e-4 of the median are raised to that, so that equal rows are not
    infinitely dense, and radii of far rows (``fasttsne.linalg.robust``) become the largest of the
    others.

    log_radii : (n,) array, with -inf for a row whose neighbours are equal to it.
    """
    radii = np.array(log_radii, np.float64)
    finite = np.isfinite(radii)
    if not finite.any():
        return np.zeros_like(radii)
    median = np.median(radii[finite])
    with np.errstate(under="ignore"):
        relative = np.exp((radii - median) / 2)
    is_far = relative > largest_ordinary(np.sort(relative), 1.0)
    radii[is_far] = radii[~is_far].max()
    np.maximum(radii, median + np.log(MIN_RADIUS_SHARE), out=radii)
    radii -= radii.mean()
    deviation = radii.std()
    # Radii that differ by rounding only are equal.
    return radii / deviation if deviation > 1e-6 else np.zeros_like(radii)


def correlation_and_gradient(
    target_radii: np.ndarray, squares: np.ndarray
) -> tuple[float, np.ndarray]:
    """C, and its derivative by each squared radius of the map.

    Parameters
    ----------
    target_radii : (n,) standardized log radii of the data.
    squares : (n,) squared radii of the map.
    """
    shifted = squares.astype(np.float64) + MIN_SQUARED_RADIUS
    logs = np.log(shifted)
    logs -= logs.mean()
    deviation = np.sqrt((logs**2).mean() + VARIANCE_SHIFT)
    correlation = float((target_radii * logs).mean() / deviation)
    slope = (target_radii / deviation - correlation * logs / deviation**2) / len(logs)
    return correlation, slope / shifted
