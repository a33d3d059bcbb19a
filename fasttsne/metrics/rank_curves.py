"""How well a map keeps neighbourhoods of every size: curves of the co-ranking matrix."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metrics.estimate import Estimate, standard_error_of_mean
from fasttsne.metrics.samples import check_rows, sample_rows
from fasttsne.nearest_neighbors.builtin.ranks import make_distances, max_rank_counts
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings

# Sizes, evenly spaced in their log, at which each row's sum of Q_NX is kept for standard errors.
N_MARKS = 512


@dataclass(frozen=True)
class RankCurves:
    """Q_NX and R_NX of a map, from a sample of its rows or from all.

    Attributes
    ----------
    k : (n - 2,) sizes of neighbourhoods, 1 to n - 2.
    q_nx : (n - 2,) mean share of the k nearest neighbours that data and map have in common, 0 to 1.
    r_nx : (n - 2,) the same beyond chance, ((n - 1) Q_NX - k) / (n - 1 - k): 1 is perfect, 0 is a
        random map.
    r_nx_error : (n - 2,) its standard errors; 0 where all rows were compared.
    auc : the area under R_NX over log k, divided by the length of that axis: each k weighs 1 / k.
    k_max : the size that splits local from global, where Q_NX is farthest above chance.
    local : mean of Q_NX up to k_max.
    global_ : mean of Q_NX beyond k_max; it ends with 1 - 1 / (n - 1) for any map.
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
    rows: np.ndarray


def rank_curves(
    X: Rows, embedding: ArrayLike, metric: Metric = "euclidean", metric_params: Settings = None,
    sample_size: int | None = 500, random_state: RandomState = 0, n_jobs: int | None = -1,
) -> RankCurves:  # fmt: skip
    """Return how many neighbours data and map have in common, for neighbourhoods of all sizes.

    For each sampled row all other rows are ranked in both spaces.  Of equal distances, the smaller
    index comes first.  Time grows with sample_size x n, memory with n.

    Parameters
    ----------
    X, embedding, metric, metric_params, random_state, n_jobs : as for :func:`neighbor_recall`; at
        least 4 rows.
    sample_size : number of rows that are compared with all others, chosen at random; None is all.

    Returns
    -------
    RankCurves

    Source: Lee & Verleysen 2009, Quality assessment of dimensionality reduction: rank-based
    criteria (Q_NX, k_max); Lee, Peluffo-Ordonez & Verleysen 2015, Multi-scale similarities in
    stochastic neighbour embedding (R_NX and its area).
    """
    distances, points = check_rows(X, embedding, metric, metric_params)
    n = len(points)
    if n < 4:
        raise ValueError(f"rank curves need at least 4 rows; got {n}")
    rows = sample_rows(n, sample_size, random_state)
    n_threads = resolve_n_jobs(n_jobs)
    sums = _Sums(n, len(rows))
    for counts in max_rank_counts(distances, make_distances(points), rows, n_threads):
        sums.add(counts)
    q_nx = sums.shared / (len(rows) * sums.k)
    chance = sums.k / (n - 1)
    r_nx = _beyond_chance(q_nx, n)
    split = int(np.argmax(q_nx - chance)) + 1
    return RankCurves(
        sums.k, q_nx, r_nx, sums.r_nx_error(), sums.auc(r_nx, rows), split,
        *sums.parts(q_nx, split, rows), rows,
    )  # fmt: skip


class _Sums:
    """What the curves and their standard errors need of each row, added up block by block.

    Parameters
    ----------
    n : rows of the data.
    m : rows that are compared.
    """

    def __init__(self, n: int, m: int):
        self.n, self.m = n, m
        self.k = np.arange(1, n - 1)
        self.shared, self._squares = np.zeros(n - 2), np.zeros(n - 2)
        self._weights = 1 / self.k
        self._marks = np.unique(np.geomspace(1, n - 2, N_MARKS).round().astype(int)) - 1
        self._areas: list[np.ndarray] = []
        self._q_sums: list[np.ndarray] = []

    def add(self, counts: np.ndarray) -> None:
        """Add rows, (rows, n) int: how many others have each largest rank, from 1."""
        shared = np.cumsum(counts[:, : self.n - 2], axis=1, dtype=np.float64)
        self.shared += shared.sum(0)
        self._squares += np.einsum("ij,ij->j", shared, shared)
        self._areas.append(_beyond_chance(shared / self.k, self.n) @ self._weights)
        shared /= self.k
        np.cumsum(shared, axis=1, out=shared)
        self._q_sums.append(shared[:, self._marks])

    def r_nx_error(self) -> np.ndarray:
        """Return the standard error of R_NX for each k."""
        if self.m == self.n:
            return np.zeros(self.n - 2)
        spread = np.maximum(self._squares - self.shared**2 / self.m, 0) / (self.m - 1)
        error = np.sqrt(spread * (1 - self.m / self.n) / self.m) / self.k
        scaled: np.ndarray = error * (self.n - 1) / (self.n - 1 - self.k)
        return scaled

    def auc(self, r_nx: np.ndarray, rows: np.ndarray) -> Estimate:
        """Return the area in log k, whose values are those of the rows."""
        total = self._weights.sum()
        values = np.concatenate(self._areas) / total
        error = standard_error_of_mean(values, self.m, self.n)
        return Estimate(float(r_nx @ self._weights / total), error, rows, values)

    def parts(self, q_nx: np.ndarray, split: int, rows: np.ndarray) -> tuple[Estimate, Estimate]:
        """Return the means of Q_NX up to a size and beyond it.

        The standard errors are those for the nearest size at which sums are kept.
        """
        q_sums = np.concatenate(self._q_sums)
        mark = int(np.abs(self._marks + 1 - split).argmin())
        size = self._marks[mark] + 1
        near = q_sums[:, mark] / size
        far = (q_sums[:, -1] - q_sums[:, mark]) / max(self.n - 2 - size, 1)
        errors = [standard_error_of_mean(part, self.m, self.n) for part in (near, far)]
        beyond = q_nx[split:].mean() if split < len(q_nx) else 1.0
        return (
            Estimate(float(q_nx[:split].mean()), errors[0], rows),
            Estimate(float(beyond), errors[1], rows),
        )


def _beyond_chance(q_nx: np.ndarray, n: int) -> np.ndarray:
    """Return R_NX for Q_NX of k from 1 to n - 2 in the last axis."""
    k = np.arange(1, n - 1)
    r_nx: np.ndarray = ((n - 1) * q_nx - k) / (n - 1 - k)
    return r_nx
