"""Whether one column makes most of all distances: columns of other units were never scaled.

Principal components are no fault, although the first may be larger than all others together.  They
are recognized by the order of their variances, or, if made of all rows, by zero correlations.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fasttsne.linalg.robust import robust_frame
from fasttsne.linalg.rows import CHUNK_SIZE, as_rows
from fasttsne.utils import warn_user

# Squared distances are sums of squares over columns, which have the shares of their variances.
# Searches by these metrics prepare rows that differ from the data by a scale and an origin only.
EUCLIDEAN = ("euclidean", "l2", "sqeuclidean")
# A column dominates that has more than this share: scaling the others changes little.
MIN_SHARE = 0.8
# Rows of which variances are computed, and numbers of these rows.
SAMPLE_SIZE, SAMPLE_NUMBERS = 1001, 2**22
# Variances are in order whose rank correlation with their columns is beyond this, as those of the
# components of a part of the rows.  So many columns with names are in order by chance once in 120.
MIN_ORDER, MIN_ORDERED = 0.9, 5
# Correlations of components are rounding; those of other columns are about 1 / sqrt(n) at least.
MAX_CORRELATION = 0.02


class Dominance(NamedTuple):
    """The column that makes most of all squared distances, and its share of them."""

    column: str
    share: float

    def __str__(self) -> str:
        return (
            f"{self.column} makes {min(self.share, 0.999):.1%} of all squared distances: the map "
            "shows little else. Unless that is meant, standardize the columns: subtract the mean "
            "of each, and divide it by its standard deviation."
        )


def dominating_column(
    X: Any, names: Sequence[str] | None = None, metric: Any = "euclidean"
) -> Dominance | None:
    """Return the column that makes most of all squared distances, None where there is none.

    Parameters
    ----------
    X : (n, columns) array of finite floats; of anything else, as a sparse matrix, there is none.
    names : of the columns, which then have units.  Without names those in descending order of
        their variances are taken for principal components.
    metric : distance between rows; for those that are not Euclidean there is none.
    """
    is_euclidean = isinstance(metric, str) and metric in EUCLIDEAN
    if not (is_euclidean and isinstance(X, np.ndarray)):
        return None
    variances, n_varying = _variances(X)
    column = int(variances.argmax())
    if n_varying < 2 or variances[column] <= MIN_SHARE * variances.sum():
        return None
    if (names is None or len(names) >= MIN_ORDERED) and _are_in_order(variances):
        return None
    if _largest_correlation(X, column) < MAX_CORRELATION / np.sqrt(len(X)):
        return None
    name = f"column {column}" if names is None else names[column]
    return Dominance(name, float(variances[column] / variances.sum()))


def warn_of_dominating_column(X: Any, names: Sequence[str] | None, metric: Any) -> None:
    """Warn where one of the columns that have names makes most of all distances."""
    found = None if names is None else dominating_column(X, names, metric)
    if found is not None:
        warn_user(str(found))


def _variances(X: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the variances of the columns by a sample, in some unit, and how many columns vary."""
    n, d = X.shape
    m = min(n, SAMPLE_SIZE, max(SAMPLE_NUMBERS // d, 2))
    sample = X[np.arange(m) * n // m].astype(np.float64)
    sample = np.delete(sample, robust_frame(sample).far, 0)
    largest = np.abs(sample).max(initial=0) or 1.0
    return (sample / largest).var(0), int((sample.max(0) > sample.min(0)).sum())


def _are_in_order(variances: np.ndarray) -> bool:
    """Return whether the first variance is the largest, and most others follow in order."""
    d = len(variances)
    order = np.argsort(-variances, kind="stable")
    rank_correlation = 1 - 6 * ((order - np.arange(d)) ** 2).sum() / (d * (d**2 - 1))
    return bool(order[0] == 0 and rank_correlation > MIN_ORDER)


def _largest_correlation(X: np.ndarray, column: int) -> float:
    """Return the largest correlation of a column with another one that varies."""
    origin = X[0].astype(np.float64)
    largest = np.maximum(X.max(0), -X.min(0)).astype(np.float64)
    unit = np.where(largest > 0, largest, 1.0)
    zeros = np.zeros((3, X.shape[1]))
    state = as_rows(X).fold(CHUNK_SIZE, _add_products, zeros, origin, unit, column)
    sums, squares, products = state / len(X)
    variances = np.maximum(squares - sums**2, 0)  # rounding
    covariances = products - sums * sums[column]
    scale = np.sqrt(variances * variances[column])
    is_other = (np.arange(X.shape[1]) != column) & (scale > 0)
    return float(np.abs(covariances[is_other] / scale[is_other]).max(initial=0))


def _add_products(
    state: np.ndarray,
    first: int,
    chunk: np.ndarray,
    origin: np.ndarray,
    unit: np.ndarray,
    column: int,
) -> np.ndarray:
    """Add sums of a chunk's columns, of squares and of products with one of them; return all."""
    rows = (chunk - origin) / unit
    state += np.stack([rows.sum(0), (rows**2).sum(0), rows.T @ rows[:, column]])
    return state
