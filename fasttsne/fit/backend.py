"""Where the rows and arrays of a fit live, and the memory they may take."""

from contextlib import AbstractContextManager
from typing import Protocol

from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities
from fasttsne.affinity.families import affinities_of_graph, n_neighbors
from fasttsne.fit.request import FitRequest
from fasttsne.io.fit_checkpoint import FitCheckpoint, StageStore
from fasttsne.memory import MemoryPlan, plan_memory
from fasttsne.nearest_neighbors.graph import KNNGraph
from fasttsne.nearest_neighbors.index import Index
from fasttsne.runtime.memory import memory_budget
from fasttsne.runtime.typing import Rows
from fasttsne.runtime.validation import check_data, n_rows_or_none


class Backend(Protocol):
    """What a fit needs of the place where it runs."""

    def read(self, X: Rows) -> Rows:
        """Return rows in canonical form."""

    def open_store(self, X: Rows | None) -> StageStore:
        """Return the store of what the fit keeps to resume; X is in canonical form."""

    def memory(self) -> AbstractContextManager[None]:
        """Return the context in which large arrays are made."""

    def make_index(self, data: Rows | None) -> Index:
        """Return the index of the neighbour search."""

    def as_graph(self, index: Index, indices: ArrayLike, distances: ArrayLike) -> KNNGraph:
        """Return the graph of the neighbours that an index has found."""

    def make_affinities(self, graph: KNNGraph) -> Affinities:
        """Return the affinities of a neighbour graph."""


class LocalBackend:
    """Memory and temporary files of this process; MemoryError if it has too little.

    replaces_embedding : bool, default False
        Whether the checkpoint may replace a saved embedding.
    """

    def __init__(self, request: FitRequest, replaces_embedding: bool = False):
        self._request = request
        self._replaces_embedding = replaces_embedding
        self._memory = self._plan_memory(None)

    def _plan_memory(self, X: Rows | None) -> MemoryPlan:
        params, n_components = self._request.params, self._request.start.n_components
        limit, folder = params["memory_limit"], params["temp_folder"]
        return plan_memory(X, limit, folder, params["perplexity"], n_components)

    def read(self, X: Rows) -> Rows:
        self._memory = self._plan_memory(X)
        rows: Rows = check_data(
            X,
            accept_sparse=True,
            memory_limit=self._memory.rows,
            temp_folder=self._request.params["temp_folder"],
        )
        return rows

    def open_store(self, X: Rows | None) -> StageStore:
        request = self._request
        path = request.params["checkpoint"]
        if path is None:
            return StageStore()
        return FitCheckpoint(
            path, request.fingerprint(X), request.generator, self._replaces_embedding
        )

    def memory(self) -> AbstractContextManager[None]:
        return memory_budget(self._memory.tables, self._request.params["temp_folder"])

    def make_index(self, data: Rows | None) -> Index:
        k = n_neighbors(self._request.params["perplexity"], n_rows_or_none(data))
        return self._request.search().make_index(data, k)

    def as_graph(self, index: Index, indices: ArrayLike, distances: ArrayLike) -> KNNGraph:
        return KNNGraph.of(index, indices, distances)

    def make_affinities(self, graph: KNNGraph) -> Affinities:
        params = self._request.params
        return affinities_of_graph(graph, params["perplexity"], params["n_jobs"], params["verbose"])
