"""Queries of new rows: each is searched in the cells nearest to it.

The number of cells and candidates follows from the sample of rows with known true neighbours.
The cells and the result of a query do not depend on the other queries.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fasttsne import _kernels
from fasttsne.linalg.pca import Projection
from fasttsne.nearest_neighbors.builtin.candidates import (
    N_EXTRA_CANDIDATES,
    PANEL_ROWS,
    TILE_ROWS,
    Candidates,
    PackedRows,
    pack,
)
from fasttsne.nearest_neighbors.builtin.cells import CellTable, pack_cells
from fasttsne.nearest_neighbors.builtin.prepared_rows import (
    QUERY_BATCH_SIZE,
    Neighbors,
    P,
    PreparedRows,
    score_norms,
)
from fasttsne.nearest_neighbors.builtin.rows import reduce_queries

ARRAYS = "index_map", "starts", "sizes", "centres", "origin"


class Probes:
    """The cells of a search, stored for queries.

    Parameters
    ----------
    arrays : ``ARRAYS``: three of the cells' table, their centroids, and the (columns,) float32 that
        rows are packed around.
    projection : from rows to reduced ones, or None if rows are not reduced.
    n_probed : cells in which a query is searched, for up to ``k`` neighbours.
    kept : candidates for each neighbour that is requested.
    k : neighbours of the search.
    """

    index_map: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    centres: np.ndarray  # indexes are pickled: names stay
    origin: np.ndarray

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        projection: Projection | None,
        n_probed: int,
        kept: float,
        k: int,
    ):
        self._packed: PackedRows | None = None  # until the first query that memory is free
        vars(self).update({name: arrays[name] for name in ARRAYS})
        self.projection, self.n_probed, self.kept, self.k = projection, n_probed, kept, k

    @staticmethod
    def arrays_of(cells: CellTable, origin: np.ndarray) -> dict[str, np.ndarray]:
        """Return the arrays of the cells of a search."""
        values = cells.index_map, cells.starts, cells.sizes, cells.centroids, origin
        return dict(zip(ARRAYS, values, strict=True))

    def to_arrays(self) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return numbers, as JSON can express them, and arrays, for a file."""
        numbers = {"n_probed": int(self.n_probed), "kept": float(self.kept), "k": int(self.k)}
        arrays = {name: vars(self)[name] for name in ARRAYS}
        if self.projection is not None:
            origin, directions, scale, max_residual = self.projection
            numbers |= {"scale": float(scale), "max_residual": float(max_residual)}
            arrays |= {"projection_origin": origin, "projection_directions": directions}
        return numbers, arrays

    @classmethod
    def from_arrays(
        cls, numbers: Mapping[str, float], arrays: Mapping[str, np.ndarray], shape: tuple[int, int]
    ) -> "Probes":
        """Return the probes of the rows of a data set, (n, columns), from those.

        Raises
        ------
        ValueError
            Where kernels would read outside of an array.
        """
        n_columns, projection = shape[1], None
        if "scale" in numbers:
            directions = arrays["projection_directions"]
            projection = Projection(
                arrays["projection_origin"], directions, numbers["scale"], numbers["max_residual"]
            )
            _check(projection.origin, np.float32, (n_columns,))
            _check(directions, np.float32, (n_columns, directions.shape[-1]))
            n_columns = directions.shape[1] + (numbers["max_residual"] > 0)
        n_probed, kept, k = (numbers[name] for name in ("n_probed", "kept", "k"))
        result = cls(arrays, projection, int(n_probed), kept, int(k))
        n_positions = TILE_ROWS * int(result.starts[-1])
        n_cells = len(result.sizes)
        _check(result.starts, np.int32, (n_cells + 1,))
        _check(result.sizes, result.sizes.dtype, (n_cells,))
        _check(result.index_map, np.int32, (n_positions,))
        _check(result.centres, np.float32, (n_cells, n_columns))
        _check(result.origin, np.float32, (n_columns,))
        room = TILE_ROWS * np.diff(result.starts)
        if result.starts[0] != 0 or not ((result.sizes > 0) & (result.sizes <= room)).all():
            raise ValueError("the cells of the search overlap")
        if not 0 <= result.index_map.min() <= result.index_map.max() < shape[0]:
            raise ValueError(f"the cells have rows that are not from 0 to {shape[0] - 1}")
        return result

    def query(self, rows: PreparedRows[P], queries: P, k: int, n_threads: int) -> Neighbors:
        """Return the k nearest to each query: indices and distances, (m, k), nearest first.

        Parameters
        ----------
        rows, queries : the prepared rows of the data, and new rows that they prepared.
        """
        results = [
            self._search(rows, queries[a : a + QUERY_BATCH_SIZE], k, n_threads)
            for a in range(0, len(queries), QUERY_BATCH_SIZE)
        ]
        indices, distances = zip(*results, strict=True)
        return np.concatenate(indices), np.concatenate(distances)

    def _search(self, rows: PreparedRows[P], queries: P, k: int, n_threads: int) -> Neighbors:
        packed = self._packed_rows(rows, n_threads)
        n = len(rows.points)
        n_kept = min(int(self.kept * k) + N_EXTRA_CANDIDATES, n)
        n_probed = -(-self.n_probed * max(k, self.k) // self.k)
        # Enough candidates even if the smallest cells are probed.
        least = int(np.searchsorted(np.sort(self.sizes).cumsum(), n_kept)) + 1
        n_probed = min(max(n_probed, least), len(self.sizes))
        reduced = reduce_queries(rows, queries, self.projection, n_threads)
        probed = self._nearest_cells(reduced, n_probed, n_threads)
        # Queries of a panel that are searched in the same cell share the products.
        order = np.argsort(probed[:, 0], kind="stable")
        candidates = Candidates(len(reduced), n_kept)
        _kernels.knn_dense.search_probed(
            pack(reduced, order, self.origin, n_threads).panels,
            packed.panels,
            packed.norms,
            self.starts,
            *_by_panel(probed[order], len(self.sizes)),
            *candidates.lists,
            n_threads,
        )
        return rows.rerank_queries(queries, candidates, order, self.index_map, k, n_threads)[:2]

    def _packed_rows(self, rows: PreparedRows[P], n_threads: int) -> PackedRows:
        if self._packed is None:
            points = reduce_queries(rows, rows.points, self.projection, n_threads)
            self._packed = pack_cells(
                points,
                self.index_map,
                self.starts,
                self.sizes,
                self.origin,
                n_threads,
                score_norms(points, self.projection),
            )
        return self._packed

    def _nearest_cells(self, reduced: np.ndarray, n_probed: int, n_threads: int) -> np.ndarray:
        """Return the cells with the nearest centroids, (m, n_probed), nearest first."""
        best = Candidates(len(reduced), n_probed)
        packed = pack(reduced, origin=self.origin, n_threads=n_threads)
        best.compare_all(packed, pack(self.centres), 0, n_threads)
        return best.top(n_probed)


def _check(array: np.ndarray, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"an array of the search is {array.dtype} of shape {array.shape}")


def _by_panel(probed: np.ndarray, n_cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each panel of rows the cells that any of them probes, and which rows do.

    Returns
    -------
    starts : (panels + 1,) int64, of each panel in the next two.
    cells, masks : int32, a cell and the bits of the rows that probe it.
    """
    m, n_probed = probed.shape
    row = np.repeat(np.arange(m), n_probed)
    code = row // PANEL_ROWS * n_cells + probed.ravel()
    order = np.argsort(code, kind="stable")
    code = code[order]
    first = np.flatnonzero(np.r_[True, code[1:] != code[:-1]])
    masks = np.bitwise_or.reduceat(1 << (row % PANEL_ROWS)[order], first)
    panel, cells = np.divmod(code[first], n_cells)
    starts = np.searchsorted(panel, np.arange(-(-m // PANEL_ROWS) + 1))
    return starts.astype(np.int64), cells.astype(np.int32), masks.astype(np.int32)
