"""Gaussian affinities with one standard deviation for all rows."""

from typing import ClassVar

import numpy as np

from fasttsne.affinity.base import NewAffinities, check_symmetrize
from fasttsne.affinity.conditional import Dtype, from_sigma
from fasttsne.affinity.neighbor_based import KNNAffinities, check_n_neighbors, n_rows_or_none
from fasttsne.nearest_neighbors.graph import KNNGraph, SearchSpec, find_neighbors
from fasttsne.nearest_neighbors.index import Index, Neighbors
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_number
from fasttsne.utils import Timer


def _check_sigma(sigma: float | None) -> float:
    if sigma is None:
        raise ValueError("sigma must be given: the standard deviation of the Gaussians")
    return check_number(sigma, "sigma", above=0, finite=True)


class FixedSigmaNN(KNNAffinities):
    """Affinities from a Gaussian of the same standard deviation around each row.

    It can show smaller clusters than a perplexity can, for a sigma that suits the data.

    Parameters
    ----------
    data : (n, columns) array; not needed where the neighbours or an index are given.
    sigma : the standard deviation, in the unit of the distances; it must be given.
    k : neighbours of each row, less than n.
    method, metric, metric_params, symmetrize, n_jobs, random_state, verbose : as for
        :class:`PerplexityBasedNN`.
    knn_kwargs, knn_index : the same.
    """

    PARAMETERS: ClassVar = {"sigma": _check_sigma}

    def __init__(
        self,
        data: Rows | None = None,
        sigma: float | None = None,
        k: int = 30,
        method: Neighbors = "auto",
        metric: Metric = "euclidean",
        metric_params: Settings = None,
        symmetrize: bool | str = True,
        n_jobs: int | None = -1,
        random_state: RandomState = None,
        verbose: bool = False,
        knn_kwargs: Settings = None,
        knn_index: Index | KNNGraph | None = None,
    ):
        self.sigma = _check_sigma(sigma)
        check_symmetrize(symmetrize)
        spec = SearchSpec(method, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs)
        k = check_n_neighbors(k, n_rows_or_none(data), "k")
        super().__init__(find_neighbors(data, k, spec, knn_index), symmetrize, n_jobs, verbose)
        with Timer(f"computing affinities, sigma {self.sigma:g}", verbose):
            self._set_joint()

    def _weights(self, distances: np.ndarray, dtype: Dtype) -> np.ndarray:
        return from_sigma(distances, self._units, self.sigma, self._n_threads, dtype)

    def _some_weights(self, rows: np.ndarray, distances: np.ndarray) -> np.ndarray:
        return from_sigma(distances, self._units[rows], self.sigma, self._n_threads)

    def to_new(
        self,
        data: Rows,
        k: int | None = None,
        sigma: float | None = None,
        return_distances: bool = False,
    ) -> NewAffinities:
        """Return affinities of new rows to the rows of the data set.

        Parameters
        ----------
        data : new rows, as the index's ``query`` takes them.
        k : neighbours of each row; None is as many as were found for the data.
        sigma : None is that of the affinities.
        return_distances : also return the neighbours and their distances.

        Returns
        -------
        P : (m, n) csr_matrix, float64; each row sums to one and depends on no other.
        neighbors, distances : (m, k) arrays, if ``return_distances``.
        """
        sigma = self.sigma if sigma is None else _check_sigma(sigma)
        k = check_n_neighbors(self._indices.shape[1] if k is None else k, self.n_samples, "k")
        return self._to_new(
            data,
            k,
            return_distances,
            lambda distances, scales: from_sigma(distances, scales, sigma, self._n_threads),
        )
