"""The KL divergence with a term that preserves density.

    loss = KL - density_weight * C

where C is the correlation, over all points, of the log radius that a row's neighbours
have in the data with the one that they have in the map,

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
from fasttsne.objective.edges import LocalEdges
from fasttsne.objective.kl import KLDivergence
from fasttsne.repulsion import Repulsion

# Added to the squared radii of a map: smaller ones are not distinguished.
MIN_SQUARED_RADIUS = 1e-2
# Radii in the data are raised to this share of the median: equal rows are not infinitely dense.
MIN_RADIUS_SHARE = 1e-4
# Added to the variance of a map's log radii: a map of one density is not magnified to noise.
VARIANCE_SHIFT = 0.1
# float32 can hold it times any squared distance.
MAX_FACTOR = 1e15


class DensityObjective(KLDivergence):
    """The KL divergence less the correlation of radii: see the module.

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
        self._all_target_radii = standardize_log_radii(log_radii)
        self._target_radii = self._all_target_radii
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
