"""Edges that stay on a worker while a map moves: an actor of Dask computes their forces."""

import numpy as np
from distributed import get_worker

from fasttsne import _kernels
from fasttsne.objective.edges import CSREdges, PackedEdges, RowBlock, pack_blocks


class EdgesActor:
    """The edges of some blocks of rows, packed in the order of the map.

    Parameters
    ----------
    firsts : the first row of each block.
    largest : no value of the whole graph is larger.
    dof : degrees of freedom of the kernel.
    n_threads : of the worker; None is all that it has.
    blocks : arrays of CSR matrices with n columns.
    """

    def __init__(
        self,
        firsts: list[int],
        largest: float,
        dof: float,
        n_threads: int | None,
        *blocks: CSREdges,
    ):
        self._firsts, self._blocks, self._largest, self._dof = firsts, blocks, largest, dof
        self._n_threads = get_worker().state.nthreads if n_threads is None else n_threads
        self._packed: PackedEdges | None = None
        self._numbers = np.empty(0, np.int32)

    def reorder(self, order: np.ndarray) -> int:
        """Pack the edges anew: row r of maps is from now on the point ``order[r]``."""
        position = np.empty(len(order), np.int32)
        position[order] = np.arange(len(order), dtype=np.int32)
        own = [
            position[first : first + len(block[0]) - 1]
            for first, block in zip(self._firsts, self._blocks, strict=True)
        ]
        self._numbers = np.sort(np.concatenate(own))
        blocks = []
        for numbers, block in zip(own, self._blocks, strict=True):
            rows = np.argsort(numbers).astype(np.int32)
            places = np.searchsorted(self._numbers, numbers[rows]).astype(np.int32)
            blocks.append(RowBlock(block, rows, places))
        spare, self._packed = list(self._packed or ()), None
        self._packed = pack_blocks(
            blocks, self._numbers, position, self._largest, self._n_threads, spare
        )
        return len(self._numbers)

    def attract(self, y: np.ndarray, with_cross: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Return forces on the actor's points, in the map's order, and their cross terms.

        y : (n, d) float32.
        """
        assert self._packed is not None
        m = len(self._numbers)
        forces = np.empty((m, y.shape[1]), np.float32)
        cross = np.empty(m, np.float32) if with_cross else None
        _kernels.attraction.attraction_of(
            *self._packed, self._numbers, y, forces, cross, self._dof, self._n_threads
        )
        return forces, cross

    def moments(self, y: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return degrees, moments and products of the actor's points: ``edge_moments``."""
        assert self._packed is not None
        m, d = len(self._numbers), y.shape[1]
        degree = np.empty(m, np.float32)
        moments = np.empty((m, d * (d + 1) // 2), np.float32)
        product = np.empty((m, d), np.float32)
        _kernels.attraction.edge_moments(
            *self._packed, y, v, self._dof, degree, moments, product, self._n_threads, self._numbers
        )
        return degree, moments, product
