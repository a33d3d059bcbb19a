"""Approximate neighbours by PyNNDescent: an optional backend, extra ``pynndescent``."""

from functools import cached_property

import numpy as np
import scipy.sparse as sp

from fasttsne.nearest_neighbors.backends.results import check_complete, drop_self
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.utils import require

OTHER_METRICS = (
    "manhattan", "l1", "cityblock", "chebyshev", "minkowski", "canberra", "braycurtis",
    "hamming", "jaccard", "dice", "rogerstanimoto", "russellrao", "sokalsneath", "yule",
    "hellinger", "taxicab", "linfinity", "mahalanobis", "seuclidean", "wminkowski", "dot",
    "true_angular", "spearmanr", "tsss", "symmetric_kl", "jensen_shannon", "wasserstein_1d",
    "sokalmichener", "kulsinski", "matching",
)  # fmt: skip

METRIC_ALIASES = {"cityblock": "manhattan"}


class NNDescent(KNNIndex):
    """Neighbours by nearest neighbour descent (Dong et al. 2011): neighbours of neighbours.

    ``knn_kwargs``: arguments of ``pynndescent.NNDescent``.

    ``metric`` may also be a function f(u, v) that Numba compiled or can compile;
    ``metric_params`` are PyNNDescent's, such as ``vinv`` of "mahalanobis", or, for a function,
    its further arguments.  Rows may be sparse.
    The same seed and ``n_jobs`` give the same neighbours.  The first call in a
    process compiles for some seconds.

    Raises
    ------
    ImportError
        Where the package ``pynndescent`` is not installed.
    RuntimeError
        Where fewer than k neighbours of a row are found.
    """

    VALID_METRICS = METRICS + OTHER_METRICS
    ACCEPTS_SPARSE = True

    def check_metric(self, metric):
        return metric if callable(metric) else super().check_metric(metric)

    @cached_property
    def _rows(self):
        if sp.issparse(self.data) or self.metric not in METRICS:
            return None
        return DenseRows(self.data, self.metric)

    @cached_property
    def _index(self):
        pynndescent, numba = _require("pynndescent"), _require("numba")
        if self._rows is not None:
            metric = "euclidean"
        else:
            metric = _compile(METRIC_ALIASES.get(self.metric, self.metric))
        return pynndescent.NNDescent(
            self._points(self.data), metric=metric, metric_kwds=self.metric_params,
            n_neighbors=self.k + 1, random_state=self.seed,
            n_jobs=min(self.n_threads, numba.config.NUMBA_NUM_THREADS), **self.knn_kwargs,
        )  # fmt: skip

    def _points(self, X):
        """Return rows as PyNNDescent takes them."""
        if sp.issparse(self.data):
            return sp.csr_matrix(X, dtype=np.float32)
        if self._rows is None:
            return np.ascontiguousarray(X, np.float32)
        return self._rows.points if X is self.data else self._rows.prepare(X)

    def _build(self):
        return drop_self(*self._checked(*self._index.neighbor_graph))

    def _query(self, X, k):
        return self._checked(*self._index.query(self._points(X), k))

    def _checked(self, indices, distances):
        check_complete(indices, distances, "PyNNDescent", "n_trees")
        if self._rows is not None:
            distances = self._rows.to_metric(distances)
        return indices.astype(np.int32), distances


def _compile(metric):
    """Return a function compiled for PyNNDescent's loops; names stay as they are."""
    numba = _require("numba")
    if not callable(metric) or isinstance(metric, numba.core.dispatcher.Dispatcher):
        return metric
    return numba.njit(metric)


def _require(module):
    return require(module, "neighbors='pynndescent'", "pynndescent")
