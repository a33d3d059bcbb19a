"""Gaussian affinities of a given perplexity: those of t-SNE as published."""

from fasttsne.affinity.base import check_symmetrize
from fasttsne.affinity.conditional import of_perplexity
from fasttsne.affinity.neighbor_based import NeighborAffinities, reduced, rows_of
from fasttsne.runtime.validation import check_number
from fasttsne.utils import Timer


class PerplexityBasedNN(NeighborAffinities):
    """Affinities from a Gaussian around each row, as wide as makes ``perplexity`` neighbours.

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
    k_neighbors : "auto" is three times the perplexity, as far as there are rows.
    knn_kwargs : settings of the search.
    knn_index : an index that is already made, with ``build`` and ``query``, in place of data.

    Attributes
    ----------
    effective_perplexity_ : the perplexity, reduced where there are too few neighbours for it.

    Source: van der Maaten & Hinton 2008; van der Maaten 2014 for the 3 u neighbours.
    """

    def __init__(
        self, data=None, perplexity=30, method="auto", metric="euclidean", metric_params=None,
        symmetrize=True, n_jobs=1, random_state=None, verbose=False, k_neighbors="auto",
        knn_kwargs=None, knn_index=None,
    ):  # fmt: skip
        super().__init__(n_jobs, verbose)
        perplexity = check_number(perplexity, "perplexity", above=0, finite=True)
        self._mode = check_symmetrize(symmetrize)
        self.symmetrize = symmetrize
        self._find(
            data, _neighbors_for(perplexity, rows_of(data), k_neighbors), knn_index, method,
            metric=metric, metric_params=metric_params, n_jobs=n_jobs,
            random_state=random_state, verbose=verbose, knn_kwargs=knn_kwargs,
        )  # fmt: skip
        self._compute(perplexity)

    def set_perplexity(self, new_perplexity: float) -> None:
        """Compute P for another perplexity from the neighbours that were found.

        Raises
        ------
        RuntimeError
            Where the perplexity is larger than the number of neighbours: it takes a new search.
        """
        new_perplexity = check_number(new_perplexity, "perplexity", above=0, finite=True)
        k = self._indices.shape[1]
        if new_perplexity > k:
            raise RuntimeError(
                f"perplexity {new_perplexity:g} is larger than the {k} neighbours that were "
                f"found; make a new {type(self).__name__} with it"
            )
        self._compute(new_perplexity)

    def _compute(self, perplexity):
        self.perplexity = perplexity
        self.effective_perplexity_ = reduced(perplexity, self._indices.shape[1], stacklevel=3)
        with Timer(
            f"computing affinities, perplexity {self.effective_perplexity_:g}", self.verbose
        ):
            indices, distances = self._nearest(max(int(3 * self.effective_perplexity_), 1))
            conditional = of_perplexity(distances, self.effective_perplexity_, self._n_threads)
            self._join(indices, distances, conditional)

    def to_new(self, data, perplexity=None, return_distances=False, k_neighbors="auto"):
        """Affinities of new rows to the rows of the data set.

        Parameters
        ----------
        data : new rows, as the index's ``query`` takes them.
        perplexity : None is that of the affinities.
        return_distances : return the neighbours and their distances, too.
        k_neighbors : "auto" is three times the perplexity, as far as there are rows.

        Returns
        -------
        P : (m, n) csr_matrix, float64; each row sums to one and depends on no other.
        neighbors, distances : (m, k) arrays, if ``return_distances``.
        """
        if perplexity is None:
            perplexity = self.perplexity
        perplexity = check_number(perplexity, "perplexity", above=0, finite=True)
        k = _neighbors_for(perplexity, self.n_samples + 1, k_neighbors)
        perplexity = reduced(perplexity, k, stacklevel=2)
        return self._to_new(
            data, k, return_distances,
            lambda distances, units: of_perplexity(distances, perplexity, self._n_threads),
        )  # fmt: skip

    @staticmethod
    def check_perplexity(perplexity: float, k_neighbors: int) -> float:
        """Return a perplexity that k neighbours can have; warn where it is not the given one."""
        perplexity = check_number(perplexity, "perplexity", above=0, finite=True)
        return reduced(perplexity, k_neighbors, stacklevel=2)


def _neighbors_for(perplexity, n_samples, k_neighbors):
    """How many neighbours to ask for, within what there is."""
    if isinstance(k_neighbors, str):
        if k_neighbors != "auto":
            raise ValueError(f"k_neighbors must be 'auto' or an integer; got {k_neighbors!r}")
        wanted = int(3 * perplexity)
    else:
        wanted = check_number(k_neighbors, "k_neighbors", low=1, integer=True)
    return max(wanted if n_samples is None else min(wanted, n_samples - 1), 1)
