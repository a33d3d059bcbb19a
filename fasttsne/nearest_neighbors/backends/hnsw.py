"""Approximate neighbours by hnswlib's layered graph: an optional backend, extra ``hnsw``."""

from functools import cached_property
from typing import ClassVar

import numpy as np

from fasttsne.nearest_neighbors.backends.base import BackendIndex
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.runtime.validation import check_number


class HNSW(BackendIndex):
    """Neighbours by a hierarchical navigable small world graph (Malkov & Yashunin 2018).

    ``knn_kwargs``: ``M`` (16) links of a row, ``ef_construction`` (200) and ``ef``
    (twice k, at least 100) candidates while it is built and searched.

    Several threads insert rows in an order that is not fixed: the same seed
    gives the same neighbours with ``n_jobs=1`` only.

    Raises
    ------
    ImportError
        Where the package ``hnswlib`` is not installed.
    RuntimeError
        Where fewer than k neighbours of a row are found.
    """

    EXTRA = "hnsw"
    VALID_METRICS = METRICS
    SETTINGS: ClassVar = {"M": 16, "ef_construction": 200, "ef": None}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        check_number(self.settings["M"], "M", low=2, integer=True)

    @cached_property
    def _index(self):
        hnswlib = self._import("hnswlib")
        points = self._points(self.data)
        index = hnswlib.Index("l2", points.shape[1])
        index.init_index(
            len(points),
            M=self.settings["M"],
            random_seed=self.seed,
            ef_construction=self.settings["ef_construction"],
        )
        index.add_items(points, num_threads=self.n_threads)
        return index

    def _query(self, X, k):
        points, index = self._points(X), self._index
        index.set_ef(max(self.settings["ef"] or max(2 * k, 100), k))
        try:
            indices, squares = index.knn_query(points, k, num_threads=self.n_threads)
        except RuntimeError as error:
            raise RuntimeError(
                f"hnswlib found fewer than {k} neighbours of some row; ask for more with "
                "knn_kwargs={'ef': ..., 'M': ...}"
            ) from error
        return indices.astype(np.int32), self._rows.to_metric(np.sqrt(squares))
