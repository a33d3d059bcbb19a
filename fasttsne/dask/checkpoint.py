"""What a fit on a cluster keeps in files: workers write the neighbours that they hold."""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from fasttsne.dask.cluster import Cluster
from fasttsne.dask.neighbors import as_tables
from fasttsne.io.archive import (
    Archive,
    exists,
    open_archive,
    remove,
    sibling_path,
    write_archive,
)
from fasttsne.io.codec import check_neighbors
from fasttsne.io.fit_checkpoint import FORMAT, TABLES, WHAT, FitCheckpoint
from fasttsne.runtime.typing import FilePath, RandomGenerator
from fasttsne.runtime.validation import is_address

BLOCK = "fasttsne checkpoint, some neighbours"
WRITING, READING = "writing neighbours", "reading neighbours"


class ClusterCheckpoint(FitCheckpoint):
    """The files of one fit, in a folder that all machines share, or at an address.

    The archive of neighbours says which blocks there are; each is a file beside it, as
    ``name.graph.3.npz``, which a worker writes.  Without them a fit that goes on searches again.

    Parameters
    ----------
    cluster : where the fit is.  Others are those of :class:`FitCheckpoint`.
    """

    needs_graph = False

    def __init__(
        self,
        cluster: Cluster,
        path: FilePath,
        fingerprint: Mapping[str, str],
        generator: RandomGenerator,
    ):
        self._cluster, self._n_blocks = cluster, 0
        super().__init__(
            path if is_address(path) else os.path.abspath(path), fingerprint, generator
        )

    def remove(self) -> None:
        super().remove()
        for path in self._block_paths(self._n_blocks):
            remove(path)

    def _block_paths(self, n: int) -> list[FilePath]:
        return [sibling_path(self.graph_path, f".{i}") for i in range(n)]

    def _write_tables(self, tables: tuple[Any, Any]) -> dict[str, np.ndarray]:
        indices, distances = tables
        self._n_blocks = len(indices.blocks)
        paths = self._block_paths(self._n_blocks)
        write = partial(_write_block, self._header(BLOCK))
        written = indices.submit_blocks(WRITING, write, distances.blocks, paths)
        self._cluster.finish(WRITING, written, indices.sizes)
        if not all(map(exists, paths)):
            with self._cluster.open_client() as client:
                client.run(_remove_all, paths)
            raise OSError("workers do not write to a folder of this machine, give an address")
        # Of the tables, their types and columns.
        return {"edges": indices.edges, "indices": indices[:0], "distances": distances[:0]}

    def _read_tables(self, archive: Archive, n: int) -> tuple[Any, ...]:
        arrays = archive.arrays()
        edges, indices, distances = (arrays[name] for name in ("edges", *TABLES))
        if edges.ndim != 1 or edges[0] != 0 or edges[-1] != n or (np.diff(edges) <= 0).any():
            raise ValueError(f"its blocks are not those of {n} rows")
        return edges, indices.shape[1], distances.dtype

    def _to_tables(self, edges: np.ndarray, k: int, dtype: Any) -> tuple[Any, Any]:
        self._n_blocks = len(edges) - 1
        sizes, header = np.diff(edges).tolist(), self._header(BLOCK)
        blocks = [
            self._cluster.submit(
                READING, _read_block, header, int(first), (size, k), int(edges[-1]), path
            )
            for first, size, path in zip(
                edges[:-1], sizes, self._block_paths(self._n_blocks), strict=True
            )
        ]
        self._cluster.finish(READING, blocks, sizes)
        return as_tables(self._cluster, blocks, edges, k, dtype)


def _write_block(
    header: dict[str, Any], indices: np.ndarray, first: int, distances: np.ndarray, path: FilePath
) -> None:
    header = {**header, "first": first}
    write_archive(path, header, dict(zip(TABLES, (indices, distances), strict=True)))


def _read_block(
    header: dict[str, Any], first: int, shape: tuple[int, int], n: int, path: FilePath
) -> tuple[np.ndarray, np.ndarray]:
    """Return neighbours of some of n rows, from row ``first`` on."""
    with open_archive(path, BLOCK, FORMAT, WHAT) as archive:
        if archive.header.get("fingerprint") != header["fingerprint"]:
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
