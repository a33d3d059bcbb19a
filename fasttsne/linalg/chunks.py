"""Passes over a data set a chunk of rows at a time: temporaries stay small beside the data."""

import mmap

import numpy as np
import scipy.sparse

# Numbers in a chunk.
CHUNK = 2**18
# Squares of float32 numbers beyond these overflow, or vanish.
SAFE = 1e-10, 1e10
# Rows farther out than this, in units of the data, are put there: none of the data is near.
FAR = 1e12


def chunks(X: np.ndarray, size: int = CHUNK):
    """The rows of X, some at a time, each time with the number of the first."""
    step = max(size // X.shape[1], 1)
    for a in range(0, X.shape[0], step):
        yield a, X[a : a + step]


def is_mapped(X: np.ndarray) -> bool:
    """Whether an array lies in a memory-mapped file, which may be larger than memory."""
    owner: object = X
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner, mmap.mmap)


def mean_and_largest(X) -> tuple[np.ndarray, float]:
    """Each column's mean, float64, and the largest distance of an entry from it.

    For a sparse matrix the largest entry instead.
    """
    if scipy.sparse.issparse(X):
        largest = float(np.abs(X.data).max(initial=0))
        unit = safe_unit(largest)
        total = (X if unit == 1 else divided(X, unit)).sum(0, dtype=np.float64)
        return np.asarray(total).ravel() / X.shape[0] * unit, largest
    low, high = np.full(X.shape[1], np.inf), np.full(X.shape[1], -np.inf)
    total = np.zeros(X.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for _, chunk in chunks(X):
            np.minimum(low, chunk.min(0), out=low)
            np.maximum(high, chunk.max(0), out=high)
            total += chunk.sum(0)
        mean = total / len(X)
        if not np.isfinite(mean).all():  # the sums overflow near the largest float
            mean = low / 2 + high / 2
        largest = float(np.maximum(high - mean, mean - low).max())
    return mean, min(largest, float(np.finfo(np.float64).max))


def safe_unit(largest: float) -> float:
    """The unit in which numbers up to ``largest`` can be squared as float32."""
    return 1.0 if largest == 0 or SAFE[0] < largest < SAFE[1] else largest


def divided(X, unit: float):
    """A sparse matrix in a unit, in its own dtype.

    SciPy would multiply by 1 / unit, which is infinite for the smallest.
    """
    result = X.copy()
    result.data = X.data / X.dtype.type(unit)
    return result


def brought_near(rows: np.ndarray) -> np.ndarray:
    """Float64 rows, changed in place: those that lie too far out for float32, in their direction.

    Infinities, of differences and quotients of finite numbers, count as the largest number.
    """
    largest = np.finfo(np.float64).max
    np.clip(rows, -largest, largest, out=rows)
    size = np.abs(rows).max(1, keepdims=True, initial=0)
    out = (size > FAR).ravel()
    rows[out] = rows[out] / size[out] * FAR
    return rows
