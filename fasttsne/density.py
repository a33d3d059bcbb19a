"""Density-preserving embeddings, den-SNE: ``TSNE(density_weight=0.1)``.

The loss is the KL divergence - density_weight * C, where C is the correlation, over all points, of
a log radius in the data with one in the embedding ::

    log sum_j p_ij d_ij^2 / sum_j p_ij    and    log sum_j w_ij r_ij^2 / sum_j w_ij

Sums are over the edges of the affinity graph; d are distances of samples, r those of points, and w
is the kernel of the embedding.

Source: Narayan, Berger & Cho 2021, Assessing single-cell transcriptomic variability through
density-preserving data visualization (den-SNE).
"""

from fasttsne.objective.kl import DensityObjective, correlation_and_gradient, standardize_log_radii

__all__ = ["DensityObjective", "correlation_and_gradient", "standardize_log_radii"]
