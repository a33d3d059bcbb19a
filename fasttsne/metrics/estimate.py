"""Samples of rows, and estimates from them with their standard errors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.nearest_neighbors.builtin.ranks import Distances, make_distances
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_data, check_number, check_random_state, refuse_masked

# Half of a 95 % interval, in standard errors.
NORMAL_95 = 1.959964
# Samples of fewer rows have no interval.
MIN_ROWS = 30
# Where a few rows decide, fewer may well lack them: so many rows, or neighbours of rows.
MIN_ROWS_OF_RARE, MIN_NEIGHBORS = 200, 2000
# Squares of coordinates in this range, and their sums, are floats.
MIN_SIZE, MAX_SIZE = 1e-100, 1e100


def check_rows(
    X: Rows, embedding: ArrayLike, metric: Metric, metric_params: Settings
) -> tuple[Distances, np.ndarray]:
    """Return the distances between rows of X and the points, (n, d) float, of as many rows."""
    points, distances = check_points(embedding), make_distances(X, metric, metric_params)
    n = distances.n_samples
    if n != len(points):
        raise ValueError(f"embedding must have as many rows as X, {n}; got {len(points)}")
    return distances, points


@dataclass(frozen=True)
class Sample:
    """Distances between n rows, their points in the embedding, and the sorted indices of some."""

    distances: Distances
    points: np.ndarray
    rows: np.ndarray
    n_threads: int

    @classmethod
    def take(
        cls,
        X: Rows,
        embedding: ArrayLike,
        metric: Metric,
        metric_params: Settings,
        size: int | None,
        random_state: RandomState,
        n_jobs: int | None = 1,
    ) -> "Sample":
        """Check the data and the embedding, and draw rows."""
        distances, points = check_rows(X, embedding, metric, metric_params)
        rows = sample_rows(len(points), size, random_state)
        return cls(distances, points, rows, resolve_n_jobs(n_jobs))

    @property
    def n(self) -> int:
        """Rows of the data."""
        return len(self.points)

    @property
    def in_embedding(self) -> Distances:
        """Distances between the points."""
        return make_distances(self.points)


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


class Estimate(float):
    """A number, and how far it may be from that for all rows.

    It is a float in all respects; arithmetic gives plain floats.

    Attributes
    ----------
    standard_error : of the measure as an estimate for all rows: half of a 95 % interval, divided
        by 1.96.  0 where all rows were measured, NaN where it is not known, as
        for samples of fewer than 30 rows.
    rows : (m,) indices of the rows that were measured, ascending, or None.
    values : (m,) float64, what each of these rows has, whose mean is the measure; or None for
        measures that are not means over rows.
    """

    standard_error: float
    rows: np.ndarray | None
    values: np.ndarray | None

    def __new__(
        cls,
        value: float,
        standard_error: float = 0.0,
        rows: ArrayLike | None = None,
        values: ArrayLike | None = None,
    ) -> "Estimate":
        self = super().__new__(cls, value)
        self.standard_error = float(standard_error)
        self.rows = None if rows is None else np.asarray(rows)
        self.values = None if values is None else np.asarray(values)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return float(self), self.standard_error, self.rows, self.values

    @property
    def interval(self) -> tuple[float, float]:
        """A 95 % interval: 1.96 standard errors to each side."""
        half = NORMAL_95 * self.standard_error
        return float(self) - half, float(self) + half


def estimate_mean(values: np.ndarray, rows: np.ndarray, n: int) -> Estimate:
    """Return the mean of a sample's values, 0 to 1, with its standard error; n is all rows.

    NaN are left out.  Where all others are equal, it is the standard error of a share of 1
    (:func:`estimate_share`).
    """
    kept = values[~np.isnan(values)]
    if len(kept) == 0:
        return Estimate(float("nan"), float("nan"), rows, values)
    error = float(standard_error_of_mean(kept, len(rows), n))
    if len(kept) >= MIN_ROWS and not np.ptp(kept):
        error = estimate_share(np.ones(len(rows), bool), rows, n).standard_error
    return Estimate(float(kept.mean()), error, rows, values)


def estimate_penalized(values: np.ndarray, rows: np.ndarray, n: int, k: int) -> Estimate:
    """Return the mean of penalties; of fewer than 2,000 neighbours its error is not known."""
    found = estimate_mean(values, rows, n)
    if len(rows) < n and len(rows) * k < MIN_NEIGHBORS:
        found.standard_error = float("nan")
    return found


def estimate_share(is_so: np.ndarray, rows: np.ndarray, n: int) -> Estimate:
    """Return the share of a sample's rows, of n, with a property, (m,) bool.

    Agresti-Coull: the standard error adds two successes and two failures, so that an all-success
    sample keeps a positive error.

    Source: Agresti & Coull 1998, Approximate is better than "exact" for interval estimation of
    binomial proportions.
    """
    m, values = len(is_so), is_so.astype(np.float64)
    share = (values.sum() + 2) / (m + 4)
    error = 0.0 if m >= n else float(np.sqrt(share * (1 - share) / (m + 4) * (1 - m / n)))
    return Estimate(float(values.mean()), error, rows, values)


def estimate_share_beyond(values: np.ndarray, factor: float, rows: np.ndarray, n: int) -> Estimate:
    """Return the share of a sample's values, (m,), beyond a multiple of their median.

    The standard error includes the median's, from the shares one standard error to each side.
    """
    m = len(values)
    found = estimate_share(values > factor * np.median(values), rows, n)
    if m < n:
        off = np.sqrt(m * (1 - m / n)) / 2
        places = np.clip(np.round((m - 1) / 2 + off * np.array([-1, 1])), 0, m - 1).astype(int)
        low, high = ((values > factor * limit).mean() for limit in np.sort(values)[places])
        found.standard_error = float(np.hypot(found.standard_error, (low - high) / 2))
    return found


def standard_error_between(
    values: np.ndarray, mean: float, m: int, n: int, low: float, high: float
) -> float:
    """Return the standard error of a mean of values between two ends, with rare low values.

    It adds two rows, one at each end: a sample without the rare values has too small a variance.
    """
    if m >= n:
        return 0.0
    if len(values) < MIN_ROWS:
        return float("nan")
    squares = ((values - values.mean()) ** 2).sum() + (low - mean) ** 2 + (high - mean) ** 2
    return float(np.sqrt(squares / (len(values) + 1) / len(values) * (1 - m / n)))


def standard_error_of_mean(values: np.ndarray, m: int, n: int) -> np.ndarray:
    """Return the standard error of the mean over m rows drawn from n without replacement, (...).

    It is 1 / 1.96 of the longer half of a 95 % interval that allows for skewness; NaN of fewer
    than 30 values, and of equal ones.

    Parameters
    ----------
    values : (m, ...) values of the rows, or their influences on a measure.

    Source: Hall 1992, On the removal of skewness by transformation.
    """
    if m >= n:
        return np.zeros(values.shape[1:])
    if len(values) < MIN_ROWS:
        return np.full(values.shape[1:], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):  # of infinite or equal values it is NaN
        deviation = values.std(0, ddof=1)
        scaled = (values - values.mean(0)) / deviation
        skewness = np.abs((scaled**3).mean(0)) / np.sqrt(len(values))
        error: np.ndarray = deviation * _longer_half(skewness) * np.sqrt((1 - m / n) / len(values))
    return np.where(deviation > 0, error, np.nan)


def jackknifed(left_out: np.ndarray) -> np.ndarray:
    """Return each row's influence on a measure from the measure without each of them, (m, ...)."""
    with np.errstate(invalid="ignore"):
        influence: np.ndarray = (len(left_out) - 1) * (left_out.mean(0) - left_out)
    return influence


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation of two vectors; NaN where one is constant."""
    if not (np.ptp(a) > 0 and np.ptp(b) > 0):  # less their mean, equal values need not be 0
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt(a @ a) * np.sqrt(b @ b)  # a product of the squares may overflow
    return float(a @ b / scale) if scale > 0 else float("nan")


def _longer_half(skewness: np.ndarray) -> np.ndarray:
    """Return the longer half of a mean's interval, by the normal one's, for its skewness >= 0."""
    skewness = np.maximum(skewness, 1e-6)  # of 0 it is the limit
    end = 1 - np.cbrt(1 - skewness * (NORMAL_95 + skewness / 6))
    longer: np.ndarray = 3 * end / skewness / NORMAL_95
    return longer
