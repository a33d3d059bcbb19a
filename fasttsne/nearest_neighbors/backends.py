"""Neighbour searches of other packages, each an optional extra, and which of them has a metric."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import scipy.sparse as sp

from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.builtin.rows import DenseRows
from fasttsne.nearest_neighbors.index import (
    BOOLEAN_METRICS,
    SIMILARITIES,
    KNNIndex,
    Lists,
    drop_self,
)
from fasttsne.runtime.typing import Matrix, Metric, Params
from fasttsne.runtime.validation import check_choice, check_number
from fasttsne.utils import log, require

if TYPE_CHECKING:
    import annoy
    import faiss
    import hnswlib
    import pynndescent
    import sklearn.neighbors

# Annoy's names of metrics.
ANNOY_METRICS = {
    "euclidean": "euclidean", "l2": "euclidean", "cosine": "angular", "angular": "angular",
    "manhattan": "manhattan", "l1": "manhattan", "taxicab": "manhattan", "cityblock": "manhattan",
    "hamming": "hamming",
}  # fmt: skip
# PyNNDescent's, beyond those that are prepared here.
PYNNDESCENT_METRICS = (
    "manhattan", "l1", "cityblock", "chebyshev", "minkowski", "canberra", "braycurtis",
    "hamming", "jaccard", "dice", "rogerstanimoto", "russellrao", "sokalsneath", "yule",
    "hellinger", "taxicab", "linfinity", "mahalanobis", "seuclidean", "wminkowski", "dot",
    "true_angular", "spearmanr", "tsss", "symmetric_kl", "jensen_shannon", "wasserstein_1d",
    "sokalmichener", "kulsinski", "matching", "haversine", "linfty", "linf", "weighted_minkowski",
    "standardised_euclidean", "wasserstein", "wasserstein-1d", "kantorovich", "kantorovich_1d",
    "kantorovich-1d", "circular_wasserstein", "circular_kantorovich", "sinkhorn",
    "symmetric-kl", "symmetric_kullback_liebler", "jensen-shannon", "bit_hamming", "bit_jaccard",
)  # fmt: skip
# Names in faiss of the metrics that only its flat index has.
FLAT_METRICS = {
    "manhattan": "METRIC_L1", "l1": "METRIC_L1", "cityblock": "METRIC_L1",
    "chebyshev": "METRIC_Linf", "canberra": "METRIC_Canberra", "braycurtis": "METRIC_BrayCurtis",
}  # fmt: skip
# Metrics whose quotients are 0 / 0 where two numbers are 0; faiss then gives NaN.
QUOTIENTS = ("canberra", "braycurtis")
# Up to so many rows index="auto" of faiss is "flat".
FLAT_MAX_SAMPLES = 20_000
# Names in scikit-learn's lists that are not metrics of rows.
UNSUPPORTED_METRICS = {"precomputed", "pyfunc", "p", "nan_euclidean"}


class BackendIndex(KNNIndex):
    """A search that finds each row among its own neighbours, by a package that is optional."""

    EXTRA: ClassVar[str]  # that installs the package, and the name of the backend
    LIBRARY: ClassVar[str]  # the name of the package in messages
    _FINDS_MORE: ClassVar[str]  # the setting by which the package finds more neighbours
    _NOT_PICKLED: ClassVar[tuple[str, ...]] = ("_rows",)  # they are made again when needed

    @classmethod
    def _import(cls, module: str) -> ModuleType:
        return require(module, f"neighbors={cls.EXTRA!r}", cls.EXTRA)

    @cached_property
    def _rows(self) -> DenseRows | None:
        """Rows whose Euclidean distances determine the metric, or None."""
        if sp.issparse(self.data) or not isinstance(self.metric, str):
            return None
        return DenseRows(self.data, self.metric) if self.metric in METRICS else None

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name not in self._NOT_PICKLED}

    def _points(self, X: Matrix) -> Matrix:
        """Return rows as the package takes them, in float32."""
        if sp.issparse(self.data):
            return sp.csr_matrix(X, dtype=np.float32)
        if self._rows is None:
            return np.ascontiguousarray(X, np.float32)
        return (self._rows.points if X is self.data else self._rows.prepare(X)).values

    def _to_metric(self, distances: np.ndarray) -> np.ndarray:
        return distances if self._rows is None else self._rows.to_metric(distances)

    def _build(self) -> Lists:
        return drop_self(*self._query(self.data, self.k + 1))

    def _complete(self, indices: np.ndarray, distances: np.ndarray) -> Lists:
        """Return what the package has found; raise unless that is all, at finite distances."""
        found = (indices >= 0).sum(1)
        row = int(found.argmin())
        if found[row] < indices.shape[1]:
            raise RuntimeError(
                f"{self.LIBRARY} found {found[row]} of {indices.shape[1]} neighbours of row {row}; "
                f"ask for more with knn_kwargs={{{self._FINDS_MORE!r}: ...}}"
            )
        is_finite = np.isfinite(distances).all(1)
        if not is_finite.all():
            raise ValueError(
                f"{self.LIBRARY} gives distances of row {is_finite.argmin()} that are not finite"
            )
        return indices.astype(np.int32, copy=False), distances


class Annoy(BackendIndex):
    """Neighbours by random projection trees, as in fastTSNE of 2018.

    ``knn_kwargs``: ``n_trees`` (50), ``search_k`` (-1: trees times k).

    Raises
    ------
    ImportError
        Where the package ``annoy`` is not installed.
    """

    EXTRA, LIBRARY, _FINDS_MORE = "annoy", "Annoy", "search_k"
    VALID_METRICS = tuple(ANNOY_METRICS)
    SETTINGS: ClassVar = {"n_trees": 50, "search_k": -1}
    _NOT_PICKLED = ("_rows", "_index")

    @cached_property
    def _index(self) -> "annoy.AnnoyIndex":
        metric = ANNOY_METRICS[str(self.check_metric(self.metric))]
        index = self._import("annoy").AnnoyIndex(self.data.shape[1], metric)
        index.set_seed(self.seed)
        for i, row in enumerate(self.data):
            index.add_item(i, row)
        index.build(self.settings["n_trees"], n_jobs=self.n_threads)
        return index

    def _build(self) -> Lists:
        search = self._index.get_nns_by_item
        return drop_self(*self._gather(search, range(self.n_samples), self.k + 1))

    def _query(self, X: Matrix, k: int) -> Lists:
        return self._gather(self._index.get_nns_by_vector, X, k)

    def _gather(
        self, search: Callable[..., Lists], items: np.ndarray | Sequence[int], k: int
    ) -> Lists:
        search_k = self.settings["search_k"]
        tables = np.full((len(items), k), -1, np.int32), np.empty((len(items), k), np.float32)
        for row, item in enumerate(items):
            found = search(item, k, search_k=search_k, include_distances=True)
            for table, values in zip(tables, found, strict=True):
                table[row, : len(values)] = values
        indices, distances = self._complete(*tables)
        if self.metric == "cosine":
            distances = distances**2 / 2
        elif self.metric == "hamming":  # Annoy counts the columns that differ
            distances /= self.data.shape[1]
        return indices, distances


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

    EXTRA, LIBRARY = "hnsw", "hnswlib"
    VALID_METRICS = METRICS
    SETTINGS: ClassVar = {"M": 16, "ef_construction": 200, "ef": None}

    def _check_settings(self) -> Params:
        settings = super()._check_settings()
        check_number(settings["M"], "M", low=2, integer=True)
        return settings

    @cached_property
    def _index(self) -> "hnswlib.Index":
        points = self._points(self.data)
        index = self._import("hnswlib").Index("l2", points.shape[1])
        links = {name: self.settings[name] for name in ("M", "ef_construction")}
        index.init_index(len(points), random_seed=self.seed, **links)
        index.add_items(points, num_threads=self.n_threads)
        return index

    def _query(self, X: Matrix, k: int) -> Lists:
        points, index = self._points(X), self._index
        index.set_ef(max(self.settings["ef"] or max(2 * k, 100), k))
        try:
            indices, squares = index.knn_query(points, k, num_threads=self.n_threads)
        except RuntimeError as error:
            raise RuntimeError(
                f"hnswlib found fewer than {k} neighbours of some row; ask for more with "
                "knn_kwargs={'ef': ..., 'M': ...}"
            ) from error
        return indices.astype(np.int32), self._to_metric(np.sqrt(squares))


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

    EXTRA, LIBRARY, _FINDS_MORE = "pynndescent", "PyNNDescent", "n_trees"
    VALID_METRICS = METRICS + PYNNDESCENT_METRICS
    ACCEPTS_SPARSE = ACCEPTS_CALLABLE = True

    @cached_property
    def _index(self) -> "pynndescent.NNDescent":
        pynndescent, numba = self._import("pynndescent"), self._import("numba")
        metric = "manhattan" if self.metric == "cityblock" else self.metric
        _announce_compilation(str(metric))
        if self._rows is not None:
            metric = "euclidean"
        elif callable(metric) and not isinstance(metric, numba.core.dispatcher.Dispatcher):
            metric = numba.njit(metric)
        with warnings.catch_warnings():
            # It warns of rows that it fills in later, too; ``_complete`` looks at the end.
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

    def _build(self) -> Lists:
        return drop_self(*self._checked(*self._index.neighbor_graph))

    def _query(self, X: Matrix, k: int) -> Lists:
        return self._checked(*self._index.query(self._points(X), k))

    def _checked(self, indices: np.ndarray, distances: np.ndarray) -> Lists:
        indices, distances = self._complete(indices, distances)
        return indices, self._to_metric(distances)


@cache
def _announce_compilation(metric: str) -> None:
    """Log, once in a process for each metric, why nothing seems to happen."""
    log.warning(
        "PyNNDescent compiles its search for metric=%s, once in a process; it may take a minute",
        metric,
    )


class Faiss(BackendIndex):
    """Neighbours by faiss on the processor: all pairs, or the nearest of inverted lists.

    ``knn_kwargs``: ``index`` ("auto") is "flat", which is exact, or "ivf"; "auto"
    is flat up to 20,000 rows and for the metrics that lists do not have
    (manhattan, chebyshev, canberra, braycurtis).  ``nlist`` (square root of the rows) lists,
    of which ``nprobe`` (an eighth, at least 8) are searched for a row.

    Distances of the Euclidean family come from products in float32: between
    equal rows they may be a little above 0.  The same seed and ``n_jobs`` give the
    same neighbours.

    Raises
    ------
    ImportError
        Where the package ``faiss`` is not installed.
    RuntimeError
        Where the lists searched hold fewer than k neighbours.
    """

    EXTRA, LIBRARY, _FINDS_MORE = "faiss", "faiss", "nprobe"
    VALID_METRICS = METRICS + tuple(FLAT_METRICS)
    SETTINGS: ClassVar = {"index": "auto", "nlist": None, "nprobe": None}

    def _check_settings(self) -> Params:
        settings = super()._check_settings()
        large = self.n_samples > FLAT_MAX_SAMPLES
        uses_lists = {"auto": large and self.metric in METRICS, "flat": False, "ivf": True}
        kind = check_choice(settings["index"], "index", uses_lists)
        if kind == "ivf" and self.metric in FLAT_METRICS:
            names = ", ".join(map(repr, METRICS))
            raise ValueError(f"metric must be one of {names} for index='ivf'; got {self.metric!r}")
        self._by_lists = uses_lists[kind]
        return settings

    @cached_property
    def _index(self) -> "faiss.Index":
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
            kind = FLAT_METRICS.get(str(self.metric), "METRIC_L2")
            index = faiss.IndexFlat(columns, getattr(faiss, kind))
        with _threads(faiss, self.n_threads):
            index.train(points)
            index.add(points)
        return index

    def _points(self, X: Matrix) -> Matrix:
        """Return centered float32 rows: faiss's products lose digits far from the origin.

        Of metrics that divide, zeros are the smallest number in their place.
        """
        points = super()._points(X)
        if self.metric in QUOTIENTS:
            return np.where(points == 0, np.finfo(np.float32).tiny, points)
        return points if self._rows is None else points - self._center

    @cached_property
    def _center(self) -> np.ndarray:
        points = super()._points(self.data)
        return np.asarray(points.mean(0, dtype=np.float64), np.float32)

    def _query(self, X: Matrix, k: int) -> Lists:
        index = self._index
        with _threads(self._import("faiss"), self.n_threads):
            distances, indices = index.search(self._points(X), k)
        indices, distances = self._complete(indices, distances)
        if self._rows is not None:
            distances = self._to_metric(np.sqrt(np.maximum(distances, 0)))
        return indices, distances


@contextmanager
def _threads(faiss: ModuleType, n_threads: int) -> Iterator[None]:
    """Set faiss's number of threads, and restore it afterwards."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n_threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


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

    EXTRA, LIBRARY, _FINDS_MORE = "sklearn", "scikit-learn", "algorithm"
    SETTINGS: ClassVar = {"algorithm": "auto", "leaf_size": 30}
    ACCEPTS_SPARSE = True

    def check_metric(self, metric: Metric) -> Metric:
        if callable(metric):
            return metric
        lists = self._import("sklearn.neighbors").VALID_METRICS.values()
        return check_choice(metric, "metric", sorted(set().union(*lists) - UNSUPPORTED_METRICS))

    @cached_property
    def _index(self) -> "sklearn.neighbors.NearestNeighbors":
        params = dict(self.metric_params or {})
        search = self._import("sklearn.neighbors").NearestNeighbors(
            metric=self.metric,
            p=params.pop("p", 2),
            metric_params=params or None,
            n_jobs=self.n_threads,
            **self.settings,
        )
        return search.fit(self._to_metric_input(self.data))

    def _to_metric_input(self, X: Matrix) -> Matrix:
        return X != 0 if self.metric in BOOLEAN_METRICS else X

    def _query(self, X: Matrix, k: int) -> Lists:
        # Its search of all pairs uses the threads of the process, not n_jobs.
        with self._import("threadpoolctl").threadpool_limits(self.n_threads):
            distances, indices = self._index.kneighbors(self._to_metric_input(X), k)
        return self._complete(indices, distances)


def package_for(metric: Metric, is_sparse: bool = False) -> type[BackendIndex] | None:
    """Return the search that "approx" is for a metric that the built-in one does not have."""
    for backend in (Annoy, NNDescent) if metric not in SIMILARITIES else ():
        if backend.has_metric(metric) and (backend.ACCEPTS_SPARSE or not is_sparse):
            return backend
    return None
