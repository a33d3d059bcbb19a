"""Edges that stay on a worker while a map moves: an actor of Dask computes their forces."""

from typing import Any

import numpy as np
from distributed import get_worker

from fasttsne import _kernels
from fasttsne.objective.edges import CSREdges, PackedEdges, pack_edges


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
        self, firsts: list[int], largest: float, dof: float, n_threads: int | None,
        *blocks: CSREdges,
    ):  # fmt: skip
        self._firsts, self._blocks, self._largest, self._dof = firsts, blocks, largest, dof
        self._n_threads = get_worker().state.nthreads if n_threads is None else n_threads
        self._packed: list[PackedEdges] = []
        self._numbers: list[np.ndarray] = []

    def reorder(self, order: np.ndarray) -> int:
        """Pack the edges anew: row r of maps is from now on the point ``order[r]``."""
        position = np.empty(len(order), np.int32)
        position[order] = np.arange(len(order), dtype=np.int32)
        spare = self._packed
        self._packed, self._numbers = [], []
        for b, (first, block) in enumerate(zip(self._firsts, self._blocks, strict=True)):
            own = position[first : first + len(block[0]) - 1]
            rows = np.argsort(own).astype(np.int32)
            self._numbers.append(own[rows])
            old: list[Any] = list(spare[b]) if spare else []
            if spare:
                spare[b] = None  # type: ignore[call-overload]
            self._packed.append(
                pack_edges(
                    block, rows, position, self._largest, self._n_threads, spare=old,
                    own=self._numbers[-1],
                )
            )  # fmt: skip
        return sum(len(numbers) for numbers in self._numbers)

    def attract(self, y: np.ndarray, with_cross: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Return forces on the actor's points, in the map's order, and their cross terms.

        y : (n, d) float32.
        """
        m = sum(map(len, self._numbers))
        forces = np.empty((m, y.shape[1]), np.float32)
        cross = np.empty(m, np.float32) if with_cross else None
        first = 0
        for packed, numbers in zip(self._packed, self._numbers, strict=True):
            part = slice(first, first + len(numbers))
            _kernels.attraction.attraction_of(
                *packed, numbers, y, forces[part], None if cross is None else cross[part],
                self._dof, self._n_threads,
            )  # fmt: skip
            first = part.stop
        return forces, cross

    def moments(self, y: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return degrees, moments and products of the actor's points: ``edge_moments``."""
        m, d = sum(map(len, self._numbers)), y.shape[1]
        degree = np.empty(m, np.float32)
        moments = np.empty((m, d * (d + 1) // 2), np.float32)
        product = np.empty((m, d), np.float32)
        first = 0
        for packed, numbers in zip(self._packed, self._numbers, strict=True):
            part = slice(first, first + len(numbers))
            _kernels.attraction.edge_moments(
                *packed, y, v, self._dof, degree[part], moments[part], product[part],
                self._n_threads, numbers,
            )  # fmt: skip
            first = part.stop
        return degree, moments, product
