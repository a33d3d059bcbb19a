"""Affinities, the base class of all families."""

import logging
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from fasttsne.runtime.typing import Rows

log = logging.getLogger("fasttsne.affinity")

# Of new rows: P, or with ``return_distances`` the tuple of P, the neighbours and the distances.
NewAffinities: TypeAlias = Any

# Accepted values of `symmetrize`, and their mode.
SYMMETRIZE_MODES = {True: "mean", "mean": "mean", "max": "max", False: "none", "none": "none"}


class Affinities:
    """Affinities between the rows of a data set.

    Attributes
    ----------
    P : (n, n) scipy.sparse.csr_matrix, float32, sums to one.
    knn_index : the index that found the neighbours and finds those of new rows, or None.
    """

    def __init__(self, verbose: bool = False):
        self.P: sp.csr_matrix = None
        self.knn_index: Any = None  # with the methods of a KNNIndex
        self.verbose = verbose

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return int(self.P.shape[0])

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
        raise NotImplementedError(f"{type(self).__name__} has no affinities of new rows")


def check_symmetrize(symmetrize: bool | str, default: str = "mean") -> str:
    """Return "mean", "max" or "none" for a value of ``symmetrize``; True is the default mode."""
    try:
        mode = SYMMETRIZE_MODES[symmetrize]
    except (KeyError, TypeError):
        raise ValueError(
            f"symmetrize must be True, False, 'mean', 'max' or 'none'; got {symmetrize!r}"
        ) from None
    return default if symmetrize is True else mode
