"""Targets of single points of a map, and how strongly each is drawn to its own.

Anchors add to the loss of a map ::

    2 / n  sum_i weight_i |y_i - target_i|^2

where n is the number of points.  The KL divergence attracts a point by its neighbours with
4 p_ij q_ij (y_i - y_j), and p_ij sums to about 1 / n for each point: a weight of 1 is as strong as
all of a point's neighbours are together, where they are near, for any number of points and any
learning rate.  Forces of neighbours are bounded, so that a point with a weight w stays within
about 1 / (2 w) of its target; 1 is the width of the kernel.  An infinite weight pins a point: it is
at its target, to the bit.

Where it was proposed: Rauber, Falcao & Telea 2016 (dynamic t-SNE), of maps of related data.
"""

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.runtime.validation import MAX_COORDINATE, is_missing, refuse_masked
from fasttsne.utils import warn_user

__all__ = ["Anchors"]

# Single precision resolves an eighth of the kernel's width at
# this distance from the middle of the targets; and double precision points of a start.
MAX_REACH, MAX_DISTANCE = 2.0**20, 1e9
MAX_TARGET = MAX_COORDINATE / 10  # other points need room


class Anchors:
    """Targets of the points of a map, and their weights: see :mod:`fasttsne.anchors`.

    Parameters
    ----------
    targets : (n, d) array, a place in the map for each row; rows of NaN are free.
    weights : a number or (n,) numbers from 0, which is free, to infinity, which pins a point.

    Attributes
    ----------
    targets : (n, d) float64 array, 0 where points are free.
    weights : (n,) float64 array, 0 where points are free.

    Raises
    ------
    ValueError, TypeError
        Where shapes do not fit, coordinates or weights are NaN, infinite targets or negative
        weights are among them, or no point has a target.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne import Anchors
    >>> Anchors([[0.0, 0.0], [np.nan, np.nan], [3.0, 1.0]], np.inf)
    Anchors of 2 of 3 points, 2 of them pinned
    """

    targets: np.ndarray
    weights: np.ndarray

    def __init__(self, targets: ArrayLike, weights: ArrayLike = 0.1):
        places = _floats(targets, "targets")
        if places.ndim != 2 or not 1 <= places.shape[1] <= 3:
            raise ValueError(f"targets must have the shape (n_samples, 1 to 3); got {places.shape}")
        is_free = np.isnan(places).all(axis=1)
        _check_places(places, is_free)
        strengths = _floats(weights, "weights")
        if strengths.shape not in ((), (len(places),)):
            raise ValueError(
                f"weights must be a number or have the shape ({len(places)},), one for each "
                f"target; got {strengths.shape}"
            )
        strengths = np.broadcast_to(strengths, len(places)).copy()
        if not (strengths >= 0).all():  # false for NaN, too
            row = int(np.flatnonzero(~(strengths >= 0))[0])
            raise ValueError(f"weights must be 0 or more; weights[{row}] is {strengths[row]}")
        strengths[is_free] = 0
        places[strengths == 0] = 0
        if not strengths.any():
            raise ValueError("anchors need a target with a weight above 0; all points are free")
        self.targets, self.weights = places, strengths
        _warn_of_unresolved(places[strengths > 0])

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d), as of the map."""
        return self.targets.shape[0], self.targets.shape[1]

    @property
    def is_pinned(self) -> np.ndarray:
        """(n,) whether each point is at its target."""
        is_pinned: np.ndarray = np.isinf(self.weights)
        return is_pinned

    def __repr__(self) -> str:
        n, pinned = np.count_nonzero(self.weights), np.count_nonzero(self.is_pinned)
        return f"Anchors of {n:,} of {len(self.weights):,} points, {pinned:,} of them pinned"


def check_anchors(anchors: Anchors | None, n: int | None, n_components: int) -> None:
    """Raise where anchors are not of a map of this shape.

    n : number of points; None where it is not known yet.
    """
    if anchors is None:
        return
    if not isinstance(anchors, Anchors):
        raise TypeError(f"anchors must be fasttsne.Anchors or None; got {anchors!r}")
    if anchors.shape != (anchors.shape[0] if n is None else n, n_components):
        rows = "n_samples" if n is None else n
        raise ValueError(
            f"anchors must have the shape of the map, ({rows}, {n_components}); their targets have "
            f"{anchors.shape}"
        )


def check_movable(anchors: Anchors | None) -> None:
    """Raise ValueError where anchors pin all points: nothing could move."""
    if anchors is not None and anchors.is_pinned.all():
        raise ValueError("all points are pinned by the anchors: there is nothing to optimize")


def _floats(values: ArrayLike, name: str) -> np.ndarray:
    refuse_masked(values, name)
    try:
        array = np.asarray(values)
        if array.dtype == object:  # as a data frame's with missing values
            missing = is_missing(array.ravel()).reshape(array.shape)
            array = np.where(missing, np.nan, array)
        if array.dtype.kind in "fiubO":  # NumPy would convert text and complex numbers, too
            return np.array(array, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        pass
    raise TypeError(f"{name} must be an array of numbers")


def _warn_of_unresolved(places: np.ndarray) -> None:
    """Warn of targets where the points of a map are not told apart as they should be."""
    middle = np.median(places, axis=0)
    reach, distance = np.abs(places - middle).max(), np.abs(middle).max()
    if reach > MAX_REACH:
        warn_user(
            f"targets are up to {reach:.3g} from their middle, where single precision, in which "
            f"forces are computed, tells places {np.spacing(np.float32(reach)):.2g} apart"
        )
    if distance > MAX_DISTANCE:
        warn_user(
            f"targets are about {distance:.3g} from 0, where double precision tells places "
            f"{np.spacing(distance):.2g} apart: give them nearer to 0"
        )


def _check_places(places: np.ndarray, is_free: np.ndarray) -> None:
    wrong = ~is_free & ~(np.abs(places) <= MAX_TARGET).all(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"targets must be finite, up to {MAX_TARGET:g}, or NaN in a whole row; "
            f"targets[{row}] is {places[row].tolist()}"
        )
