"""What single rows cannot move: an origin, a size, and which rows lie beyond reason.

Heavy tails are continuous: between the largest of their rows there are no wide gaps (the ratio of
the two largest of n Cauchy variables is above r with probability 1 / r).  A code for missing values
such as 1e20 is far from the other rows, and has nothing between.  So a row is called far if it is
both 1e4 times farther out than three quarters of the rows, and behind a gap of a factor of 1000.
"""

import math
import sys
from typing import NamedTuple

import numpy as np
import scipy.sparse

from fasttsne.linalg.rows import CHUNK_SIZE, as_rows
from fasttsne.utils import warn_user

# Rows of which origin and size are computed; odd, so that a median is a value of the data.
SAMPLE_SIZE = 1001
# Most rows are not farther from the origin than the size.
SIZE_QUANTILE = 0.75
# A far row is so many sizes out, and so many times farther than the farthest of the others.
FAR_DISTANCE = 1e4
FAR_GAP = 1e3
# Rows within so many units of rounding of the origin do not differ from it.
N_ROUNDINGS = 16

# Far rows whose columns a warning describes, and numbers that it lists.
N_DESCRIBED = 100
N_LISTED = 5


class RobustFrame(NamedTuple):
    """Where the rows of a data set lie, whatever a few of them hold.

    The distance of a row from the origin is the largest of its coordinates' differences.

    Attributes
    ----------
    origin : (columns,) in X's dtype, the medians of an odd number of rows: values of the data.
    size : within which three quarters of the rows lie that differ from the origin; 0 if none does.
    radius : within which all rows lie that are not far; may be infinite near the largest float.
    far : (m,) rows beyond reason, ascending.
    """

    origin: np.ndarray
    size: float
    radius: float
    far: np.ndarray

    @property
    def unit(self) -> float:
        """The size, or 1 for 0, as a power of two, by which division is exact."""
        return math.ldexp(1.0, math.frexp(self.size)[1] - 1) if self.size > 0 else 1.0

    def clip(self, rows: np.ndarray) -> np.ndarray:
        """Return dense rows with each entry moved to within the radius of the origin."""
        return np.clip(rows, *self._bounds(self.origin))

    def clip_sparse(self, X):
        """Return a CSR matrix with its stored entries moved so; absent ones stay zero."""
        low, high = self._bounds(self.origin[X.indices])
        data = np.clip(X.data, low, high)
        return scipy.sparse.csr_matrix((data, X.indices, X.indptr), X.shape)

    def _bounds(self, origin):
        largest = float(np.finfo(origin.dtype).max)
        with np.errstate(over="ignore"):
            bounds = np.add.outer((-self.radius, self.radius), origin.astype(np.float64))
        return np.clip(bounds, -largest, largest).astype(origin.dtype)


def robust_frame(X, reach: float | None = None) -> RobustFrame:
    """Return origin, size and far rows of an array or a CSR matrix of finite floats.

    Parameters
    ----------
    reach : a bound of all rows' distance from the origin, if one is known: where it shows that
        none is far it is the radius, and saves a pass over all rows.
    """
    n = X.shape[0]
    n_sample = min(n, SAMPLE_SIZE) - (min(n, SAMPLE_SIZE) + 1) % 2
    sample = X[np.arange(n_sample) * n // n_sample]
    origin = _medians(sample)
    sizes = _differing(row_distances(sample, origin), origin)
    all_sizes = None
    if len(sizes) <= n_sample // 2:  # few rows say little about the others
        all_sizes = row_distances(X, origin)
        sizes = _differing(all_sizes, origin)
    size = float(sizes[int(SIZE_QUANTILE * (len(sizes) - 1))]) if len(sizes) else 0.0
    size = min(size, sys.float_info.max)
    if reach is None:
        reach = _reach(X, origin)
    if reach <= FAR_DISTANCE * size:
        return RobustFrame(origin, size, reach, np.empty(0, np.intp))
    if all_sizes is None:
        all_sizes = row_distances(X, origin)
    radius = largest_ordinary(np.sort(all_sizes), size)
    return RobustFrame(origin, size, radius, np.flatnonzero(all_sizes > radius))


def warn_of_far_rows(X) -> None:
    """Warn once where rows lie beyond reason, naming rows and columns, and what to do."""
    frame = robust_frame(X)
    if len(frame.far):
        _warn(X, frame, "most rows", "The map of the other rows is as if without them, but where")


def sample_frame(data) -> RobustFrame:
    """Return the frame of a sample of rows, from which new rows are far or not."""
    return robust_frame(data, reach=0.0)


def warn_of_far_new_rows(X, data, sample: RobustFrame) -> None:
    """Warn once where new rows lie beyond reason of the rows of a map.

    All of these are read only where some new row is far from most of a sample of them.

    sample : their ``sample_frame``.
    """
    distances = row_distances(X, sample.origin)
    suspicious = np.flatnonzero(distances > FAR_DISTANCE * sample.size)
    values = X[suspicious]
    if not len(suspicious) or not sample.size or not _are_finite(values):
        return  # rows that are not finite are an error of what reads them next
    frame = robust_frame(data)
    is_far = distances > max(FAR_DISTANCE * frame.size, FAR_GAP * frame.radius)
    frame = frame._replace(far=np.flatnonzero(is_far))
    if len(frame.far):
        _warn(X, frame, "most rows of the map", "The map's own rows stay, but where")


def _are_finite(rows) -> bool:
    return bool(np.isfinite(rows.data if scipy.sparse.issparse(rows) else rows).all())


def _warn(X, frame: RobustFrame, others: str, before: str) -> None:
    """Warn of the far rows of a frame."""
    origin, size, _, far = frame
    rows = X[far[:N_DESCRIBED]]
    rows = rows.toarray() if scipy.sparse.issparse(rows) else rows
    with np.errstate(over="ignore"):
        is_far = np.abs(np.subtract(rows, origin, dtype=np.float64)) > FAR_DISTANCE * size
    row, column = np.argwhere(is_far)[0]
    columns = _list(np.flatnonzero(is_far.any(0)), "column")
    warn_user(
        f"X[{far[row]}, {column}] is {rows[row, column]:.6g}, more than {FAR_DISTANCE:,.0f} times "
        f"as far out as {others}: a code for missing values, or an outlier beyond reason? There "
        f"are such values in {_list(far, 'row')}, in {columns}. {before} those rows are in it "
        "means nothing: replace such values, or leave out the rows or the columns."
    )


def _list(numbers, noun):
    """Return "row 3", or "17 rows (3, 5, 8, ...)"."""
    if len(numbers) == 1:
        return f"{noun} {numbers[0]}"
    first = ", ".join(map(str, numbers[:N_LISTED]))
    return f"{len(numbers)} {noun}s ({first}{', ...' * (len(numbers) > N_LISTED)})"


def _reach(X, origin):
    """Return a bound of all rows' distances from the origin, much faster than the distances."""
    if scipy.sparse.issparse(X):
        return float(np.abs(X.data).max(initial=0)) + float(np.abs(origin).max())
    bounds = origin.astype(np.float64), origin.astype(np.float64)
    low, high = as_rows(X).fold(CHUNK_SIZE, _widen, bounds)
    with np.errstate(over="ignore"):
        return float(np.maximum(high - origin, origin - low).max())


def _widen(bounds, first, chunk):
    low, high = bounds
    return np.minimum(low, chunk.min(0)), np.maximum(high, chunk.max(0))


def row_distances(X, origin: np.ndarray) -> np.ndarray:
    """Return the largest |x - origin| of each row, (n,) float64; infinite where that overflows."""
    if not scipy.sparse.issparse(X):
        return as_rows(X).map(CHUNK_SIZE, _dense_distances, origin)
    with np.errstate(over="ignore"):
        return _sparse_distances(X, origin)


def _dense_distances(first, chunk, origin):
    with np.errstate(over="ignore"):
        difference = np.subtract(chunk, origin, dtype=np.float64)
        return np.abs(difference, out=difference).max(1)


def _sparse_distances(X, origin):
    stored = np.abs(np.subtract(X.data, origin[X.indices], dtype=np.float64))
    matrix = scipy.sparse.csr_matrix((stored, X.indices, X.indptr), X.shape)
    out = matrix.max(axis=1).toarray().ravel()
    columns = np.flatnonzero(origin)
    if len(columns):  # where entries that are not stored differ from the origin, too
        step = max(2**18 // len(columns), 1)
        for a in range(0, X.shape[0], step):
            rows = X[a : a + step][:, columns].toarray()
            out[a : a + step] = np.maximum(
                out[a : a + step], _dense_distances(a, rows, origin[columns])
            )
    return out


def _medians(sample):
    """Return the median of each column of an odd number of rows."""
    middle = sample.shape[0] // 2
    if not scipy.sparse.issparse(sample):
        origin = sample.min(axis=0)
        # Images and counts are mostly zero: their columns need no order.
        others = np.flatnonzero((sample == origin).sum(axis=0) <= middle)
        # Columns of few values, as images have, take np.partition seven times as long.
        origin[others] = np.sort(sample[:, others], axis=0)[middle]
        return origin
    origin = np.zeros(sample.shape[1], sample.dtype)
    columns = np.flatnonzero(np.bincount(sample.indices, minlength=len(origin)) > middle)
    if len(columns):
        origin[columns] = _medians(sample[:, columns].toarray())
    return origin


def _differing(distances, origin):
    """Return the distances that are not rounding, sorted."""
    rounding = N_ROUNDINGS * float(np.finfo(origin.dtype).eps) * float(np.abs(origin).max())
    return np.sort(distances[distances > rounding])


def largest_ordinary(distances: np.ndarray, size: float) -> float:
    """Return the largest of sorted distances that is not beyond reason, for a robust size."""
    with np.errstate(over="ignore"):
        is_far = (distances[1:] > FAR_DISTANCE * size) & (distances[1:] >= FAR_GAP * distances[:-1])
    first = np.flatnonzero(is_far)
    return float(distances[first[0] if size > 0 and len(first) else -1])
