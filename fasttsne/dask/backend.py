"""The cluster as the place where a fit runs, and what it keeps in files to resume."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities
from fasttsne.affinity.families import affinities_of_graph, n_neighbors
from fasttsne.dask.affinities import ClusterAffinities
from fasttsne.dask.cluster import Cluster, check_fits
from fasttsne.dask.neighbors import ClusterIndex
from fasttsne.dask.rows import RemoteRows, Tables, as_tables, read_rows
from fasttsne.fit.request import FitRequest
from fasttsne.io.archive import (
    Archive,
    Arrays,
    Header,
    exists,
    open_archive,
    remove,
    sibling_path,
    write_archive,
)
from fasttsne.io.codec import check_neighbors
from fasttsne.io.fit_checkpoint import FORMAT, TABLES, WHAT, FitCheckpoint, StageStore
from fasttsne.nearest_neighbors.graph import KNNGraph
from fasttsne.nearest_neighbors.index import Index
from fasttsne.objective.callable import NAMES
from fasttsne.repulsion import METHODS
from fasttsne.runtime.typing import FilePath, Rows
from fasttsne.runtime.validation import is_address

BLOCK = "fasttsne checkpoint, some neighbours"
WRITING, READING = "writing neighbours", "reading neighbours"
# Of each neighbour in a graph in this process: its index, distance and conditional affinity, and
# about 1.5 edges.
NEIGHBOR_BYTES = 24


class DaskBackend:
    """Workers that hold rows, neighbours and affinities; a :class:`fasttsne.fit.backend.Backend`.

    Parameters
    ----------
    request : FitRequest
        What is to be fitted.
    cluster : Cluster
        The workers.
    fetches_graph : bool
        Whether this process makes the affinities, as it does where the request needs the whole
        graph.
    """

    def __init__(self, request: FitRequest, cluster: Cluster, fetches_graph: bool = False):
        self._request, self._cluster = request, cluster
        self._fetches_graph = fetches_graph or _needs_graph(request)

    def read(self, X: Rows) -> RemoteRows:
        return read_rows(self._cluster, X)

    def open_store(self, X: Rows | None) -> StageStore:
        request = self._request
        path = request.params["checkpoint"]
        if path is None:
            return StageStore()
        path = path if is_address(path) else os.path.abspath(path)
        files = BlockFiles(self._cluster, path)
        return FitCheckpoint(path, request.fingerprint(X), request.generator, tables=files)

    def memory(self) -> AbstractContextManager[None]:
        return nullcontext()  # workers spill to disk as Dask is told

    def make_index(self, data: Rows | None) -> ClusterIndex:
        assert isinstance(data, RemoteRows)
        spec = self._request.search()
        k = n_neighbors(self._request.params["perplexity"], len(data))
        return ClusterIndex(str(spec.method), data, k, spec.settings())

    def as_graph(self, index: Index, indices: ArrayLike, distances: ArrayLike) -> KNNGraph:
        assert isinstance(index, ClusterIndex)
        assert isinstance(indices, RemoteRows)
        assert isinstance(distances, RemoteRows)
        index.data = None  # workers need not keep the rows
        if not self._fetches_graph:
            return KNNGraph(index, indices, distances, None)
        n, k = indices.shape
        check_fits(NEIGHBOR_BYTES * n * k, f"the graph of {n:,} rows and {k} neighbours of each")
        return KNNGraph.of(index, indices[:], distances[:])

    def make_affinities(self, graph: KNNGraph) -> Affinities:
        params = self._request.params
        if self._fetches_graph:
            return affinities_of_graph(
                graph, params["perplexity"], params["n_jobs"], params["verbose"]
            )
        return ClusterAffinities(graph, params["perplexity"], params["verbose"])


def _needs_graph(request: FitRequest) -> bool:
    """Whether a fit reads the whole graph in one process."""
    params, start = request.params, request.start
    method, is_named = params["negative_gradient_method"], isinstance(start.initialization, str)
    return bool(
        params["density_weight"]
        or (is_named and (start.initialization == "spectral" or start.anchors is not None))
        or (NAMES.get(method, method) if callable(method) else method) not in METHODS
    )


class BlockFiles:
    """Tables in a file for each block of rows, which a worker writes; a ``TableFiles``.

    They are beside the archive of neighbours, as ``name.graph.3.npz``: in a folder that all
    machines share, or at an address.  Without them a resumed fit searches again.

    Parameters
    ----------
    path : of the checkpoint.
    """

    are_needed = False

    def __init__(self, cluster: Cluster, path: FilePath):
        self._cluster, self._path, self._n_blocks = cluster, sibling_path(path, ".graph"), 0

    def _paths(self) -> list[FilePath]:
        return [sibling_path(self._path, f".{i}") for i in range(self._n_blocks)]

    def write(self, header: Header, tables: tuple[ArrayLike, ArrayLike]) -> Arrays:
        indices, distances = tables
        assert isinstance(indices, RemoteRows)
        assert isinstance(distances, RemoteRows)
        self._n_blocks = len(indices.blocks)
        paths = self._paths()
        write = partial(_write_block, {**header, "kind": BLOCK})
        written = indices.submit_blocks(WRITING, write, distances.blocks, paths)
        self._cluster.finish(WRITING, written, indices.sizes)
        if not all(map(exists, paths)):
            with self._cluster.open_client() as client:
                client.run(_remove_all, paths)
            raise OSError("workers do not write to a folder of this machine, give an address")
        # Of the tables, their types and columns.
        return {"edges": indices.edges, "indices": indices[:0], "distances": distances[:0]}

    def read(self, archive: Archive, n: int) -> Callable[[], Tables]:
        arrays = archive.arrays()
        edges, indices, distances = (arrays[name] for name in ("edges", *TABLES))
        if edges.ndim != 1 or edges[0] != 0 or edges[-1] != n or (np.diff(edges) <= 0).any():
            raise ValueError(f"its blocks do not have {n} rows")
        self._n_blocks = len(edges) - 1
        fingerprint, k = archive.header["fingerprint"], indices.shape[1]

        def read() -> Tables:
            sizes = np.diff(edges).tolist()
            blocks = [
                self._cluster.submit(READING, _read_block, fingerprint, first, (size, k), n, path)
                for first, size, path in zip(edges[:-1].tolist(), sizes, self._paths(), strict=True)
            ]
            self._cluster.finish(READING, blocks, sizes)
            return as_tables(self._cluster, blocks, edges, k, distances.dtype)

        return read

    def remove(self) -> None:
        _remove_all(self._paths())


def _write_block(
    header: Header, indices: np.ndarray, first: int, distances: np.ndarray, path: FilePath
) -> None:
    header = {**header, "first": first}
    write_archive(path, header, dict(zip(TABLES, (indices, distances), strict=True)))


def _read_block(
    fingerprint: dict[str, str], first: int, shape: tuple[int, int], n: int, path: FilePath
) -> tuple[np.ndarray, np.ndarray]:
    """Return neighbours of some of n rows, from row ``first`` on."""
    with open_archive(path, BLOCK, FORMAT, WHAT) as archive:
        if archive.header.get("fingerprint") != fingerprint:
            raise ValueError("it is of another fit")
        if archive.header.get("first") != first:
            raise ValueError(f"it is of rows from {archive.header.get('first')} on, not {first}")
        arrays = archive.arrays()
        indices, distances = (arrays[name] for name in TABLES)
        check_neighbors(indices, distances, shape, n)
    return indices, distances


def _remove_all(paths: list[FilePath]) -> None:
    for path in paths:
        remove(path)
