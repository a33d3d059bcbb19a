"""Affinities, the base class of all families."""

import logging
import zlib
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from fasttsne.affinity.csr import csr_from_arrays
from fasttsne.nearest_neighbors.index import Index
from fasttsne.runtime.rows import check_finite
from fasttsne.runtime.typing import Rows
from fasttsne.runtime.validation import check_sparse_indices

log = logging.getLogger("fasttsne.affinity")

# Of new rows: P, or with ``return_distances`` the tuple of P, the neighbours and the distances.
NewAffinities: TypeAlias = sp.csr_matrix | tuple[sp.csr_matrix, np.ndarray, np.ndarray]

# The sum of affinities in float32 is this near to one.
ROUNDING = 1e-4
# Accepted values of `symmetrize`, and their mode.
SYMMETRIZE_MODES = {True: "mean", "mean": "mean", "max": "max", False: "none", "none": "none"}


class Affinities:
    """Affinities between the rows of a data set.

    Attributes
    ----------
    P : (n, n) scipy.sparse.csr_matrix, float64, sums to one; made when it is first asked for.
        Where it is replaced, or its values are changed in place, the next runs use that.
    P_float32 : the same rounded, as a run reads it; not to be changed.
    knn_index : the index that found the neighbours and finds those of new rows, or None.
    """

    # Of the matrix kept under "P", as float32 or as a user assigned it: the same in the other
    # precision, and the checksum of the one in double precision.
    _converted: sp.csr_matrix | None = None
    _checksum = 0
    # Whether the matrix is another than the family computed.
    _is_given = True
    # Whether P of the family's own is not made before it is asked for.
    _is_put_off = False

    def __init__(self, verbose: bool = False):
        self.P = None
        self.knn_index: Index | None = None
        self.verbose = verbose

    @property
    def P(self) -> sp.csr_matrix:
        """The affinities in double precision."""
        self._make_P()
        kept = vars(self)["P"]
        if kept is None or kept.dtype != np.float32:
            return kept
        if self._converted is None:
            self._converted = self._to_double(kept)
            self._checksum = _checksum(self._converted)
        return self._converted

    @P.setter
    def P(self, matrix: sp.csr_matrix) -> None:
        vars(self).update(P=matrix, _converted=None, _is_given=True, _is_put_off=False)

    @property
    def P_float32(self) -> sp.csr_matrix:
        """The affinities as a run reads them."""
        self._make_P()
        kept, double = vars(self).get("P"), self._converted
        if kept is not None and kept.dtype == np.float32:
            if double is None or _checksum(double) == self._checksum:
                return kept
            self.P = double  # it was changed in place
        P = self.P
        checksum = _checksum(P)
        if self._converted is None or checksum != self._checksum:
            check_sparse_indices(P, "affinities.P")  # SciPy trusts them
            self._converted, self._checksum = P.astype(np.float32), checksum
        return self._converted

    @property
    def graph(self) -> sp.csr_matrix:
        """What a run makes its edges of: ``P_float32``, unless that is on other machines."""
        return self.P_float32

    def _make_P(self) -> None:
        """Make P, where that was put off until it is asked for."""

    def _to_double(self, P: sp.csr_matrix) -> sp.csr_matrix:
        """Return P in double precision, without what rounding adds to a sum of one."""
        values = P.data.astype(np.float64)
        total = values.sum()
        if abs(total - 1) < ROUNDING:
            values /= total
        return csr_from_arrays(P.indptr, P.indices, values, P.shape[1])

    def __getstate__(self) -> dict[str, object]:
        """Leave out what can be converted again."""
        if self._converted is not None:
            _ = self.P_float32  # follows changes in place
        return {name: value for name, value in vars(self).items() if name != "_converted"}

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        kept = vars(self).get("P")
        return int((self.P if kept is None else kept).shape[0])

    def rows_of_P(self, rows: np.ndarray) -> sp.csr_matrix:
        """Return some rows of P, in single precision."""
        return self.P_float32[rows]

    def log_radii(self) -> np.ndarray:
        """Return the log of the mean squared distance to each row's neighbours, (n,) float64.

        Means are weighted by the row's conditional affinities; -inf where all neighbours are
        equal to the row.

        Raises
        ------
        ValueError
            If distances are unknown, or affinities are not symmetric (``symmetrize="none"``).
        """
        raise ValueError(
            f"{type(self).__name__} has no distances of neighbours, which density_weight needs"
        )

    def to_new(self, data: Rows, return_distances: bool = False) -> NewAffinities:
        """Return affinities of new rows to the rows of the data set.

        Parameters
        ----------
        data : new rows, as the index's ``query`` takes them.
        return_distances : also return the neighbours and their distances.

        Returns
        -------
        P : (m, n) csr_matrix, float64; each row sums to one and depends on no other.
        neighbors, distances : (m, k) arrays, if ``return_distances``.

        Raises
        ------
        NotImplementedError
            If the affinities were made from a matrix or from lists of neighbours.
        """
        raise NotImplementedError(
            f"to_new() is not available for {type(self).__name__}; for new rows, use affinities "
            "that are computed from the data, such as PerplexityBasedNN"
        )

    def extended(self, X: Rows) -> "Affinities":
        """Return affinities of the same rows and of new ones after them: see :meth:`joined_by`."""
        return self.joined_by(X)[0]

    def joined_by(self, X: Rows, rows: np.ndarray | None = None) -> tuple["Affinities", np.ndarray]:
        """Return affinities of old rows and of new ones, and the old rows near to the new ones.

        Parameters
        ----------
        X : (m, columns) new rows, as the index's ``query`` takes them.
        rows : (m,) integers, the rows whose values they replace; None puts them after the others.

        Returns
        -------
        affinities : of the new data.
        near : (m, any) int32, old rows that stay, nearest to each new row first; -1 is none.

        Raises
        ------
        NotImplementedError
            If the affinities were made from a matrix, from distances or from lists of neighbours.
        """
        raise NotImplementedError(
            f"{type(self).__name__} cannot be extended by new rows: make affinities of all rows, "
            "and optimize a TSNEEmbedding of them from the places that are known"
        )

    def without(self, rows: np.ndarray) -> "Affinities":
        """Return the affinities without the given rows, (m,) integers; at least two must remain.

        Raises
        ------
        NotImplementedError
            As for :meth:`joined_by`.
        ValueError
            Where fewer than two rows would remain.
        """
        raise NotImplementedError(
            f"{type(self).__name__} cannot leave out rows: make affinities of those that are left, "
            "and a TSNEEmbedding of them with the places that they have"
        )


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
        matrix: sp.spmatrix = affinities if sp.issparse(affinities) else np.asarray(affinities)
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


def _refuse_others(affinities: Rows) -> None:
    """Raise TypeError for objects of other packages, and for labels in place of affinities."""
    kind = type(affinities)
    if hasattr(affinities, "to_new"):
        raise TypeError(
            "affinities must be of fasttsne.affinity, or a matrix; got an object of "
            f"{kind.__module__}.{kind.__qualname__}: import the class from fasttsne.affinity, or "
            "give the matrix, affinities.P"
        )
    if not sp.issparse(affinities) and np.asarray(affinities).ndim == 1:
        raise TypeError(
            "affinities must be a square matrix; got one value a row, as labels: fit takes none.  "
            "fasttsne.sklearn.TSNE has scikit-learn's fit(X, y)"
        )


def check_symmetrize(symmetrize: bool | str, default: str = "mean") -> str:
    """Return "mean", "max" or "none" for a value of ``symmetrize``; True is the default mode."""
    try:
        mode = SYMMETRIZE_MODES[symmetrize]
    except (KeyError, TypeError):
        raise ValueError(
            f"symmetrize must be True, False, 'mean', 'max' or 'none'; got {symmetrize!r}"
        ) from None
    return default if symmetrize is True else mode


def _checksum(P: sp.csr_matrix) -> int:
    """Return a number that is another one after a change in place of any array of a matrix."""
    checksum = 0
    for array in (P.data, P.indices, P.indptr):
        checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    return checksum
