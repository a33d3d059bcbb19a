"""What single rows cannot move: an origin, a size, far rows; and scaling against overflow.

Heavy tails are continuous: between the largest of their rows there are no wide gaps (the ratio of
the two largest of n Cauchy variables is above r with probability 1 / r).  A code for missing values
such as 1e20 is far from the other rows, and has nothing between.  So a row is called far if it is
both 1e4 times farther out than three quarters of the rows, and behind a gap of a factor of 1000.
"""

import math
import sys
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse

from fasttsne.linalg.rows import CHUNK_SIZE, RowSource, as_rows, to_dense
from fasttsne.runtime.rows import is_sparse
from fasttsne.runtime.typing import Matrix
from fasttsne.utils import warn_user

# Rows of an array, a CSR matrix, or on workers.
AnyRows: TypeAlias = Matrix | RowSource
# Smallest and largest number of each column, and their sums.
Columns: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
# The squares of float32 numbers in this range neither overflow nor vanish.
FLOAT32_SQUARE_RANGE = 1e-10, 1e10
# Rows farther out than this, in units of the data, are clipped: they are far from all of the data.
MAX_ROW_SIZE = 1e12
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
        low, high = self._bounds(self.origin)
        clipped: np.ndarray = np.clip(rows, low, high)
        return clipped

    def clip_sparse(self, X: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
        """Return a CSR matrix with its stored entries moved so; absent ones stay zero."""
        low, high = self._bounds(self.origin[X.indices])
        data = np.clip(X.data, low, high)
        return scipy.sparse.csr_matrix((data, X.indices, X.indptr), X.shape)

    def _bounds(self, origin: np.ndarray) -> np.ndarray:
        largest = float(np.finfo(origin.dtype).max)
        with np.errstate(over="ignore"):
            bounds = np.add.outer((-self.radius, self.radius), origin.astype(np.float64))
        return np.clip(bounds, -largest, largest).astype(origin.dtype)


def robust_frame(X: AnyRows, reach: float | None = None) -> RobustFrame:
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


def warn_of_far_rows(X: Matrix) -> None:
    """Warn once where rows lie beyond reason, naming rows and columns, and what to do."""
    frame = robust_frame(X)
    if len(frame.far):
        _warn(X, frame, "most rows", "The map of the other rows is as if without them, but where")


def sample_frame(data: Matrix) -> RobustFrame:
    """Return the frame of a sample of rows, from which new rows are far or not."""
    return robust_frame(data, reach=0.0)


def warn_of_far_new_rows(X: Matrix, data: Matrix, sample: RobustFrame) -> None:
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


def _are_finite(rows: Matrix) -> bool:
    return bool(np.isfinite(rows.data if is_sparse(rows) else rows).all())


def _warn(X: Matrix, frame: RobustFrame, others: str, before: str) -> None:
    """Warn of the far rows of a frame."""
    origin, size, _, far = frame
    rows = to_dense(X[far[:N_DESCRIBED]])
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


def _list(numbers: np.ndarray, noun: str) -> str:
    """Return "row 3", or "17 rows (3, 5, 8, ...)"."""
    if len(numbers) == 1:
        return f"{noun} {numbers[0]}"
    first = ", ".join(map(str, numbers[:N_LISTED]))
    return f"{len(numbers)} {noun}s ({first}{', ...' * (len(numbers) > N_LISTED)})"


def _reach(X: AnyRows, origin: np.ndarray) -> float:
    """Return a bound of all rows' distances from the origin, much faster than the distances."""
    if is_sparse(X):
        return float(np.abs(X.data).max(initial=0)) + float(np.abs(origin).max())
    bounds = origin.astype(np.float64), origin.astype(np.float64)
    low, high = as_rows(X).fold(CHUNK_SIZE, _widen, bounds)
    with np.errstate(over="ignore"):
        return float(np.maximum(high - origin, origin - low).max())


def _widen(
    bounds: tuple[np.ndarray, np.ndarray], first: int, chunk: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    low, high = bounds
    return np.minimum(low, chunk.min(0)), np.maximum(high, chunk.max(0))


def row_distances(X: AnyRows, origin: np.ndarray) -> np.ndarray:
    """Return the largest |x - origin| of each row, (n,) float64; infinite where that overflows."""
    if not is_sparse(X):
        return as_rows(X).map(CHUNK_SIZE, _dense_distances, origin)
    with np.errstate(over="ignore"):
        return _sparse_distances(X, origin)


def _dense_distances(first: int, chunk: np.ndarray, origin: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        difference = np.subtract(chunk, origin, dtype=np.float64)
        distances: np.ndarray = np.abs(difference, out=difference).max(1)
        return distances


def _sparse_distances(X: scipy.sparse.csr_matrix, origin: np.ndarray) -> np.ndarray:
    stored = np.abs(np.subtract(X.data, origin[X.indices], dtype=np.float64))
    matrix = scipy.sparse.csr_matrix((stored, X.indices, X.indptr), X.shape)
    out: np.ndarray = matrix.max(axis=1).toarray().ravel()
    columns = np.flatnonzero(origin)
    if len(columns):  # where entries that are not stored differ from the origin, too
        step = max(2**18 // len(columns), 1)
        for a in range(0, X.shape[0], step):
            rows = X[a : a + step][:, columns].toarray()
            out[a : a + step] = np.maximum(
                out[a : a + step], _dense_distances(a, rows, origin[columns])
            )
    return out


def _medians(sample: Matrix) -> np.ndarray:
    """Return the median of each column of an odd number of rows."""
    middle = sample.shape[0] // 2
    if isinstance(sample, np.ndarray):
        origin: np.ndarray = sample.min(axis=0)
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


def _differing(distances: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return the distances that are not rounding, sorted."""
    rounding = N_ROUNDINGS * float(np.finfo(origin.dtype).eps) * float(np.abs(origin).max())
    return np.sort(distances[distances > rounding])


def largest_ordinary(distances: np.ndarray, size: float) -> float:
    """Return the largest of sorted distances that is not beyond reason, for a robust size."""
    with np.errstate(over="ignore"):
        is_far = (distances[1:] > FAR_DISTANCE * size) & (distances[1:] >= FAR_GAP * distances[:-1])
    first = np.flatnonzero(is_far)
    return float(distances[first[0] if size > 0 and len(first) else -1])


def rows_within(rows: Sequence[int] | np.ndarray, first: int, n: int) -> np.ndarray:
    """Return the ascending row numbers that lie in a chunk of n rows, counted from its first."""
    a, b = np.searchsorted(rows, (first, first + n))
    return np.asarray(rows[a:b], np.intp) - first


def mean_and_max_deviation(
    X: AnyRows, without: Sequence[int] | np.ndarray = ()
) -> tuple[np.ndarray, float]:
    """Return each column's mean, float64, and the largest deviation of an entry from it.

    For a sparse matrix it is the largest absolute entry instead.  Rows ``without`` do not count.
    """
    if is_sparse(X):
        X = X[np.delete(np.arange(X.shape[0]), without)] if len(without) else X
        largest = float(np.abs(X.data).max(initial=0))
        scale = float32_scale(largest)
        total = (X if scale == 1 else divide_sparse(X, scale)).sum(0, dtype=np.float64)
        return np.asarray(total).ravel() / X.shape[0] * scale, largest
    d = X.shape[1]
    start: Columns = np.full(d, np.inf), np.full(d, -np.inf), np.zeros(d)
    low, high, total = as_rows(X).fold(CHUNK_SIZE, _add_chunk, start, without)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = total / (X.shape[0] - len(without))
        if not np.isfinite(mean).all():  # the sums overflow near the largest float
            mean = low / 2 + high / 2
        largest = float(np.maximum(high - mean, mean - low).max())
    return mean, min(largest, float(np.finfo(np.float64).max))


def _add_chunk(state: Columns, first: int, chunk: np.ndarray, without: Sequence[int]) -> Columns:
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


def divide_sparse(X: scipy.sparse.csr_matrix, scale: float) -> scipy.sparse.csr_matrix:
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
