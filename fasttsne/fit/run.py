"""The road of a fit, from a request to an embedding."""

from collections.abc import Callable

from fasttsne.embedding import TSNEEmbedding
from fasttsne.fit.backend import Backend
from fasttsne.fit.request import FitRequest
from fasttsne.fit.stages import (
    FitRows,
    descend,
    find_neighbors,
    make_affinities,
    make_embedding,
    make_start,
    read_rows,
)
from fasttsne.io.fit_checkpoint import StageStore
from fasttsne.optimize.callback import as_callbacks, progress_listeners
from fasttsne.optimize.plan import RunPlan, resolve
from fasttsne.runtime.progress import progress_shown, report_progress_to


def run_fit(
    request: FitRequest, backend: Backend, on_start: Callable[[TSNEEmbedding], None]
) -> TSNEEmbedding:
    """Return the embedding of a request.

    on_start : function
        Called with the embedding before it moves: after Ctrl-C it is the embedding so far.
    """
    verbose = request.params["verbose"]
    listeners = progress_listeners(as_callbacks(request.params["callbacks"]))
    with report_progress_to(*listeners), progress_shown(verbose):
        rows = read_rows(request, backend)
        store = backend.open_store(rows.data)
        embedding, plan = _begin(rows, request, backend, store)
        on_start(embedding)
        descend(embedding, plan, store, verbose)
        store.remove()
    return embedding


def prepare_fit(request: FitRequest, backend: Backend) -> TSNEEmbedding:
    """Return the embedding of a request before its optimization; nothing is kept to resume."""
    with progress_shown(request.params["verbose"]):
        return _begin(read_rows(request, backend), request, backend, StageStore())[0]


def _begin(
    rows: FitRows, request: FitRequest, backend: Backend, store: StageStore
) -> tuple[TSNEEmbedding, RunPlan]:
    """Return the embedding before its optimization, and the plan of that."""
    with backend.memory():
        graph = find_neighbors(rows, request, backend, store)
        affinities = make_affinities(rows, graph, request, backend)
        plan = resolve(request.params, affinities.n_samples)
        store.read_run((affinities.n_samples, rows.start.n_components), plan.phases)
        start = make_start(rows, graph, affinities, request, store)
    return make_embedding(start, affinities, request), plan
