"""Exact neighbours: by products of all pairs of rows, or by SciPy in blocks for any metric."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from scipy.spatial.distance import cdist

from fasttsne.nearest_neighbors.backends import package_for
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.builtin.rows import CachedRowsMixin
from fasttsne.nearest_neighbors.index import BOOLEAN_METRICS, KNNIndex
from fasttsne.runtime.rows import is_sparse
from fasttsne.runtime.typing import Matrix, Metric, Params, Settings
from fasttsne.runtime.validation import check_data, check_number
from fasttsne.utils import log, starting_threads, warn_user

# Distances computed at a time by SciPy.
BLOCK_ENTRIES = 2**22

# Seconds from which the log warns of a search, others are only mentioned.
LONG_SEARCH = 10
# Radians of the poles, and some rounding of float32.
MAX_LATITUDE = np.pi / 2 + 1e-6

# Other packages' names for metrics of SciPy.
METRIC_ALIASES = {
    "manhattan": "cityblock",
    "l1": "cityblock",
    "taxicab": "cityblock",
    "infinity": "chebyshev",
    "linfinity": "chebyshev",
    "linfty": "chebyshev",
    "linf": "chebyshev",
    "p": "minkowski",
    "standardised_euclidean": "seuclidean",
    "sokalmichener": "rogerstanimoto",
}
OTHER_METRICS = (
    "cityblock", "haversine", "chebyshev", "minkowski", "canberra", "braycurtis", "hamming",
    "jaccard", "dice",
    "rogerstanimoto", "russellrao", "sokalsneath", "yule", "seuclidean", "mahalanobis",
    "jensenshannon", *METRIC_ALIASES,
)  # fmt: skip


class Exact(CachedRowsMixin, KNNIndex):
    """Finds the true neighbours by comparing all pairs of rows.

    Euclidean, cosine and correlation: float32 products choose candidates; what their
    rounding leaves open is decided by float64 differences of the data as given, so the
    neighbours are those of float64, and equal rows are at distance 0.  Other metrics
    of SciPy, "haversine" (angles on a sphere, of two columns: latitude and longitude in radians),
    and any callable f(u, v), are computed in blocks; variances and covariance, for
    "seuclidean" and "mahalanobis", are those of the data where ``metric_params`` does
    not give V or VI.  Rows of zeros are at distance 0 from each other with all of them but
    "russellrao", which counts the zeros of equal rows by its definition.
    Of equal distances, the smaller row index comes first.  Sparse rows stay sparse; SciPy's
    metrics make one block of them dense at a time.  Memory: the data packed for the
    kernel, up to half a gigabyte at a time, and candidates of 8 bytes.  Distances beyond
    3.4e38 times the size of the data are returned as that.
    The log says how long a search in blocks will take, as a warning from 10 s on, and which package
    has the metric: ``neighbors="approx"`` searches by it.
    """

    VALID_METRICS = METRICS + OTHER_METRICS
    SETTINGS: ClassVar = {}
    ACCEPTS_SPARSE = DENSE_IF_SMALL = ACCEPTS_CALLABLE = True

    def _build(self) -> tuple[np.ndarray, np.ndarray]:
        if self.metric not in METRICS:
            return self._blocked_cdist(self.data, self.k, self_join=True)
        rows = self._prepare()
        indices, distances = rows.self_kneighbors(self.k, self.n_threads)
        return indices, rows.to_metric(distances)

    def _query(self, X: Matrix, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self.metric not in METRICS:
            return self._blocked_cdist(X, k, self_join=False)
        rows = self.rows
        indices, distances = rows.kneighbors(rows.prepare(X), k, self.n_threads)
        return indices, rows.to_metric(distances)

    def metric_params_of_data(self) -> Settings:
        """Return ``metric_params`` with what the metric takes from the data."""
        return self.metric_params if self.metric in METRICS else self._scipy_metric()[1] or None

    def _blocked_cdist(self, X: Matrix, k: int, self_join: bool) -> tuple[np.ndarray, np.ndarray]:
        """Search by distances of a block of rows to all others, from SciPy or a callable."""
        metric, params = self._scipy_metric()
        n = X.shape[0]
        indices, distances = np.empty((n, k), np.int32), np.empty((n, k))
        step = max(BLOCK_ENTRIES // max(self.data.shape), 1)

        def search(a: int) -> None:
            block = self._distances(X[a : a + step], step, metric, params)
            if block.min() < 0:
                raise ValueError(f"metric must not give negative distances; got {block.min()}")
            if self_join:
                np.fill_diagonal(block[:, a:], np.inf)
            nearest = smallest_columns(block, k)
            indices[a : a + step] = nearest
            distances[a : a + step] = np.take_along_axis(block, nearest, 1)

        n_threads = 1 if callable(metric) else self.n_threads
        start = time.perf_counter()
        search(0)
        seconds = (time.perf_counter() - start) * max(n / step - 1, 0) / n_threads
        package = package_for(self.metric, sp.issparse(self.data))
        log.log(
            logging.WARNING if seconds > LONG_SEARCH else logging.INFO,
            "exact search of %d rows, metric %s: about %.0f s%s",
            n,
            self.metric,
            seconds,
            f"; neighbors='approx' searches by {package.LIBRARY}" if package else "",
        )
        with starting_threads(), ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(search, range(step, n, step)))
        finite = np.isfinite(distances).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"row {finite.argmin()} of X has fewer than {k} neighbours at a finite distance "
                f"with metric={self.metric!r}; its values may be too large, or invalid for it"
            )
        return indices, distances

    def _scipy_metric(self) -> tuple[Metric, dict[str, object]]:
        """Return SciPy's name of the metric, or the callable, and its parameters.

        Without them, SciPy would use variances and covariances of the blocks, not of the data.
        """
        params = dict(self.metric_params or {})
        if callable(self.metric):
            return self.metric, params
        metric = METRIC_ALIASES.get(self.metric, self.metric)
        if metric == "seuclidean" and "V" not in params:
            params["V"] = _variances(self.data)
        if metric == "mahalanobis" and "VI" not in params:
            # V is scikit-learn's name for the covariance.
            params["VI"] = _inverse(params.pop("V")) if "V" in params else _precision(self.data)
        _check_params(metric, params, self.data.shape[1])
        if metric == "haversine":
            _warn_of_degrees(self.data)
        return metric, params

    def _distances(self, rows: Matrix, step: int, metric: Metric, params: Params) -> np.ndarray:
        """Return the distances of a block of rows to all of the data."""
        if is_sparse(rows):
            rows = rows.toarray()
        if not is_sparse(self.data):
            return pairwise_distances(rows, self.data, metric, params)
        blocks = (self.data[a : a + step].toarray() for a in range(0, self.n_samples, step))
        distances = [pairwise_distances(rows, block, metric, params) for block in blocks]
        return np.concatenate(distances, axis=1)


def pairwise_distances(
    rows: np.ndarray, data: np.ndarray, metric: Metric, params: Params
) -> np.ndarray:
    """Return the distances of all rows to all of the data, (rows, data), none of which is NaN.

    Equal rows are at distance 0 also where SciPy divides 0 by 0, as "braycurtis", "dice",
    "sokalsneath" and "jensenshannon" do for rows of zeros.  Rows that differ are infinitely far
    from each other where their distance is undefined or overflows.

    Raises
    ------
    ValueError
        Where a callable returns NaN.
    """
    if metric in BOOLEAN_METRICS:
        rows, data = rows != 0, data != 0
    if metric == "haversine":
        return _angles_on_sphere(rows, data, **params)
    distances: np.ndarray = cdist(rows, data, metric, **params)
    if callable(metric):
        _refuse_nan(distances, rows, data)
        return distances
    is_finite = np.isfinite(distances)
    for row in np.flatnonzero(~is_finite.all(axis=1)):
        others = np.flatnonzero(~is_finite[row])
        is_equal = (data[others] == rows[row]).all(axis=1)
        distances[row, others] = np.where(is_equal, 0, np.inf)
    return distances


def _angles_on_sphere(rows: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Return the angles between points given by latitude and longitude, in radians."""
    a, b = np.asarray(rows, np.float64), np.asarray(data, np.float64)
    half_chord = np.sin((a[:, None] - b) / 2) ** 2
    squares = half_chord[..., 0] + np.cos(a[:, :1]) * np.cos(b[:, 0]) * half_chord[..., 1]
    angles: np.ndarray = 2 * np.arcsin(np.sqrt(np.minimum(squares, 1)))
    return angles


def _refuse_nan(distances: np.ndarray, rows: np.ndarray, data: np.ndarray) -> None:
    """Raise ValueError where a callable returned NaN, with the rows that it was given."""
    is_nan = np.isnan(distances)
    if is_nan.any():
        i, j = np.argwhere(is_nan)[0]
        raise ValueError(
            f"metric must return numbers; it returned nan for the rows {rows[i]} and {data[j]}"
        )


def _check_params(metric: Metric, params: dict[str, np.ndarray], n_columns: int) -> None:
    """Raise ValueError for parameters that the metric does not accept."""
    if "p" in params:
        check_number(params["p"], "metric_params['p']", above=0)
    if metric == "haversine" and n_columns != 2:
        raise ValueError(
            "metric='haversine' takes two columns, latitude and longitude in radians; "
            f"X has {n_columns}"
        )
    if metric == "mahalanobis":
        # SciPy reads beyond a matrix that is too small.
        params["VI"] = check_data(params["VI"], "metric_params['VI']", min_rows=1)
        if params["VI"].shape != (n_columns, n_columns):
            raise ValueError(
                f"metric_params['VI'] must have the shape {(n_columns, n_columns)}; "
                f"got {params['VI'].shape}"
            )
    row = np.ones((1, n_columns))
    try:
        pairwise_distances(row, row, metric, params)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"metric_params {sorted(params)} do not suit metric={metric!r}: {error}"
        ) from error


def _warn_of_degrees(data: Matrix) -> None:
    """Warn if latitudes are beyond the poles, as those in degrees are."""
    latitude = np.abs(np.asarray(data)[:, 0]).max()
    if latitude > MAX_LATITUDE:
        warn_user(
            f"metric='haversine' takes radians, and latitudes are at most pi / 2; X has "
            f"{latitude:g} in its first column: if these are degrees, pass np.radians(X)"
        )


def _variances(data: Matrix) -> np.ndarray:
    """Return the columns' variances, 1 for constant columns, which make no difference."""
    n = data.shape[0]
    with np.errstate(over="ignore", invalid="ignore"):
        if is_sparse(data):
            mean = np.asarray(data.mean(0, dtype=np.float64)).ravel()
            square = np.asarray(data.multiply(data).mean(0, dtype=np.float64)).ravel()
            variances = (square - mean**2) * n / (n - 1)
        else:
            variances = np.var(data, axis=0, ddof=1, dtype=np.float64)
    if not np.isfinite(variances).all():
        raise ValueError("metric='seuclidean': the variances of X overflow; scale X down")
    return np.where(variances > 0, variances, 1)


def _precision(data: Matrix) -> np.ndarray:
    """Return the (pseudo-)inverse of the covariance."""
    if sp.issparse(data):
        raise ValueError("metric='mahalanobis' of sparse data needs metric_params['VI']")
    with np.errstate(over="ignore", invalid="ignore"):
        covariance = np.atleast_2d(np.cov(data.T))
    if not np.isfinite(covariance).all():
        raise ValueError("metric='mahalanobis': the covariance of X overflows; scale X down")
    rounding = 10 * len(covariance) * np.finfo(float).eps
    return np.linalg.pinv(covariance, rounding, hermitian=True)


def _inverse(covariance: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.inv(covariance)
    except (np.linalg.LinAlgError, TypeError, ValueError) as error:
        raise ValueError(f"metric_params['V'] must be an invertible matrix: {error}") from error


def smallest_columns(block: np.ndarray, k: int) -> np.ndarray:
    """Return the columns of the k smallest values of each row, in order; ties by column."""
    if k < block.shape[1]:
        # The partition chooses arbitrarily among ties at the k-th: take all of them.
        kth = np.partition(block, k - 1, axis=1)[:, k - 1 : k]
        out = np.empty((len(block), k), np.int32)
        for row, (values, limit) in enumerate(zip(block, kth, strict=True)):
            near = np.flatnonzero(values <= limit)
            out[row] = near[np.argsort(values[near], kind="stable")[:k]]
        return out
    return np.argsort(block, axis=1, kind="stable").astype(np.int32)
