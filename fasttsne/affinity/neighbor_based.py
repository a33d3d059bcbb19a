"""Affinities that come from nearest neighbours: finding them, for the data and for new rows."""

import warnings

import numpy as np

from fasttsne.affinity.base import Affinities, joint
from fasttsne.affinity.conditional import in_safe_unit, row_distributions
from fasttsne.nearest_neighbors import KNNIndex, PrecomputedNeighbors, make_index
from fasttsne.runtime.validation import check_number, resolve_n_jobs


def get_knn_index(
    data, method, k, metric, metric_params=None, n_jobs=1, random_state=None, verbose=False,
    knn_kwargs=None,
):  # fmt: skip
    """The index that finds the k nearest neighbours of the rows of data.

    Parameters
    ----------
    data : (n, columns) array; a matrix of distances where ``metric`` is "precomputed".
    method : as ``neighbors`` of :func:`fasttsne.nearest_neighbors.make_index`.
    k, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs : as for
        :class:`fasttsne.nearest_neighbors.KNNIndex`.
    """
    return make_index(
        method, data, k, metric=metric, metric_params=metric_params, n_jobs=n_jobs,
        random_state=random_state, verbose=verbose, knn_kwargs=knn_kwargs,
    )  # fmt: skip


class NeighborAffinities(Affinities):
    """Base of the families whose rows are weights of nearest neighbours."""

    _mode: str

    def __init__(self, n_jobs=1, verbose=False):
        super().__init__(verbose)
        self.n_jobs = n_jobs

    @property
    def n_samples(self) -> int:
        return len(self._indices)

    @property
    def _n_threads(self):
        return resolve_n_jobs(self.n_jobs)

    def _find(self, data, k, knn_index, method, **search):
        """Find the neighbours of all rows, with the given index or a new one for k neighbours."""
        if knn_index is None:
            if data is None and isinstance(method, str):
                raise ValueError("data is needed where no neighbours or knn_index are given")
            knn_index = get_knn_index(data, method, k, **search)
        elif data is not None:
            raise ValueError("data and knn_index were both given; the index has its own data")
        self.knn_index = knn_index
        indices, distances = knn_index.build()
        if not isinstance(knn_index, KNNIndex):
            # Kernels trust row numbers: those of somebody else's object are checked.
            indices, distances = PrecomputedNeighbors(indices, distances).build()
        self._indices = np.ascontiguousarray(indices, np.int32)
        self._distances, self._units = in_safe_unit(distances)

    def log_radii(self) -> np.ndarray:
        if self._mode == "none":
            raise ValueError("radii need symmetric affinities; symmetrize is 'none'")
        return self._log_radii

    def _join(self, indices, distances, conditional):
        """Set P from each row's conditional affinities, and how far they reach."""
        square = np.einsum("ij,ij,ij->i", conditional, distances, distances, dtype=np.float64)
        with np.errstate(divide="ignore"):
            self._log_radii = np.log(square) + 2 * np.log(self._units)
        self.P = joint(indices, conditional, self._mode, self._n_threads)

    def _nearest(self, k):
        """The first k neighbours that were found, and their distances."""
        return tuple(
            np.ascontiguousarray(found[:, :k]) for found in (self._indices, self._distances)
        )

    def _to_new(self, data, k, return_distances, conditional):
        """``to_new`` with weights ``conditional(distances, units)`` of k neighbours."""
        indices, distances = self.knn_index.query(data, k)
        rows = np.ascontiguousarray(indices, np.int32)
        if rows.size and not 0 <= rows.min() <= rows.max() < self.n_samples:
            raise ValueError(f"knn_index.query must name rows from 0 to {self.n_samples - 1}")
        P = row_distributions(rows, conditional(*in_safe_unit(distances)), self.n_samples)
        return (P, indices, distances) if return_distances else P


def rows_of(data):
    """How many rows; None where they are not known here."""
    if data is None:
        return None
    return data.shape[0] if hasattr(data, "shape") and len(data.shape) else len(data)


def count_of_neighbors(k, n_samples, name: str) -> int:
    """Check a number of neighbours that a user gives: others than the row itself."""
    k = check_number(k, name, low=1, integer=True)
    if n_samples is not None and k >= n_samples:
        raise ValueError(f"{name} must be less than the number of rows, {n_samples}; got {k}")
    return k


def reduced(perplexity: float, k_neighbors: int, stacklevel: int) -> float:
    """A perplexity that k neighbours can have, with a warning where it is not the given one."""
    if perplexity <= k_neighbors:
        return perplexity
    usable = max(k_neighbors / 3, 1.0)
    warnings.warn(
        f"perplexity {perplexity:g} is too large for {k_neighbors} neighbours; using {usable:g}",
        stacklevel=stacklevel + 1,
    )
    return usable
