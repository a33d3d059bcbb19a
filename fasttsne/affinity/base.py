"""What all affinities have in common, and the graph operations they are made of."""

import logging

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels

log = logging.getLogger("fasttsne.affinity")


class Affinities:
    """Affinities between the rows of a data set.

    Attributes
    ----------
    P : (n, n) scipy.sparse.csr_matrix, float32, sums to one.
    """

    def __init__(self, verbose: bool = False):
        self.P: sp.csr_matrix = None
        self.verbose = verbose

    @property
    def n_samples(self) -> int:
        """How many rows the affinities are about."""
        return self.P.shape[0]


def symmetrized(indices, values, n_threads: int) -> sp.csr_matrix:
    """(C + C^T) / 2n for rows of neighbours and their weights, without temporaries of SciPy's.

    Parameters
    ----------
    indices : (n, k) int32 array of neighbours.
    values : (n, k) float32 array of weights, each row of which sums to one.
    """
    n, k = indices.shape
    rows = (np.arange(n + 1, dtype=np.int64) * k, indices.ravel(), values.ravel())
    backward = _transposed(rows, n, n_threads)
    forward = _transposed(backward, n, n_threads)  # twice transposed is sorted
    indptr = np.empty(n + 1, np.int64)
    _kernels.graph.count_merged(*forward, *backward, indptr, n_threads)
    columns, merged = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    _kernels.graph.merge(*forward, *backward, 1 / (2 * n), indptr, columns, merged, n_threads)
    return as_csr(indptr, columns, merged, n)


def directed(indices, values) -> sp.csr_matrix:
    """C / n for rows of neighbours and their weights, each row in ascending order of columns."""
    n, k = indices.shape
    indptr = np.arange(n + 1, dtype=np.int64) * k
    order = np.argsort(indices, axis=1)
    columns = np.take_along_axis(indices, order, 1).ravel()
    return as_csr(indptr, columns, np.take_along_axis(values, order, 1).ravel() / np.float32(n), n)


def as_csr(indptr, columns, values, n) -> sp.csr_matrix:
    """A CSR matrix over these arrays, with int32 row pointers where they suffice."""
    if indptr[-1] < 2**31:
        indptr = indptr.astype(np.int32)
    matrix = sp.csr_matrix((n, n), dtype=np.float32)
    matrix.data, matrix.indices, matrix.indptr = values, columns, indptr
    matrix.has_sorted_indices = True
    matrix.has_canonical_format = True
    return matrix


def _transposed(graph, n, n_threads):
    indptr, columns, values = graph
    out = np.empty(n + 1, np.int64), np.empty_like(columns), np.empty_like(values)
    _kernels.graph.transpose(
        indptr, columns, values, out[0], np.empty(n, np.int64), out[1], out[2], n_threads
    )
    return out
