"""A measure with its standard error."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Half of a 95 % interval, in standard errors.
NORMAL_95 = 1.959964
# Fewer rows say too little about the others for an interval.
MIN_ROWS = 30
# Where a few rows decide, fewer may well lack them: so many rows, or neighbours of rows.
MIN_ROWS_OF_RARE, MIN_NEIGHBORS = 200, 2000


class Estimate(float):
    """A number, and how far it may be from that for all rows.

    It is a float in all respects; arithmetic gives plain floats.

    Attributes
    ----------
    standard_error : of a measure of a sample of rows, for that of all rows: half of a 95 %
        interval, divided by 1.96.  0 where all rows were measured, NaN where it is not known, as
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
    """Return the mean of what a sample of n rows has, 0 to 1, with its standard error.

    Rows that have NaN are left out.  Where all others have one value, the standard error is that
    of :func:`estimate_share` for a sample of which something is so of all.
    """
    kept = values[~np.isnan(values)]
    if len(kept) == 0:
        return Estimate(float("nan"), float("nan"), rows, values)
    error = float(standard_error_of_mean(kept, len(rows), n))
    if len(kept) >= MIN_ROWS and not np.ptp(kept):
        error = estimate_share(np.ones(len(rows), bool), rows, n).standard_error
    return Estimate(float(kept.mean()), error, rows, values)


def estimate_penalized(values: np.ndarray, rows: np.ndarray, n: int, k: int) -> Estimate:
    """Return the mean of what k neighbours of each row of a sample have, of which few are bad.

    The standard error is not known of fewer than 2,000 neighbours.
    """
    found = estimate_mean(values, rows, n)
    if len(rows) < n and len(rows) * k < MIN_NEIGHBORS:
        found.standard_error = float("nan")
    return found


def estimate_share(is_so: np.ndarray, rows: np.ndarray, n: int) -> Estimate:
    """Return the share of a sample of n rows of which something is so, (m,) bool.

    The standard error is that of two more rows of which it is so, and two of which it is not: a
    sample in which it is so of all does not say that it is so of all rows.

    Source: Agresti & Coull 1998, Approximate is better than "exact" for interval estimation of
    binomial proportions.
    """
    m, values = len(is_so), is_so.astype(np.float64)
    share = (values.sum() + 2) / (m + 4)
    error = 0.0 if m >= n else float(np.sqrt(share * (1 - share) / (m + 4) * (1 - m / n)))
    return Estimate(float(values.mean()), error, rows, values)


def estimate_share_beyond(values: np.ndarray, factor: float, rows: np.ndarray, n: int) -> Estimate:
    """Return the share of a sample of n rows with more than so many times the median, (m,).

    The standard error is also that of the median: it has the share if the median were one standard
    error lower, and higher.
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
    """Return the standard error of a mean of what lies between two ends, with rare low values.

    It is that of two more rows, one with each end: a sample that lacks the rare values that all
    rows have shows too small a variance, and too high a mean.
    """
    if m >= n:
        return 0.0
    if len(values) < MIN_ROWS:
        return float("nan")
    squares = ((values - values.mean()) ** 2).sum() + (low - mean) ** 2 + (high - mean) ** 2
    return float(np.sqrt(squares / (len(values) + 1) / len(values) * (1 - m / n)))


def standard_error_of_mean(values: np.ndarray, m: int, n: int) -> np.ndarray:
    """Return the standard error of the mean over m rows drawn from n without replacement, (...).

    It is 1 / 1.96 of the longer half of a 95 % interval that takes the skewness of the values
    into account.  It is NaN of fewer than 30 values, and where all are equal: such a sample does
    not say how far others differ.

    Parameters
    ----------
    values : (rows, ...), what each row has, or its influence on a measure.

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


def _longer_half(skewness: np.ndarray) -> np.ndarray:
    """Return the longer half of the interval of a mean by the normal one's.

    skewness : of the mean, at least 0.
    """
    skewness = np.maximum(skewness, 1e-6)  # of 0 it is the limit
    end = 1 - np.cbrt(1 - skewness * (NORMAL_95 + skewness / 6))
    longer: np.ndarray = 3 * end / skewness / NORMAL_95
    return longer
