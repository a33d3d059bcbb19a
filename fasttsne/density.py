"""Maps that preserve density: ``TSNE(density_weight=0.1)``.

The formula is that of ``fasttsne.objective.density``; the names are those of version 0.1.0.
"""

import numpy as np

from fasttsne.objective import density
from fasttsne.objective.density import standardize_log_radii as standardized

__all__ = ["DensityObjective", "correlation_and_slope", "standardized"]


class DensityObjective(density.DensityObjective):
    """See the base."""

    exaggeration = 1.0
    renumber = density.DensityObjective.reorder
    evaluate = density.DensityObjective.compute_forces


def correlation_and_slope(wanted: np.ndarray, squares: np.ndarray) -> tuple[float, np.ndarray]:
    """See ``fasttsne.objective.density.correlation_and_gradient``."""
    return density.correlation_and_gradient(wanted, squares)
