"""The built-in searches on the workers: they choose and check as the local ones do."""

from functools import partial
from operator import itemgetter
from typing import Any, ClassVar, NoReturn

import numpy as np
from distributed import Future

from fasttsne.dask.cells import ClusterCells
from fasttsne.dask.cluster import Cluster
from fasttsne.dask.limits import refusal
from fasttsne.dask.prepared import ClusterRows, rows_of
from fasttsne.dask.remote_rows import RemoteRows
from fasttsne.linalg.pca import Projection
from fasttsne.nearest_neighbors.approx import Approx
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.metrics import to_metric
from fasttsne.nearest_neighbors.builtin.search_plan import SearchPlan
from fasttsne.nearest_neighbors.exact import Exact
from fasttsne.nearest_neighbors.index import KNNIndex

TABLE = "table of neighbours"
# Neighbours of the rows of a block, at most, and rows at least.
TABLE_NUMBERS, MIN_TABLE_ROWS = 2**22, 256

# Indices and distances of neighbours, (n, k), whose blocks begin at the same rows.
Tables = tuple[RemoteRows, RemoteRows]


class ClusterIndex(KNNIndex):
    """A search of rows on the workers; ``build`` returns tables there."""

    local_class: ClassVar[type[KNNIndex]]

    def _check_rows(self, data: Any) -> Any:
        return data

    def build(self) -> Any:
        return self._build()

    def query(self, X: object, k: int) -> NoReturn:
        """Raise ValueError: the rows are on the workers."""
        raise refusal("transform of an embedding")

    def to_local(self, rows: np.ndarray) -> KNNIndex:
        """Return the local index with what this one has built, of one thread."""
        names = "metric", "metric_params", "random_state", "knn_kwargs"
        local = self.local_class(
            rows, self.k, n_jobs=1, **{name: vars(self)[name] for name in names}
        )
        local.set_search_state(*self.search_state())
        return local

    def _prepare(self) -> Any:
        return ClusterSearchRows(self.data, str(self.metric))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the rows, which are not here."""
        return {**super().__getstate__(), "data": None}  # type: ignore[dict-item]


class ClusterApprox(ClusterIndex, Approx):
    """The approximate search."""

    local_class = Approx

    def _partition(
        self, points: Any, origin: np.ndarray, projection: Projection | None, generator: Any
    ) -> Any:
        return ClusterCells(self._prepared, points, origin, generator, self.n_threads, projection)

    def _scores_of(self, points: Any, projection: Projection) -> Any:
        n_scores = projection.directions.shape[1]
        take = partial(_first_columns, n_scores)
        return points.with_blocks("reducing rows", take, n_scores, np.float32)

    def _search(self, rows: Any, generator: Any) -> Any:
        self._prepared = rows
        try:
            return super()._search(rows, generator)
        finally:
            del self._prepared

    def _search_cells(self, rows: Any, cells: Any, plan: SearchPlan) -> Any:
        groups = cells.search_groups(plan, self.k)
        return by_rows(rows.source.cluster, groups, self.n_samples, self.k)


class ClusterExact(ClusterIndex, Exact):
    """The exact search."""

    local_class = Exact


class ClusterSearchRows(ClusterRows):
    """Prepared rows with the searches of all of them."""

    def self_kneighbors(self, k: int, n_threads: int) -> Any:
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

    def to_metric(self, distances: Any) -> Any:
        """Return distances in the metric, on the workers; one type holds all of them."""
        cluster, farthest = distances.cluster, None
        if self.metric == "sqeuclidean" and self.unit == 1:
            found = distances.submit_blocks(TABLE, _largest)
            farthest = float(max(cluster.results(TABLE, found)))
        convert = partial(_to_metric, self.metric, self.unit, farthest)
        dtype = convert(np.zeros((1, 1), np.float32), 0).dtype
        return distances.with_blocks(TABLE, convert, distances.shape[1], dtype)


# By the names that ``neighbors`` takes.
SEARCHES: dict[str, type[ClusterIndex]] = {
    "auto": ClusterApprox,
    "approx": ClusterApprox,
    "exact": ClusterExact,
}


def by_rows(cluster: Cluster, tables: list[Future], n: int, k: int) -> Tables:
    """Return tables in the order of rows, of parts that hold any: (ids, indices, distances).

    The list of parts is emptied: workers need not keep them.
    """
    n_blocks = cluster.n_parts(n, MIN_TABLE_ROWS, max(TABLE_NUMBERS // k, 1))
    edges = np.arange(n_blocks + 1) * n // n_blocks
    blocks = []
    for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        pieces = [cluster.submit(TABLE, _rows_between, table, a, b) for table in tables]
        blocks.append(cluster.submit(TABLE, partial(_join_rows, a, b), *pieces))
    pieces = []
    tables.clear()
    cluster.finish(TABLE, blocks, np.diff(edges).tolist())
    return as_tables(cluster, blocks, edges, k)


def as_tables(
    cluster: Cluster, blocks: list[Future], edges: np.ndarray, k: int, dtype: Any = np.float32
) -> Tables:
    """Return tables, of blocks of both; ``dtype`` is of the distances."""
    indices, distances = (
        [cluster.submit(TABLE, itemgetter(i), block) for block in blocks] for i in range(2)
    )
    return (
        RemoteRows(cluster, indices, edges, k, np.int32, TABLE),
        RemoteRows(cluster, distances, edges, k, dtype, TABLE),
    )


def _rows_between(table: Any, a: int, b: int) -> tuple[np.ndarray, ...]:
    at = np.flatnonzero((table[0] >= a) & (table[0] < b))
    return tuple(part[at] for part in table)


def _join_rows(a: int, b: int, *pieces: Any) -> tuple[np.ndarray, np.ndarray]:
    k = pieces[0][1].shape[1]
    indices, distances = np.empty((b - a, k), np.int32), np.empty((b - a, k), np.float32)
    for ids, some, far in pieces:
        indices[ids - a], distances[ids - a] = some, far
    return indices, distances


def _nearest_of_range(
    frame: DenseRows, k: int, a: int, b: int, *blocks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rows = rows_of(frame, blocks[0] if len(blocks) == 1 else np.concatenate(blocks))
    indices, distances = rows.kneighbors(rows.points[a:b], k, 1, np.arange(a, b))
    return indices, distances


def _first_columns(n_columns: int, points: np.ndarray, first: int) -> np.ndarray:
    return np.ascontiguousarray(points[:, :n_columns])


def _largest(distances: np.ndarray, first: int) -> float:
    return float(distances.max(initial=0))


def _to_metric(
    metric: str, unit: float, farthest: float | None, distances: np.ndarray, first: int
) -> np.ndarray:
    return to_metric(distances, metric, unit, farthest)
