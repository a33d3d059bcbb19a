"""The road of a fit, from a request to an embedding."""

from collections.abc import Callable
from typing import Any

from fasttsne.embedding import TSNEEmbedding
from fasttsne.fit.backend import Backend
from fasttsne.fit.request import FitRequest
from fasttsne.fit.stages import (
    descend,
    find_neighbors,
    make_affinities,
    make_embedding,
    make_start,
    read_rows,
)
from fasttsne.fit.store import NullStore, StageStore
from fasttsne.optimize.callback import as_callbacks, progress_listeners
from fasttsne.runtime.progress import progress_shown, report_progress_to


def run_fit(
    request: FitRequest, backend: Backend, on_start: Callable[[TSNEEmbedding], None]
) -> TSNEEmbedding:
    """Return the embedding of a request.

    on_start : function
        Called with the embedding before it moves: after Ctrl-C it is the embedding so far.
    """
    params = request.params
    listeners = progress_listeners(as_callbacks(params["callbacks"]))
    with report_progress_to(*listeners), progress_shown(params["verbose"]):
        embedding, store = _begin(request, backend, backend.open_store)
        on_start(embedding)
        descend(embedding, request.plan(len(embedding)), store, params["verbose"])
        store.remove()
    return embedding


def prepare_fit(request: FitRequest, backend: Backend) -> TSNEEmbedding:
    """Return the embedding of a request before its optimization; nothing is kept to resume."""
    with progress_shown(request.params["verbose"]):
        return _begin(request, backend, lambda data: NullStore())[0]


def _begin(
    request: FitRequest, backend: Backend, open_store: Callable[[Any], StageStore]
) -> tuple[TSNEEmbedding, StageStore]:
    """Return the embedding before its optimization, and what is kept to resume."""
    rows = read_rows(request, backend)
    store = open_store(rows.data)
    with backend.memory():
        graph = find_neighbors(rows, request, backend, store)
        affinities = make_affinities(rows, graph, request, backend)
        n = affinities.n_samples
        store.read_run((n, request.n_components), request.plan(n).phases)
        start = make_start(rows, graph, affinities, request, store)
    return make_embedding(start, affinities, request), store
