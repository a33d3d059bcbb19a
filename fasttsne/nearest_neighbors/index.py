"""KNNIndex, the protocol of every neighbour search."""

import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.linalg.rows import to_dense
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.runtime.progress import progress_shown
from fasttsne.runtime.rows import rows_fit_float32
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Matrix, Metric, Params, RandomState, Rows, Settings
from fasttsne.runtime.validation import (
    MAX_DENSE_NUMBERS,
    check_choice,
    check_data,
    check_number,
    check_random_state,
    check_sparse_indices,
)
from fasttsne.utils import Timer


class Index(Protocol):
    """An index of a user's own: what is used of it."""

    @property
    def k(self) -> int: ...
    @property
    def n_samples(self) -> int: ...
    def build(self) -> tuple[Any, Any]: ...
    def query(self, X: Matrix, k: int, /) -> tuple[np.ndarray, np.ndarray]: ...


# A name, a graph (indices and distances, or a sparse matrix of distances), or an index.
Neighbors: TypeAlias = str | tuple[ArrayLike, ArrayLike] | sp.spmatrix | sp.sparray | Index


# Indices and distances, (rows, any), nearest first.
Lists: TypeAlias = tuple[np.ndarray, np.ndarray]

# Rows and columns, at most, of which an index keeps a checksum: some microseconds a query.
MARKED_ROWS, MARKED_COLUMNS = 32, 128
# Metrics of other packages that are no distances: only a search that is named may take them.
SIMILARITIES = ("dot",)
# Metrics that compare which numbers are not 0.
BOOLEAN_METRICS = ("jaccard", "dice", "rogerstanimoto", "russellrao", "sokalsneath", "yule")
# Searches of other packages, by the settings that programs for openTSNE give.
OWNERS_OF_SETTINGS = {
    "n_trees": "annoy",
    "search_k": "annoy",
    "M": "hnsw",
    "ef_construction": "hnsw",
    "n_iters": "pynndescent",
    "max_candidates": "pynndescent",
    "algorithm": "sklearn",
    "leaf_size": "sklearn",
}


def check_k(k: int, n_samples: int) -> int:
    """Return the number of neighbours if so many rows have as many other rows."""
    k = check_number(k, "k", low=1, integer=True)
    if k >= n_samples:
        raise ValueError(f"k must be less than the number of rows, {n_samples}; got {k}")
    return k


def drop_self(indices: np.ndarray, distances: np.ndarray) -> Lists:
    """Remove each row from its own neighbours, or the farthest neighbour if it is not there.

    Among many equal rows a search may find k others before the row itself.

    Parameters
    ----------
    indices, distances : (n, k) arrays, nearest first, no index twice in a row.

    Returns
    -------
    indices, distances : (n, k - 1) arrays.
    """
    n, k = indices.shape
    is_self = indices == np.arange(n)[:, None]
    is_self[~is_self.any(1), -1] = True
    keep = ~is_self
    return indices[keep].reshape(n, k - 1), distances[keep].reshape(n, k - 1)


class KNNIndex:
    """Finds the k nearest neighbours of all rows of a data set, and of new rows.

    A subclass of a user's own has the names of its metrics, a tuple, as ``VALID_METRICS``, and
    overrides ``build`` and, for new rows, ``query``.

    Parameters
    ----------
    data : (n, columns) array, or a SciPy sparse matrix where the backend accepts one; it is
        never changed, and not copied if its form is canonical: C-contiguous, float32 where all
        numbers are exactly float32, else float64.  Then it must not be changed later, either:
        new rows are compared with it, and an error says where most of it was changed.
    k : neighbours of each row, less than n; the row itself is not one of them.
    metric : a name among the backend's ``VALID_METRICS``.
    metric_params : further arguments of the metric.
    n_jobs : threads; -1 is all cores.
    random_state : seeds a randomized search.
    knn_kwargs : settings of the backend.
    """

    VALID_METRICS: tuple[str, ...] = ()
    ACCEPTS_SPARSE = False
    DENSE_IF_SMALL = False  # small sparse matrices give the results of the array, to the bit
    ACCEPTS_CALLABLE = False  # a function as the metric
    # Accepted knn_kwargs, names or integers, and their defaults; None: the backend checks them.
    SETTINGS: ClassVar[Settings] = None

    def __init__(
        self,
        data: Rows,
        k: int,
        metric: Metric = "euclidean",
        metric_params: Settings = None,
        n_jobs: int | None = -1,
        random_state: RandomState = None,
        verbose: bool = False,
        knn_kwargs: Settings = None,
    ):
        self.data: Matrix = self._check_rows(data)
        self._mark = _mark_of(self.data)
        self.n_samples = self.data.shape[0]
        self.k = check_k(k, self.n_samples)
        self.metric = self.check_metric(metric)
        for name, value in (("metric_params", metric_params), ("knn_kwargs", knn_kwargs)):
            if not isinstance(value, (Mapping, type(None))):
                raise TypeError(f"{name} must be a dictionary or None; got {value!r}")
        if metric_params and self.metric in METRICS:
            raise ValueError(
                f"metric_params must be empty for metric={self.metric!r}, which has none; "
                f"got {sorted(metric_params)}"
            )
        self.metric_params = metric_params
        self.n_jobs = n_jobs
        resolve_n_jobs(n_jobs)  # raises where it is none
        self.random_state = random_state
        self.verbose = verbose
        self.knn_kwargs = dict(knn_kwargs or {})
        self.settings = self._check_settings()

    def _check_rows(self, data: Rows) -> Matrix:
        """Return rows in their canonical form."""
        return check_data(
            data, "data", accept_sparse=self.ACCEPTS_SPARSE, dense_if_small=self.DENSE_IF_SMALL
        )

    def _init_precomputed(self, n_samples: int, k: int) -> None:
        """Replace the constructor for neighbours or distances that are given instead of data."""
        self.n_samples, self.k = n_samples, k
        self.metric, self.verbose = "precomputed", False

    def check_metric(self, metric: Metric) -> Metric:
        """Return the metric if this backend supports it."""
        if self.ACCEPTS_CALLABLE and callable(metric):
            return metric
        if isinstance(metric, str) and metric in set(SIMILARITIES) - set(self.VALID_METRICS):
            raise ValueError(
                "metric='dot' gives inner products, which grow where distances shrink; use "
                "metric='cosine', or 'euclidean', which orders rows of equal length in the same way"
            )
        return check_choice(metric, "metric", self.VALID_METRICS)

    @classmethod
    def has_metric(cls, metric: Metric) -> bool:
        """Return whether this backend has a metric, by its name or as a function."""
        return metric in cls.VALID_METRICS or (cls.ACCEPTS_CALLABLE and callable(metric))

    @property
    def n_threads(self) -> int:
        """Number of threads for ``n_jobs``."""
        return resolve_n_jobs(self.n_jobs)

    def _check_attributes(self) -> None:
        """Raise where attributes were changed since the constructor: kernels trust them."""
        data = self.data
        if sp.issparse(data):
            check_sparse_indices(data, "data")
        elif not isinstance(data, np.ndarray) or data.dtype not in (np.float32, np.float64):
            raise TypeError(f"data must be a float32 or float64 array; got {type(data).__name__}")
        if data.ndim != 2 or data.shape[0] != self.n_samples:
            raise ValueError(f"data must have {self.n_samples} rows; got shape {data.shape}")
        check_k(self.k, self.n_samples)

    def unchanged_data(self) -> Matrix:
        """Return the rows that the neighbours are of.

        Raises
        ------
        ValueError
            Where the caller has changed them in place: what was built is of other rows.
        """
        self._check_attributes()
        mark = getattr(self, "_mark", None)  # that of another array says nothing
        if mark is not None and mark[0] == id(self.data) and mark != _mark_of(self.data):
            raise ValueError(
                "the rows of the data were changed in place after the neighbours were found; "
                "give fit, update, or the index a copy"
            )
        return self.data

    def __setstate__(self, state: Params) -> None:
        vars(self).update(state)
        if state.get("_mark") is not None:  # of a copy: it has what the rows should be, too
            self._mark = id(self.data), state["_mark"][1]

    def build(self) -> tuple[np.ndarray, np.ndarray]:
        """Find the neighbours of every row.

        Returns
        -------
        indices : (n, k) int32 array, nearest first.
        distances : (n, k) array of floats.
        """
        self._check_attributes()
        self._mark = _mark_of(getattr(self, "data", None))  # given distances have no rows
        what = self._message(f"{self.k} nearest neighbours of each row")
        with Timer(what, self.verbose), progress_shown(self.verbose):
            return self._build()

    def query(self, X: Rows, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the k rows of the data nearest to each row of X, as ``build`` does.

        Parameters
        ----------
        X : (m, columns) new rows.
        k : neighbours of each, at most n.

        Returns
        -------
        indices, distances : (m, k) arrays, as those of ``build``.
        """
        is_sparse = sp.issparse(self.unchanged_data())
        X = check_data(X, min_rows=1, accept_sparse=is_sparse or self.DENSE_IF_SMALL)
        if X.shape[1] != self.data.shape[1]:
            raise ValueError(
                f"X must have {self.data.shape[1]} columns, as the data has; got {X.shape[1]}"
            )
        k = check_number(k, "k", low=1, high=self.n_samples, integer=True)
        what = self._message(f"{k} nearest neighbours of {X.shape[0]} new rows")
        with Timer(what, self.verbose), progress_shown(self.verbose):
            if is_sparse or not sp.issparse(X):
                return self._query_each(sp.csr_matrix(X) if is_sparse else X, k)
            step = max(MAX_DENSE_NUMBERS // X.shape[1], 1)
            batches = (to_dense(X[a : a + step]) for a in range(0, X.shape[0], step))
            found = (self._query_each(batch, k) for batch in batches)
            indices, distances = zip(*found, strict=True)
            return np.concatenate(indices), np.concatenate(distances)

    def _query_each(self, X: Matrix, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Query so that no row depends on the others, by the type that all of them need."""
        if X.dtype == np.float32 or self.data.dtype != np.float32:
            return self._query(X, k)
        is_exact = rows_fit_float32(X)
        if is_exact.all() or not is_exact.any():
            return self._query(X.astype(np.float32) if is_exact.all() else X, k)
        shape = X.shape[0], k
        found: Lists = np.empty(shape, np.int32), np.empty(shape, np.float64)
        dtypes = []
        for rows, dtype in (is_exact, np.float32), (~is_exact, np.float64):
            part = self._query(X[rows].astype(dtype), k)
            for table, values in zip(found, part, strict=True):
                table[rows] = values
            dtypes.append(part[1].dtype)
        return found[0], found[1].astype(np.result_type(*dtypes), copy=False)

    def search_state(self) -> tuple[dict[str, object], dict[str, np.ndarray]]:
        """Return what queries need of ``build`` besides its neighbours: for JSON, and arrays."""
        return ({"seed": self.seed} if "seed" in vars(self) else {}), {}

    def set_search_state(self, state: Params, arrays: dict[str, np.ndarray]) -> None:
        """Become as after ``build``, from what :meth:`search_state` returned.

        Raises
        ------
        ValueError, KeyError
            Where that is not of such an index.
        """
        if "seed" in state:
            self.seed = check_number(state["seed"], "seed", low=0, integer=True)

    @cached_property
    def seed(self) -> int:
        """An integer seed for a library that has its own random generator, drawn once."""
        generator = check_random_state(self.random_state)
        draw = generator.integers if hasattr(generator, "integers") else generator.randint
        return int(draw(2**31 - 1))

    def _check_settings(self) -> Params:
        if self.SETTINGS is None:
            return self.knn_kwargs
        unknown = set(self.knn_kwargs) - set(self.SETTINGS)
        if unknown:
            accepted = ", ".join(map(repr, self.SETTINGS)) or "none"
            hints = [
                f"; {name!r} is a setting of neighbors={OWNERS_OF_SETTINGS[name]!r}"
                for name in sorted(unknown)
                if name in OWNERS_OF_SETTINGS
            ]
            raise TypeError(
                f"unknown knn_kwargs {sorted(unknown)} of {type(self).__name__}; accepted are "
                f"{accepted}{''.join(hints)}"
            )
        for name, value in self.knn_kwargs.items():
            default = self.SETTINGS[name]
            if value is not None and not isinstance(default, (str, float)):
                check_number(value, name, low=min(default or 1, 1), integer=True)
        return {**self.SETTINGS, **self.knn_kwargs}

    def _message(self, what: str) -> str:
        return f"finding the {what} ({type(self).__name__}, {self.metric})"

    def _build(self) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError(f"{type(self).__name__} has no method build")

    def _query(self, X: Matrix, k: int) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError(f"{type(self).__name__} has no method query")


def _mark_of(data: Matrix) -> tuple[int, int] | None:
    """Return which array it is, and a checksum of some of its numbers; None without an array."""
    values = data.data if sp.issparse(data) else data
    if not isinstance(values, np.ndarray) or not values.size:
        return None
    some = values
    for axis, most in zip(range(values.ndim), (MARKED_ROWS, MARKED_COLUMNS), strict=False):
        last = values.shape[axis] - 1
        some = some.take(np.linspace(0, last, min(last + 1, most)).astype(np.intp), axis)
    return id(data), zlib.crc32(np.ascontiguousarray(some).data)
