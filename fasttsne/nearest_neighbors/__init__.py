"""Nearest neighbours: one protocol, the built-in search, optional backends."""

from fasttsne.nearest_neighbors.annoy import Annoy
from fasttsne.nearest_neighbors.approx import Approx
from fasttsne.nearest_neighbors.base import KNNIndex
from fasttsne.nearest_neighbors.exact import Exact
from fasttsne.nearest_neighbors.faiss_index import Faiss
from fasttsne.nearest_neighbors.hnsw import HNSW
from fasttsne.nearest_neighbors.nndescent import NNDescent
from fasttsne.nearest_neighbors.rows import METRICS
from fasttsne.nearest_neighbors.scikit import Sklearn

__all__ = [
    "HNSW",
    "Annoy",
    "Approx",
    "Exact",
    "Faiss",
    "KNNIndex",
    "NNDescent",
    "Sklearn",
    "make_index",
]

BACKENDS = {
    "exact": Exact,
    "approx": Approx,
    "annoy": Annoy,
    "hnsw": HNSW,
    "pynndescent": NNDescent,
    "faiss": Faiss,
    "sklearn": Sklearn,
}


def make_index(neighbors, data, k, **kwargs):
    """The index of a name in ``BACKENDS``, or the given object if it has ``build`` and ``query``.

    Parameters
    ----------
    neighbors : a name, or an index object; "auto" is "approx" for
        the metrics that it has, which searches few rows exactly, else "exact".
    kwargs : as for :class:`KNNIndex`.
    """
    if isinstance(neighbors, str):
        if neighbors == "auto":
            neighbors = "approx" if kwargs.get("metric", "euclidean") in METRICS else "exact"
        if neighbors not in BACKENDS:
            names = ", ".join(map(repr, ("auto", *BACKENDS)))
            raise ValueError(f"neighbors must be one of {names}, or an index; got {neighbors!r}")
        return BACKENDS[neighbors](data, k, **kwargs)
    if all(hasattr(neighbors, name) for name in ("build", "query", "k", "n_samples")):
        return neighbors
    raise TypeError(
        "neighbors must be a name, or an object with build, query, k and n_samples; "
        f"got {neighbors!r}"
    )
