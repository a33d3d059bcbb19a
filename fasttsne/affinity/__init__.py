"""Affinities between rows: how strongly each pair attracts in the embedding."""

from fasttsne.affinity.base import Affinities, log
from fasttsne.affinity.conditional import joint_probabilities_nn
from fasttsne.affinity.fixed_sigma import FixedSigmaNN
from fasttsne.affinity.multiscale import Multiscale, MultiscaleMixture
from fasttsne.affinity.neighbor_based import get_knn_index
from fasttsne.affinity.perplexity import PerplexityBasedNN
from fasttsne.affinity.precomputed import PrecomputedAffinities
from fasttsne.affinity.select import make_affinities
from fasttsne.affinity.uniform import Uniform

__all__ = [
    "Affinities",
    "FixedSigmaNN",
    "Multiscale",
    "MultiscaleMixture",
    "PerplexityBasedNN",
    "PrecomputedAffinities",
    "Uniform",
    "get_knn_index",
    "joint_probabilities_nn",
    "log",
    "make_affinities",
]
