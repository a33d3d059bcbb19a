"""Maps that preserve density, den-SNE: ``TSNE(density_weight=0.1)``.

The loss is the KL divergence - density_weight * C, where C is the correlation, over all points, of
a log radius in the data with one in the map ::

    log sum_j p_ij d_ij^2 / sum_j p_ij    and    log sum_j w_ij r_ij^2 / sum_j w_ij

Sums are over the edges of the affinity graph; d are distances of rows, r those of points, and w is
the kernel of the map.  The names below are those of version 0.1.0; ``fasttsne.objective.density``
has what runs use.

Source: Narayan, Berger & Cho 2021, Assessing single-cell transcriptomic variability through
density-preserving data visualization (den-SNE).
"""

import numpy as np

from fasttsne.objective import density
from fasttsne.objective.density import standardize_log_radii as standardized

__all__ = ["DensityObjective", "correlation_and_slope", "standardized"]


class DensityObjective(density.DensityObjective):
    """The KL divergence less weight times the correlation of log radii.

    Parameters
    ----------
    P, repulsion, n_components, dof, n_threads : as for :class:`fasttsne.objective.KLDivergence`.
    log_radii : (n,) array, of the rows in the data
        (:meth:`fasttsne.affinity.Affinities.log_radii`).
    weight : of the correlation.

    Attributes
    ----------
    correlation : C at the points of the last ``gradient``.
    """

    exaggeration = 1.0
    renumber = density.DensityObjective.reorder
    evaluate = density.DensityObjective.compute_forces


def correlation_and_slope(wanted: np.ndarray, squares: np.ndarray) -> tuple[float, np.ndarray]:
    """C, and its derivative by each squared radius of the map.

    Parameters
    ----------
    wanted : (n,) log radii of the data, as from :func:`standardized`.
    squares : (n,) squared radii of the map.

    Returns
    -------
    correlation : float.
    slope : (n,) float64 array.
    """
    return density.correlation_and_gradient(wanted, squares)
