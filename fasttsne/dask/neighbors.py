"""The built-in search of rows on the workers, by the functions of the local search.

What all rows decide, origin and unit, is decided here; what is done to a row is done where it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NoReturn

import numpy as np

from fasttsne import _kernels
from fasttsne.dask.cells import ClusterCells, Space
from fasttsne.dask.cluster import refusal
from fasttsne.dask.rows import TABLE, RemoteRows, Tables, as_tables
from fasttsne.io.archive import Arrays, Header
from fasttsne.linalg.pca import Projection
from fasttsne.nearest_neighbors.approx import Approx, SearchResult, search
from fasttsne.nearest_neighbors.builtin.metrics import to_metric
from fasttsne.nearest_neighbors.builtin.rows import DenseFrame, DenseRows
from fasttsne.nearest_neighbors.exact import Exact
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.runtime.typing import Params, RandomGenerator

READING, SAMPLE = "reading rows", "neighbours of a sample"
# The local searches, by the names that ``neighbors`` takes.
SEARCHES: Mapping[str, type[Approx] | type[Exact]] = {
    "auto": Approx,
    "approx": Approx,
    "exact": Exact,
}


class ClusterIndex:
    """A search of rows on the workers; ``build`` returns tables there.

    Parameters
    ----------
    method : "auto", "approx" or "exact".
    data : the rows; None afterwards, where workers need not keep them.
    k, settings : passed to the local index, which checks them.
    """

    def __init__(self, method: str, data: RemoteRows, k: int, settings: Params):
        self.data: RemoteRows | None = data
        self.n_samples, self.k = len(data), k
        self._shape = data.shape
        # It knows everything but the rows.
        self._local = SEARCHES[method](data[: k + 1], k, **settings)
        self.metric = str(self._local.metric)

    @property
    def components_(self) -> np.ndarray | None:
        """Principal components of the rows, if the search has computed them."""
        return self._local.components_ if isinstance(self._local, Approx) else None

    def build(self) -> Tables:
        """Find the neighbours of every row."""
        assert self.data is not None
        local, rows = self._local, ClusterRows(self.data, self.metric)
        if isinstance(local, Approx):
            found: SearchResult[RemoteRows] = search(
                rows, self.k, local.recall, local.random_state, local.n_threads
            )
            return local.keep(found)
        indices, distances = rows.self_kneighbors(self.k, local.n_threads)
        return indices, rows.to_metric(distances)

    def query(self, X: object, k: int) -> NoReturn:
        """Raise ValueError: the rows are on the workers."""
        raise refusal("transform of an embedding")

    def to_local(self, rows: np.ndarray) -> KNNIndex:
        """Return the local index with what this one has built, of one thread."""
        own = self._local
        names = "metric", "metric_params", "random_state", "knn_kwargs"
        local = type(own)(rows, self.k, n_jobs=1, **{name: vars(own)[name] for name in names})
        local.set_search_state(*own.search_state())
        return local

    def search_state(self) -> tuple[Header, Arrays]:
        """Return what the search has built; see :meth:`KNNIndex.search_state`."""
        return self._local.search_state()

    def set_search_state(self, state: Header, arrays: Arrays, /) -> None:
        """Become as after ``build``, from what :meth:`search_state` returned."""
        local = self._local
        some = local.data, local.n_samples
        # Shapes are checked: these are of all rows.
        local.data, local.n_samples = np.broadcast_to(np.float32(0), self._shape), self.n_samples
        try:
            local.set_search_state(state, arrays)
        finally:
            local.data, local.n_samples = some

    def __getstate__(self) -> dict[str, object]:
        """Leave out the rows, which are not here."""
        return {**vars(self), "data": None}

    def __setstate__(self, state: Params) -> None:
        if "_local" not in state:  # of version 0.2.0, whose classes derived from the local ones
            kind = Approx if "recall" in state else Exact
            local, n = kind.__new__(kind), state["n_samples"]
            vars(local).update(state)
            state = {"data": None, "n_samples": n, "k": state["k"], "metric": state["metric"]}
            vars(self).update(_local=local, _shape=(n, 0))
        vars(self).update(state)


# In pickles of version 0.2.0.
ClusterApprox = ClusterExact = ClusterIndex


class ClusterRows:
    """Prepared rows on the workers, as a search needs them (``RowsToSearch``).

    Attributes
    ----------
    frame : of all rows, in which a worker prepares its own.
    """

    def __init__(self, data: RemoteRows, metric: str):
        self.metric, self.source = metric, data
        self.n, self.n_columns = data.shape
        frame, self.values = DenseFrame.of(data, metric), data
        self.unit, self.origin = frame.unit, frame.origin
        if frame.is_copied:
            prepare = partial(_values, frame)
            self.values = data.with_blocks(READING, prepare, self.n_columns, np.float32)
        # What is true of all rows or of none, which a part of them could not know.
        self.frame = replace(
            frame,
            is_on_grid=not frame.is_copied and self._is_true_of_all(frame, _is_on_grid),
            may_be_bytes=not frame.is_copied and self._is_true_of_all(frame, _are_bytes),
        )

    def _is_true_of_all(self, frame: DenseFrame, function: Callable[..., bool]) -> bool:
        found = self.source.submit_blocks(READING, partial(function, frame))
        return all(self.source.cluster.results(READING, found))

    def coordinates(self) -> RemoteRows:
        return self.values

    def search_costs(self) -> tuple[float, float]:
        return self.n_columns, self.n / 2 * self.n_columns

    def partition(
        self,
        points: object,
        origin: np.ndarray,
        projection: Projection | None,
        generator: RandomGenerator,
        n_threads: int,
    ) -> ClusterCells:
        assert isinstance(points, RemoteRows)
        space = Space(self.frame, projection)
        return ClusterCells(self.source, points, space, origin, generator, n_threads)

    def kneighbors_of_rows(
        self, rows: np.ndarray, k: int, n_threads: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k nearest other rows of some rows: each block finds its nearest, exactly."""
        queries, cluster = self.source[rows], self.source.cluster
        run = partial(_nearest_in_block, self.frame, queries, k + 1)
        found = cluster.results(SAMPLE, self.source.submit_blocks(SAMPLE, run), self.source.sizes)
        indices, distances = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
        distances[indices == rows[:, None]] = np.inf  # a row is not its own neighbour
        order = np.lexsort((indices, distances), axis=1)[:, :k]
        return np.take_along_axis(indices, order, 1), np.take_along_axis(distances, order, 1)

    def distances_from(
        self, rows: np.ndarray, n_threads: int
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Return a function as the local rows do; each block computes distances to its rows."""
        return partial(self._distances_to, self.source[rows])

    def _distances_to(self, queries: np.ndarray, others: np.ndarray) -> np.ndarray:
        edges, flat, cluster = self.source.edges, others.ravel(), self.source.cluster
        block = np.searchsorted(edges, flat, "right") - 1
        run, parts = partial(_pair_distances, self.frame, queries), []
        blocks = np.unique(block)
        for b in blocks:
            at = np.flatnonzero(block == b)
            rows, local = at // others.shape[1], flat[at] - edges[b]
            pairs = rows.astype(np.int32), local.astype(np.int32)
            parts.append(cluster.submit(SAMPLE, run, self.source.blocks[b], *pairs))
        out = np.empty(len(flat))
        for b, part in zip(blocks, cluster.results(SAMPLE, parts), strict=True):
            out[block == b] = part
        return out.reshape(others.shape)

    def self_kneighbors(self, k: int, n_threads: int) -> Tables:
        """Return tables of the k nearest other rows; each worker is sent all rows."""
        name, cluster, source = "comparing all rows", self.source.cluster, self.source
        found = [
            cluster.submit(
                name, partial(_nearest_of_range, self.frame, k, int(a), int(b)), *source.blocks
            )
            for a, b in zip(source.edges[:-1], source.edges[1:], strict=True)
        ]
        cluster.finish(name, found, source.sizes)
        return as_tables(cluster, found, source.edges, k)

    def to_metric(self, distances: RemoteRows) -> RemoteRows:
        """Return distances in the metric, on the workers; one type holds all of them."""
        farthest = None
        if self.metric == "sqeuclidean" and self.unit == 1:
            found = distances.submit_blocks(TABLE, _largest)
            farthest = float(max(distances.cluster.results(TABLE, found)))
        convert = partial(_to_metric, self.metric, self.unit, farthest)
        dtype = convert(np.zeros((1, 1), np.float32), 0).dtype
        return distances.with_blocks(TABLE, convert, distances.shape[1], dtype)


def _rows_of(frame: DenseFrame, source: np.ndarray) -> DenseRows:
    return DenseRows(source, frame.metric, frame)


def _values(frame: DenseFrame, source: np.ndarray, first: int) -> np.ndarray:
    return frame.prepare(source).values


def _is_on_grid(frame: DenseFrame, source: np.ndarray, first: int) -> bool:
    return _rows_of(frame, source).is_on_grid


def _are_bytes(frame: DenseFrame, source: np.ndarray, first: int) -> bool:
    return _rows_of(frame, source).as_bytes is not None


def _nearest_in_block(
    frame: DenseFrame, queries: np.ndarray, k: int, source: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest rows of a block by their numbers among all, and float64 distances."""
    rows, points = _rows_of(frame, source), frame.prepare(queries)
    indices, _ = rows.kneighbors(points, min(k, len(source)), 1)
    return indices.astype(np.int64) + first, rows.distances_to(points, indices, 1)


def _pair_distances(
    frame: DenseFrame, queries: np.ndarray, source: np.ndarray, rows: np.ndarray, others: np.ndarray
) -> np.ndarray:
    points = frame.prepare(queries).exact_rows(), frame.prepare(source).exact_rows()
    out = np.empty(len(rows))
    _kernels.exact_order.pair_distances(*points, rows, others, out, 1)
    return out


def _nearest_of_range(
    frame: DenseFrame, k: int, a: int, b: int, *blocks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rows = _rows_of(frame, blocks[0] if len(blocks) == 1 else np.concatenate(blocks))
    return rows.kneighbors(rows.points[a:b], k, 1, np.arange(a, b))


def _largest(distances: np.ndarray, first: int) -> float:
    return float(distances.max(initial=0))


def _to_metric(
    metric: str, unit: float, farthest: float | None, distances: np.ndarray, first: int
) -> np.ndarray:
    return to_metric(distances, metric, unit, farthest)
