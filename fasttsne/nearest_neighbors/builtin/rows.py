"""Prepared rows of either kind, and the few coordinates to which many columns are reduced.

Rows with many columns are projected to their first principal components.  What two rows lose by
that, vectors of lengths r and s, has the squared distance r^2 + s^2 - 2 c r s with the cosine c of
an unknown angle, which is taken to be the same for all neighbours.  Then 2 c r s is the product of
one more coordinate of each row, sqrt(c) r, and r^2 + s^2 belongs to the squared lengths.
"""

from typing import Any, Protocol

import numpy as np
import scipy.sparse

from fasttsne.linalg.pca import Projection, reduced_blocks
from fasttsne.linalg.rows import RowSource, RowTable, Table
from fasttsne.nearest_neighbors.builtin.cells import CellStore
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.prepared_rows import RESIDUAL_COSINE, P, PreparedRows
from fasttsne.nearest_neighbors.builtin.sparse_rows import SparseRows
from fasttsne.runtime.typing import Matrix, RandomGenerator

# Rows of more than 3/2 as many columns are reduced to so many principal components.
N_COMPONENTS = 96


class RowsToSearch(Protocol[Table]):
    """What a search needs of prepared rows: these of one process, or of many workers.

    Methods are documented by :class:`PreparedRows`; neighbours are tables where the rows are.
    """

    n: int
    n_columns: int
    origin: np.ndarray

    @property
    def points(self) -> Any: ...
    @property
    def values(self) -> Matrix | RowSource: ...
    def to_dense(self, points: Any, /) -> RowTable: ...
    def search_costs(self) -> tuple[float, float]: ...
    def self_kneighbors(self, k: int, n_threads: int) -> tuple[Table, Table]: ...
    def to_metric(self, distances: Table) -> Table: ...
    def kneighbors_of_rows(
        self, rows: np.ndarray, k: int, n_threads: int
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def distances_to(self, queries: Any, others: np.ndarray, n_threads: int) -> np.ndarray: ...
    def partition(
        self,
        points: RowTable,
        origin: np.ndarray,
        projection: Projection | None,
        generator: RandomGenerator,
        n_threads: int,
    ) -> CellStore[Table]: ...


def prepare_rows(data: Matrix, metric: str) -> DenseRows | SparseRows:
    """Return the prepared rows of an array or of a CSR matrix."""
    return SparseRows(data, metric) if scipy.sparse.issparse(data) else DenseRows(data, metric)


class CachedRowsMixin:
    """Prepares the rows of an index at its first query and caches them, but not in pickles."""

    data: Any
    metric: Any
    _rows: PreparedRows[Any] | None = None

    @property
    def rows(self) -> PreparedRows[Any]:
        """The prepared rows of ``data``."""
        if self._rows is None:
            self._rows = self._prepare()
        return self._rows

    def _prepare(self) -> PreparedRows[Any]:
        return prepare_rows(self.data, self.metric)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_rows"}


def is_reduced(n_columns: int) -> bool:
    """Return whether rows of so many columns are reduced."""
    return n_columns > N_COMPONENTS * 3 // 2


def reduce_rows(
    rows: RowsToSearch[Table], generator: RandomGenerator, n_threads: int
) -> tuple[RowTable, Projection | None]:
    """Return reduced coordinates of rows with many columns, where these are, and their projection.

    For few columns, the rows themselves, dense float32, and None.
    """
    if not is_reduced(rows.n_columns):
        return rows.to_dense(rows.points), None
    blocks, projection = reduced_blocks(rows.values, N_COMPONENTS, generator, n_threads)
    n_columns = projection.directions.shape[1] + (projection.max_residual > 0)
    points = blocks.apply(_with_residuals, projection)
    return points.rows(n_columns, np.dtype(np.float32)), projection


def reduce_queries(
    rows: PreparedRows[P], queries: P, projection: Projection | None, n_threads: int
) -> np.ndarray:
    """Return the same coordinates of new rows, prepared by ``rows``; no row depends on another."""
    if projection is None:
        return rows.to_dense(queries)
    scores = rows.project(queries, projection, n_threads)
    squares = rows.squared_lengths(queries, projection.origin)
    return _with_residuals(0, (scores, projection.residuals(squares, scores)), projection)


def component_scores(points: RowTable, projection: Projection) -> RowTable:
    """Return the principal components among the coordinates of reduced points."""
    n_scores = projection.directions.shape[1]
    if isinstance(points, RowSource):
        first = points.in_blocks("reducing rows").apply(_first_columns, n_scores)
        return first.rows(n_scores, np.dtype(np.float32))
    assert isinstance(points, np.ndarray)
    return _first_columns(0, points, n_scores)


def _with_residuals(
    first: int, block: tuple[np.ndarray, np.ndarray], projection: Projection
) -> np.ndarray:
    """Return the coordinates of rows from their scores and what they lose."""
    scores, residuals = block
    if projection.max_residual == 0:
        return scores
    return np.column_stack([scores, np.float32(RESIDUAL_COSINE**0.5) * residuals])


def _first_columns(first: int, points: np.ndarray, n_columns: int) -> np.ndarray:
    return points[:, :n_columns]
