"""A map whose rows change: new ones join, old ones get other values or leave."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne import initialization as init
from fasttsne.anchors import Anchors
from fasttsne.embedding.new_rows import as_new_rows, check_new_rows, warn_of_far_rows
from fasttsne.embedding.relocation import N_PLACES, relocate_free_points, relocate_misplaced_points
from fasttsne.objective.points import FreePointsDivergence
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.plan import (
    Phase,
    is_auto,
    resolve_fixed_method,
    resolve_held,
    resolve_joining,
)
from fasttsne.repulsion import make_repulsion
from fasttsne.repulsion.fixed_reference import make_field
from fasttsne.runtime.typing import Rows
from fasttsne.runtime.validation import check_data, check_number, check_random_state

# A new point starts at the median of so many old ones that are near, as in ``transform``.
N_NEAR = 25
# New rows with the same neighbours start so far from each other, as a share of the map's
# standard deviation: together they would not part.
JITTER = 1e-3
# New points go to the mean of their neighbours so many times: so those of a new cluster come
# together, which as rows of their own start at scattered old ones.
N_SWEEPS = 5


def update(
    embedding: Any,
    X: Rows,
    hold: float,
    n_iter: int | str,
    random_state: Any,
    replace: ArrayLike | None,
) -> Any:
    """See :meth:`TSNEEmbedding.update`."""
    hold = check_number(hold, "hold", low=0)
    if not is_auto(n_iter):
        n_iter = check_number(n_iter, "n_iter", low=0, integer=True)
    data = as_new_rows(X)
    check_new_rows(data)
    data = check_data(data, "X", min_rows=1, accept_sparse=True)
    warn_of_far_rows(data, embedding.affinities.knn_index)
    n, m = len(embedding), data.shape[0]
    if replace is None:
        free, others, replaced = np.arange(n, n + m), np.arange(n), None
    else:
        free = replaced = check_rows(replace, n, "replace")
        others = np.delete(np.arange(n), free)
        _check_replaced(len(free), m, n)
    generator = check_random_state(random_state)
    affinities, near = embedding.affinities.joined_by(data, replaced)
    order = np.concatenate([others, free])
    P = affinities.rows_of_P(free)
    if replaced is not None:
        P = P[:, order]
    fixed = np.asarray(embedding)[others]
    start = _gathered(P, fixed, _medians(np.asarray(embedding), near))
    noise = JITTER * np.std(fixed) * generator.normal(size=start.shape)
    start += noise
    points = np.empty((len(order), embedding.shape[1]))
    points[others], points[free] = fixed, start
    own = _anchors(embedding, len(order), others, 0)
    reference = _reference(embedding, P, others, free)
    result = _map_like(embedding, points, affinities, own, reference)
    phases = resolve_joining(
        n_iter, result.all_params(callbacks=None), len(order), m, is_held=np.isfinite(hold)
    )
    np.asarray(result)[free] = _joined(P, fixed, start, noise, phases)
    if np.isinf(hold):
        result.defer_divergence()
        return result
    result.anchors = _anchors(embedding, len(order), others, hold)
    params = result.all_params()
    first, *then = resolve_held(n_iter, params, len(order))
    result.run(first, params=params)
    for phase in then:
        noise = JITTER * np.std(fixed) * generator.normal(size=result.shape)
        _leave_wrong_places(result, phase, noise)
        result.run(phase, params=params)
    result.anchors = own
    return result


def drop(embedding: Any, rows: ArrayLike) -> Any:
    """See :meth:`TSNEEmbedding.drop`."""
    n = len(embedding)
    left = np.delete(np.arange(n), check_rows(rows, n, "rows"))
    if len(left) < 2:
        raise ValueError(f"at least 2 of the {n} rows must be left; got {len(left)}")
    affinities = embedding.affinities.without(np.setdiff1d(np.arange(n), left))
    anchors = embedding.anchors
    if anchors is not None:
        weights = anchors.weights[left]
        anchors = Anchors(anchors.targets[left], weights) if weights.any() else None
    reference = embedding.global_reference
    result = _map_like(
        embedding,
        np.asarray(embedding)[left],
        affinities,
        anchors,
        None if reference is None else reference[left],
    )
    result.defer_divergence()
    return result


def check_rows(rows: ArrayLike, n: int, name: str) -> np.ndarray:
    """Return numbers of rows of a map, (m,) integers, from those or from a boolean mask.

    Raises
    ------
    TypeError, ValueError
        Where they are neither, not from 0 to n - 1, or one is there twice.
    """
    numbers = np.asarray(rows)
    if numbers.dtype == bool:
        if numbers.shape != (n,):
            raise ValueError(f"{name} as a mask must have the shape ({n},); got {numbers.shape}")
        return np.flatnonzero(numbers)
    if numbers.size == 0:
        numbers = numbers.astype(np.int64)
    if numbers.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers or a boolean mask; got dtype {numbers.dtype}")
    if numbers.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional; got shape {numbers.shape}")
    outside = (numbers < 0) | (numbers >= n)
    if outside.any():
        raise ValueError(
            f"{name} must be from 0 to {n - 1}, the rows of the map; got {numbers[outside][0]}"
        )
    found, counts = np.unique(numbers, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{name} must name each row once; got {found[counts > 1][0]} twice")
    return numbers.astype(np.int64)


def _check_replaced(n_replaced: int, n_given: int, n: int) -> None:
    if n_replaced != n_given:
        raise ValueError(
            f"X must have a row for each of the {n_replaced} in replace; it has {n_given}"
        )
    if n_replaced == n:
        raise ValueError("replace names all rows: nothing of the map would stay; fit a new one")


def _map_like(
    embedding: Any,
    points: np.ndarray,
    affinities: Any,
    anchors: Anchors | None,
    reference: np.ndarray | None,
) -> Any:
    """A map of the same kind and parameters, of other points.

    Callbacks are not taken over: they recorded or wrote the map that they were given for.
    """
    params = {**(embedding.gradient_descent_params or {}), "callbacks": None}
    return type(embedding)(
        points,
        affinities,
        dof=embedding.dof,
        negative_gradient_method=embedding.negative_gradient_method,
        random_state=embedding.random_state,
        anchors=anchors,
        global_reference=reference,
        **params,
    )


def _anchors(embedding: Any, n: int, others: np.ndarray, hold: float) -> Anchors | None:
    """Those that the other points had; for the rest where they are, with the weight ``hold``."""
    targets, weights = np.full((n, embedding.shape[1]), np.nan), np.zeros(n)
    targets[others], weights[others] = np.asarray(embedding)[others], hold
    if embedding.anchors is not None:
        kept = others[embedding.anchors.weights[others] > 0]
        targets[kept] = embedding.anchors.targets[kept]
        weights[kept] = embedding.anchors.weights[kept]
    return Anchors(targets, weights) if weights.any() else None


def _reference(
    embedding: Any, P: sp.csr_matrix, others: np.ndarray, free: np.ndarray
) -> np.ndarray | None:
    """What the map is drawn to as a whole; new rows are there where their neighbours are."""
    known = embedding.global_reference
    if known is None:
        return None
    places = np.empty((len(others) + len(free), known.shape[1]))
    places[others] = fixed = known[others]
    places[free] = _gathered(P, fixed, np.tile(fixed.mean(axis=0), (len(free), 1)))
    return places


def _medians(points: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The median of the nearest of some points for each row; -1 stands for none."""
    near = near[:, :N_NEAR]
    if (near >= 0).all():
        return init.median(points, near)
    places = np.where((near >= 0)[:, :, None], points[near], np.nan)
    medians: np.ndarray = np.nanmedian(places, axis=1)
    return medians


def _gathered(P: sp.csr_matrix, fixed: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Free points between their neighbours, of which many may be free, too."""
    weights = np.asarray(P.sum(axis=1))
    for _ in range(N_SWEEPS):
        free = P @ np.concatenate([fixed, free]) / weights
    return free


def _leave_wrong_places(embedding: Any, phase: Phase, noise: np.ndarray) -> None:
    """Move points of a map to places of neighbours where their loss is less, in place."""
    points = np.ascontiguousarray(np.asarray(embedding), np.float32)
    method = resolve_fixed_method(embedding.negative_gradient_method, len(points))
    n_evaluations = (N_PLACES + 2) * len(points)
    field = make_field(
        points, method, phase.dof, phase.n_threads, dict(phase.accuracy), n_evaluations
    )
    np.asarray(embedding)[:] = relocate_misplaced_points(
        embedding.affinities.P_float32,
        np.asarray(embedding),
        field,
        phase.dof,
        phase.exaggeration,
        embedding.anchors,
        noise,
    )


def _joined(
    P: sp.csr_matrix,
    fixed: np.ndarray,
    start: np.ndarray,
    noise: np.ndarray,
    phases: tuple[Phase, Phase],
) -> np.ndarray:
    """Where free points go from their start, among others that do not move.

    phases : to gather, before points look for better places, and to settle there.
    """
    gathering, settling = phases
    points = np.ascontiguousarray(fixed, np.float32)
    settings = str(settling.method), settling.dof, settling.n_threads, dict(settling.accuracy)
    # Each place that is looked at, too, is one more evaluation of the field.
    n_evaluations = (gathering.n_iter + settling.n_iter + N_PLACES) * len(start)
    objective = FreePointsDivergence(
        P,
        points,
        make_field(points, *settings, n_evaluations),
        make_repulsion(*settings),
        settling.dof,
        settling.n_threads,
    )
    free = np.ascontiguousarray(start)
    GradientDescent().run(free, objective, gathering)
    free = relocate_free_points(P, fixed, free, objective, settling.exaggeration, noise)
    GradientDescent().run(free, objective, settling)
    return free
