"""Affinities between rows: how strongly each pair attracts in the embedding."""

from fasttsne.affinity.base import Affinities, PrecomputedAffinities, log
from fasttsne.affinity.conditional import joint_probabilities_nn
from fasttsne.affinity.families import (
    FixedSigmaNN,
    Multiscale,
    MultiscaleMixture,
    PerplexityBasedNN,
    Uniform,
    make_affinities,
)
from fasttsne.affinity.neighbor_based import get_knn_index

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
