"""Maps that are optimized together: one descent of all their points."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from fasttsne.anchors import Anchors
from fasttsne.embedding.full import TSNEEmbedding
from fasttsne.objective.base import JointObjective
from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.optimize.descent import GradientDescent, OptimizationInterrupt
from fasttsne.optimize.plan import Phase, resolve_method
from fasttsne.optimize.state import DescentState
from fasttsne.optimize.target_term import Ties


class JointDescent:
    """The descent of several maps, phase after phase.

    Parameters
    ----------
    embeddings : the maps, which move in place.
    ties : of all their points, one map after the other.
    """

    def __init__(self, embeddings: Sequence[TSNEEmbedding], ties: Ties):
        self._embeddings, self._ties = embeddings, ties
        self._optimizer = GradientDescent()
        self._points = np.concatenate([np.asarray(embedding) for embedding in embeddings])
        ends = np.cumsum([0, *map(len, embeddings)])
        self._rows = [slice(int(start), int(end)) for start, end in pairwise(ends)]
        self._group = _groups(ties, np.repeat(np.arange(len(embeddings)), np.diff(ends)))

    def run(self, phase: Phase) -> None:
        """Carry out a phase of a plan for the mean number of points.

        Errors are those of ``TSNEEmbedding.optimize``.  However it ends, each embedding is the map
        as of the last step, with the state of its optimizer and the ties as its anchors.
        """
        objective = JointObjective(
            [
                embedding.objective(replace(phase, method=_method(embedding)))
                for embedding in self._embeddings
            ]
        )
        for embedding in self._embeddings:
            embedding.kl_divergence = None
        errors: Sequence[float | None] = [None] * len(self._embeddings)
        try:
            tied = replace(phase, anchors=self._ties if self._ties.weights.any() else None)
            self._optimizer.run(self._points, objective, tied)
            errors = objective.errors
        except OptimizationInterrupt:  # by a callback, which was told of the error
            errors = objective.errors
            raise
        finally:
            self._write(errors)

    def _write(self, errors: Sequence[float | None]) -> None:
        """Hand each embedding what is its own."""
        points = self._centered()
        targets = self._ties.walk @ points
        targets[self._ties.weights == 0] = np.nan
        state = self._optimizer.state
        for embedding, rows, error in zip(self._embeddings, self._rows, errors, strict=True):
            np.asarray(embedding)[...] = points[rows]
            embedding.kl_divergence = error
            weights = self._ties.weights[rows]
            embedding.anchors = Anchors(targets[rows], weights) if weights.any() else None
            if state is not None:
                order = state.order[rows] - np.int32(rows.start)
                embedding.optimizer.state = DescentState(
                    state.update[rows].copy(), state.gains[rows].copy(), order, state.iteration
                )

    def _centered(self) -> np.ndarray:
        """The maps that are tied to each other centered together, and others by themselves."""
        points = self._points.copy()
        for number in np.unique(self._group):
            points[self._group == number] -= points[self._group == number].mean(axis=0)
        return points


def _groups(ties: Ties, of_map: np.ndarray) -> np.ndarray:
    """(n,) which of the groups of maps that are tied to each other a point is in.

    of_map : (n,) the map of each point.
    """
    walk = ties.walk.tocoo()
    n_maps = int(of_map.max()) + 1
    pairs = of_map[walk.row], of_map[walk.col]
    between = sp.csr_matrix((np.ones(walk.nnz), pairs), (n_maps, n_maps))
    group: np.ndarray = sp.csgraph.connected_components(between, directed=False)[1][of_map]
    return group


def _method(embedding: TSNEEmbedding) -> str | ObjectiveFunction:
    return resolve_method(embedding.negative_gradient_method, len(embedding))
