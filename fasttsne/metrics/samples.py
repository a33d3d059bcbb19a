"""What all measures share: checked input, a seeded sample of rows, correlations."""

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.nearest_neighbors.builtin.ranks import Distances, make_distances
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_data, check_number, check_random_state, refuse_masked

# One divided by the variance of ranks as shares of their number, which without ties are even from
# 0 to 1.  A rank correlation is the covariance of such shares times this, and so is the influence
# of each observation on it.  With ties the variance is smaller.
INVERSE_RANK_VARIANCE = 12
# Squares of coordinates in this range, and their sums, are floats.
MIN_SIZE, MAX_SIZE = 1e-100, 1e100


def check_rows(
    X: Rows, embedding: ArrayLike, metric: Metric = "euclidean", metric_params: Settings = None
) -> tuple[Distances, np.ndarray]:
    """Return the distances between rows of X and the points, (n, d) float, of as many rows."""
    points = check_points(embedding)
    distances = make_distances(X, metric, metric_params)
    if distances.n_samples != len(points):
        raise ValueError(
            f"embedding must have as many rows as X, {distances.n_samples}; got {len(points)}"
        )
    return distances, points


def check_points(embedding: ArrayLike, min_rows: int = 1) -> np.ndarray:
    """Return the points of a map as a plain array, (n, d)."""
    refuse_masked(embedding, "embedding")
    points: np.ndarray = check_data(np.asarray(embedding), "embedding", min_rows)
    with np.errstate(over="ignore"):
        size = float(np.ptp(points, axis=0).max())
    if size and not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(
            f"embedding must spread over {MIN_SIZE:g} to {MAX_SIZE:g}, or squared distances are no "
            f"numbers; it spreads over {size:g}: multiply it by a constant"
        )
    return points


def sample_rows(n: int, size: int | None, random_state: RandomState) -> np.ndarray:
    """Return the indices of a sample of rows in ascending order, all if there are no more."""
    if size is not None:
        size = check_number(size, "sample_size", low=2, integer=True)
    if size is None or size >= n:
        return np.arange(n)
    return np.sort(check_random_state(random_state).permutation(n)[:size])


def to_ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks of values; ties share their mean rank."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[index]


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation of two vectors; NaN where one is constant."""
    if not (np.ptp(a) > 0 and np.ptp(b) > 0):  # less their mean, equal values need not be 0
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt(a @ a) * np.sqrt(b @ b)  # a product of the squares may overflow
    return float(a @ b / scale) if scale > 0 else float("nan")
