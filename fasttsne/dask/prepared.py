"""Prepared rows of the built-in search on the workers.

What all rows decide, origin and unit, is decided here; what is done to a row is done where it is,
by the classes of the local search.
"""

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import numpy as np

from fasttsne import _kernels
from fasttsne.dask.reduction import reduced_rows
from fasttsne.dask.remote_rows import RemoteRows
from fasttsne.linalg.pca import Projection
from fasttsne.nearest_neighbors.builtin.dense_rows import DensePoints, DenseRows
from fasttsne.nearest_neighbors.builtin.prepared_rows import PreparedRows


class RemotePoints:
    """Prepared rows on the workers; those that are asked for by number are fetched.

    values : their float32 coordinates; source : the rows of which they were made.
    """

    def __init__(self, rows: DenseRows, values: RemoteRows, source: RemoteRows):
        self._rows, self.values, self.source = rows, values, source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, numbers: np.ndarray) -> DensePoints:
        return self._rows.prepare(self.source[numbers])


class ClusterRows(DenseRows):
    """Prepared rows on the workers, as the plan of a search and its sample need them.

    Attributes
    ----------
    frame : prepared rows without any rows, which prepares a worker's own.
    """

    def __init__(self, data: RemoteRows, metric: str):
        PreparedRows.__init__(self, data, metric)
        self._choose_frame(data)
        self.source = data
        self.frame = _without_rows(self)
        values = data
        if self._are_copied:
            prepare = partial(_values, self.frame)
            values = data.with_blocks("reading rows", prepare, self.n_columns, np.float32)
        self.points = RemotePoints(self.frame, values, data)
        # What is true of all rows or of none, which a part of them could not know.
        vars(self.frame)["_is_on_grid"] = self._is_true_of_all(_is_grid)
        if not self._is_true_of_all(_is_in_bytes):
            vars(self.frame)["_bytes"] = None

    def _is_true_of_all(self, function: Callable[[DenseRows], bool]) -> bool:
        if self._are_copied:
            return False
        run = partial(_ask, function, self.frame)
        found = self.source.submit_blocks("reading rows", run)
        return all(self.source.cluster.results("reading rows", found))

    def reduce_elsewhere(
        self, rank: int, generator: Any, n_threads: int
    ) -> tuple[RemoteRows, Projection]:
        """Return reduced coordinates, on the workers, and their projection: ``reduce_rows``."""
        return reduced_rows(self.points.values, rank, generator, n_threads)

    @staticmethod
    def to_dense(points: Any) -> Any:
        return points.values

    def kneighbors_of_rows(
        self, rows: np.ndarray, k: int, n_threads: int
    ) -> tuple[np.ndarray, ...]:
        """Return the k nearest other rows of some rows: each block finds its nearest, exactly."""
        queries, cluster = self.source[rows], self.source.cluster
        name = "neighbours of a sample"
        search = partial(_nearest_in_block, self.frame, queries, k + 1)
        found = cluster.results(name, self.source.submit_blocks(name, search), self.source.sizes)
        indices, distances = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
        distances[indices == rows[:, None]] = np.inf  # a row is not its own neighbour
        order = np.lexsort((indices, distances), axis=1)[:, :k]
        return tuple(np.take_along_axis(each, order, 1) for each in (indices, distances))

    def distances_to(self, queries: DensePoints, others: np.ndarray, n_threads: int) -> np.ndarray:
        """As of the local rows; each block computes the distances of its own rows."""
        edges, flat = self.source.edges, others.ravel()
        block = np.searchsorted(edges, flat, "right") - 1
        where = [np.flatnonzero(block == b) for b in range(len(edges) - 1)]
        rows = [(at // others.shape[1]).astype(np.int32) for at in where]
        name, n_blocks = "neighbours of a sample", len(where)
        local = [(flat[at] - edges[b]).astype(np.int32) for b, at in enumerate(where)]
        cluster, run = self.source.cluster, partial(_pair_distances, self.frame, queries.source)
        parts = [
            cluster.submit(name, run, self.source.blocks[b], rows[b], local[b])
            for b in range(n_blocks)
            if len(where[b])
        ]
        out = np.empty(len(flat))
        found = iter(cluster.results(name, parts))
        for at in where:
            if len(at):
                out[at] = next(found)
        return out.reshape(others.shape)


def _without_rows(rows: DenseRows) -> DenseRows:
    frame = copy(rows)
    frame.__class__ = DenseRows
    for name in ("points", "source", "frame"):
        vars(frame).pop(name, None)
    return frame


def rows_of(frame: DenseRows, source: np.ndarray) -> DenseRows:
    """Return prepared rows of some of the rows, in the frame of all."""
    rows = copy(frame)
    rows.n, rows.points = len(source), frame.prepare(source)
    return rows


def _values(frame: DenseRows, source: np.ndarray, first: int) -> np.ndarray:
    return frame.prepare(source).values


def _ask(
    function: Callable[[DenseRows], bool], frame: DenseRows, source: np.ndarray, first: int
) -> bool:
    return function(rows_of(frame, source))


def _is_grid(rows: DenseRows) -> bool:
    """Whether all numbers are whole, and small: then float32 says all."""
    return bool(rows._on_grid(rows.points))


def _is_in_bytes(rows: DenseRows) -> bool:
    return rows._bytes is not None


def _nearest_in_block(
    frame: DenseRows, queries: np.ndarray, k: int, source: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest rows of a block by their numbers among all, and float64 distances."""
    rows, points = rows_of(frame, source), frame.prepare(queries)
    indices, _ = rows.kneighbors(points, min(k, len(source)), 1)
    return indices.astype(np.int64) + first, rows.distances_to(points, indices, 1)


def _pair_distances(
    frame: DenseRows, queries: np.ndarray, source: np.ndarray, rows: np.ndarray, others: np.ndarray
) -> np.ndarray:
    out = np.empty(len(rows))
    _kernels.exact_order.pair_distances(
        frame.prepare(queries).exact_rows(),
        frame.prepare(source).exact_rows(),
        rows,
        others,
        out,
        1,
    )
    return out
