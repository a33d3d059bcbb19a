"""Maps that preserve density: ``TSNE(density_weight=0.1)``; see its module for the formula."""

from fasttsne.objective.density import (
    DensityObjective,
    correlation_and_gradient,
    standardize_log_radii,
)

# The names of version 0.1.0.
correlation_and_slope = correlation_and_gradient
standardized = standardize_log_radii

__all__ = ["DensityObjective", "correlation_and_slope", "standardized"]
