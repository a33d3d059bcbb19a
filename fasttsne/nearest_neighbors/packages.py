"""Searches by name, which are imported on demand, and which package has a metric."""

from importlib import import_module

from fasttsne.nearest_neighbors.index import SIMILARITIES, KNNIndex
from fasttsne.runtime.typing import Metric

# Module and class, below this package; they are imported on demand, for a fast start.
BACKENDS = {
    "exact": "exact.Exact",
    "approx": "approx.Approx",
    "annoy": "backends.annoy.Annoy",
    "hnsw": "backends.hnsw.HNSW",
    "pynndescent": "backends.pynndescent.NNDescent",
    "faiss": "backends.faiss.Faiss",
    "sklearn": "backends.scikit.Sklearn",
}
# Packages for metrics that the built-in approximate search does not have: the first that has one.
PACKAGES_BY_METRIC = {"annoy": "Annoy", "pynndescent": "PyNNDescent"}


def backend_class(name: str) -> type[KNNIndex]:
    """Return the class of a search in ``BACKENDS``."""
    module, _, cls = BACKENDS[name].rpartition(".")
    found: type[KNNIndex] = getattr(import_module(f"fasttsne.nearest_neighbors.{module}"), cls)
    return found


def package_for(metric: Metric, is_sparse: bool = False) -> str | None:
    """Return the search of another package that "approx" is for a metric, or None."""
    for name in PACKAGES_BY_METRIC if metric not in SIMILARITIES else ():
        backend = backend_class(name)
        if backend.has_metric(metric) and (backend.ACCEPTS_SPARSE or not is_sparse):
            return name
    return None
