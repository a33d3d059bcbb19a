"""A map that grows: new rows join it, and what was there stays, or is held."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from fasttsne.anchors import Anchors
from fasttsne.embedding.new_rows import as_new_rows, check_new_rows
from fasttsne.objective.free_points import FreePointsDivergence
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.plan import Phase, resolve_joining
from fasttsne.repulsion import make_repulsion
from fasttsne.repulsion.fixed_reference import make_field
from fasttsne.runtime.typing import Rows
from fasttsne.runtime.validation import check_data, check_number, check_random_state

# New rows with the same neighbours start so far from each other, as a share of the map's
# standard deviation: together they would not part.
JITTER = 1e-3
N_SWEEPS = 10


def update(embedding: Any, X: Rows, hold: float, n_iter: int | str, random_state: Any) -> Any:
    """See :meth:`TSNEEmbedding.update`."""
    hold = check_number(hold, "hold", low=0)
    rows = as_new_rows(X)
    check_new_rows(rows)
    rows = check_data(rows, "X", min_rows=1, accept_sparse=True)
    generator = check_random_state(random_state)
    placed = np.asarray(embedding.prepare_partial(rows))
    affinities = embedding.affinities.extended(rows)
    start = _gathered(affinities.P_float32, np.asarray(embedding), placed)
    start = start + JITTER * np.std(np.asarray(embedding)) * generator.normal(size=start.shape)
    result = type(embedding)(
        np.concatenate([np.asarray(embedding), start]), affinities, dof=embedding.dof,
        negative_gradient_method=embedding.negative_gradient_method,
        random_state=embedding.random_state, **(embedding.gradient_descent_params or {}),
    )  # fmt: skip
    phases = resolve_joining(n_iter, result.all_params(callbacks=None), len(result), len(start))
    if np.isinf(hold):
        return _join_fixed(result, len(embedding), phases)
    targets = np.full(result.shape, np.nan)
    targets[: len(embedding)] = embedding
    anchors = Anchors(targets, hold) if hold else None
    _join_fixed(result, len(embedding), phases)
    return result.optimize(n_iter, inplace=True, anchors=anchors)


def _gathered(P: sp.csr_matrix, fixed: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Free points between their neighbours, of which many may be free, too."""
    of_free = P[len(fixed) :]
    weights = np.asarray(of_free.sum(axis=1))
    for _ in range(N_SWEEPS):
        free = of_free @ np.concatenate([fixed, free]) / weights
    return free


def _join_fixed(result: Any, n_fixed: int, phases: tuple[Phase, ...]) -> Any:
    """Optimize the points after the first ``n_fixed``, which do not move."""
    free = np.ascontiguousarray(np.asarray(result)[n_fixed:])
    objective = _objective(result, n_fixed, phases[0])
    optimizer = GradientDescent()
    for phase in phases:
        optimizer.run(free, objective, phase)
    np.asarray(result)[n_fixed:] = free
    return result.optimize(0, inplace=True)  # the KL divergence of the whole map


def _objective(result: Any, n_fixed: int, phase: Phase) -> FreePointsDivergence:
    points = np.ascontiguousarray(np.asarray(result)[:n_fixed], np.float32)
    settings = str(phase.method), phase.dof, phase.n_threads, dict(phase.accuracy)
    return FreePointsDivergence(
        result.affinities.P_float32, points, make_field(points, *settings),
        make_repulsion(*settings), phase.dof, phase.n_threads,
    )  # fmt: skip
