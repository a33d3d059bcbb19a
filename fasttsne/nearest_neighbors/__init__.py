"""Nearest neighbours: one protocol, the built-in search, optional backends, given graphs."""

from typing import TYPE_CHECKING

from fasttsne.nearest_neighbors import packages
from fasttsne.nearest_neighbors.approx import Approx
from fasttsne.nearest_neighbors.builtin.metrics import METRICS as METRICS
from fasttsne.nearest_neighbors.exact import Exact
from fasttsne.nearest_neighbors.graph import KNNGraph, SearchSpec
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.nearest_neighbors.packages import BACKENDS as BACKENDS
from fasttsne.nearest_neighbors.precomputed import PrecomputedDistanceMatrix, PrecomputedNeighbors
from fasttsne.nearest_neighbors.select import make_index

if TYPE_CHECKING:
    from fasttsne.nearest_neighbors.backends.annoy import Annoy
    from fasttsne.nearest_neighbors.backends.faiss import Faiss
    from fasttsne.nearest_neighbors.backends.hnsw import HNSW
    from fasttsne.nearest_neighbors.backends.pynndescent import NNDescent
    from fasttsne.nearest_neighbors.backends.scikit import Sklearn

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


def __getattr__(name: str) -> type[KNNIndex]:
    """The class of a backend, which is imported on demand."""
    for backend, path in packages.BACKENDS.items():
        if path.endswith(f".{name}"):
            return packages.backend_class(backend)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
