"""A measure with its standard error."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Half of a 95 % interval, in standard errors.
NORMAL_95 = 1.959964


class Estimate(float):
    """A number, and how far it may be from that for all rows.

    It is a float in all respects; arithmetic gives plain floats.

    Attributes
    ----------
    standard_error : of a measure of a sample of rows, for that of all rows; 0 where all rows were
        measured, NaN where it cannot be known.
    rows : (m,) indices of the rows that were measured, ascending, or None.
    values : (m,) float64, what each of these rows has, whose mean is the measure; or None for
        measures that are not means over rows.
    """

    standard_error: float
    rows: np.ndarray | None
    values: np.ndarray | None

    def __new__(
        cls, value: float, standard_error: float = 0.0, rows: ArrayLike | None = None,
        values: ArrayLike | None = None,
    ) -> "Estimate":  # fmt: skip
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
    """Return the mean of what a sample of n rows has, NaN left out, with its standard error."""
    kept = values[~np.isnan(values)]
    if len(kept) == 0:
        return Estimate(float("nan"), float("nan"), rows, values)
    error = standard_error_of_mean(kept, len(rows), n)
    return Estimate(float(kept.mean()), error, rows, values)


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


def standard_error_between(
    values: np.ndarray, mean: float, m: int, n: int, low: float, high: float
) -> float:
    """Return the standard error of a mean of what lies between two ends, with rare low values.

    As in :func:`estimate_share`, it is that of four more rows, two with each end: a sample that
    lacks the rare values that all rows have shows too small a variance, and too high a mean.
    """
    if m >= n:
        return 0.0
    if len(values) < 2:
        return float("nan")
    squares = ((values - values.mean()) ** 2).sum() + 2 * ((low - mean) ** 2 + (high - mean) ** 2)
    return float(np.sqrt(squares / (len(values) + 3) / len(values) * (1 - m / n)))


def standard_error_of_mean(values: np.ndarray, m: int, n: int) -> float:
    """Return the standard error of the mean over m rows drawn from n without replacement.

    values : what each row has, or its influence on a measure.
    """
    if m >= n:
        return 0.0
    if len(values) < 2:
        return float("nan")
    return float(values.std(ddof=1) * np.sqrt((1 - m / n) / len(values)))
