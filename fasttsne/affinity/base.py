"""What all affinities have in common, and the graph operations they are made of."""

import logging

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels

log = logging.getLogger("fasttsne.affinity")

# What `symmetrize` may be, for conditional affinities C, and what it stands for.
SYMMETRIZE = {True: "mean", "mean": "mean", "max": "max", False: "none", "none": "none"}


class Affinities:
    """Affinities between the rows of a data set.

    Attributes
    ----------
    P : (n, n) scipy.sparse.csr_matrix, float32, sums to one.
    knn_index : the index that found the neighbours and finds those of new rows, or None.
    """

    def __init__(self, verbose: bool = False):
        self.P: sp.csr_matrix = None
        self.knn_index = None
        self.verbose = verbose

    @property
    def n_samples(self) -> int:
        """How many rows the affinities are about."""
        return self.P.shape[0]

    def log_radii(self) -> np.ndarray:
        """How far each row's neighbours are: log of their mean squared distance, (n,) float64.

        Means are weighted by the row's own affinities; -inf where all neighbours are equal
        to the row.

        Raises
        ------
        ValueError
            Where distances are not known, or each row counts its own neighbours only
            (``symmetrize="none"``).
        """
        raise ValueError(f"{type(self).__name__} does not know how far neighbours are")

    def to_new(self, data, return_distances: bool = False):
        """Affinities of new rows to the rows of the data set.

        Parameters
        ----------
        data : new rows, as the index's ``query`` takes them.
        return_distances : return the neighbours and their distances, too.

        Returns
        -------
        P : (m, n) csr_matrix, float64; each row sums to one and depends on no other.
        neighbors, distances : (m, k) arrays, if ``return_distances``.

        Raises
        ------
        NotImplementedError
            Where only affinities, or only lists of neighbours, are known.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot tell the affinities of new rows")


def check_symmetrize(symmetrize, of_true: str = "mean") -> str:
    """Return "mean", "max" or "none" for what a user passed; ``of_true`` is what True means."""
    try:
        mode = SYMMETRIZE[symmetrize]
    except (KeyError, TypeError):
        raise ValueError(
            f"symmetrize must be True, False, 'mean', 'max' or 'none'; got {symmetrize!r}"
        ) from None
    return of_true if symmetrize is True else mode


def joint(indices, values, mode: str, n_threads: int) -> sp.csr_matrix:
    """Affinities that sum to one, from each row's conditional ones, by a mode of ``SYMMETRIZE``."""
    if mode == "none":
        return directed(indices, values)
    return symmetrized(indices, values, n_threads, largest=mode == "max")


def symmetrized(indices, values, n_threads: int, largest: bool = False) -> sp.csr_matrix:
    """(C + C^T) / 2n for rows of neighbours and their weights, without temporaries of SciPy's.

    Parameters
    ----------
    indices : (n, k) int32 array of neighbours.
    values : (n, k) float32 array of weights, each row of which sums to one; overwritten.
    largest : take max(C, C^T), divided by its sum, instead.
    """
    n, k = indices.shape
    rows = (np.arange(n + 1, dtype=np.int64) * k, indices.ravel(), values.ravel())
    backward = _transposed(rows, n, n_threads)
    # Twice transposed is sorted.
    forward = _transposed(backward, n, n_threads, rows[2])
    indptr = np.empty(n + 1, np.int64)
    _kernels.csr.count_merged(*forward, *backward, indptr, n_threads)
    columns, merged = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    _kernels.csr.merge(
        *forward, *backward, 1 / (2 * n), indptr, columns, merged, n_threads, largest
    )
    if largest:
        merged /= merged.sum(dtype=np.float64)
    return as_csr(indptr, columns, merged, n)


def directed(indices, values) -> sp.csr_matrix:
    """C / n for rows of neighbours and their weights, each row in ascending order of columns."""
    n = len(indices)
    return rows_as_csr(indices, values / np.float32(n), n)


def rows_as_csr(indices, values, n_columns: int) -> sp.csr_matrix:
    """A CSR matrix of rows of neighbours and their weights, columns in ascending order."""
    m, k = indices.shape
    indptr = np.arange(m + 1, dtype=np.int64) * k
    order = np.argsort(indices, axis=1)
    columns = np.take_along_axis(indices, order, 1).ravel()
    return as_csr(indptr, columns, np.take_along_axis(values, order, 1).ravel(), n_columns)


def as_csr(indptr, columns, values, n_columns) -> sp.csr_matrix:
    """A CSR matrix over these arrays, with int32 row pointers where they suffice."""
    if indptr[-1] < 2**31:
        indptr = indptr.astype(np.int32)
    matrix = sp.csr_matrix((len(indptr) - 1, n_columns), dtype=values.dtype)
    matrix.data, matrix.indices, matrix.indptr = values, columns, indptr
    matrix.has_sorted_indices = True
    matrix.has_canonical_format = True
    return matrix


def _transposed(graph, n, n_threads, out_values=None):
    indptr, columns, values = graph
    if out_values is None:
        out_values = np.empty_like(values)
    out = np.empty(n + 1, np.int64), np.empty_like(columns), out_values
    _kernels.csr.transpose(
        indptr, columns, values, out[0], np.empty(n, np.int64), out[1], out[2], n_threads
    )
    return out
