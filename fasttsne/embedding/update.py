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
# New points go to the mean of their neighbours so many times: so those of a new cluster come
# together, which as rows of their own start at scattered old ones.
N_SWEEPS = 5


def update(embedding: Any, X: Rows, hold: float, n_iter: int | str, random_state: Any) -> Any:
    """See :meth:`TSNEEmbedding.update`."""
    hold = check_number(hold, "hold", low=0)
    rows = as_new_rows(X)
    check_new_rows(rows)
    rows = check_data(rows, "X", min_rows=1, accept_sparse=True)
    generator = check_random_state(random_state)
    old = np.asarray(embedding)
    placed = np.asarray(embedding.prepare_partial(rows))
    affinities = embedding.affinities.extended(rows)
    start = _gathered(affinities.P_float32, old, placed)
    start = start + JITTER * np.std(old) * generator.normal(size=start.shape)
    result = type(embedding)(
        np.concatenate([old, start]), affinities, dof=embedding.dof,
        negative_gradient_method=embedding.negative_gradient_method,
        random_state=embedding.random_state, anchors=_anchors(embedding, len(start), hold),
        global_reference=_reference(embedding, affinities.P_float32),
        **(embedding.gradient_descent_params or {}),
    )  # fmt: skip
    params = result.all_params(callbacks=None)
    _join(result, len(old), resolve_joining(n_iter, params, len(result), len(start)))
    # With 0 iterations, the KL divergence of the whole map.
    return result.optimize(0 if np.isinf(hold) else n_iter, inplace=True)


def _anchors(embedding: Any, n_new: int, hold: float) -> Anchors | None:
    """Those that the map had, and for its other points where they are, if they are held."""
    n, d = embedding.shape
    targets, weights = np.full((n + n_new, d), np.nan), np.zeros(n + n_new)
    if not np.isinf(hold):
        targets[:n], weights[:n] = embedding, hold
    if embedding.anchors is not None:
        has_own = embedding.anchors.weights > 0
        targets[:n][has_own] = embedding.anchors.targets[has_own]
        weights[:n][has_own] = embedding.anchors.weights[has_own]
    return Anchors(targets, weights) if weights.any() else None


def _reference(embedding: Any, P: sp.csr_matrix) -> np.ndarray | None:
    """What the map is drawn to as a whole; new rows are there where their neighbours are."""
    known = embedding.global_reference
    if known is None:
        return None
    start = np.tile(known.mean(axis=0), (P.shape[0] - len(known), 1))
    return np.concatenate([known, _gathered(P, known, start)])


def _gathered(P: sp.csr_matrix, fixed: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Free points between their neighbours, of which many may be free, too."""
    of_free = P[len(fixed) :]
    weights = np.asarray(of_free.sum(axis=1))
    for _ in range(N_SWEEPS):
        free = of_free @ np.concatenate([fixed, free]) / weights
    return free


def _join(result: Any, n_fixed: int, phase: Phase) -> None:
    """Optimize the points after the first ``n_fixed``, which do not move."""
    free = np.ascontiguousarray(np.asarray(result)[n_fixed:])
    GradientDescent().run(free, _objective(result, n_fixed, phase), phase)
    np.asarray(result)[n_fixed:] = free


def _objective(result: Any, n_fixed: int, phase: Phase) -> FreePointsDivergence:
    points = np.ascontiguousarray(np.asarray(result)[:n_fixed], np.float32)
    settings = str(phase.method), phase.dof, phase.n_threads, dict(phase.accuracy)
    return FreePointsDivergence(
        result.affinities.P_float32, points, make_field(points, *settings),
        make_repulsion(*settings), phase.dof, phase.n_threads,
    )  # fmt: skip
