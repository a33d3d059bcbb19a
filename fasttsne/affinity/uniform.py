"""Affinities that are equal for all neighbours."""

import numpy as np

from fasttsne.affinity.base import NewAffinities, check_symmetrize
from fasttsne.affinity.conditional import Dtype
from fasttsne.affinity.neighbor_based import KNNAffinities, check_n_neighbors, n_rows_or_none
from fasttsne.nearest_neighbors.graph import KNNGraph, SearchSpec, find_neighbors
from fasttsne.nearest_neighbors.index import Index, Neighbors
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.utils import Timer


class Uniform(KNNAffinities):
    """Affinities that are equal for all nearest neighbours: the graph of neighbours itself.

    Parameters
    ----------
    data : (n, columns) array; not needed where the neighbours or an index are given.
    k_neighbors : neighbours of each row, less than n.
    symmetrize : True or "max": all edges of the graph, in either direction, are equal;
        "mean": edges in both directions are twice as strong; False or "none": the
        directed graph.
    method, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs, knn_index : as for
        :class:`PerplexityBasedNN`.

    Source: Böhm et al. 2022, who find little difference to Gaussian affinities.
    """

    _DEFAULT_MODE = "max"

    def __init__(
        self,
        data: Rows | None = None,
        k_neighbors: int = 30,
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
        check_symmetrize(symmetrize)
        spec = SearchSpec(method, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs)
        k = check_n_neighbors(k_neighbors, n_rows_or_none(data), "k_neighbors")
        super().__init__(find_neighbors(data, k, spec, knn_index), symmetrize, n_jobs, verbose)
        with Timer("computing affinities, uniform", verbose):
            self._set_joint()

    def _weights(self, distances: np.ndarray, dtype: Dtype) -> np.ndarray:
        return _uniform_weights(distances, dtype)

    def to_new(
        self, data: Rows, k_neighbors: int | None = None, return_distances: bool = False
    ) -> NewAffinities:
        """Return affinities of new rows to the rows of the data set.

        Parameters
        ----------
        data : new rows, as the index's ``query`` takes them.
        k_neighbors : of each row; None is as many as were found for the data.
        return_distances : also return the neighbours and their distances.

        Returns
        -------
        P : (m, n) csr_matrix, float64; each row sums to one and depends on no other.
        neighbors, distances : (m, k) arrays, if ``return_distances``.
        """
        k = self._indices.shape[1] if k_neighbors is None else k_neighbors
        k = check_n_neighbors(k, self.n_samples, "k_neighbors")
        return self._to_new(
            data, k, return_distances, lambda distances, scales: _uniform_weights(distances)
        )


def _uniform_weights(distances: np.ndarray, dtype: Dtype = np.float32) -> np.ndarray:
    return np.full(distances.shape, 1 / distances.shape[1], dtype)
