"""The protocol of what gradient descent makes smaller."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

from fasttsne.repulsion.barnes_hut import curve_order
from fasttsne.runtime.threads import resolve_n_jobs


class RowTasks(NamedTuple):
    """Tasks for ``_kernels.row_descent``: from ``points`` to forces and the Z of each row.

    Attributes
    ----------
    tasks : in their order.
    points, attractive, repulsive : (n, d) float32 arrays.
    z : (n,) float64, of each row by itself; it is taken to be ``min_z`` at least.
    """

    tasks: tuple[Any, ...]
    points: np.ndarray
    attractive: np.ndarray
    repulsive: np.ndarray
    z: np.ndarray
    min_z: float


class Objective(ABC):
    """A loss of n points in d dimensions, and its gradient.

    Points come in an order of the optimizer's own, which :meth:`reorder` sets: ``y`` and the
    gradient are in that order.

    Parameters
    ----------
    shape : (n, d).
    n_threads : how many threads share the work.  Results do not depend on it.

    Attributes
    ----------
    is_translation_invariant : whether the loss stays the same when all points move together; then
        the map is kept centered.  True by default.
    gains_by_order : whether it is computed faster where points that are near in the map are near
        in memory; then they are sorted now and then.  True by default.
    scale : the gradient in units of what :meth:`gradient` returns, 4 by default, as each pair of
        points counts twice in a sum of squares.
    has_curvature : whether there are :meth:`edge_moments`, which preconditioned steps need.  False
        by default.
    """

    is_translation_invariant = True
    gains_by_order = True
    _origin: np.ndarray | None = None
    scale = 4.0
    has_curvature = False

    def __init__(self, shape: tuple[int, int], n_threads: int = 1):
        self.shape = shape
        self.n_threads = resolve_n_jobs(n_threads)
        self._gradient = np.empty(shape)

    @abstractmethod
    def gradient(
        self, y: np.ndarray, exaggeration: float = 1.0, with_error: bool = False
    ) -> tuple[np.ndarray, float | None]:
        """The gradient divided by ``scale``, and the error.

        Parameters
        ----------
        y : (n, d) float64 array, not changed.
        exaggeration : factor on the attractive forces.
        with_error : whether the error is wanted.

        Returns
        -------
        gradient : (n, d) float64 array, which the next call overwrites.
        error : what is reported to callbacks, as for exaggeration 1: the KL divergence, as a
            rule.  None where it is not wanted.
        """

    @abstractmethod
    def reorder(self, order: np.ndarray) -> None:
        """From now on row r of y is the point ``order[r]``; an (n,) int32 array."""

    def set_origin(self, origin: np.ndarray | None) -> None:
        """Compute forces about another place than 0, (d,) float64, from which points are not far.

        Far from 0, single precision does not resolve them.
        """
        self._origin = origin

    def round(self, y: np.ndarray, out: np.ndarray) -> None:
        """Write points to a float32 array, relative to the origin."""
        if self._origin is None:
            np.copyto(out, y, casting="same_kind")
        else:
            np.subtract(y, self._origin, out=out, casting="same_kind")

    def row_tasks(self) -> RowTasks | None:
        """What :meth:`gradient` does to rows that do not depend on each other, as tasks.

        None where they do, or it is not known how.
        """
        return None

    def edge_moments(
        self,
        y: np.ndarray,
        v: np.ndarray,
        degree: np.ndarray,
        moments: np.ndarray,
        product: np.ndarray,
    ) -> None:
        """What the curvature of the attraction is made of, where there is one.

        With edges that weigh a_ij = p_ij / (1 + r_ij^2 / dof) it writes::

            degree_i = sum_j a_ij, moments_i = sum_j a_ij (y_i - y_j) (y_i - y_j)^T,
            product_i = sum_j a_ij (v_i - v_j)

        Parameters
        ----------
        y : (n, d) float64 array, not changed.
        v : (n, d) float32 array, not changed.
        degree : (n,) float32 array.
        moments : (n, d (d + 1) / 2) float32 array, the upper half of each matrix, row by row.
        product : (n, d) float32 array.
        """
        raise NotImplementedError(f"{type(self).__name__} has no curvature")

    def sorting(self, y: np.ndarray) -> np.ndarray:
        """An order in which points that are near in the map y, (n, d), are near in memory."""
        points = np.empty(y.shape, np.float32)
        self.round(y, points)
        return curve_order(points)

    def loss(self, error: float) -> float:
        """What descent makes smaller, for the error of the last ``gradient``."""
        return error

    def exaggerated_loss(self, error: float, exaggeration: float) -> float:
        """The same with exaggeration."""
        return exaggeration * self.loss(error)

    def gradient_norm(self) -> float:
        """The norm of the gradient without exaggeration, at the last ``gradient``."""
        return self.scale * float(np.linalg.norm(self._gradient))

    def error_of_one_place(self) -> float | None:
        """Return the error of a map all of whose points are in one place; None if not known."""
        return None

    @property
    def source(self) -> str:
        """What computes it, for messages."""
        return type(self).__name__

    @property
    def approximation(self) -> str | None:
        """Which approximation computed the last error, where there are several."""
        return None
