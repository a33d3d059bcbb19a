"""Choice of a neighbour search: what "auto" means, and how many neighbours a perplexity takes."""

from importlib import import_module
from typing import Any

import numpy as np
import scipy.sparse as sp

from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.exact import Exact
from fasttsne.nearest_neighbors.index import Index, KNNIndex, Neighbors
from fasttsne.nearest_neighbors.precomputed import PrecomputedDistanceMatrix, PrecomputedNeighbors
from fasttsne.runtime.typing import Metric, Rows
from fasttsne.runtime.validation import check_number
from fasttsne.utils import is_package_installed

# Module and class, below this package; they are imported on demand, for a fast start.
BACKENDS = {
    "exact": "exact.Exact", "approx": "approx.Approx", "annoy": "backends.annoy.Annoy",
    "hnsw": "backends.hnsw.HNSW", "pynndescent": "backends.pynndescent.NNDescent",
    "faiss": "backends.faiss.Faiss", "sklearn": "backends.scikit.Sklearn",
}  # fmt: skip
# Searches in which "auto" looks for a metric that is not built in, and their packages.
OTHER_PACKAGES = {"sklearn": "scikit-learn", "pynndescent": "pynndescent", "annoy": "annoy"}
# Neighbours of each row per unit of perplexity (van der Maaten 2014).
NEIGHBORS_PER_PERPLEXITY = 3
# Numbers of rows are 32-bit integers.
MAX_PERPLEXITY = 2**31 // NEIGHBORS_PER_PERPLEXITY


def n_neighbors_for(perplexity: float) -> int:
    """Return how many neighbours of each row a perplexity takes."""
    return int(NEIGHBORS_PER_PERPLEXITY * perplexity)


def perplexity_for(n_neighbors: int) -> float:
    """Return the largest perplexity for which so many neighbours suffice, at least 1."""
    return max(n_neighbors / NEIGHBORS_PER_PERPLEXITY, 1.0)


def resolve_k_neighbors(k_neighbors: int | str, perplexity: float, n_samples: int | None) -> int:
    """Return how many neighbours to search for; "auto" follows from the perplexity."""
    if _is_auto(k_neighbors):
        k = n_neighbors_for(perplexity)
    elif isinstance(k_neighbors, str):
        raise ValueError(f"k_neighbors must be 'auto' or an integer; got {k_neighbors!r}")
    else:
        k = check_number(k_neighbors, "k_neighbors", low=1, integer=True)
    return max(k if n_samples is None else min(k, n_samples - 1), 1)


def _automatic(metric: Metric) -> str:
    """Return the name of the search for a metric.

    It depends on what is installed for metrics only that neither built-in search has.

    Raises
    ------
    ImportError
        Where none of the packages is installed that have the metric.
    """
    if not isinstance(metric, str) or metric in Exact.VALID_METRICS:
        return "approx" if isinstance(metric, str) and metric in METRICS else "exact"
    known = [name for name in OTHER_PACKAGES if backend_class(name).has_metric(metric)]
    installed = [name for name in known if is_package_installed(name)]
    if known and not installed:
        # The user has named none of these searches: an error of one would not say what is wrong.
        packages = " or ".join(OTHER_PACKAGES[name] for name in known)
        extras = " or ".join(f"'fasttsne[{name}]'" for name in known)
        raise ImportError(f"metric={metric!r} needs {packages}: pip install {extras}")
    return (installed or ["exact"])[0]


def backend_class(name: str) -> type[KNNIndex]:
    """Return the class of a search in ``BACKENDS``."""
    module, _, cls = BACKENDS[name].rpartition(".")
    found: type[KNNIndex] = getattr(import_module(f"fasttsne.nearest_neighbors.{module}"), cls)
    return found


def make_index(neighbors: Neighbors, data: Rows | None, k: int, **kwargs: Any) -> Index:
    """Return the index of a name in ``BACKENDS``, of a graph of neighbours, or the given one.

    Parameters
    ----------
    neighbors : a name; "auto" is "approx" for the metrics that it has, which searches
        few rows exactly; "exact" for other metrics of SciPy and functions, with any number of
        rows; "sklearn", "pynndescent" or "annoy" for metrics that only they have.  Or a pair
        (indices, distances), as for :class:`PrecomputedNeighbors`; a SciPy sparse matrix of
        distances, as for :class:`PrecomputedDistanceMatrix`; an object with ``build``,
        ``query``, ``k`` and ``n_samples``.
    data : the rows; a square matrix of distances where ``metric`` is "precomputed"; None
        where neighbors is no name.
    k : neighbours of each row; a pair or an object keeps its own.
    kwargs : as for :class:`KNNIndex`.
    """
    metric = kwargs.get("metric", "euclidean")
    if isinstance(metric, str) and metric == "precomputed":
        if not (_is_auto(neighbors) or (isinstance(neighbors, str) and neighbors == "exact")):
            raise ValueError(
                f"neighbors must be 'auto' or 'exact' for metric='precomputed'; got {neighbors!r}"
            )
        return PrecomputedDistanceMatrix(data, k)
    if isinstance(neighbors, str):
        if _is_auto(neighbors):
            neighbors = _automatic(metric)
        if neighbors not in BACKENDS:
            names = ", ".join(map(repr, ("auto", *BACKENDS)))
            raise ValueError(
                f"neighbors must be one of {names}, a graph, or an index; got {neighbors!r}"
            )
        return backend_class(neighbors)(data, k, **kwargs)
    index = _wrap_graph(neighbors, k)
    if data is not None and np.shape(data)[0] != index.n_samples:
        raise ValueError(
            f"neighbors are of {index.n_samples} rows, but the data has {np.shape(data)[0]}"
        )
    return index


def _is_auto(value: object) -> bool:
    return isinstance(value, str) and value == "auto"


def _wrap_graph(neighbors: Any, k: int) -> Index:
    """Return the index of a graph, or the given object if it is one."""
    if isinstance(neighbors, (tuple, list)) and len(neighbors) == 2:
        return PrecomputedNeighbors(*neighbors)
    if sp.issparse(neighbors):
        return PrecomputedDistanceMatrix(neighbors, min(k, max(neighbors.shape[0] - 1, 1)))
    if all(hasattr(neighbors, name) for name in ("build", "query", "k", "n_samples")):
        index: Index = neighbors
        return index
    raise TypeError(
        "neighbors must be a name, a pair (indices, distances), a sparse matrix of distances, "
        f"or an object with build, query, k and n_samples; got {neighbors!r}"
    )
