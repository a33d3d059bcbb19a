"""Maps that keep density: where rows are crowded, points are; where sparse, they are sparse.

    loss = KL - density_weight * C

where C is the correlation, over all points, of the log radius that a row's neighbours
have in the data with the one that they have in the map,

    log sum_j p_ij d_ij^2 / sum_j p_ij    and    log sum_j w_ij r_ij^2 / sum_j w_ij,

over the edges of the affinity graph, d being distances of rows and r those of points.
t-SNE alone gives each row the same room.

Source: Narayan, Berger & Cho 2021, Assessing single-cell transcriptomic variability through
density-preserving data visualization (den-SNE).
"""

import numpy as np

from fasttsne import _kernels
from fasttsne.objective.kl import Objective

# Squared radii of a map are told apart down to about here; and a share of the typical one
# of the data, so that equal rows are not infinitely far from all others.
LEAST_SQUARED_RADIUS = 1e-2
LEAST_SHARE = 1e-4
# Added to the variance of a map's log radii: a map of one density is not magnified to noise.
LEAST_VARIANCE = 0.1
# float32 can take it times any squared distance.
MOST_PULL = 1e15


class DensityObjective(Objective):
    """The KL divergence less the correlation of radii: see the module.

    Parameters
    ----------
    P, repulsion, n_components, dof, n_threads : as for the base.
    log_radii : (n,) array, of the rows in the data
        (:meth:`fasttsne.affinity.Affinities.log_radii`).
    weight : of the correlation.

    Attributes
    ----------
    correlation : C at the points of the last ``evaluate``.

    ``evaluate`` returns the KL divergence alone; ``repulsive`` has the forces of both.
    """

    def __init__(self, P, repulsion, n_components, dof, n_threads, log_radii, weight):
        super().__init__(P, repulsion, n_components, dof, n_threads)
        n = P.shape[0]
        self.weight = weight
        self.correlation = 0.0
        self._standard_radii = standardized(log_radii)
        self._wanted = self._standard_radii
        self._sums, self._squares = np.empty((2, n), np.float32)
        self._factors = np.empty((n, 2), np.float32)
        self._change = np.empty((n, n_components), np.float32)

    def renumber(self, order) -> None:
        super().renumber(order)
        self._wanted = self._standard_radii[order]

    def evaluate(self, y, with_error: bool = False) -> float | None:
        error = super().evaluate(y, with_error)
        _kernels.local_radii.radii(
            *self._edges, self._points, self.dof, self._sums, self._squares, self.n_threads
        )
        self.correlation, slope = correlation_and_slope(self._wanted, self._squares)
        with np.errstate(divide="ignore", invalid="ignore"):
            a = np.where(self._sums > 0, slope / self._sums, 0)
        # Of a point that is alone: its sum of weights hardly differs from 0.
        np.clip(a, -MOST_PULL, MOST_PULL, out=a)
        self._factors[:, 0] = a
        self._factors[:, 1] = a * self._squares
        indptr, columns, _ = self._edges
        _kernels.local_radii.forces(
            indptr, columns, self._points, self._factors, self.dof, self._change, self.n_threads
        )
        # A step follows attractive - repulsive / z, a quarter of the gradient.
        self.repulsive += np.float32(self.z * self.weight / 4) * self._change
        return error

    def loss(self, error: float) -> float:
        return error - self.weight * self.correlation


def standardized(log_radii) -> np.ndarray:
    """With mean 0 and variance 1; the least are raised to a share of the typical one."""
    radii = np.array(log_radii, np.float64)
    known = np.isfinite(radii)
    if not known.any():
        return np.zeros_like(radii)
    np.maximum(radii, np.median(radii[known]) + np.log(LEAST_SHARE), out=radii)
    radii -= radii.mean()
    deviation = radii.std()
    # Radii that differ by rounding only are equal.
    return radii / deviation if deviation > 1e-6 else np.zeros_like(radii)


def correlation_and_slope(wanted, squares) -> tuple[float, np.ndarray]:
    """C, and its derivative by each squared radius of the map.

    Parameters
    ----------
    wanted : (n,) standardized log radii of the data.
    squares : (n,) squared radii of the map.
    """
    shifted = squares.astype(np.float64) + LEAST_SQUARED_RADIUS
    logs = np.log(shifted)
    logs -= logs.mean()
    spread = np.sqrt((logs**2).mean() + LEAST_VARIANCE)
    correlation = float((wanted * logs).mean() / spread)
    slope = (wanted / spread - correlation * logs / spread**2) / len(logs)
    return correlation, slope / shifted
