"""The cluster as the place where a fit runs."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from fasttsne.affinity import Affinities
from fasttsne.affinity.families import affinities_of_graph, n_neighbors
from fasttsne.dask.affinities import ClusterMixture, ClusterPerplexity, WorkerTables
from fasttsne.dask.checkpoint import ClusterCheckpoint
from fasttsne.dask.cluster import Cluster
from fasttsne.dask.neighbors import search_class
from fasttsne.dask.reading import read_rows
from fasttsne.fit.request import FitRequest
from fasttsne.fit.store import NullStore, StageStore
from fasttsne.nearest_neighbors.graph import KNNGraph


class DaskBackend:
    """Workers that hold rows, neighbours and affinities; a :class:`fasttsne.fit.backend.Backend`.

    Parameters
    ----------
    request : FitRequest
        What is to be fitted.
    cluster : Cluster
        The workers.
    """

    def __init__(self, request: FitRequest, cluster: Cluster):
        self._request, self._cluster = request, cluster

    def read(self, X: Any) -> Any:
        return read_rows(self._cluster, X)

    def open_store(self, X: Any) -> StageStore:
        request = self._request
        path = request.params["checkpoint"]
        if path is None:
            return NullStore()
        return ClusterCheckpoint(self._cluster, path, request.fingerprint(X), request.generator)

    def memory(self) -> AbstractContextManager[None]:
        return nullcontext()  # workers spill to disk as Dask is told

    def make_index(self, data: Any) -> Any:
        spec = self._request.search()
        k = n_neighbors(self._request.params["perplexity"], len(data))
        return search_class(spec.method, spec.metric)(data, k, **spec.settings())

    def as_graph(self, index: Any, indices: Any, distances: Any) -> KNNGraph:
        index.data = None  # workers need not keep the rows
        shape = np.broadcast_to(np.int32(0), indices.shape)
        return KNNGraph(index, shape, WorkerTables(indices, distances), None)

    def make_affinities(self, graph: KNNGraph) -> Affinities:
        params = self._request.params
        return affinities_of_graph(
            graph,
            params["perplexity"],
            params["n_jobs"],
            params["verbose"],
            (ClusterPerplexity, ClusterMixture),
        )
