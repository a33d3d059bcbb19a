"""The stages of a fit: each function takes the values of those before it and returns a value."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities
from fasttsne.affinity.select import as_affinities
from fasttsne.anchors import check_anchors
from fasttsne.embedding import TSNEEmbedding
from fasttsne.embedding.checks import check_reference, check_size
from fasttsne.fit.backend import Backend
from fasttsne.fit.request import FitRequest, Source, n_rows
from fasttsne.fit.store import StageStore
from fasttsne.initialization import as_start, initial_positions, near_anchors
from fasttsne.linalg.dominance import warn_of_dominating_column
from fasttsne.linalg.robust import warn_of_far_rows
from fasttsne.nearest_neighbors.graph import KNNGraph
from fasttsne.optimize.descent import OptimizationInterrupt
from fasttsne.optimize.parameters import OPTIMIZE
from fasttsne.optimize.plan import Phase, RunPlan
from fasttsne.runtime.typing import RandomState
from fasttsne.runtime.validation import column_names
from fasttsne.utils import Timer

log = logging.getLogger("fasttsne.tsne")


@dataclass(frozen=True)
class FitRows:
    """The data of a fit in canonical form.

    Attributes
    ----------
    data : array or None
        What the search takes: rows of features, or a matrix of distances.
    features : array or None
        The rows of features, for principal components.
    """

    data: Any
    features: Any


@dataclass(frozen=True)
class Start:
    """Initial positions, and the reference of ``global_structure``."""

    positions: np.ndarray
    reference: np.ndarray | None


def read_rows(request: FitRequest, backend: Backend) -> FitRows:
    """Return the data in canonical form, and warn of what disturbs a map."""
    if not request.has_features:
        rows = FitRows(request.X, None)
    else:
        X = backend.read(request.X)
        warn_of_far_rows(X)
        warn_of_dominating_column(X, column_names(request.X), request.params["metric"])
        rows = FitRows(X, X)
    request.check_shapes(n_rows(rows.data))
    return rows


def find_neighbors(
    rows: FitRows, request: FitRequest, backend: Backend, store: StageStore
) -> KNNGraph | None:
    """Return the neighbour graph; None if affinities are given."""
    if request.source is Source.AFFINITIES:
        return None
    index = backend.make_index(rows.data)
    return backend.as_graph(index, *store.neighbors(index))


def make_affinities(
    rows: FitRows, graph: KNNGraph | None, request: FitRequest, backend: Backend
) -> Affinities:
    """Return the affinities of a neighbour graph, or the given ones."""
    if graph is None:
        assert request.affinities is not None
        affinities = as_affinities(request.affinities, n_rows(rows.data))
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
) -> Start:
    """Return initial positions, of a resumed fit from its store, and the reference."""
    shape = affinities.n_samples, request.n_components
    components = graph.components if graph is not None and request.is_euclidean else None

    def positions(initialization: str | ArrayLike, random_state: RandomState) -> np.ndarray:
        return initial_positions(
            initialization,
            rows.features,
            affinities.graph,
            request.n_components,
            random_state,
            request.params["n_jobs"],
            request.params["verbose"],
            components,
        )

    reference = _reference(request, shape, lambda: positions("pca", 0))
    if store.state is not None:
        return Start(store.state.embedding, reference)
    initialization = request.initialization
    is_given = not _is_pca(request.params["global_reference"])
    if is_given and reference is not None and isinstance(initialization, str):
        initialization = as_start(reference, request.generator)
    start = positions(initialization, request.generator)
    anchors = request.anchors
    if anchors is not None:
        check_anchors(anchors, *shape)
        if isinstance(initialization, str):
            start = near_anchors(start, anchors.targets, anchors.weights, affinities.P_float32)
    return Start(start, reference)


def _is_pca(reference: Any) -> bool:
    return isinstance(reference, str)


def _reference(
    request: FitRequest, shape: tuple[int, int], components: Callable[[], np.ndarray]
) -> np.ndarray | None:
    """Return the reference layout; deterministic, so that a resumed fit has the same one."""
    if not request.params["global_structure"]:
        return None
    if _is_pca(request.params["global_reference"]):
        return components()
    reference = check_reference(request.params["global_reference"], shape)
    assert reference is not None
    check_size(reference)
    return reference


def make_embedding(start: Start, affinities: Affinities, request: FitRequest) -> TSNEEmbedding:
    """Return the embedding before its optimization."""
    params = request.params
    return TSNEEmbedding(
        start.positions,
        affinities,
        dof=params["dof"],
        random_state=params["random_state"],
        negative_gradient_method=params["negative_gradient_method"],
        momentum=params["final_momentum"],
        anchors=request.anchors,
        global_reference=start.reference,
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
