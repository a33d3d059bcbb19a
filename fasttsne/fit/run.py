"""The road of a fit, from a request to an embedding: each stage takes the values before it."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fasttsne.affinity import Affinities
from fasttsne.affinity.families import as_affinities
from fasttsne.embedding import TSNEEmbedding
from fasttsne.fit.backend import Backend
from fasttsne.fit.request import FitRequest
from fasttsne.initialization import StartSpec
from fasttsne.io.fit_checkpoint import StageStore
from fasttsne.linalg.dominance import warn_of_dominating_column
from fasttsne.linalg.robust import warn_of_far_rows
from fasttsne.nearest_neighbors.graph import KNNGraph
from fasttsne.optimize import as_callbacks, progress_listeners
from fasttsne.optimize.descent import OptimizationInterrupt
from fasttsne.optimize.parameters import OPTIMIZE
from fasttsne.optimize.plan import Phase, RunPlan, resolve
from fasttsne.runtime.progress import progress_shown, report_progress_to
from fasttsne.runtime.typing import Rows
from fasttsne.runtime.validation import column_names, n_rows_or_none
from fasttsne.utils import Timer

log = logging.getLogger("fasttsne.tsne")


@dataclass(frozen=True)
class FitRows:
    """The rows of a fit in canonical form, and the start that it is asked for, checked.

    data : what the search takes: rows of features, a matrix of distances, or None.
    n_samples : None where it is not known yet.
    has_features : whether there are principal components of the rows.
    """

    data: Rows | None
    n_samples: int | None
    has_features: bool
    start: StartSpec


def run_fit(
    X: Rows | None, request: FitRequest, backend: Backend, on_start: Callable[[TSNEEmbedding], None]
) -> TSNEEmbedding:
    """Return the embedding of rows.

    on_start : function
        Called with the embedding before it moves: after Ctrl-C it is the embedding so far.
    """
    verbose = request.params["verbose"]
    listeners = progress_listeners(as_callbacks(request.params["callbacks"]))
    with report_progress_to(*listeners), progress_shown(verbose):
        rows = read_rows(X, request, backend)
        store = backend.open_store(rows.data)
        embedding, plan = _begin(rows, request, backend, store)
        on_start(embedding)
        descend(embedding, plan, store, verbose)
        store.remove()
    return embedding


def prepare_fit(X: Rows | None, request: FitRequest, backend: Backend) -> TSNEEmbedding:
    """Return the embedding of rows before its optimization; nothing is kept to resume."""
    with progress_shown(request.params["verbose"]):
        return _begin(read_rows(X, request, backend), request, backend, StageStore())[0]


def _begin(
    rows: FitRows, request: FitRequest, backend: Backend, store: StageStore
) -> tuple[TSNEEmbedding, RunPlan]:
    """Return the embedding before its optimization, and the plan of that."""
    with backend.memory():
        graph = find_neighbors(rows, request, backend, store)
        affinities = make_affinities(rows, graph, request, backend)
        plan = resolve(request.params, affinities.n_samples)
        store.read_run((affinities.n_samples, rows.start.n_components), plan.phases)
        return make_start(rows, graph, affinities, request, store), plan


def read_rows(X: Rows | None, request: FitRequest, backend: Backend) -> FitRows:
    """Return the rows in canonical form, and warn of what disturbs a map."""
    if X is None and request.affinities is None and isinstance(request.params["neighbors"], str):
        raise ValueError("X is needed where no affinities or neighbours are given")
    has_features = X is not None and not request.is_precomputed
    names = column_names(X)
    if has_features:
        X = backend.read(X)
    n = n_rows_or_none(X)
    start = request.start.checked(n, has_features)
    if has_features:
        warn_of_far_rows(X)
        warn_of_dominating_column(X, names, request.params["metric"])
    return FitRows(X, n, has_features, start)


def find_neighbors(
    rows: FitRows, request: FitRequest, backend: Backend, store: StageStore
) -> KNNGraph | None:
    """Return the neighbour graph; None if affinities are given."""
    if request.affinities is not None:
        return None
    index = backend.make_index(rows.data)
    return backend.as_graph(index, *store.neighbors(index))


def make_affinities(
    rows: FitRows, graph: KNNGraph | None, request: FitRequest, backend: Backend
) -> Affinities:
    """Return the affinities of a neighbour graph, or the given ones."""
    if graph is None:
        assert request.affinities is not None
        affinities = as_affinities(request.affinities, rows.n_samples)
    else:
        affinities = backend.make_affinities(graph)
    if request.params["density_weight"]:
        affinities.log_radii()  # raises if they are unknown, before time is spent
    return affinities


def make_start(
    rows: FitRows,
    graph: KNNGraph | None,
    affinities: Affinities,
    request: FitRequest,
    store: StageStore,
) -> TSNEEmbedding:
    """Return the embedding before its optimization; of a resumed fit its store has the points."""
    params, spec = request.params, rows.start
    components = graph.components if graph is not None and request.is_euclidean else None
    if rows.n_samples is None:  # only now it is known
        spec = spec.checked(affinities.n_samples, has_features=False)
    resumed = None if store.state is None else store.state.embedding
    features = rows.data if rows.has_features else None
    positions, reference = spec.make(
        features, affinities.graph, request.generator, components, resumed
    )
    return TSNEEmbedding(
        positions,
        affinities,
        dof=params["dof"],
        random_state=params["random_state"],
        negative_gradient_method=params["negative_gradient_method"],
        momentum=params["final_momentum"],
        anchors=spec.anchors,
        global_reference=reference,
        **{name: params[name] for name in OPTIMIZE if name != "momentum"},
    )


def descend(embedding: TSNEEmbedding, plan: RunPlan, store: StageStore, verbose: bool) -> None:
    """Run the phases of a plan, or what is left of them, on an embedding."""

    def run(number: int, phase: Phase) -> None:
        embedding.run(
            phase,
            propagate_exception=True,
            saver=store.saver(number),
            resume_from=store.state_of(number),
        )

    if not plan.phases:
        embedding.optimize(0, inplace=True)  # its KL divergence
    elif run_phases(list(enumerate(plan.phases))[store.phase :], run, verbose):
        embedding.warn_of_no_map(plan.phases[-1])


def run_phases(
    phases: Iterable[tuple[int, Phase]],
    run: Callable[[int, Phase], None],
    verbose: bool,
    log: logging.Logger = log,
) -> bool:
    """Run numbered phases in turn; return False if a callback stopped them."""
    for number, phase in phases:
        try:
            with Timer(phase.name, verbose):
                run(number, phase)
        except OptimizationInterrupt:
            log.info("stopped by a callback")
            return False
    return True
