"""What gradient descent makes smaller: objectives, and the protocol for your own."""

from fasttsne.objective.base import Objective
from fasttsne.objective.kl import KLDivergence, kl_divergence
from fasttsne.objective.select import check_method, make_objective, register_objective

__all__ = [
    "KLDivergence",
    "Objective",
    "check_method",
    "kl_divergence",
    "make_objective",
    "register_objective",
]
