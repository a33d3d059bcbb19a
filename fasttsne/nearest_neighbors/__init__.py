"""Nearest neighbours: one protocol, the built-in search, optional backends, given graphs."""

import numpy as np
import scipy.sparse as sp

from fasttsne.nearest_neighbors.approx import Approx
from fasttsne.nearest_neighbors.backends.annoy import Annoy
from fasttsne.nearest_neighbors.backends.faiss import Faiss
from fasttsne.nearest_neighbors.backends.hnsw import HNSW
from fasttsne.nearest_neighbors.backends.pynndescent import NNDescent
from fasttsne.nearest_neighbors.backends.scikit import Sklearn
from fasttsne.nearest_neighbors.builtin.rows import METRICS
from fasttsne.nearest_neighbors.exact import Exact
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.nearest_neighbors.precomputed import PrecomputedDistanceMatrix, PrecomputedNeighbors

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
    """The index of a name in ``BACKENDS``, of a graph of neighbours, or the given one.

    Parameters
    ----------
    neighbors : a name; "auto" is "approx" for the metrics that it has, which searches
        few rows exactly, else "exact".  Or a pair (indices, distances), as for
        :class:`PrecomputedNeighbors`; a SciPy sparse matrix of distances, as for
        :class:`PrecomputedDistanceMatrix`; an object with ``build``, ``query``, ``k``
        and ``n_samples``.
    data : the rows; a square matrix of distances where ``metric`` is "precomputed"; None
        where neighbors is no name.
    k : neighbours of each row; a pair or an object keeps its own.
    kwargs : as for :class:`KNNIndex`.
    """
    metric = kwargs.get("metric", "euclidean")
    if isinstance(metric, str) and metric == "precomputed":
        if not (isinstance(neighbors, str) and neighbors in ("auto", "exact")):
            raise ValueError(
                f"neighbors must be 'auto' or 'exact' for metric='precomputed'; got {neighbors!r}"
            )
        return PrecomputedDistanceMatrix(data, k)
    if isinstance(neighbors, str):
        if neighbors == "auto":
            is_built_in = isinstance(metric, str) and metric in METRICS
            neighbors = "approx" if is_built_in else "exact"
        if neighbors not in BACKENDS:
            names = ", ".join(map(repr, ("auto", *BACKENDS)))
            raise ValueError(
                f"neighbors must be one of {names}, a graph, or an index; got {neighbors!r}"
            )
        return BACKENDS[neighbors](data, k, **kwargs)
    index = _given(neighbors, k)
    if data is not None and np.shape(data)[0] != index.n_samples:
        raise ValueError(
            f"neighbors are of {index.n_samples} rows, but the data has {np.shape(data)[0]}"
        )
    return index


def _given(neighbors, k):
    """The index of a graph or object that stands where a name could."""
    if isinstance(neighbors, (tuple, list)) and len(neighbors) == 2:
        return PrecomputedNeighbors(*neighbors)
    if sp.issparse(neighbors):
        return PrecomputedDistanceMatrix(neighbors, min(k, max(neighbors.shape[0] - 1, 1)))
    if all(hasattr(neighbors, name) for name in ("build", "query", "k", "n_samples")):
        return neighbors
    raise TypeError(
        "neighbors must be a name, a pair (indices, distances), a sparse matrix of distances, "
        f"or an object with build, query, k and n_samples; got {neighbors!r}"
    )
