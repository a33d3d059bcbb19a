"""Points that are drawn to each other: anchors whose targets move with the map.

Ties add to the loss of n points ::

    2 / n  sum_i weight_i y_i . (y_i - t_i),    t = T y

where T is a lazy random walk between tied points: t_i is the mean of the places of a group to which
i belongs, for example.  With weight_i T_ij symmetric the gradient is 4 / n weight_i (y_i - t_i),
that of an anchor at t_i; and the eigenvalues of T are between 0 and 1, so that the curvature is
at most that of anchors, and steps that are stable for those are stable for ties.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.target_term import MAX_WEIGHT, TargetTerm

__all__ = ["TieTerm", "Ties"]

# Pairs of points that are tied: first, second, and the strength of each.
Links: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Ties:
    """What ties the points of a map, or of several, to each other.

    Attributes
    ----------
    walk : (n, n) CSR matrix T; rows of points without ties are empty.
    weights : (n,) float64 of each point, as those of :class:`fasttsne.Anchors`; 0 without ties.
    """

    walk: sp.csr_matrix
    weights: np.ndarray

    @classmethod
    def to_mean(cls, n: int, links: Links, weight: float) -> "Ties":
        """All points of a group, which links connect, are drawn to the mean of their places.

        A point counts by the mean strength of its links.
        """
        adjacency = _adjacency(n, links)
        _, group = sp.csgraph.connected_components(adjacency, directed=False)
        strength = np.zeros(n)
        degree = np.diff(adjacency.indptr)
        np.divide(_row_sums(adjacency), degree, out=strength, where=degree > 0)
        rows = np.flatnonzero(strength)
        shape = n, int(group.max()) + 1
        members = sp.csr_matrix((np.ones(len(rows)), (rows, group[rows])), shape)
        counted = sp.csr_matrix((strength[rows], (group[rows], rows)), shape[::-1])
        total = _row_sums(counted)
        inverse = np.divide(1, total, out=np.zeros(len(total)), where=total > 0)
        return cls((members @ sp.diags_array(inverse) @ counted).tocsr(), weight * strength)

    @classmethod
    def to_adjacent(cls, n: int, links: Links, weight: float) -> "Ties":
        """Each point is drawn to those that it has links with.

        Half of the walk stays.  The two points of a single link are drawn to their mean, as
        strongly as by :meth:`to_mean`.
        """
        adjacency = _adjacency(n, links)
        degree = _row_sums(adjacency)
        inverse = np.divide(0.5, degree, out=np.zeros(n), where=degree > 0)
        stays = sp.diags_array(np.where(degree > 0, 0.5, 0))
        walk = (sp.diags_array(inverse) @ adjacency + stays).tocsr()
        walk.eliminate_zeros()
        return cls(walk, weight * degree)


def _adjacency(n: int, links: Links) -> sp.csr_matrix:
    first, second, strength = links
    both = np.concatenate([first, second]), np.concatenate([second, first])
    return sp.csr_matrix((np.tile(strength, 2), both), (n, n))


def _row_sums(matrix: sp.csr_matrix) -> np.ndarray:
    return np.asarray(matrix.sum(axis=1), np.float64).ravel()


class TieTerm(TargetTerm):
    """Ties in the order of the loop.

    Plain steps look where tied points go without ties: the implicit part of a step, which holds
    a point back on its way from its target, does not hold back a group that moves together.

    Parameters
    ----------
    unit : the gradient of the loss in units of the objective's, relative to that of a single map.
    """

    keeps_center = looks_ahead = True

    def __init__(self, ties: Ties, unit: float, n_threads: int):
        self._ties, self._unit = ties, unit
        self.pins = np.zeros(len(ties.weights))
        super().__init__(len(ties.weights), n_threads)

    def reorder(self, order: np.ndarray) -> None:
        weights = np.minimum(self._ties.weights[order], MAX_WEIGHT)
        self.weights = weights * (self._unit / len(order))
        self._rows = np.flatnonzero(self.weights)
        self._walk = self._ties.walk[order][:, order][self._rows]

    def pin(self, y: np.ndarray) -> None:
        """No point is pinned."""

    def begin(self, y: np.ndarray, stage: Stage) -> None:
        self.targets = self.average(y)

    def look_ahead(self, y: np.ndarray, step: np.ndarray) -> None:
        self.targets = self.average(y + step)

    def average(self, y: np.ndarray) -> np.ndarray:
        """T y, (n, d), with zeros where points are not tied."""
        result = np.zeros_like(y)
        result[self._rows] = self._walk @ y
        return result

    def loss(self, y: np.ndarray) -> float:
        places, weights = y[self._rows], self.weights[self._rows, None]
        energy = (weights * places * (places - self._walk @ y)).sum()
        return 2 * float(energy) / self._unit
