"""Several maps as one: the points of one after those of the other, their losses added."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fasttsne.objective.base import Objective


@dataclass(frozen=True)
class Part:
    """One of the maps.

    Attributes
    ----------
    objective : its own.
    rows : its points among all.
    share : the number of its points, relative to the mean of all maps.
    """

    objective: Objective
    rows: slice
    share: float


class JointObjective(Objective):
    """The mean of the losses of maps, weighted by their numbers of points.

    The gradient is that of the sum of the losses, each times its ``share``.  So a point moves as it
    does alone, by a learning rate for the mean number of points.

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
        return self._mean(
            [part.objective.loss(e) for part, e in zip(self.parts, self.errors, strict=True)]
        )

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
