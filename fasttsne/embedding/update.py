"""Rows that join a map, or get other values: where their points start and settle."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne import initialization as init
from fasttsne.embedding.partial import make_fixed_repulsion
from fasttsne.embedding.relocation import N_PLACES, relocate_free_points
from fasttsne.objective.points import FreePointsDivergence
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.plan import Phase
from fasttsne.repulsion import make_repulsion

# A new point starts at the median of so many old ones that are near, as in ``transform``.
N_NEAR = 25
# New rows with the same neighbours start so far from each other, as a share of the map's
# standard deviation: together they would not part.
JITTER = 1e-3
# New points go to the mean of their neighbours so many times: so those of a new cluster come
# together, which as rows of their own start at scattered old ones.
N_SWEEPS = 5


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
    """Return where free points go from their start, among others that do not move.

    phases : to gather, before points look for better places, and to settle there.
    """
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
