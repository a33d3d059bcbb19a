"""What gradient descent makes smaller: one objective a file."""

from fasttsne.objective.kl import Objective, kl_divergence

__all__ = ["Objective", "kl_divergence"]
