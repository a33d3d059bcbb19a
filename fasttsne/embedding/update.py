"""Rows that join a map, or get other values: where their points start, settle and move.

Small steps take a new point no further than to the next minimum: where old points are pinned, there
is no room to get past a cluster that lies between.  So a point compares the loss where it is with
the loss at the places of its strongest neighbours, all others where they are,

    loss_i(y) = 2 exaggeration sum_j p_ij log w(y, y_j)^-1 + 2 / Z sum_j w(y, y_j)

Where old points do not move, the second sum is over them.  Where all points may move, the loss of
anchors is added; the term of ``global_structure`` is not: the descents before and after have it.
"""

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne import initialization as init
from fasttsne.anchors import Anchors
from fasttsne.embedding.partial import make_fixed_repulsion
from fasttsne.objective.kl import MIN_Z_PER_POINT
from fasttsne.objective.points import FreePointsDivergence
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.plan import Phase
from fasttsne.repulsion import make_repulsion
from fasttsne.repulsion.fixed_reference import FixedRepulsion

# A new point starts at the median of so many old ones that are near, as in ``transform``.
N_NEAR = 25
# New rows with the same neighbours start so far from each other, as a share of the map's
# standard deviation: together they would not part.
JITTER = 1e-3
# New points go to the mean of their neighbours so many times: so those of a new cluster come
# together, which as rows of their own start at scattered old ones.
N_SWEEPS = 5
# Positions of its strongest neighbours that a point tries.  Of MNIST, 7,000 rows in a map of
# 63,000: 10-NN labels are right for .959 of them without, and for .969 with 5.
N_PLACES = 5
# Neighbours of a block, with those that fill short rows up: each takes about 50 bytes.  A row that
# is a neighbour of very many makes its block a small one.
BLOCK_NEIGHBORS = 2**21
# A row takes as much as if it had so many at least, for the places that it looks at.
MIN_LENGTH = 16


def check_rows(rows: ArrayLike, n: int, name: str) -> np.ndarray:
    """Return distinct rows of a map, (m,) integers, from integers or from a boolean mask."""
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


def check_replaced(replace: ArrayLike, n_given: int, n: int) -> np.ndarray:
    """Return the rows of a map that as many new ones replace."""
    rows = check_rows(replace, n, "replace")
    if len(rows) != n_given:
        raise ValueError(
            f"X must have a row for each of the {len(rows)} in replace; it has {n_given}"
        )
    if len(rows) == n:
        raise ValueError("replace names all rows: nothing of the map would stay; fit a new one")
    return rows


def medians_of(points: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return the median of the nearest points of each row; -1 stands for none."""
    near = near[:, :N_NEAR]
    if (near >= 0).all():
        return init.median(points, near)
    places = np.where((near >= 0)[:, :, None], points[near], np.nan)
    medians: np.ndarray = np.nanmedian(places, axis=1)
    return medians


def gather(P: sp.csr_matrix, fixed: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return free points between their neighbours, of which many may be free, too."""
    weights = np.asarray(P.sum(axis=1))
    for _ in range(N_SWEEPS):
        free = P @ np.concatenate([fixed, free]) / weights
    return free


def settle(
    P: sp.csr_matrix,
    fixed: np.ndarray,
    start: np.ndarray,
    noise: np.ndarray,
    phases: tuple[Phase, Phase],
) -> np.ndarray:
    """Return where free points go: they gather, look for better places, and settle there."""
    gathering, settling = phases
    points, free = np.ascontiguousarray(fixed, np.float32), np.ascontiguousarray(start)
    # Each place that is looked at, too, is one more evaluation of the field.
    n_evaluations = (gathering.n_iter + settling.n_iter + N_PLACES) * len(start)
    dof, n_threads = settling.dof, settling.n_threads
    field = make_fixed_repulsion(points, settling, n_evaluations)
    repulsion = make_repulsion(str(settling.method), dof, n_threads, dict(settling.accuracy))
    objective = FreePointsDivergence(P, points, field, repulsion, dof, n_threads)
    GradientDescent().run(free, objective, gathering)
    free = relocate_free_points(P, fixed, free, objective, settling.exaggeration, noise)
    GradientDescent().run(free, objective, settling)
    return free


def relocate_free_points(
    P: sp.csr_matrix,
    fixed: np.ndarray,
    free: np.ndarray,
    objective: FreePointsDivergence,
    exaggeration: float,
    noise: np.ndarray,
) -> np.ndarray:
    """Return each free point's best place: its own, or near one of its strongest neighbours.

    noise : (m, d), what is added to a neighbour's place: points that go to one would not part.
    """
    z = objective.normalization(free)

    def others(rows: slice, looked_at: np.ndarray) -> np.ndarray:
        sums = objective.sums_of_fixed(looked_at.reshape(-1, free.shape[1]))
        loss: np.ndarray = 2 / z * sums.reshape(looked_at.shape[:2])
        return loss

    points = np.concatenate([fixed, free])
    return _best_places(P, points, free, noise, objective.dof, exaggeration, others)


def relocate_misplaced_points(
    P: sp.csr_matrix,
    y: np.ndarray,
    field: FixedRepulsion,
    dof: float,
    exaggeration: float,
    anchors: Anchors | None,
    noise: np.ndarray,
) -> np.ndarray:
    """Return the same for all points of a map; the loss of anchors counts, pinned points stay."""

    def sums_at(places: np.ndarray) -> np.ndarray:
        points = np.ascontiguousarray(places.reshape(-1, y.shape[1]), np.float32)
        sums = np.empty(len(points))
        field(points, np.empty_like(points), sums)
        return sums.reshape(places.shape[:-1])

    # Of a map so wide that rounding is all that is left of Z, as its objective has it.
    z = max(float(sums_at(y).sum()) - len(y), MIN_Z_PER_POINT * len(y))

    def others(rows: slice, looked_at: np.ndarray) -> np.ndarray:
        squares = ((looked_at - y[rows, None]) ** 2).sum(axis=2)
        loss: np.ndarray = 2 / z * (sums_at(looked_at) - (1 + squares / dof) ** -dof)
        if anchors is not None:
            loss += _loss_of_anchors(anchors, rows, looked_at)
        return loss

    return _best_places(P, y, y, noise, dof, exaggeration, others)


def _loss_of_anchors(anchors: Anchors, rows: slice, looked_at: np.ndarray) -> np.ndarray:
    """2 weight / n |y - target|^2 of some points at places; infinite for pinned ones off theirs."""
    weights = anchors.weights[rows]
    targets = np.where((weights > 0)[:, None], anchors.targets[rows], 0)
    squares = ((looked_at - targets[:, None]) ** 2).sum(axis=2)
    is_pinned = np.isinf(weights)
    strengths = 2 / len(anchors.weights) * np.where(is_pinned, 0, weights)
    loss: np.ndarray = strengths[:, None] * squares
    loss[is_pinned, 1:] = np.inf
    return loss


def _best_places(
    P: sp.csr_matrix,
    points: np.ndarray,
    free: np.ndarray,
    noise: np.ndarray,
    dof: float,
    exaggeration: float,
    others: Callable[[slice, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return the best of the places that each point looks at.

    others : gives the loss less the attraction for some rows and places, (rows, places, d).
    """
    result = free.copy()
    for rows in _blocks(np.diff(P.indptr)):
        neighbors, weights = _padded_rows(P[rows])
        strongest = np.argsort(-weights, axis=1, kind="stable")[:, :N_PLACES]
        near = points[np.take_along_axis(neighbors, strongest, axis=1)] + noise[rows, None]
        looked_at = np.concatenate([free[rows, None], near], axis=1)
        around = points[neighbors].astype(np.float32)
        loss = 2 * exaggeration * _cross_entropies(looked_at, around, weights, dof)
        loss += others(rows, looked_at)
        # Rows may have fewer neighbours than places to look at.
        loss[:, 1:][np.take_along_axis(weights, strongest, axis=1) == 0] = np.inf
        result[rows] = looked_at[np.arange(len(loss)), loss.argmin(axis=1)]
    return result


def _blocks(counts: np.ndarray) -> Iterator[slice]:
    """Rows in blocks which, all as long as their longest, have ``BLOCK_NEIGHBORS`` or one row."""
    first = 0
    while first < len(counts):
        some = counts[first : first + BLOCK_NEIGHBORS // MIN_LENGTH]
        lengths = np.maximum.accumulate(np.maximum(some, MIN_LENGTH))
        sizes = np.arange(1, len(some) + 1) * lengths.astype(np.int64)
        stop = first + max(int(np.searchsorted(sizes, BLOCK_NEIGHBORS, "right")), 1)
        yield slice(first, stop)
        first = stop


def _padded_rows(P: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and values of each row, (rows, longest); 0 with the value 0 after the last."""
    P = sp.csr_matrix(P)
    counts = np.diff(P.indptr)
    is_there = np.arange(max(counts.max(initial=0), 1)) < counts[:, None]
    columns, values = np.zeros(is_there.shape, np.int64), np.zeros(is_there.shape, np.float32)
    columns[is_there], values[is_there] = P.indices, P.data
    return columns, values


def _cross_entropies(
    looked_at: np.ndarray, around: np.ndarray, weights: np.ndarray, dof: float
) -> np.ndarray:
    """Return sum_j p_ij log w^-1 of each point at each of some places, (rows, places) float64."""
    result = np.empty(looked_at.shape[:2])
    for number in range(looked_at.shape[1]):
        steps = around - looked_at[:, None, number].astype(np.float32)
        squares = np.einsum("ijk,ijk->ij", steps, steps)
        squares /= np.float32(dof)
        squares += 1
        np.log(squares, out=squares)
        result[:, number] = dof * np.einsum("ij,ij->i", weights, squares)
    return result
