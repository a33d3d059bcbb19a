"""Scaling of rows against overflow, and the means and deviations that decide it."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse

from fasttsne.linalg.rows import CHUNK_SIZE, as_rows

# The squares of float32 numbers in this range neither overflow nor vanish.
FLOAT32_SQUARE_RANGE = 1e-10, 1e10
# Rows farther out than this, in units of the data, are clipped: they are far from all of the data.
MAX_ROW_SIZE = 1e12


def rows_within(rows: Sequence[int] | np.ndarray, first: int, n: int) -> np.ndarray:
    """Return those of ascending row numbers that a chunk of n rows has, counted from its first."""
    a, b = np.searchsorted(rows, (first, first + n))
    return np.asarray(rows[a:b], np.intp) - first


def mean_and_max_deviation(X, without: Sequence[int] = ()) -> tuple[np.ndarray, float]:
    """Return each column's mean, float64, and the largest deviation of an entry from it.

    For a sparse matrix it is the largest absolute entry instead.  Rows ``without`` do not count.
    """
    if scipy.sparse.issparse(X):
        X = X[np.delete(np.arange(X.shape[0]), without)] if len(without) else X
        largest = float(np.abs(X.data).max(initial=0))
        scale = float32_scale(largest)
        total = (X if scale == 1 else divide_sparse(X, scale)).sum(0, dtype=np.float64)
        return np.asarray(total).ravel() / X.shape[0] * scale, largest
    low, high = np.full(X.shape[1], np.inf), np.full(X.shape[1], -np.inf)
    total = np.zeros(X.shape[1])
    low, high, total = as_rows(X).fold(CHUNK_SIZE, _add_chunk, (low, high, total), without)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = total / (len(X) - len(without))
        if not np.isfinite(mean).all():  # the sums overflow near the largest float
            mean = low / 2 + high / 2
        largest = float(np.maximum(high - mean, mean - low).max())
    return mean, min(largest, float(np.finfo(np.float64).max))


def _add_chunk(state, first, chunk, without):
    """Update the smallest and the largest number of each column, and their sums."""
    low, high, total = state
    if len(without):
        chunk = np.delete(chunk, rows_within(without, first, len(chunk)), 0)
    with np.errstate(over="ignore", invalid="ignore"):
        low = np.minimum(low, chunk.min(0, initial=np.inf))
        high = np.maximum(high, chunk.max(0, initial=-np.inf))
        return low, high, total + chunk.sum(0)


def float32_unit(size: float) -> float:
    """Return 1, or the power of two by which rows of this size can be squared as float32."""
    low, high = FLOAT32_SQUARE_RANGE
    return 1.0 if size == 0 or low < size < high else float(power_of_two(np.float64(size)))


def float32_scale(largest: float) -> float:
    """Return a divisor after which numbers up to ``largest`` can be squared as float32."""
    low, high = FLOAT32_SQUARE_RANGE
    return 1.0 if largest == 0 or low < largest < high else largest


def divide_sparse(X, scale: float):
    """Return a sparse matrix divided by a number, in its own dtype.

    SciPy would multiply by 1 / scale, which is infinite for the smallest scales.
    """
    result = X.copy()
    result.data = X.data / X.dtype.type(scale)
    return result


def clip_far_rows(rows: np.ndarray) -> np.ndarray:
    """Shorten float64 rows beyond ``MAX_ROW_SIZE`` to it, in place, keeping their direction.

    Infinities, from differences and quotients of finite numbers, count as the largest number.
    """
    largest = np.finfo(np.float64).max
    np.clip(rows, -largest, largest, out=rows)
    size = np.abs(rows).max(1, keepdims=True, initial=0)
    is_far = (size > MAX_ROW_SIZE).ravel()
    rows[is_far] = rows[is_far] / size[is_far] * MAX_ROW_SIZE
    return rows


def power_of_two(sizes: np.ndarray | np.floating) -> np.ndarray:
    """Return the largest powers of two that are not larger, by which division is exact; 1 for 0."""
    return np.ldexp(1.0, np.where(sizes > 0, np.frexp(sizes)[1] - 1, 0))
