"""What draws points to targets: a term of every descent, beside its objective.

In units of the gradient that objectives return, a quarter, it is weight / n * (y - target).  Plain
steps take it implicitly; preconditioned ones have it in the gradient and in the curvature.  The
targets are those of :class:`fasttsne.Anchors` (``AnchorTerm``), follow the embedding as a whole
(``ReferenceTerm``), or are other points (``TieTerm``).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.anchors import Anchors
from fasttsne.optimize.schedule import Stage

# A point of this weight is as near to its target as float64 resolves.  The curvature, in float32,
# holds it, divided by any exaggeration, and for any number of points.
MAX_WEIGHT = 1e30
# Farther from 0 than this, float32 does not resolve the points of a start.
FAR = 100.0
# Of a reference: a weight of 1 / 2 in units of the attraction.
STRENGTH = 0.17
# The share of the KL divergence that even a weight of 1 leaves, so that the map has a size.
MIN_SHARE = 0.02
# Of targets: a map that is small because a reference contradicts its neighbours would stay so.
MIN_SIZE = 1.0
# Pairs of points that are tied: first, second, and the strength of each.
Links: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


def far_origin(places: np.ndarray) -> np.ndarray | None:
    """Return the middle of places, (any, d), if single precision is to be used about it."""
    middle: np.ndarray = np.median(places, axis=0)
    return middle if np.abs(middle).max() > FAR else None


class TargetTerm(ABC):
    """Targets of all points in the order of the loop.

    Attributes
    ----------
    targets : (n, d) float64.
    weights : (n,) float64, divided by n; infinite for points that are pinned.
    pins : (n,) float64, infinite for those and 0 for others: what preconditioned steps take.
    keeps_center : whether the map as a whole is drawn nowhere.
    origin : (d,) where it is drawn to, if that is far from 0; or None.
    looks_ahead : whether ``look_ahead`` does something.
    """

    targets: np.ndarray
    weights: np.ndarray
    pins: np.ndarray
    keeps_center = False
    origin: np.ndarray | None = None
    looks_ahead = False

    def __init__(self, n: int, n_threads: int):
        self._n_threads = n_threads
        self._sums = np.empty(_kernels.gradient_step.count_blocks(n))
        self.reorder(np.arange(n, dtype=np.int32))

    @abstractmethod
    def reorder(self, order: np.ndarray) -> None:
        """Take over an order of points: row r is the point ``order[r]``."""

    def begin(self, y: np.ndarray, stage: Stage) -> None:  # noqa: B027 -- most stay
        """Place targets that depend on the map, (n, d), before an iteration of a stage."""

    def look_ahead(self, y: np.ndarray, step: np.ndarray) -> None:  # noqa: B027 -- most stay
        """Place targets for a plain step, (n, d), which the map is about to take."""

    @abstractmethod
    def pin(self, y: np.ndarray) -> None:
        """Move pinned points of a map, (n, d), to their targets."""

    def pull(self, y: np.ndarray, gradient: np.ndarray) -> None:
        """Add the term to a gradient, (n, d); that of pinned points becomes 0."""
        _kernels.gradient_step.pull(
            y, self.targets, self.weights, gradient, self._sums, self._n_threads
        )

    def loss(self, y: np.ndarray) -> float:
        """Return 2 / n sum weight |y - target|^2 over the points that can move."""
        energy: float = _kernels.gradient_step.pull(
            y, self.targets, self.weights, np.zeros_like(y), self._sums, self._n_threads
        )
        return 2 * energy

    def curvature(self, exaggeration: float) -> np.ndarray:
        """Return it, (n,) float32, in units of the attraction, which an exaggeration multiplies."""
        with np.errstate(over="ignore"):
            result: np.ndarray = (self.weights / exaggeration).astype(np.float32)
        return result


class AnchorTerm(TargetTerm):
    """Targets that stay where they are: :class:`fasttsne.Anchors`."""

    def __init__(self, anchors: Anchors, n_threads: int):
        self._anchors = anchors
        self.origin = far_origin(anchors.targets[anchors.weights > 0])
        super().__init__(len(anchors.weights), n_threads)

    def reorder(self, order: np.ndarray) -> None:
        self.targets = self._anchors.targets[order]
        weights = self._anchors.weights[order]
        finite = np.minimum(weights, MAX_WEIGHT)
        self.weights = np.where(np.isinf(weights), np.inf, finite) / len(order)
        self.pins = np.where(np.isinf(self.weights), np.inf, 0.0)

    def pin(self, y: np.ndarray) -> None:
        is_pinned = np.isinf(self.weights)
        y[is_pinned] = self.targets[is_pinned]


class ReferenceTerm(TargetTerm):
    """Targets that follow the map, and anchors beside them if there are any.

    The target of a point is its place in the reference, turned, scaled and moved to the map in each
    iteration::

        target_i = mean(y) + max(|Y|, 1) Q^T r_i

    with the reference r centered and of a root mean square of 1, |Y| that of the centered map, and
    Q the rotation or reflection that brings the reference nearest to the map (Procrustes;
    Schoenemann 1966).  Scaled by least squares, a target would be smaller than the map while the
    two differ, and draw all points inwards.

    For a weight from 0 to 1, w, the loss is that of anchors (:mod:`fasttsne.anchors`) with

        w / (1 - w) * STRENGTH / (1 + |Y|) * exaggeration * factor of the stage

    Distances to targets grow with the map, forces of neighbours do not: by |Y| a weight means the
    same for few and many points.  While the points arrange themselves the factor is larger than
    later, when local structure forms, with which a strong reference would compete.

    Source: Kury, Kobak & Damrich 2025, DREAMS, arXiv 2508.13747; its weights are (1 - w) and w.

    Parameters
    ----------
    reference : (n, d) float64, not all points in one place.
    weight : above 0, up to 1.
    anchors : the term of points with targets of their own, or None.
    """

    def __init__(
        self, reference: np.ndarray, weight: float, anchors: AnchorTerm | None, n_threads: int
    ):
        centered = reference - reference.mean(axis=0)
        self._reference = centered / np.sqrt((centered**2).sum(axis=1).mean())
        self._strength = STRENGTH * weight / max(1 - weight, MIN_SHARE)
        self._anchors = anchors
        self.keeps_center = anchors is None
        self.origin = None if anchors is None else anchors.origin
        super().__init__(len(reference), n_threads)

    def reorder(self, order: np.ndarray) -> None:
        self._rows = np.ascontiguousarray(self._reference[order])
        self.targets, self.weights = np.zeros_like(self._rows), np.zeros(len(order))
        self.pins = np.zeros(len(order))
        if self._anchors is not None:
            self._anchors.reorder(order)
            self.pins = self._anchors.pins

    def pin(self, y: np.ndarray) -> None:
        if self._anchors is not None:
            self._anchors.pin(y)

    def begin(self, y: np.ndarray, stage: Stage) -> None:
        turn, shift, size = self._fit(y)
        factor = stage.exaggeration * stage.structure_factor
        own = self._anchors
        _kernels.follow.place(
            self._rows,
            turn,
            shift,
            self._strength * factor / (1 + size) / len(y),
            self.targets,
            self.weights,
            self._n_threads,
            None if own is None else own.targets,
            None if own is None else own.weights,
        )

    def _fit(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the matrix and the vector that take the reference to the map, and its size."""
        near = y if self.origin is None else y - self.origin
        square, mean, products = _kernels.follow.moments(near, self._rows, self._n_threads)
        size = float(np.sqrt(max(square - (mean**2).sum(), 0.0)))
        left, _, right = np.linalg.svd(products)
        shift = mean if self.origin is None else mean + self.origin
        return max(size, MIN_SIZE) * (left @ right), shift, size


@dataclass(frozen=True)
class Ties:
    """Points that are drawn to each other: anchors whose targets move with the map.

    Ties add to the loss of n points ::

        2 / n  sum_i weight_i y_i . (y_i - t_i),    t = T y

    where T is a lazy random walk between tied points: t_i is the mean position of a group to which
    i belongs, for example.  With weight_i T_ij symmetric the gradient is 4 / n weight_i
    (y_i - t_i), as of an anchor at t_i; and the eigenvalues of T are between 0 and 1, so that steps
    that are stable for anchors are stable for ties.

    Attributes
    ----------
    walk : (n, n) CSR matrix T; rows of points without ties are empty.
    weights : (n,) float64, as of :class:`fasttsne.Anchors`; 0 for points without ties.
    """

    walk: sp.csr_matrix
    weights: np.ndarray

    @classmethod
    def to_mean(cls, n: int, links: Links, weight: float) -> "Ties":
        """Draw all points of a group, which links connect, to the mean of their positions.

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
        """Draw each point to those that it has links with.

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
        """Do nothing: no point is pinned."""

    def begin(self, y: np.ndarray, stage: Stage) -> None:
        self.targets = self.average(y)

    def look_ahead(self, y: np.ndarray, step: np.ndarray) -> None:
        self.targets = self.average(y + step)

    def average(self, y: np.ndarray) -> np.ndarray:
        """Return T y, (n, d), with zeros where points are not tied."""
        result = np.zeros_like(y)
        result[self._rows] = self._walk @ y
        return result

    def loss(self, y: np.ndarray) -> float:
        places, weights = y[self._rows], self.weights[self._rows, None]
        energy = (weights * places * (places - self._walk @ y)).sum()
        return 2 * float(energy) / self._unit
