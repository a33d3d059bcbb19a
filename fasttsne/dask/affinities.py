"""Affinities whose neighbour graph stays on the workers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fasttsne.affinity.conditional import from_mixture, from_perplexity
from fasttsne.affinity.families import MultiscaleMixture, PerplexityBasedNN
from fasttsne.affinity.neighbor_based import KNNAffinities
from fasttsne.dask.edges import ActorEdges
from fasttsne.dask.graph import ClusterGraph, conditional_affinities, symmetric_graph
from fasttsne.objective.edges import edge_source

WITHOUT_GRAPH = (
    "the graph of affinities was on the cluster, which has its memory back since the fit ended: "
    "fit again, or with fasttsne.TSNE, to optimize this map further or to read its affinities"
)


class WorkerTables:
    """Tables of neighbours on the workers, which are taken once: then workers may forget them."""

    def __init__(self, *tables: Any):
        self._tables = list(tables)

    def take(self) -> list[Any]:
        """Return indices and distances, and keep neither."""
        if not self._tables:
            raise ValueError(WITHOUT_GRAPH)
        tables, self._tables = self._tables, []
        return tables

    def __reduce__(self) -> tuple[Any, ...]:
        return WorkerTables, ()


class ClusterAffinities(KNNAffinities):
    """What both families of affinities have in common on a cluster.

    New rows get their affinities from the index and the rows of the data, as locally, where those
    are (:mod:`fasttsne.dask.transform`).
    """

    graph: ClusterGraph | None = None

    @property
    def n_samples(self) -> int:
        return int(self._indices.shape[0])

    def _set_joint(self) -> None:
        tables = self._distances.take()
        cluster, edges = tables[0].cluster, tables[0].edges
        conditional = conditional_affinities(tables, self._remote_weights(), self._n_used)
        self.graph = symmetric_graph(cluster, conditional, edges)

    def _remote_weights(self) -> Callable[[np.ndarray], np.ndarray]:
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

    def release_graph(self) -> None:
        """Leave to the workers what is theirs."""
        self.graph = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "graph": None}


class ClusterPerplexity(ClusterAffinities, PerplexityBasedNN):
    """Affinities of a single perplexity."""

    def _remote_weights(self) -> Callable[[np.ndarray], np.ndarray]:
        return partial(from_perplexity, perplexity=self.effective_perplexity_, n_threads=1)


class ClusterMixture(ClusterAffinities, MultiscaleMixture):
    """Affinities of a mixture of perplexities."""

    def _remote_weights(self) -> Callable[[np.ndarray], np.ndarray]:
        return partial(from_mixture, perplexities=self.effective_perplexities_, n_threads=1)


@edge_source.register
def _edges_of_cluster(P: ClusterGraph, dof: float, n_threads: int) -> ActorEdges:
    """Return the edges of ``ClusterAffinities.P_float32``; workers use the threads they have."""
    return ActorEdges(P, dof)
