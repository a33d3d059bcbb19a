"""The edges of an affinity graph, in the few bytes that the kernels of attraction read.

A value has 16 bits.  A column has 16, as the distance from its row in the order of points, or 32
where it is farther: along the curve that sorts the points of a map most neighbours are near.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.runtime.progress import iter_rows
from fasttsne.runtime.validation import check_sparse_indices

# Row pointers, columns and values of a CSR matrix: int64, int32 and float32 arrays.
CSREdges: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
# What 16 bits hold.
NEAR = 2**15 - 1
# Powers of two from the largest value to the smallest that keeps all its bits, and the smallest
# that a sum of float32 values can be divided by.
VALUE_RANGE, MIN_EXPONENT = 32, -115
# Edges that are packed in one call, after which Ctrl-C is noticed.
PIECE_EDGES = 2**23
# Values that are looked at together.
PIECE = 1 << 20


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
    """The arrays of a CSR matrix, checked; row pointers are a copy, which stays as checked."""
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
    places: np.ndarray | None


def pack_edges(
    edges: CSREdges,
    order: np.ndarray,
    position: np.ndarray,
    largest: float,
    n_threads: int,
    is_between: bool = False,
    spare: list[Any] | None = None,
) -> PackedEdges:
    """Edges for the kernels, their rows in another order.

    Parameters
    ----------
    edges : of a matrix with n columns.
    order : (m,) int32, the row that becomes each row of the result.
    position : (n,) int32, the new number of each column.
    largest : no value is larger.
    is_between : rows and columns are two sets, in orders of their own.
    spare : what earlier packed edges consisted of; it is emptied.  Arrays that suffice are used
        again, and others are freed before new ones are made.
    """
    reach, block = -1 if is_between else NEAR, RowBlock(edges, order, None)
    return _pack([block], None, len(order), position, reach, largest, n_threads, spare)


def pack_blocks(
    blocks: Sequence[RowBlock],
    numbers: np.ndarray,
    position: np.ndarray,
    largest: float,
    n_threads: int,
    spare: list[Any] | None = None,
) -> PackedEdges:
    """Edges for the kernels, of blocks of a graph's rows, which need not be all of them.

    Rows that are neighbours in a map are then neighbours in memory, whatever block they are in.

    Parameters
    ----------
    blocks : their places are 0 to m - 1 together.
    numbers : (m,) int32, the new number of the point at each place, ascending.
    Others are those of :func:`pack_edges`.
    """
    return _pack(blocks, numbers, len(numbers), position, NEAR, largest, n_threads, spare)


def _pack(
    blocks: Sequence[RowBlock],
    numbers: np.ndarray | None,
    n: int,
    position: np.ndarray,
    reach: int,
    largest: float,
    n_threads: int,
    spare: list[Any] | None,
) -> PackedEdges:
    near_indptr, far_indptr = np.zeros((2, n + 1), np.int64)
    for block, first, stop in _pieces("counting near edges", blocks):
        indptr, columns, _ = block.edges
        _kernels.packed_edges.count_near(
            indptr,
            columns,
            block.order,
            position,
            reach,
            first,
            stop,
            near_indptr[1:],
            far_indptr[1:],
            n_threads,
            numbers,
            block.places,
        )
    for pointers in near_indptr, far_indptr:
        np.cumsum(pointers, out=pointers)
    near, far = int(near_indptr[-1]), int(far_indptr[-1])
    arrays = _arrays(
        [(near, np.int16), (near, np.uint16), (far, np.int32), (far, np.uint16)], spare or []
    )
    packed = PackedEdges(
        near_indptr, arrays[0], arrays[1], far_indptr, arrays[2], arrays[3], smallest_for(largest)
    )
    for block, first, stop in _pieces("packing edges", blocks):
        _kernels.packed_edges.pack_edges(
            *block.edges,
            block.order,
            position,
            reach,
            first,
            stop,
            *packed,
            n_threads,
            numbers,
            block.places,
        )
    return packed


def _pieces(name: str, blocks: Sequence[RowBlock]) -> Iterator[tuple[RowBlock, int, int]]:
    """Yield ranges of rows of blocks whose edges one call of a kernel packs."""
    for block in blocks:
        n = len(block.order)
        edges_per_row = len(block.edges[1]) // max(n, 1)
        for rows in iter_rows(name, n, edges_per_row, PIECE_EDGES):
            yield block, rows.start, min(rows.stop, n)


def largest_value(values: np.ndarray) -> float:
    """The largest of values that are not negative."""
    pieces = (values[i : i + PIECE] for i in range(0, len(values), PIECE))
    return max((float(piece.max()) for piece in pieces), default=0.0)


def smallest_for(largest: float) -> float:
    """The power of two from which values up to the largest are counted in 16 bits."""
    return math.ldexp(1.0, max(math.frexp(largest)[1] - VALUE_RANGE, MIN_EXPONENT))


def _arrays(sizes: list[tuple[int, type]], spare: list[Any]) -> list[np.ndarray]:
    """Arrays of sizes and dtypes, in the memory of spare ones that are neither small nor wasted."""
    found = [_take(size, dtype, spare) for size, dtype in sizes]
    spare.clear()
    return [
        np.empty(size, dtype) if array is None else array
        for array, (size, dtype) in zip(found, sizes, strict=True)
    ]


def _take(size: int, dtype: type, spare: list[Any]) -> np.ndarray | None:
    """Remove an array from the spare ones, and return the part of it that is needed."""
    for i, array in enumerate(spare):
        if isinstance(array, np.ndarray) and array.dtype == dtype:
            whole = array if array.base is None else array.base
            if size <= len(whole) <= 2 * size:
                del spare[i]
                return whole[:size]
    return None
