"""Sparse matrices of affinities: from neighbours and weights, symmetrized, normalized."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.runtime.memory import AppendedArray
from fasttsne.runtime.progress import stage

# Row pointers, columns and values.
CSRArrays: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
# Edges that are made symmetric together, and blocks of them at most: for each, all are read.
BLOCK_EDGES = 2**22
MAX_BLOCKS = 6
# Bytes of an edge: an int32 column and a float32 value; and while it is made symmetric, in both
# directions, and both as one.
EDGE_BYTES, BLOCK_EDGE_BYTES = 8, 14
# Edges of the symmetric graph for each row and neighbour: 1.1 for two columns, 1.4 to 1.5 for ten
# to a thousand (``python benchmarks/memory.py``).
EDGES_PER_NEIGHBOR = {"plane": 1.1, "more": 1.45}


def estimate_edges(n: int, d: int, k: int) -> float:
    """Return the edges of the symmetric graph of k neighbours of (n, d) rows."""
    return n * k * EDGES_PER_NEIGHBOR["plane" if d <= 2 else "more"]


def estimate_bytes(n: int, k: int) -> float:
    """Return what is in memory while a graph is made symmetric, besides the graph."""
    return BLOCK_EDGE_BYTES * min(max(BLOCK_EDGES, 2 * n * k / MAX_BLOCKS), 2 * n * k)


def joint_affinities(
    indices: np.ndarray, values: np.ndarray, mode: str, n_threads: int
) -> sp.csr_matrix:
    """Return affinities that sum to one, from conditional ones, by a mode of ``symmetrize``."""
    if indices.shape != values.shape or (
        indices.size and not 0 <= indices.min() <= indices.max() < len(indices)
    ):
        raise ValueError(
            f"neighbours must be (n, k) row indices from 0 to {len(indices) - 1}, and each must "
            "have a weight"
        )
    if mode == "none":
        return normalize_directed(indices, values)
    if values.dtype == np.float64:
        return symmetrize_float64(indices, values, use_max=mode == "max")
    return symmetrize(indices, values, n_threads, use_max=mode == "max")


def symmetrize(
    indices: np.ndarray, values: np.ndarray, n_threads: int, use_max: bool = False
) -> sp.csr_matrix:
    """Return (C + C^T) / 2n, or max(C, C^T) divided by its sum, a block of rows after the other."""
    n, k = indices.shape
    counts = np.empty(n, np.int64)
    _kernels.csr.count_columns(indices.ravel(), counts, n_threads)
    name = "the graph of affinities"
    columns = AppendedArray(2 * n * k, np.int32, name)
    merged = AppendedArray(2 * n * k, np.float32, name)
    indptr = np.zeros(n + 1, np.int64)
    with stage("symmetric affinities", n) as progress:
        for rows in _row_blocks(counts, k):
            graph = _symmetrized_rows(indices, values, rows, counts[rows], n_threads, use_max)
            indptr[rows.start + 1 : rows.stop + 1] = indptr[rows.start] + graph[0][1:]
            columns.append(graph[1])
            merged.append(graph[2])
            progress.advance(rows.stop - rows.start)
    data = merged.finish()
    if use_max:
        data /= data.sum(dtype=np.float64)
    return csr_from_arrays(indptr, columns.finish(), data, n)


def _row_blocks(counts: np.ndarray, k: int) -> Iterator[slice]:
    """Yield ranges of rows, in order, with about as many edges each, of both directions."""
    ends = (counts + k).cumsum()
    size = max(BLOCK_EDGES, ends[-1] // MAX_BLOCKS + 1)
    first = 0
    while first < len(counts):
        before = ends[first - 1] if first else 0
        stop = max(int(np.searchsorted(ends, before + size, "right")), first + 1)
        yield slice(first, stop)
        first = stop


def _symmetrized_rows(
    indices: np.ndarray,
    values: np.ndarray,
    rows: slice,
    counts: np.ndarray,
    n_threads: int,
    use_max: bool,
) -> CSRArrays:
    """Return rows of (C + C^T) / 2n, or of max(C, C^T); ``counts`` are those of C^T's edges."""
    n, m = len(indices), rows.stop - rows.start
    pointers = np.append(0, counts.cumsum())
    backward = pointers, np.empty(pointers[-1], np.int32), np.empty(pointers[-1], np.float32)
    _kernels.csr.transpose_rows(
        indices, values, rows.start, pointers, np.empty(m, np.int64), *backward[1:], n_threads
    )
    return merge_directions(indices[rows], values[rows], backward, n, n_threads, use_max)


def merge_directions(
    indices: np.ndarray,
    values: np.ndarray,
    backward: CSRArrays,
    n: int,
    n_threads: int,
    use_max: bool = False,
) -> CSRArrays:
    """Return rows of (C + C^T) / 2n, or of max(C, C^T), from rows of C and of C^T.

    backward : the rows of C^T, columns ascending.
    n : rows of C.
    """
    m, k = indices.shape
    own, weights = indices.copy(), values.copy()
    _kernels.csr.sort_rows(own, weights, n_threads)
    forward = np.arange(m + 1, dtype=np.int64) * k, own.ravel(), weights.ravel()
    indptr = np.empty(m + 1, np.int64)
    _kernels.csr.count_merged(*forward, *backward, indptr, n_threads)
    columns, merged = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    _kernels.csr.merge(
        *forward, *backward, 1 / (2 * n), indptr, columns, merged, n_threads, use_max
    )
    return indptr, columns, merged


def symmetrize_float64(
    indices: np.ndarray, values: np.ndarray, use_max: bool = False
) -> sp.csr_matrix:
    """Return the same in double precision, by SciPy, whose sums leave out zeros: none is kept."""
    smallest = np.finfo(float).tiny
    C = neighbors_to_csr(indices, np.maximum(values, smallest), len(indices))
    transposed = C.T.tocsr()
    P = C.maximum(transposed) if use_max else C + transposed
    P.data[P.data <= 2 * smallest] = 0
    P.data /= P.data.sum()
    return P


def normalize_directed(indices: np.ndarray, values: np.ndarray) -> sp.csr_matrix:
    """Return C / n for neighbours and their weights, columns in ascending order."""
    n = len(indices)
    return neighbors_to_csr(indices, values / values.dtype.type(n), n)


def neighbors_to_csr(indices: np.ndarray, values: np.ndarray, n_columns: int) -> sp.csr_matrix:
    """Return a CSR matrix of neighbours and their weights, columns in ascending order."""
    m, k = indices.shape
    indptr = np.arange(m + 1, dtype=np.int64) * k
    order = np.argsort(indices, axis=1)
    columns = np.take_along_axis(indices, order, 1).ravel()
    return csr_from_arrays(indptr, columns, np.take_along_axis(values, order, 1).ravel(), n_columns)


def csr_from_arrays(
    indptr: np.ndarray, columns: np.ndarray, values: np.ndarray, n_columns: int
) -> sp.csr_matrix:
    """Return a CSR matrix of sorted arrays, not copied, with int32 row pointers if they suffice."""
    if indptr[-1] < 2**31:
        indptr = indptr.astype(np.int32)
    matrix = sp.csr_matrix((len(indptr) - 1, n_columns), dtype=values.dtype)
    matrix.data, matrix.indices, matrix.indptr = values, columns, indptr
    matrix.has_sorted_indices = True
    matrix.has_canonical_format = True
    return matrix
