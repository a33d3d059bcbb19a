"""Nearest neighbours: one protocol, the built-in search, optional backends, given graphs."""

from fasttsne.nearest_neighbors.approx import Approx
from fasttsne.nearest_neighbors.backends import HNSW, Annoy, Faiss, NNDescent, Sklearn
from fasttsne.nearest_neighbors.builtin.metrics import METRICS as METRICS
from fasttsne.nearest_neighbors.exact import Exact
from fasttsne.nearest_neighbors.graph import KNNGraph, SearchSpec
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.nearest_neighbors.precomputed import PrecomputedDistanceMatrix, PrecomputedNeighbors
from fasttsne.nearest_neighbors.select import BACKENDS as BACKENDS
from fasttsne.nearest_neighbors.select import make_index

__all__ = [
    "HNSW",
    "Annoy",
    "Approx",
    "Exact",
    "Faiss",
    "KNNGraph",
    "KNNIndex",
    "NNDescent",
    "PrecomputedDistanceMatrix",
    "PrecomputedNeighbors",
    "SearchSpec",
    "Sklearn",
    "make_index",
]
