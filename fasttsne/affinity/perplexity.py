"""Gaussian affinities of a given perplexity, as in the original t-SNE."""

from typing import Any, ClassVar

import numpy as np

from fasttsne.affinity.base import NewAffinities, check_symmetrize
from fasttsne.affinity.conditional import Dtype, from_perplexity
from fasttsne.affinity.neighbor_based import KNNAffinities, clip_perplexity, n_rows_or_none
from fasttsne.nearest_neighbors.graph import KNNGraph, SearchSpec, find_neighbors
from fasttsne.nearest_neighbors.index import Index, Neighbors
from fasttsne.nearest_neighbors.select import MAX_PERPLEXITY, n_neighbors_for, resolve_k_neighbors
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_number
from fasttsne.utils import Timer, warn_user

# A perplexity of more than this share of the neighbours leaves little difference among them.
NEARLY_UNIFORM = 0.9


def _check_perplexity(perplexity: Any) -> float:
    return check_number(perplexity, "perplexity", above=0, high=MAX_PERPLEXITY, finite=True)


class PerplexityBasedNN(KNNAffinities):
    """Affinities from a Gaussian around each row, whose width gives the row the perplexity.

    Parameters
    ----------
    data : (n, columns) array; not needed where the neighbours or an index are given.
    perplexity : the effective number of neighbours, exp of the entropy of a row.
    method : the neighbour search, a graph of neighbours, or an index, as ``neighbors``
        of :func:`fasttsne.nearest_neighbors.make_index`.
    metric, metric_params : distance between rows; see the search's class.  "precomputed":
        data is a square matrix of distances.
    symmetrize : for rows C of conditional affinities, True or "mean": (C + C^T) / 2n;
        "max": max(C, C^T) divided by its sum; False or "none": C / n.
    n_jobs : threads; -1 is all cores.
    random_state : seeds the neighbour search.
    verbose : print how long each step takes, to standard error.
    k_neighbors : "auto" is three times the perplexity, or all other rows if there are fewer.
    knn_kwargs : settings of the search.
    knn_index : an existing index, with ``build`` and ``query``, or a
        :class:`fasttsne.nearest_neighbors.KNNGraph`, instead of data.

    Attributes
    ----------
    perplexity : as it was asked for.
    effective_perplexity_ : as much of it as there are rows for: at most a third of the other rows.
        Where rows join or leave it follows (:meth:`fasttsne.TSNEEmbedding.update`).

    Source: van der Maaten & Hinton 2008; van der Maaten 2014 (three times the perplexity as number
    of neighbours).
    """

    PARAMETERS: ClassVar = {
        "perplexity": _check_perplexity,
        "effective_perplexity_": _check_perplexity,
    }

    def __init__(
        self,
        data: Rows | None = None,
        perplexity: float = 30,
        method: Neighbors = "auto",
        metric: Metric = "euclidean",
        metric_params: Settings = None,
        symmetrize: bool | str = True,
        n_jobs: int | None = -1,
        random_state: RandomState = None,
        verbose: bool = False,
        k_neighbors: int | str = "auto",
        knn_kwargs: Settings = None,
        knn_index: Index | KNNGraph | None = None,
    ):
        perplexity = _check_perplexity(perplexity)
        check_symmetrize(symmetrize)
        spec = SearchSpec(method, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs)
        k = resolve_k_neighbors(k_neighbors, perplexity, n_rows_or_none(data))
        super().__init__(find_neighbors(data, k, spec, knn_index), symmetrize, n_jobs, verbose)
        self._compute(perplexity)

    def set_perplexity(self, new_perplexity: float) -> None:
        """Compute P for another perplexity from the neighbours that were found.

        Warns where they are fewer than three times the perplexity, and there are more rows.

        Parameters
        ----------
        new_perplexity : the new one, above 0.

        Raises
        ------
        RuntimeError
            If the perplexity is larger than the number of neighbours that were found, and there
            are more rows: it needs a new search.
        """
        new_perplexity = _check_perplexity(new_perplexity)
        k = self._indices.shape[1]
        if new_perplexity > k and k < self.n_samples - 1:
            raise RuntimeError(
                f"perplexity {new_perplexity:g} is larger than the {k} neighbours that were "
                f"found; make a new {type(self).__name__} with it"
            )
        self._compute(new_perplexity)
        if k < min(n_neighbors_for(self.effective_perplexity_), self.n_samples - 1):
            warn_user(
                f"only {k} neighbours were found, fewer than three times the perplexity, "
                f"{new_perplexity:g}; a new {type(self).__name__} with it is more exact"
            )

    def _compute(self, perplexity: float) -> None:
        self._set_perplexity(perplexity)
        with Timer(
            f"computing affinities, perplexity {self.effective_perplexity_:g}", self.verbose
        ):
            self._set_joint(self._n_used)

    def _set_perplexity(self, perplexity: float) -> None:
        """Set the perplexity that was asked for, and as much of it as the neighbours allow."""
        k = self._indices.shape[1]
        effective = self._usable(perplexity, k, self.n_samples - 1)
        self.perplexity, self.effective_perplexity_ = perplexity, effective
        self._n_used = max(min(n_neighbors_for(effective), k), 1)

    def _usable(self, perplexity: float, k: int, n_others: int) -> float:
        """Return a perplexity for which k of so many other rows suffice.

        Fewer of them than three times the perplexity are taken where others are not known.
        """
        usable = self.check_perplexity(perplexity, n_others)
        if usable > k:
            return self.check_perplexity(usable, k)
        if usable > NEARLY_UNIFORM * k and k < n_others:
            warn_user(
                f"perplexity {usable:g} is nearly the number of neighbours that are known, {k}: "
                "the affinities of all of them are nearly equal"
            )
        return usable

    def _n_asked(self) -> int:
        return n_neighbors_for(self.perplexity)

    def _recompute(self) -> None:
        self._set_perplexity(self.perplexity)
        super()._recompute()

    def _weights(self, distances: np.ndarray, dtype: Dtype) -> np.ndarray:
        return from_perplexity(distances, self.effective_perplexity_, self._n_threads, dtype=dtype)

    def to_new(
        self,
        data: Rows,
        perplexity: float | None = None,
        return_distances: bool = False,
        k_neighbors: int | str = "auto",
    ) -> NewAffinities:
        """Return affinities of new rows to the rows of the data set.

        Parameters
        ----------
        data : new rows, as the index's ``query`` takes them.
        perplexity : None is that of the affinities.
        return_distances : also return the neighbours and their distances.
        k_neighbors : "auto" is three times the perplexity, or all other rows if there are fewer.

        Returns
        -------
        P : (m, n) csr_matrix, float64; each row sums to one and depends on no other.
        neighbors, distances : (m, k) arrays, if ``return_distances``.
        """
        if perplexity is None:
            perplexity = self.perplexity
        perplexity = _check_perplexity(perplexity)
        k = resolve_k_neighbors(k_neighbors, perplexity, self.n_samples + 1)
        perplexity = self._usable(perplexity, k, self.n_samples)
        return self._to_new(
            data,
            k,
            return_distances,
            lambda distances, scales: from_perplexity(distances, perplexity, self._n_threads),
        )

    @staticmethod
    def check_perplexity(perplexity: float, k_neighbors: int) -> float:
        """Return a perplexity for which k neighbours suffice; warn if it is a smaller one."""
        return clip_perplexity(_check_perplexity(perplexity), k_neighbors)
