"""Nearest neighbours: one protocol, the built-in search, optional backends, given graphs."""

from fasttsne.nearest_neighbors.builtin.metrics import METRICS as METRICS
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.nearest_neighbors.select import (
    BACKENDS as BACKENDS,
)
from fasttsne.nearest_neighbors.select import (
    HNSW,
    Annoy,
    Approx,
    Exact,
    Faiss,
    NNDescent,
    PrecomputedDistanceMatrix,
    PrecomputedNeighbors,
    Sklearn,
    make_index,
)

__all__ = [
    "HNSW",
    "Annoy",
    "Approx",
    "Exact",
    "Faiss",
    "KNNIndex",
    "NNDescent",
    "PrecomputedDistanceMatrix",
    "PrecomputedNeighbors",
    "Sklearn",
    "make_index",
]
