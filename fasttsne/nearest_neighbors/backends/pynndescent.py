"""Approximate neighbours by PyNNDescent: an optional backend, extra ``pynndescent``."""

import warnings
from functools import cache, cached_property

import numpy as np

from fasttsne.nearest_neighbors.backends.base import BackendIndex, check_complete, drop_self
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.utils import log

OTHER_METRICS = (
    "manhattan", "l1", "cityblock", "chebyshev", "minkowski", "canberra", "braycurtis",
    "hamming", "jaccard", "dice", "rogerstanimoto", "russellrao", "sokalsneath", "yule",
    "hellinger", "taxicab", "linfinity", "mahalanobis", "seuclidean", "wminkowski", "dot",
    "true_angular", "spearmanr", "tsss", "symmetric_kl", "jensen_shannon", "wasserstein_1d",
    "sokalmichener", "kulsinski", "matching", "haversine", "linfty", "linf", "weighted_minkowski",
    "standardised_euclidean", "wasserstein", "wasserstein-1d", "kantorovich", "kantorovich_1d",
    "kantorovich-1d", "circular_wasserstein", "circular_kantorovich", "sinkhorn",
    "symmetric-kl", "symmetric_kullback_liebler", "jensen-shannon", "bit_hamming", "bit_jaccard",
)  # fmt: skip

METRIC_ALIASES = {"cityblock": "manhattan"}


class NNDescent(BackendIndex):
    """Neighbours by nearest neighbour descent (Dong et al. 2011): neighbours of neighbours.

    ``knn_kwargs``: arguments of ``pynndescent.NNDescent``.

    ``metric`` may also be a function f(u, v) that Numba compiled or can compile;
    ``metric_params`` are PyNNDescent's, such as ``vinv`` of "mahalanobis", or, for a function,
    its further arguments.  Rows may be sparse.
    The same seed and ``n_jobs`` give the same neighbours.  The first search in a process with a
    metric compiles it, for up to a minute; the log says so.

    Raises
    ------
    ImportError
        Where the package ``pynndescent`` is not installed.
    RuntimeError
        Where fewer than k neighbours of a row are found.
    """

    EXTRA = "pynndescent"
    VALID_METRICS = METRICS + OTHER_METRICS
    ACCEPTS_SPARSE = ACCEPTS_CALLABLE = True

    @cached_property
    def _index(self):
        pynndescent, numba = self._import("pynndescent"), self._import("numba")
        metric = METRIC_ALIASES.get(self.metric, self.metric)
        _announce_compilation(str(metric))
        if self._rows is not None:
            metric = "euclidean"
        elif callable(metric) and not isinstance(metric, numba.core.dispatcher.Dispatcher):
            metric = numba.njit(metric)
        with warnings.catch_warnings():
            # It warns of rows that it fills in later, too; ``check_complete`` looks at the end.
            warnings.filterwarnings("ignore", "Failed to correctly find n_neighbors")
            return pynndescent.NNDescent(
                self._points(self.data),
                metric=metric,
                metric_kwds=self.metric_params,
                n_neighbors=self.k + 1,
                random_state=self.seed,
                n_jobs=min(self.n_threads, numba.config.NUMBA_NUM_THREADS),
                **self.knn_kwargs,
            )

    def _build(self):
        return drop_self(*self._checked(*self._index.neighbor_graph))

    def _query(self, X, k):
        return self._checked(*self._index.query(self._points(X), k))

    def _checked(self, indices, distances):
        check_complete(indices, distances, "PyNNDescent", "n_trees")
        if self._rows is not None:
            distances = self._rows.to_metric(distances)
        return indices.astype(np.int32), distances


@cache
def _announce_compilation(metric):
    """Log, once in a process for each metric, why nothing seems to happen."""
    log.warning(
        "PyNNDescent compiles its search for metric=%s, once in a process; it may take a minute",
        metric,
    )
