"""Exact neighbours by scikit-learn: an optional backend, extra ``sklearn``."""

from functools import cached_property
from typing import ClassVar

import numpy as np

from fasttsne.nearest_neighbors.backends.base import BackendIndex, check_complete
from fasttsne.nearest_neighbors.exact import BOOLEAN_METRICS
from fasttsne.runtime.validation import check_choice

# Names in scikit-learn's lists that are not metrics of rows.
UNSUPPORTED_METRICS = {"precomputed", "pyfunc", "p", "nan_euclidean"}


class Sklearn(BackendIndex):
    """Finds the true neighbours by ``sklearn.neighbors.NearestNeighbors``: a tree, or all pairs.

    ``knn_kwargs``: ``algorithm`` ("auto", "ball_tree", "kd_tree", "brute") and
    ``leaf_size`` (30).

    All metrics of scikit-learn, with its ``metric_params``, and
    callables f(u, v).  Rows may be sparse where it has the metric for them.

    Raises
    ------
    ImportError
        Where the package ``scikit-learn`` is not installed.
    """

    EXTRA = "sklearn"
    SETTINGS: ClassVar = {"algorithm": "auto", "leaf_size": 30}
    ACCEPTS_SPARSE = True

    def check_metric(self, metric):
        if callable(metric):
            return metric
        return check_choice(metric, "metric", self._metric_names())

    @classmethod
    def _metric_names(cls):
        lists = cls._import("sklearn.neighbors").VALID_METRICS.values()
        return sorted(set().union(*lists) - UNSUPPORTED_METRICS)

    @cached_property
    def _index(self):
        params = dict(self.metric_params or {})
        search = self._import("sklearn.neighbors").NearestNeighbors(
            metric=self.metric,
            p=params.pop("p", 2),
            metric_params=params or None,
            n_jobs=self.n_threads,
            **self.settings,
        )
        return search.fit(self._to_metric_input(self.data))

    def _to_metric_input(self, X):
        return X != 0 if self.metric in BOOLEAN_METRICS else X

    def _query(self, X, k):
        # Its search of all pairs uses the threads of the process, not n_jobs.
        with self._import("threadpoolctl").threadpool_limits(self.n_threads):
            distances, indices = self._index.kneighbors(self._to_metric_input(X), k)
        check_complete(indices, distances, "scikit-learn", "algorithm")
        return indices.astype(np.int32), distances
