"""Affinities between rows: how much each pair attracts."""

from fasttsne.affinity.base import Affinities, log
from fasttsne.affinity.perplexity import PerplexityBasedNN
from fasttsne.affinity.precomputed import PrecomputedAffinities

__all__ = ["Affinities", "PerplexityBasedNN", "PrecomputedAffinities", "log"]
