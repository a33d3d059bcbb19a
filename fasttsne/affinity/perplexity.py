"""Gaussian affinities of a given perplexity: those of t-SNE as published."""

import warnings

import numpy as np

from fasttsne import _kernels
from fasttsne._validation import check_number, resolve_n_jobs
from fasttsne.affinity.base import Affinities, directed, symmetrized
from fasttsne.nearest_neighbors import KNNIndex, PrecomputedNeighbors, make_index
from fasttsne.utils import Timer


class PerplexityBasedNN(Affinities):
    """Affinities from a Gaussian around each row, as wide as makes ``perplexity`` neighbours.

    Parameters
    ----------
    data : (n, columns) array; not needed where the neighbours or an index are given.
    perplexity : the effective number of neighbours, exp of the entropy of a row.
    method : the neighbour search, a graph of neighbours, or an index, as ``neighbors``
        of :func:`fasttsne.nearest_neighbors.make_index`.
    metric, metric_params : distance between rows; see the search's class.  "precomputed":
        data is a square matrix of distances.
    symmetrize : (C + C^T) / 2n if true, else C / n.
    n_jobs : threads; -1 is all cores.
    random_state : seeds the neighbour search.
    k_neighbors : "auto" is three times the perplexity, as far as there are rows.
    knn_kwargs : settings of the search.
    knn_index : an index that is already made, with ``build`` and ``query``.

    Source: van der Maaten & Hinton 2008; van der Maaten 2014 for the 3 u neighbours.
    """

    def __init__(
        self, data=None, perplexity=30, method="auto", metric="euclidean", metric_params=None,
        symmetrize=True, n_jobs=1, random_state=None, verbose=False, k_neighbors="auto",
        knn_kwargs=None, knn_index=None,
    ):  # fmt: skip
        super().__init__(verbose)
        perplexity = check_number(perplexity, "perplexity", above=0)
        self.symmetrize = symmetrize
        self.n_jobs = n_jobs
        if knn_index is None:
            if data is None and isinstance(method, str):
                raise ValueError("data is needed where no neighbours or knn_index are given")
            k = _neighbors_for(perplexity, _rows_of(data), k_neighbors)
            knn_index = make_index(
                method, data, k, metric=metric, metric_params=metric_params, n_jobs=n_jobs,
                random_state=random_state, verbose=verbose, knn_kwargs=knn_kwargs,
            )  # fmt: skip
        self.knn_index = knn_index
        indices, distances = knn_index.build()
        if not isinstance(knn_index, KNNIndex):
            # Kernels trust row numbers: those of somebody else's object are checked.
            indices, distances = PrecomputedNeighbors(indices, distances).build()
        self._indices = np.ascontiguousarray(indices, np.int32)
        self._distances = _in_safe_unit(distances)
        self.set_perplexity(perplexity)

    def set_perplexity(self, new_perplexity: float) -> None:
        """Compute P for another perplexity from the neighbours that were found.

        Where the perplexity is larger than the number of neighbours, it is
        reduced to a third of that number, with a warning.
        """
        k = self._indices.shape[1]
        new_perplexity = check_number(new_perplexity, "perplexity", above=0)
        self.perplexity = new_perplexity
        self.effective_perplexity_ = self.check_perplexity(new_perplexity, k)
        used = min(k, max(int(3 * self.effective_perplexity_), 1))
        n_threads = resolve_n_jobs(self.n_jobs)
        with Timer(
            f"computing affinities, perplexity {self.effective_perplexity_:g}", self.verbose
        ):
            indices = np.ascontiguousarray(self._indices[:, :used])
            conditional = np.empty(indices.shape, np.float32)
            _kernels.perplexity.conditional_affinities(
                np.ascontiguousarray(self._distances[:, :used]), conditional,
                self.effective_perplexity_, n_threads,
            )  # fmt: skip
            if self.symmetrize:
                self.P = symmetrized(indices, conditional, n_threads)
            else:
                self.P = directed(indices, conditional)

    @staticmethod
    def check_perplexity(perplexity: float, k_neighbors: int) -> float:
        """Return a perplexity that k neighbours can have; warn where it is not the given one."""
        perplexity = check_number(perplexity, "perplexity", above=0)
        if perplexity <= k_neighbors:
            return perplexity
        reduced = max(k_neighbors / 3, 1.0)
        warnings.warn(
            f"perplexity {perplexity:g} is too large for {k_neighbors} neighbours; "
            f"using {reduced:g}",
            stacklevel=4,
        )
        return reduced


def _rows_of(data):
    """How many rows; None where they are not known here."""
    if data is None:
        return None
    return data.shape[0] if hasattr(data, "shape") and len(data.shape) else len(data)


def _neighbors_for(perplexity, n_samples, k_neighbors):
    """How many neighbours to ask for, within what there is."""
    if isinstance(k_neighbors, str):
        if k_neighbors != "auto":
            raise ValueError(f"k_neighbors must be 'auto' or an integer; got {k_neighbors!r}")
        wanted = int(3 * perplexity)
    else:
        wanted = check_number(k_neighbors, "k_neighbors", low=1, integer=True)
    return max(wanted if n_samples is None else min(wanted, n_samples - 1), 1)


def _in_safe_unit(distances):
    """Distances as float32; affinities do not depend on the unit, so one that fits is chosen."""
    distances = np.asarray(distances)
    if distances.dtype != np.float32:
        largest = distances.max()
        if largest > 0:
            distances = distances / largest
    return np.ascontiguousarray(distances, np.float32)
