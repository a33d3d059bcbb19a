"""Exact neighbours: products of all rows with all others, or a blocked loop for any metric."""

import numpy as np
import scipy.sparse
from scipy.spatial.distance import cdist

from fasttsne.nearest_neighbors.builtin.rows import METRICS, KeepsRows, as_rows
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.runtime.validation import check_data, check_number

# Distances computed at a time by the blocked loop.
LOOP_ENTRIES = 2**22

# Names that other packages have for metrics of SciPy.
SCIPY_NAMES = {
    "manhattan": "cityblock", "l1": "cityblock", "taxicab": "cityblock",
    "infinity": "chebyshev", "linfinity": "chebyshev", "linfty": "chebyshev", "linf": "chebyshev",
    "p": "minkowski", "standardised_euclidean": "seuclidean", "sokalmichener": "rogerstanimoto",
}  # fmt: skip
OTHER_METRICS = (
    "cityblock", "chebyshev", "minkowski", "canberra", "braycurtis", "hamming", "jaccard", "dice",
    "rogerstanimoto", "russellrao", "sokalsneath", "yule", "seuclidean", "mahalanobis",
    "jensenshannon", *SCIPY_NAMES,
)  # fmt: skip
BOOLEAN_METRICS = ("jaccard", "dice", "rogerstanimoto", "russellrao", "sokalsneath", "yule")


class Exact(KeepsRows, KNNIndex):
    """The true neighbours, at the price of looking at all pairs.

    Euclidean, cosine and correlation: float32 products choose candidates, whose
    distances are computed again from differences, so equal rows are at distance
    0.  Other metrics of SciPy, and any callable f(u, v), by a blocked loop; variances and
    covariance, for "seuclidean" and "mahalanobis", are those of the data where
    ``metric_params`` does not give V or VI.
    Ties fall to the smaller row number.  Sparse rows stay sparse; the blocked loop
    makes a block of them dense at a time.  Memory: the data packed for the
    kernel, up to half a gigabyte at a time, and candidates of 8 bytes.
    """

    VALID_METRICS = METRICS + OTHER_METRICS
    ACCEPTS_SPARSE = True

    def check_metric(self, metric):
        return metric if callable(metric) else super().check_metric(metric)

    def _build(self):
        if self.metric not in METRICS:
            return self._loop(self.data, self.k, self_join=True)
        rows = as_rows(self.data, self.metric)
        indices, distances = rows.join(self.k, self.n_threads)
        return indices, rows.in_metric(distances)

    def _query(self, X, k):
        if self.metric not in METRICS:
            return self._loop(X, k, self_join=False)
        rows = self.rows
        indices, distances = rows.nearest_to(rows.prepare(X), k, self.n_threads)
        return indices, rows.in_metric(distances)

    def _loop(self, X, k, self_join):
        """Distances of a block of rows to all others at a time, by SciPy or the callable."""
        metric, params = self._for_scipy()
        n = X.shape[0]
        indices, distances = np.empty((n, k), np.int32), np.empty((n, k))
        step = max(LOOP_ENTRIES // max(self.data.shape), 1)
        for a in range(0, n, step):
            block = self._distances(X[a : a + step], step, metric, params)
            if block.min() < 0:
                raise ValueError(f"metric must not give negative distances; got {block.min()}")
            block[np.isnan(block)] = np.inf
            if self_join:
                own = np.arange(len(block))
                block[own, a + own] = np.inf
            found = _smallest(block, k)
            indices[a : a + step] = found
            distances[a : a + step] = np.take_along_axis(block, found, 1)
        known = np.isfinite(distances).all(axis=1)
        if not known.all():
            raise ValueError(
                f"metric={self.metric!r} gives row {known.argmin()} of X fewer than {k} neighbours "
                "at a finite distance: its numbers are too large, or none that the metric is for"
            )
        return indices, distances

    def _for_scipy(self):
        """The metric's name there, or the callable, and its parameters.

        SciPy would take variances and covariances of the blocks: they are those of the data.
        """
        params = dict(self.metric_params or {})
        if callable(self.metric):
            return self.metric, params
        metric = SCIPY_NAMES.get(self.metric, self.metric)
        if metric == "seuclidean" and "V" not in params:
            params["V"] = _variances(self.data)
        if metric == "mahalanobis" and "VI" not in params:
            # V is scikit-learn's name for the covariance.
            params["VI"] = _inverse(params.pop("V")) if "V" in params else _precision(self.data)
        _check_params(metric, params, self.data.shape[1])
        return metric, params

    def _distances(self, rows, step, metric, params):
        """From a block of rows to all of the data."""
        if not scipy.sparse.issparse(self.data):
            return _cdist(rows, self.data, metric, params)
        rows = rows.toarray()
        parts = (self.data[a : a + step].toarray() for a in range(0, self.n_samples, step))
        return np.concatenate([_cdist(rows, part, metric, params) for part in parts], axis=1)


def _cdist(rows, data, metric, params):
    if metric in BOOLEAN_METRICS:
        rows, data = rows != 0, data != 0
    return cdist(rows, data, metric, **params)


def _check_params(metric, params, n_columns):
    """Raise ValueError where the parameters are not what the metric takes, naming them."""
    if "p" in params:
        check_number(params["p"], "metric_params['p']", above=0)
    if metric == "mahalanobis":
        # SciPy reads beyond a matrix that is too small.
        params["VI"] = check_data(params["VI"], "metric_params['VI']", least_rows=1)
        if params["VI"].shape != (n_columns, n_columns):
            raise ValueError(
                f"metric_params['VI'] must have the shape {(n_columns, n_columns)}; "
                f"got {params['VI'].shape}"
            )
    row = np.ones((1, n_columns))
    try:
        _cdist(row, row, metric, params)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"metric_params {sorted(params)} do not suit metric={metric!r}: {error}"
        ) from error


def _variances(data):
    """Of the columns; those that do not vary, and make no difference, get 1."""
    n = data.shape[0]
    with np.errstate(over="ignore", invalid="ignore"):
        if scipy.sparse.issparse(data):
            mean = np.asarray(data.mean(0, dtype=np.float64)).ravel()
            square = np.asarray(data.multiply(data).mean(0, dtype=np.float64)).ravel()
            variances = (square - mean**2) * n / (n - 1)
        else:
            variances = np.var(data, axis=0, ddof=1, dtype=np.float64)
    if not np.isfinite(variances).all():
        raise ValueError("metric='seuclidean': the variances of X overflow; scale X down")
    return np.where(variances > 0, variances, 1)


def _precision(data):
    """The inverse of the covariance, of which the data may not have all dimensions."""
    if scipy.sparse.issparse(data):
        raise ValueError("metric='mahalanobis' of sparse data needs metric_params['VI']")
    with np.errstate(over="ignore", invalid="ignore"):
        covariance = np.atleast_2d(np.cov(data.T))
    if not np.isfinite(covariance).all():
        raise ValueError("metric='mahalanobis': the covariance of X overflows; scale X down")
    rounding = 10 * len(covariance) * np.finfo(float).eps
    return np.linalg.pinv(covariance, rounding, hermitian=True)


def _inverse(covariance):
    try:
        return np.linalg.inv(covariance)
    except (np.linalg.LinAlgError, TypeError, ValueError) as error:
        raise ValueError(f"metric_params['V'] must be an invertible matrix: {error}") from error


def _smallest(block, k):
    """Columns of the k smallest of each row, in order, ties by number."""
    if k < block.shape[1]:
        # The partition may choose among ties at the k-th as it likes: take all of them.
        kth = np.partition(block, k - 1, axis=1)[:, k - 1 : k]
        out = np.empty((len(block), k), np.int32)
        for row, (values, limit) in enumerate(zip(block, kth, strict=True)):
            near = np.flatnonzero(values <= limit)
            out[row] = near[np.argsort(values[near], kind="stable")[:k]]
        return out
    return np.argsort(block, axis=1, kind="stable").astype(np.int32)
