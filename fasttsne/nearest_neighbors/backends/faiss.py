"""Neighbours by faiss, exact or by inverted lists: an optional backend, extra ``faiss``."""

from contextlib import contextmanager
from functools import cached_property
from typing import ClassVar

import numpy as np

from fasttsne.nearest_neighbors.backends.results import check_found, without_self
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.runtime.validation import check_choice
from fasttsne.utils import require

# What faiss calls the metrics that only its flat index has.
FLAT_METRICS = {
    "manhattan": "METRIC_L1", "l1": "METRIC_L1", "cityblock": "METRIC_L1",
    "chebyshev": "METRIC_Linf", "canberra": "METRIC_Canberra",
    "braycurtis": "METRIC_BrayCurtis",
}  # fmt: skip
# Up to so many rows "auto" is "flat".
FLAT_UP_TO = 20_000


class Faiss(KNNIndex):
    """Neighbours by faiss on the processor: all pairs, or the nearest of inverted lists.

    ``knn_kwargs``: ``index`` ("auto") is "flat", which is exact, or "ivf"; "auto"
    is flat up to 20,000 rows and for the metrics that lists do not have
    (manhattan, chebyshev, canberra, braycurtis).  ``nlist`` (square root of the rows) lists,
    of which ``nprobe`` (an eighth, at least 8) are searched for a row.

    Distances of the Euclidean family come from products in float32: those of
    equal rows may be a little above 0.  The same seed and ``n_jobs`` give the
    same neighbours.

    Raises
    ------
    ImportError
        Where the package ``faiss`` is not installed.
    RuntimeError
        Where the lists searched hold fewer than k neighbours.
    """

    VALID_METRICS = METRICS + tuple(FLAT_METRICS)
    SETTINGS: ClassVar = {"index": "auto", "nlist": None, "nprobe": None}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        kind = check_choice(self.settings["index"], "index", ("auto", "flat", "ivf"))
        if kind == "ivf" and self.metric in FLAT_METRICS:
            raise ValueError(
                f"metric must be one of {', '.join(map(repr, METRICS))} for index='ivf'; "
                f"got {self.metric!r}"
            )
        many = self.n_samples > FLAT_UP_TO and self.metric in METRICS
        self._by_lists = kind == "ivf" or (kind == "auto" and many)

    @cached_property
    def _rows(self):
        return DenseRows(self.data, self.metric) if self.metric in METRICS else None

    @cached_property
    def _index(self):
        faiss = _faiss()
        points = self._points(self.data)
        columns = points.shape[1]
        if self._by_lists:
            nlist = self.settings["nlist"] or max(int(self.n_samples**0.5), 1)
            index = faiss.IndexIVFFlat(faiss.IndexFlatL2(columns), columns, nlist)
            index.cp.seed = self.seed
            # Without a say: faiss prints to the terminal where a list has few rows to train on.
            index.cp.min_points_per_centroid = 1
            index.nprobe = self.settings["nprobe"] or max(nlist // 8, 8)
        else:
            name = FLAT_METRICS.get(self.metric, "METRIC_L2")
            index = faiss.IndexFlat(columns, getattr(faiss, name))
        with _threads(faiss, self.n_threads):
            index.train(points)
            index.add(points)
        return index

    def _points(self, X):
        """Rows as faiss wants them, about the origin: its products lose what is far from it."""
        if self._rows is None:
            return np.ascontiguousarray(X, np.float32)
        points = self._rows.points if X is self.data else self._rows.prepare(X)
        return points - self._centre

    @cached_property
    def _centre(self):
        return self._rows.points.mean(0, dtype=np.float64).astype(np.float32)

    def _build(self):
        return without_self(*self._query(self.data, self.k + 1))

    def _query(self, X, k):
        index = self._index
        with _threads(_faiss(), self.n_threads):
            distances, indices = index.search(self._points(X), k)
        check_found(indices, distances, "faiss", "nprobe")
        if self._rows is not None:
            distances = self._rows.in_metric(np.sqrt(np.maximum(distances, 0)))
        return indices.astype(np.int32), distances


def _faiss():
    return require("faiss", "neighbors='faiss'", "faiss")


@contextmanager
def _threads(faiss, n_threads):
    """So many threads inside, as many as before afterwards."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n_threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
