"""The protocol of what gradient descent makes smaller, and several such losses as one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fasttsne.repulsion.barnes_hut import curve_order
from fasttsne.runtime.threads import resolve_n_jobs


class RowTasks(NamedTuple):
    """Tasks for ``_kernels.row_descent``: from ``points`` to forces and the Z of each row.

    Attributes
    ----------
    tasks : in their order.
    spares : for each, the task that serves rows which it cannot serve, or None.
    points, attractive, repulsive : (n, d) float32 arrays.
    z : (n,) float64, of each row by itself; it is taken to be ``min_z`` at least.
    """

    tasks: tuple[object, ...]
    spares: tuple[object, ...]
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
        """Return the gradient divided by ``scale``, and the error.

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

    def row_tasks(self, with_spares: bool = False) -> RowTasks | None:
        """Return what :meth:`gradient` does to rows that do not depend on each other, as tasks.

        None where they do, or it is not known how.

        with_spares : whether some rows need spare tasks, which may take long to make.
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
        """Write the parts of the curvature of the attraction, if it has one.

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
        """Return an order in which points that are near in the map y are near in memory."""
        points = np.empty(y.shape, np.float32)
        self.round(y, points)
        return curve_order(points)

    def loss(self, error: float) -> float:
        """Return what descent makes smaller, for the error of the last ``gradient``."""
        return error

    def exaggerated_loss(self, error: float, exaggeration: float) -> float:
        """Return the loss with exaggerated attraction for an error of :meth:`gradient`."""
        return exaggeration * self.loss(error)

    def gradient_norm(self) -> float:
        """Return the norm of the gradient without exaggeration, at the last ``gradient``."""
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


@dataclass(frozen=True)
class Part:
    """One of several maps: its objective, its points among all, and their number.

    ``share`` is that number relative to the mean of all maps.
    """

    objective: Objective
    rows: slice
    share: float


class JointObjective(Objective):
    """The mean of the losses of maps, weighted by their numbers of points.

    The points of one map come after the points of the other.  The gradient is of the sum of the
    losses, each times its ``share``: a point moves as it does alone, by a learning rate for the
    mean number of points.

    Parameters
    ----------
    objectives : of maps with the same number of dimensions.

    Attributes
    ----------
    parts : each map.
    errors : of each map, at the last ``gradient`` that was asked for it.
    """

    def __init__(self, objectives: Sequence[Objective]):
        ends = np.cumsum([0, *(objective.shape[0] for objective in objectives)])
        super().__init__((int(ends[-1]), objectives[0].shape[1]), objectives[0].n_threads)
        self.scale = Objective.scale / len(objectives)
        mean = int(ends[-1]) / len(objectives)
        self.parts = [
            Part(objective, slice(int(start), int(end)), int(end - start) / mean)
            for objective, (start, end) in zip(objectives, pairwise(ends), strict=True)
        ]
        self.errors: list[float] = []
        self.is_translation_invariant = all(part.is_translation_invariant for part in objectives)
        self.gains_by_order = any(part.gains_by_order for part in objectives)
        self.has_curvature = all(part.has_curvature for part in objectives)

    def gradient(
        self, y: np.ndarray, exaggeration: float = 1.0, with_error: bool = False
    ) -> tuple[np.ndarray, float | None]:
        errors = []
        for part in self.parts:
            gradient, error = part.objective.gradient(y[part.rows], exaggeration, with_error)
            np.multiply(gradient, part.share, out=self._gradient[part.rows])
            if error is not None:
                errors.append(error)
        if not with_error:
            return self._gradient, None
        self.errors = errors
        return self._gradient, self._mean(errors)

    def set_origin(self, origin: np.ndarray | None) -> None:
        for part in self.parts:
            part.objective.set_origin(origin)

    def reorder(self, order: np.ndarray) -> None:
        """See the base; the points of each map must stay in its rows."""
        for part in self.parts:
            part.objective.reorder(order[part.rows] - np.int32(part.rows.start))

    def edge_moments(
        self,
        y: np.ndarray,
        v: np.ndarray,
        degree: np.ndarray,
        moments: np.ndarray,
        product: np.ndarray,
    ) -> None:
        for part in self.parts:
            own = [array[part.rows] for array in (degree, moments, product)]
            part.objective.edge_moments(y[part.rows], v[part.rows], *own)
            for array in own:
                array *= np.float32(part.share)

    def sorting(self, y: np.ndarray) -> np.ndarray:
        orders = [part.objective.sorting(y[part.rows]) + part.rows.start for part in self.parts]
        return np.concatenate(orders).astype(np.int32)

    def loss(self, error: float) -> float:
        pairs = zip(self.parts, self.errors, strict=True)
        return self._mean([part.objective.loss(each) for part, each in pairs])

    def exaggerated_loss(self, error: float, exaggeration: float) -> float:
        pairs = zip(self.parts, self.errors, strict=True)
        return self._mean([part.objective.exaggerated_loss(e, exaggeration) for part, e in pairs])

    @property
    def approximation(self) -> str | None:
        names = [part.objective.approximation for part in self.parts]
        return None if None in names else ", ".join(map(str, names))

    def _mean(self, values: list[float]) -> float:
        pairs = zip(self.parts, values, strict=True)
        return sum(part.share * value for part, value in pairs) / len(self.parts)
