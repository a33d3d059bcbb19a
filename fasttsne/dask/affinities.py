"""The affinities of a fit on a cluster: as the local ones, their neighbours and graph elsewhere."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fasttsne.affinity.conditional import from_mixture, from_perplexity
from fasttsne.affinity.multiscale import MultiscaleMixture
from fasttsne.affinity.neighbor_based import KNNAffinities
from fasttsne.affinity.perplexity import PerplexityBasedNN
from fasttsne.dask.graph import ClusterGraph, conditional_affinities, symmetric_graph
from fasttsne.dask.neighbors import search_class
from fasttsne.dask.objective import ClusterKLDivergence
from fasttsne.nearest_neighbors.known import find_neighbors

WITHOUT_GRAPH = (
    "the graph of affinities was on the cluster, which has its memory back since the fit ended: "
    "fit again, or with fasttsne.TSNE, to optimize this map further or to read its affinities"
)


class ClusterAffinities(KNNAffinities):
    """What both families of affinities have in common on a cluster.

    New rows get their affinities from the index and the rows of the data, as locally, where those
    are (:mod:`fasttsne.dask.transform`).
    """

    kl_divergence = ClusterKLDivergence
    graph: ClusterGraph | None = None
    _tables: Any = None
    _n_samples = 0

    @property
    def n_samples(self) -> int:
        return self._n_samples

    def _find_neighbors(
        self, data: Any, k: int, knn_index: Any, method: Any, **search: Any
    ) -> None:
        search_for = search_class(method, search["metric"])
        self.knn_index = search_for(data, k, **search)
        self._tables = find_neighbors(self.knn_index)
        self._n_samples, self.knn_index.data = len(data), None  # so that workers need not keep them
        # Of the tables, what is asked of the arrays that the local affinities have.
        self._indices = np.broadcast_to(np.int32(0), self._tables[0].shape)

    def _set_joint(self, k: int | None = None) -> None:
        k = min(self._indices.shape[1] if k is None else k, self._indices.shape[1])
        tables, self._tables = list(self._tables), None  # which workers may forget soon
        cluster, edges = tables[0].cluster, tables[0].edges
        conditional = conditional_affinities(tables, self._weights_elsewhere(), k)
        self.graph = symmetric_graph(cluster, conditional, edges)

    def _weights_elsewhere(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function of ``_weights``, for a worker."""
        raise NotImplementedError

    @property
    def P_float32(self) -> Any:
        """The graph, which is on the workers."""
        if self.graph is None:
            raise ValueError(WITHOUT_GRAPH)
        return self.graph

    @property
    def P(self) -> Any:
        raise ValueError(WITHOUT_GRAPH)

    @P.setter
    def P(self, matrix: Any) -> None:
        if matrix is not None:
            raise ValueError("affinities of a fit on a cluster cannot be replaced")

    def log_radii(self) -> np.ndarray:
        raise NotImplementedError("density_weight is not distributed yet; it must be 0")

    def to_new(self, *arguments: Any, **keywords: Any) -> Any:
        raise NotImplementedError(
            "the rows of the data are on the cluster: use transform of fasttsne.dask.TSNE, which "
            "reads them there"
        )

    def forget_graph(self) -> None:
        """Leave to the workers what is theirs."""
        self.graph = self._tables = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "graph": None, "_tables": None}


class ClusterPerplexity(ClusterAffinities, PerplexityBasedNN):
    """Those of one perplexity."""

    def _weights_elsewhere(self) -> Callable[[np.ndarray], np.ndarray]:
        return partial(from_perplexity, perplexity=self.effective_perplexity_, n_threads=1)


class ClusterMixture(ClusterAffinities, MultiscaleMixture):
    """Those of several."""

    def _weights_elsewhere(self) -> Callable[[np.ndarray], np.ndarray]:
        return partial(from_mixture, perplexities=self.effective_perplexities_, n_threads=1)
