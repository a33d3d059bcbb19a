"""The edges of an affinity graph, in the few bytes that the kernels of attraction read.

A value has 16 bits.  A column has 16, as the distance from its row in the order of points, or 32
where it is farther: along the curve that sorts the points of a map most neighbours are near.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, singledispatch
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.runtime.overlap import OverlapScheduler
from fasttsne.runtime.progress import iter_rows
from fasttsne.runtime.validation import check_sparse_indices

# Row pointers, columns and values of a CSR matrix: int64, int32 and float32 arrays.
CSREdges: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
# Degrees, moments and products of ``Objective.edge_moments``.
Moments: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
# What 16 bits hold, and what no edge is within.
NEAR, BETWEEN = 2**15 - 1, -1
# Powers of two from the largest value to the smallest that keeps all its bits, and the smallest
# that a sum of float32 values can be divided by.
VALUE_RANGE, MIN_EXPONENT = 32, -115
# Edges that are packed in one call, after which Ctrl-C is noticed.
PIECE_EDGES = 2**23
# Of fewer blocks of rows a thread, attraction is no work that others can share: it takes less time
# than to wake them.
BLOCKS_PER_THREAD = 16
# Values that are looked at together.
PIECE = 1 << 20


class Entropy(NamedTuple):
    """Sums over all affinities that no embedding changes: ``sum p log p``, and ``sum p``."""

    negative_entropy: float
    total: float


def entropy_of(p: np.ndarray) -> Entropy:
    """Return the sums over one piece of the affinities."""
    p = p[p > 0]
    return Entropy(float((p * np.log(p)).sum(dtype=np.float64)), float(p.sum(dtype=np.float64)))


def sum_entropies(pieces: Iterable[Entropy]) -> Entropy:
    """Return the sums over all pieces, added in their order."""
    entropy = total = 0.0
    for piece in pieces:
        entropy, total = entropy + piece.negative_entropy, total + piece.total
    return Entropy(entropy, total)


class EdgeSource(Protocol):
    """The edges of an affinity graph, local or remote, for points in the order of ``reorder``.

    Attributes
    ----------
    cross : ``sum p (-log w)`` of the last ``attraction``, or 0 where that was not wanted.
    """

    cross: float

    def reorder(self, order: np.ndarray) -> None:
        """Serve points in another order: row r of what follows is the point ``order[r]``."""

    def attraction(
        self, y: np.ndarray, forces: np.ndarray, with_cross: bool
    ) -> AbstractContextManager[int | None]:
        """Write the attractive forces at ``y``, while the body of a ``with`` does something else.

        The context's value is how many threads are free for that, None for all.

        y, forces : (n, d) float32.
        """

    def moments(self, y: np.ndarray, v: np.ndarray, out: Moments) -> None:
        """Write what :meth:`fasttsne.objective.Objective.edge_moments` writes, at float32 ``y``."""

    @property
    def entropy(self) -> Entropy:
        """The sums over all affinities, computed once."""


class PackedEdges(NamedTuple):
    """Edges for the kernels; the arrays are described in ``edges.pxd``."""

    near_indptr: np.ndarray
    offsets: np.ndarray
    near_values: np.ndarray
    far_indptr: np.ndarray
    columns: np.ndarray
    far_values: np.ndarray
    smallest: float


def edges_of(P: sp.csr_matrix, name: str) -> CSREdges:
    """Return the arrays of a CSR matrix, checked; row pointers are a copy, which stays so."""
    own = sp.csr_matrix(P.shape, dtype=np.float32)
    own.indptr, own.indices, own.data = np.array(P.indptr, np.int64), P.indices, P.data
    check_sparse_indices(own, name)
    columns = own.indices.astype(np.int32, copy=False)
    return own.indptr, columns, own.data.astype(np.float32, copy=False)


class RowBlock(NamedTuple):
    """Some rows of a graph, which are packed together with others.

    Attributes
    ----------
    edges : of a matrix with n columns, one for each point of the graph.
    order : (m,) int32, its rows in the order in which they are packed.
    places : (m,) int32, ascending, the row of the result that each of these becomes; None where
        they are all rows.
    """

    edges: CSREdges
    order: np.ndarray
    places: np.ndarray | None = None


def pack_edges(
    blocks: Sequence[RowBlock],
    position: np.ndarray,
    largest: float,
    n_threads: int,
    numbers: np.ndarray | None = None,
    reach: int = NEAR,
    spare: list[object] | None = None,
) -> PackedEdges:
    """Return edges for the kernels, of blocks of a graph's rows, which need not be all of them.

    Rows that are neighbours in a map are then neighbours in memory, whatever block they are in.

    Parameters
    ----------
    blocks : their places are 0 to m - 1 together.
    position : (n,) int32, the new number of each column.
    largest : no value is larger.
    numbers : (m,) int32, the new number of the point at each place, ascending; None where the one
        block has all rows.
    reach : of near edges, in numbers of points; ``BETWEEN`` where rows and columns are two sets, in
        orders of their own.
    spare : what earlier packed edges consisted of; it is emptied.  Arrays that suffice are used
        again, and others are freed before new ones are made.
    """
    n = len(blocks[0].order) if numbers is None else len(numbers)
    near_indptr, far_indptr = np.zeros((2, n + 1), np.int64)
    for block, first, stop in _pieces("counting near edges", blocks):
        rows, last = (block.order, position, reach, first, stop), (n_threads, numbers, block.places)
        pointers = near_indptr[1:], far_indptr[1:]
        _kernels.packed_edges.count_near(*block.edges[:2], *rows, *pointers, *last)
    for indptr in near_indptr, far_indptr:
        np.cumsum(indptr, out=indptr)
    near, far = int(near_indptr[-1]), int(far_indptr[-1])
    # Near edges become more from order to order: there is room for all edges, of which the system
    # has memory only for what is written.
    room = max(near, sum(len(block.edges[1]) for block in blocks) + 8 * n)
    near_sizes = (near, room, np.int16), (near, room, np.uint16)
    sizes = [*near_sizes, (far, far, np.int32), (far, far, np.uint16)]
    offsets, near_values, columns, far_values = _arrays(sizes, spare or [])
    packed = PackedEdges(
        near_indptr, offsets, near_values, far_indptr, columns, far_values, smallest_for(largest)
    )
    for block, first, stop in _pieces("packing edges", blocks):
        rows, last = (block.order, position, reach, first, stop), (n_threads, numbers, block.places)
        _kernels.packed_edges.pack_edges(*block.edges, *rows, *packed, *last)
    return packed


def _pieces(name: str, blocks: Sequence[RowBlock]) -> Iterator[tuple[RowBlock, int, int]]:
    """Yield ranges of rows of blocks whose edges one call of a kernel packs."""
    for block in blocks:
        n = len(block.order)
        edges_per_row = len(block.edges[1]) // max(n, 1)
        for rows in iter_rows(name, n, edges_per_row, PIECE_EDGES):
            yield block, rows.start, min(rows.stop, n)


def inverse_order(order: np.ndarray) -> np.ndarray:
    """Return the position of each point in an order, (n,) int32."""
    position = np.empty(len(order), np.int32)
    position[order] = np.arange(len(order), dtype=np.int32)
    return position


def _value_pieces(values: np.ndarray) -> Iterator[np.ndarray]:
    return (values[start : start + PIECE] for start in range(0, len(values), PIECE))


def largest_value(values: np.ndarray) -> float:
    """Return the largest of values that are not negative."""
    return max((float(piece.max()) for piece in _value_pieces(values)), default=0.0)


def smallest_for(largest: float) -> float:
    """Return the power of two from which values up to the largest are counted in 16 bits."""
    return math.ldexp(1.0, max(math.frexp(largest)[1] - VALUE_RANGE, MIN_EXPONENT))


def _arrays(sizes: Sequence[tuple[int, int, type]], spare: list[object]) -> list[np.ndarray]:
    """Return arrays, in the memory of spare ones where those are neither small nor wasted.

    sizes : of each array its size, the room of one that is made, and the kind of its numbers.
    """
    found = [_take(size, dtype, spare) for size, _, dtype in sizes]
    spare.clear()
    return [
        np.empty(room, dtype)[:size] if array is None else array
        for array, (size, room, dtype) in zip(found, sizes, strict=True)
    ]


def _take(size: int, dtype: type, spare: list[object]) -> np.ndarray | None:
    """Remove an array from the spare ones, and return the part of it that is needed."""
    for i, array in enumerate(spare):
        if isinstance(array, np.ndarray) and array.dtype == dtype:
            whole = array if array.base is None else array.base
            if size <= len(whole) <= 2 * size:
                del spare[i]
                return whole[:size]
    return None


class SharedAttraction:
    """Attractive forces, written by all threads that call this, until none are left.

    sums : (blocks,) parts of the cross term; the others as for ``attraction.pyx``.
    """

    def __init__(
        self,
        edges: PackedEdges,
        y: np.ndarray,
        out: np.ndarray,
        dof: float,
        with_cross: bool,
        sums: np.ndarray,
    ):
        self._arguments = *edges, y, out, dof, with_cross
        self._sums, self._next_block = sums, np.zeros(1, np.int64)

    def __call__(self, n_threads: int) -> None:
        shared = self._sums, self._next_block
        _kernels.attraction.attraction(*self._arguments, n_threads, *shared)

    def cancel(self) -> None:
        """Leave the rest undone."""
        self._next_block[0] = len(self._sums)


class LocalEdges:
    """The edges of a CSR matrix in this process; an :class:`EdgeSource`.

    Attributes
    ----------
    packed : PackedEdges in the order of the last ``reorder``, or None.
    """

    def __init__(self, P: sp.csr_matrix, dof: float, n_threads: int):
        self._csr = edges_of(P, "affinities.P")
        self._largest = largest_value(self._csr[2])
        self._dof, self._n_threads = dof, n_threads
        self._partial_sums = np.zeros(_kernels.attraction.count_blocks(P.shape[0]))
        enough = len(self._partial_sums) >= BLOCKS_PER_THREAD * n_threads
        self._scheduler = OverlapScheduler(n_threads, enough)
        self.cross = 0.0
        self.packed: PackedEdges | None = None

    def reorder(self, order: np.ndarray) -> None:
        indptr, columns, values = self._csr
        if indptr[-1] > min(len(columns), len(values)) or (
            columns.size and not 0 <= columns.min() <= columns.max() < len(order)
        ):
            raise ValueError("affinities.P was changed in place: its indices are out of bounds")
        spare, self.packed = list(self.packed or ()), None
        blocks, position = [RowBlock(self._csr, order)], inverse_order(order)
        self.packed = pack_edges(blocks, position, self._largest, self._n_threads, spare=spare)

    @contextmanager
    def attraction(
        self, y: np.ndarray, forces: np.ndarray, with_cross: bool
    ) -> Iterator[int | None]:
        assert self.packed is not None
        sums = self._partial_sums
        work = SharedAttraction(self.packed, y, forces, self._dof, with_cross, sums)
        with self._scheduler.start(work) as running:
            yield running.free_threads
        self.cross = float(np.sum(sums)) if with_cross else 0.0

    def moments(self, y: np.ndarray, v: np.ndarray, out: Moments) -> None:
        assert self.packed is not None
        _kernels.attraction.edge_moments(*self.packed, y, v, self._dof, *out, self._n_threads)

    @cached_property
    def entropy(self) -> Entropy:
        return sum_entropies(map(entropy_of, _value_pieces(self._csr[2])))


@singledispatch
def edge_source(P: object, dof: float, n_threads: int) -> EdgeSource:
    """Return the edges of a graph of affinities: a CSR matrix, or what registers its class."""
    return LocalEdges(P, dof, n_threads)
