"""Sparse matrices of affinities: from neighbours and weights, symmetrized, normalized."""

from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels

# Row pointers, columns and values.
CSRArrays: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


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
    """Return (C + C^T) / 2n for neighbours and their weights, without SciPy's temporaries.

    Parameters
    ----------
    indices : (n, k) int32 array of neighbours.
    values : (n, k) float32 array of weights, each row of which sums to one; overwritten.
    use_max : return max(C, C^T) divided by its sum instead.
    """
    n, k = indices.shape
    rows = (np.arange(n + 1, dtype=np.int64) * k, indices.ravel(), values.ravel())
    backward = _transpose(rows, n, n_threads)
    # The transpose of the transpose has sorted columns.
    forward = _transpose(backward, n, n_threads, rows[2])
    indptr = np.empty(n + 1, np.int64)
    _kernels.csr.count_merged(*forward, *backward, indptr, n_threads)
    columns, merged = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    _kernels.csr.merge(
        *forward, *backward, 1 / (2 * n), indptr, columns, merged, n_threads, use_max
    )
    if use_max:
        merged /= merged.sum(dtype=np.float64)
    return csr_from_arrays(indptr, columns, merged, n)


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


def _transpose(
    graph: CSRArrays, n: int, n_threads: int, out_values: np.ndarray | None = None
) -> CSRArrays:
    indptr, columns, values = graph
    if out_values is None:
        out_values = np.empty_like(values)
    out = np.empty(n + 1, np.int64), np.empty_like(columns), out_values
    _kernels.csr.transpose(
        indptr, columns, values, out[0], np.empty(n, np.int64), out[1], out[2], n_threads
    )
    return out
