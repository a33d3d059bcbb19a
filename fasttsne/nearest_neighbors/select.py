"""Choice of a neighbour search: what "auto" means, and how many neighbours a perplexity takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from fasttsne.nearest_neighbors.approx import Approx
from fasttsne.nearest_neighbors.backends import (
    HNSW,
    Annoy,
    Faiss,
    NNDescent,
    Sklearn,
    package_for,
)
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.exact import Exact
from fasttsne.nearest_neighbors.index import Index, KNNIndex, Neighbors
from fasttsne.nearest_neighbors.precomputed import PrecomputedDistanceMatrix, PrecomputedNeighbors
from fasttsne.runtime.typing import Metric, Rows
from fasttsne.runtime.validation import check_number
from fasttsne.utils import is_package_installed

# Searches by the names that ``neighbors`` takes.
BACKENDS: Mapping[str, type[KNNIndex]] = {
    "exact": Exact,
    "approx": Approx,
    **{backend.EXTRA: backend for backend in (Annoy, HNSW, NNDescent, Faiss, Sklearn)},
}
# Neighbours of each row per unit of perplexity (van der Maaten 2014).
NEIGHBORS_PER_PERPLEXITY = 3
# Numbers of rows are 32-bit integers.
MAX_PERPLEXITY = 2**31 // NEIGHBORS_PER_PERPLEXITY


def n_neighbors_for(perplexity: float) -> int:
    """Return how many neighbours of each row a perplexity takes."""
    return int(NEIGHBORS_PER_PERPLEXITY * float(perplexity))


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


def resolve_search(neighbors: str, metric: Metric, is_sparse: bool = False) -> str:
    """Return the search that "auto" or "approx" is for a metric, whatever is installed.

    Both are the built-in approximate search where it has the metric.  Otherwise "auto" is the
    built-in exact search, where it has the metric, and "approx" a search of another package.

    Raises
    ------
    ImportError
        Where that package is not installed.
    ValueError
        Where no approximate search has the metric.
    """
    is_name = isinstance(metric, str)
    if is_name and metric in METRICS:
        return "approx"
    if not is_name and not callable(metric):
        return "exact"  # whose error names the metrics
    is_exact = not is_name or metric in Exact.VALID_METRICS
    if is_exact and neighbors == "auto":
        return "exact"
    package = package_for(metric, is_sparse)
    if package is None and is_exact:
        raise ValueError(
            f"neighbors='approx' has no search for metric={metric!r}; neighbors='exact' has one"
        )
    if package is None:
        return "exact"
    if not is_package_installed(package.EXTRA):
        exact = "; neighbors='exact' needs no package" if is_exact else ""
        raise ImportError(
            f"metric={metric!r} with neighbors={neighbors!r} needs {package.LIBRARY}: "
            f"pip install 'fasttsne[{package.EXTRA}]'{exact}"
        )
    return package.EXTRA


def make_index(neighbors: Neighbors, data: Rows | None, k: int, **kwargs: Any) -> Index:
    """Return the index of a name in ``BACKENDS``, of a graph of neighbours, or the given one.

    Parameters
    ----------
    neighbors : a name; "auto" is "approx" for the metrics that it has, which searches
        few rows exactly; "exact" for other metrics of SciPy and functions, with any number of
        rows; "annoy" or "pynndescent" for metrics that only they have.  "approx" is one of these
        two for all metrics that it does not have (``select.resolve_search``).  Or a pair
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
        if neighbors in ("auto", "approx"):
            neighbors = resolve_search(neighbors, metric, sp.issparse(data))
        if neighbors not in BACKENDS:
            names = ", ".join(map(repr, ("auto", *BACKENDS)))
            raise ValueError(
                f"neighbors must be one of {names}, a graph, or an index; got {neighbors!r}"
            )
        return BACKENDS[neighbors](data, k, **kwargs)
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
