"""Neighbours by faiss, exact or by inverted lists: an optional backend, extra ``faiss``."""

from contextlib import contextmanager
from functools import cached_property
from typing import ClassVar

import numpy as np

from fasttsne.nearest_neighbors.backends.base import BackendIndex, check_complete
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.runtime.validation import check_choice

# Names in faiss of the metrics that only its flat index has.
FLAT_METRICS = {
    "manhattan": "METRIC_L1",
    "l1": "METRIC_L1",
    "cityblock": "METRIC_L1",
    "chebyshev": "METRIC_Linf",
    "canberra": "METRIC_Canberra",
    "braycurtis": "METRIC_BrayCurtis",
}
# Metrics whose quotients are 0 / 0 where two numbers are 0; faiss then gives NaN.
QUOTIENTS = ("canberra", "braycurtis")
# Up to so many rows index="auto" is "flat".
FLAT_MAX_SAMPLES = 20_000


class Faiss(BackendIndex):
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

    EXTRA = "faiss"
    VALID_METRICS = METRICS + tuple(FLAT_METRICS)
    SETTINGS: ClassVar = {"index": "auto", "nlist": None, "nprobe": None}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        large = self.n_samples > FLAT_MAX_SAMPLES
        uses_lists = {"auto": large and self.metric in METRICS, "flat": False, "ivf": True}
        kind = check_choice(self.settings["index"], "index", uses_lists)
        if kind == "ivf" and self.metric in FLAT_METRICS:
            names = ", ".join(map(repr, METRICS))
            raise ValueError(f"metric must be one of {names} for index='ivf'; got {self.metric!r}")
        self._by_lists = uses_lists[kind]

    @cached_property
    def _index(self):
        faiss = self._import("faiss")
        points = self._points(self.data)
        columns = points.shape[1]
        if self._by_lists:
            nlist = self.settings["nlist"] or max(int(self.n_samples**0.5), 1)
            index = faiss.IndexIVFFlat(faiss.IndexFlatL2(columns), columns, nlist)
            index.cp.seed = self.seed
            # Otherwise faiss prints a warning where a list has few rows for training.
            index.cp.min_points_per_centroid = 1
            index.nprobe = self.settings["nprobe"] or max(nlist // 8, 8)
        else:
            kind = getattr(faiss, FLAT_METRICS.get(self.metric, "METRIC_L2"))
            index = faiss.IndexFlat(columns, kind)
        with _threads(faiss, self.n_threads):
            index.train(points)
            index.add(points)
        return index

    def _points(self, X):
        """Return centered float32 rows: faiss's products lose digits far from the origin.

        Of metrics that divide, zeros are the smallest number in their place.
        """
        points = super()._points(X)
        if self.metric in QUOTIENTS:
            return np.where(points == 0, np.finfo(np.float32).tiny, points)
        return points if self._rows is None else points - self._center

    @cached_property
    def _center(self):
        return self._rows.points.values.mean(0, dtype=np.float64).astype(np.float32)

    def _query(self, X, k):
        index = self._index
        with _threads(self._import("faiss"), self.n_threads):
            distances, indices = index.search(self._points(X), k)
        check_complete(indices, distances, "faiss", "nprobe")
        if self._rows is not None:
            distances = self._rows.to_metric(np.sqrt(np.maximum(distances, 0)))
        return indices.astype(np.int32), distances


@contextmanager
def _threads(faiss, n_threads):
    """Set faiss's number of threads, and restore it afterwards."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n_threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
