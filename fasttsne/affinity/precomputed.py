"""A given matrix of affinities."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from fasttsne.affinity.base import Affinities, NewAffinities
from fasttsne.runtime.canonical import check_finite
from fasttsne.runtime.typing import Rows
from fasttsne.runtime.validation import check_sparse_indices


class PrecomputedAffinities(Affinities):
    """Affinities from a given matrix.

    Parameters
    ----------
    affinities : (n, n) array or SciPy sparse matrix, no entry negative; it is copied.
    normalize : divide by the sum, so that the affinities sum to one.
    """

    def __init__(self, affinities: Rows, normalize: bool = True):
        super().__init__()
        _refuse_others(affinities)
        matrix: Any = affinities if sp.issparse(affinities) else np.asarray(affinities)
        if matrix.dtype.kind not in "fiub":
            raise TypeError(f"affinities must hold real numbers; got {matrix.dtype}")
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"affinities must be a square matrix; got shape {matrix.shape}")
        if sp.issparse(matrix):
            check_sparse_indices(matrix, "affinities")
        P = sp.csr_matrix(matrix, dtype=np.float64, copy=True)
        P.sum_duplicates()
        check_finite(P.data, "affinities")
        if P.nnz and P.data.min() < 0:
            raise ValueError(f"affinities must not be negative; the smallest is {P.data.min()}")
        largest = P.data.max(initial=0)
        if largest == 0:
            raise ValueError("affinities must not all be zero")
        if normalize:
            P.data /= largest  # the sum could overflow
            P.data /= P.data.sum()
        elif not 1e-30 < largest < 1e30:
            raise ValueError(
                "affinities that are not normalized must have their largest between 1e-30 and "
                f"1e30; got {largest}"
            )
        self.P = P

    def to_new(self, data: Rows, return_distances: bool = False) -> NewAffinities:
        """Raise NotImplementedError: a matrix does not determine affinities of new rows."""
        raise NotImplementedError(
            "to_new() is not available for a matrix of affinities; for new rows, use affinities "
            "that are computed from the data, such as PerplexityBasedNN"
        )


def _refuse_others(affinities: Any) -> None:
    """Raise TypeError for objects of other packages, and for labels in place of affinities."""
    kind = type(affinities)
    if hasattr(affinities, "to_new"):
        raise TypeError(
            "affinities must be of fasttsne.affinity, or a matrix; got an object of "
            f"{kind.__module__}.{kind.__qualname__}: import the class from fasttsne.affinity, or "
            "give the matrix, affinities.P"
        )
    if not sp.issparse(affinities) and np.ndim(affinities) == 1:
        raise TypeError(
            "affinities must be a square matrix; got one value a row, as labels: fit takes none.  "
            "fasttsne.sklearn.TSNE has scikit-learn's fit(X, y)"
        )
