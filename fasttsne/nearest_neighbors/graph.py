"""The neighbour graph, from which affinities are made: a value, and the search that finds it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.linalg.robust import SIZE_QUANTILE
from fasttsne.nearest_neighbors.index import Index, Neighbors
from fasttsne.nearest_neighbors.precomputed import PrecomputedNeighbors
from fasttsne.nearest_neighbors.select import make_index
from fasttsne.runtime.rows import to_canonical_floats
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings

# Distances above FAR_RATIO times the upper quartile of their row are shortened to
# SHORTENED_RATIO times it.
FAR_RATIO = 1e4
SHORTENED_RATIO = 100


@dataclass(frozen=True)
class SearchSpec:
    """A neighbour search and its settings (:func:`fasttsne.nearest_neighbors.make_index`)."""

    method: Neighbors = "auto"
    metric: Metric = "euclidean"
    metric_params: Settings = None
    n_jobs: int | None = -1
    random_state: RandomState = None
    verbose: bool = False
    knn_kwargs: Settings = None

    def settings(self) -> dict[str, Any]:
        """Return the keyword arguments of an index."""
        return {name: value for name, value in vars(self).items() if name != "method"}

    def make_index(self, data: Rows | None, k: int) -> Index:
        """Return the index that finds k neighbours of each row."""
        return make_index(self.method, data, k, **self.settings())


@dataclass(frozen=True)
class KNNGraph:
    """The nearest neighbours of all rows.

    Attributes
    ----------
    index : Index
        The index that found the neighbours; its ``query`` finds the neighbours of new rows.
    indices : array of int32, shape (n, k)
        Row indices, nearest first.
    distances : array of float32, shape (n, k)
        Their distances, in units of each row.
    units : array of float64, shape (n,)
        These units.
    """

    index: Index
    indices: Any
    distances: Any
    units: Any

    @classmethod
    def of(cls, index: Index, indices: ArrayLike, distances: ArrayLike) -> "KNNGraph":
        """Return the graph of the neighbours that an index has found.

        Kernels trust row indices: the ones from indices of other packages and from subclasses
        are checked.
        """
        if not type(index).__module__.startswith("fasttsne."):
            indices, distances = PrecomputedNeighbors(indices, distances).build()
        scaled, units = scaled_distances(index, distances)
        return cls(index, np.ascontiguousarray(indices, np.int32), scaled, units)

    @property
    def components(self) -> np.ndarray | None:
        """Principal components of the rows, if the search has computed them."""
        return getattr(self.index, "components_", None)


def find_neighbors(
    data: Rows | None, k: int, spec: SearchSpec, index: Index | KNNGraph | None = None
) -> KNNGraph:
    """Return the graph of the k nearest neighbours of each row of data.

    Parameters
    ----------
    data : array, shape (n, n_features)
        None if ``spec.method`` is a graph, or an index is given.
    k : int
        Neighbours of each row.
    spec : SearchSpec
        The search.
    index : Index or KNNGraph
        An index in place of data, or a graph that is returned as it is.

    Raises
    ------
    ValueError
        If neither or both of data and index are given.
    """
    if index is None and data is None and isinstance(spec.method, str):
        raise ValueError("data is needed where no neighbours or knn_index are given")
    if index is not None and data is not None:
        raise ValueError("data and knn_index were both given; the index has its own data")
    if isinstance(index, KNNGraph):
        return index
    if index is None:
        index = spec.make_index(data, k)
    return KNNGraph.of(index, *index.build())


def scaled_distances(index: Index, distances: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return distances as float32 and their units; the type of given ones says nothing."""
    if getattr(index, "metric", None) == "precomputed":
        distances = to_canonical_floats(distances)
    return to_scaled_float32(distances)


def to_scaled_float32(distances: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return distances as float32 and the scale by which each row was divided, (n,) float64."""
    distances = np.asarray(distances)
    if distances.size:
        distances = _shorten_far(distances)
    scales = np.ones(len(distances))
    if distances.dtype != np.float32:
        largest = distances.max(axis=1).astype(np.float64)
        scales[largest > 0] = largest[largest > 0]
        distances = distances / scales[:, None]
    return np.ascontiguousarray(distances, np.float32), scales


def _shorten_far(distances: np.ndarray) -> np.ndarray:
    """Return distances, those far beyond most of their row shortened.

    Their affinities vanish either way; the others, as fractions of them, would lose all digits.
    """
    position = int(SIZE_QUANTILE * (distances.shape[1] - 1))
    # Neighbours are nearly always sorted, and then this is the answer.
    rows = np.flatnonzero(distances.max(axis=1) / FAR_RATIO > distances[:, position])
    some = distances[rows]
    most = np.partition(some, position, axis=1)[:, position, None]
    is_far = (some / FAR_RATIO > most) & (most > 0)
    if is_far.any():
        distances = distances.copy()
        distances[rows] = np.where(is_far, most * SHORTENED_RATIO, some)
    return distances
