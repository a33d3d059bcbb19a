"""How well a map keeps neighbourhoods of every size: curves of the co-ranking matrix."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metrics.estimate import (
    Estimate,
    Sample,
    estimate_mean,
    estimate_penalized,
    standard_error_of_mean,
)
from fasttsne.nearest_neighbors.builtin.ranks import max_rank_counts
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_number

# Sizes, evenly spaced in their log, at which each row's sum of Q_NX is kept for standard errors.
N_MARKS = 512


@dataclass(frozen=True)
class RankCurves:
    """Q_NX and R_NX of a map, from a sample of its rows or from all.

    Attributes
    ----------
    k : (n - 2,) sizes of neighbourhoods, 1 to n - 2.
    q_nx : (n - 2,) mean share of the k nearest neighbours that data and map have in common, 0 to 1.
    r_nx : (n - 2,) Q_NX beyond chance, ((n - 1) Q_NX - k) / (n - 1 - k): 1 is perfect, 0 is a
        random map.
    r_nx_error : (n - 2,) its standard errors; 0 where all rows were compared, NaN where they are
        not known.  Of more than 512 sizes, those between are interpolated.
    auc : the area under R_NX over log k, divided by the length of that axis: each k weighs 1 / k.
    k_max : the size that splits local from global, where Q_NX is farthest above chance.
    local : mean of Q_NX up to k_max.
    global_ : mean of Q_NX beyond k_max; it ends with 1 - 1 / (n - 1) for any map.  The errors of
        both are not known of a sample, since its k_max is another one.
    at : size of the neighbourhoods of the next three.
    neighbor_recall, trustworthiness, continuity : as the functions of these names return, for
        these rows.
    rows : indices of the rows that were compared.
    """

    k: np.ndarray
    q_nx: np.ndarray
    r_nx: np.ndarray
    r_nx_error: np.ndarray
    auc: Estimate
    k_max: int
    local: Estimate
    global_: Estimate
    at: int
    neighbor_recall: Estimate
    trustworthiness: Estimate
    continuity: Estimate
    rows: np.ndarray


def rank_curves(
    X: Rows,
    embedding: ArrayLike,
    k: int = 10,
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 500,
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
) -> RankCurves:
    """Return how many neighbours data and map have in common, for neighbourhoods of all sizes.

    For each sampled row all other rows are ranked in both spaces.  Of equal distances, the smaller
    index comes first.  Time grows with sample_size x n, memory with n.

    Parameters
    ----------
    X, embedding, metric, metric_params, random_state, n_jobs : as for :func:`neighbor_recall`; at
        least 4 rows.
    k : size of the neighbourhoods of recall, trustworthiness and continuity, which come from the
        same ranks; less than half of the rows, or it becomes that.
    sample_size : number of rows that are compared with all others, chosen at random; None is all.

    Returns
    -------
    RankCurves

    Source: Lee & Verleysen 2009, Quality assessment of dimensionality reduction: rank-based
    criteria (Q_NX, k_max); Lee, Peluffo-Ordonez & Verleysen 2015, Multi-scale similarities in
    stochastic neighbour embedding (R_NX and its area).
    """
    sample = Sample.take(X, embedding, metric, metric_params, sample_size, random_state, n_jobs)
    n = sample.n
    if n < 4:
        raise ValueError(f"rank curves need at least 4 rows; got {n}")
    at = min(check_number(k, "k", low=1, integer=True), (n - 1) // 2)
    sums = _Sums(n, sample.rows, at)
    spaces = sample.distances, sample.in_embedding
    for found in max_rank_counts(*spaces, sample.rows, at, sample.n_threads):
        sums.add(*found)
    return sums.curves()


class _Sums:
    """Sums over rows, block by block, for the curves, their errors and scores at one size."""

    def __init__(self, n: int, rows: np.ndarray, at: int):
        self.n, self.rows, self._at = n, rows, at
        self.k = np.arange(1, n - 1)
        self.shared = np.zeros(n - 2)
        weights = 1 / self.k
        self._scale = weights.sum()
        # R_NX is linear in what a row shares, and so is the area under it.
        self._area_of_shared = weights * (n - 1) / (self.k * (n - 1 - self.k))
        self._area_of_chance = float((weights * self.k / (n - 1 - self.k)).sum())
        self._marks = np.unique(np.geomspace(1, n - 2, N_MARKS).round().astype(int)) - 1
        self._kept: list[tuple[np.ndarray, ...]] = []

    def add(self, counts: np.ndarray, excess: np.ndarray) -> None:
        """Add a block of rows, as ``max_rank_counts`` yields it."""
        shared = np.cumsum(counts[:, : self.n - 2], axis=1, dtype=np.float64)
        self.shared += shared.sum(0)
        areas = (shared @ self._area_of_shared - self._area_of_chance) / self._scale
        recalls = shared[:, self._at - 1] / self._at
        self._kept.append((shared[:, self._marks], areas, recalls, excess))

    def curves(self) -> RankCurves:
        """Return the curves of all rows that were added."""
        at_marks, areas, recalls, excess = map(np.concatenate, zip(*self._kept, strict=True))
        q_nx = self.shared / (len(self.rows) * self.k)
        r_nx = ((self.n - 1) * q_nx - self.k) / (self.n - 1 - self.k)
        split = int(np.argmax(q_nx - self.k / (self.n - 1))) + 1
        largest = self._at * (2 * self.n - 3 * self._at - 1) / 2
        local, beyond = self._parts(q_nx, split)
        trust, continuity = (
            estimate_penalized(1 - each / largest, self.rows, self.n, self._at) for each in excess.T
        )
        area, recall = (estimate_mean(values, self.rows, self.n) for values in (areas, recalls))
        curves = self.k, q_nx, r_nx, self._r_nx_error(at_marks)
        scores = self._at, recall, trust, continuity
        return RankCurves(*curves, area, split, local, beyond, *scores, self.rows)

    def _r_nx_error(self, shared: np.ndarray) -> np.ndarray:
        """Return the standard errors of R_NX, between the sizes that were kept by interpolation."""
        k = self._marks + 1
        errors = standard_error_of_mean(shared, len(self.rows), self.n)
        errors *= (self.n - 1) / (k * (self.n - 1 - k))
        between: np.ndarray = np.interp(self.k, k, errors)
        return between

    def _parts(self, q_nx: np.ndarray, split: int) -> tuple[Estimate, Estimate]:
        """Return the means of Q_NX up to a size and beyond it."""
        beyond = q_nx[split:].mean() if split < len(q_nx) else 1.0
        error = 0.0 if len(self.rows) == self.n else float("nan")
        local = Estimate(float(q_nx[:split].mean()), error, self.rows)
        return local, Estimate(float(beyond), error, self.rows)
