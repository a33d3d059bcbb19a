"""Gaussian affinities of several perplexities at once: near and far structure in one map."""

import numbers
import warnings

from fasttsne.affinity.base import check_symmetrize
from fasttsne.affinity.conditional import of_average, of_mixture
from fasttsne.affinity.neighbor_based import NeighborAffinities, rows_of
from fasttsne.runtime.validation import check_number
from fasttsne.utils import Timer


class MultiscaleMixture(NeighborAffinities):
    """Affinities from a mixture of Gaussians around each row, one for each perplexity.

    p_j ~ sum_h sqrt(beta_h) exp(-beta_h d_j^2), where beta_h gives the perplexity h.

    Parameters
    ----------
    data : (n, columns) array; not needed where the neighbours or an index are given.
    perplexities : a list, or one; it must be given.
    method, metric, metric_params, symmetrize, n_jobs, random_state, knn_kwargs, knn_index :
        as for :class:`PerplexityBasedNN`.

    Attributes
    ----------
    effective_perplexities_ : the perplexities in ascending order, reduced where there
        are too few neighbours for them.

    Source: Kobak & Berens 2019.
    """

    _conditional = staticmethod(of_mixture)

    def __init__(
        self, data=None, perplexities=None, method="auto", metric="euclidean",
        metric_params=None, symmetrize=True, n_jobs=1, random_state=None, verbose=False,
        knn_kwargs=None, knn_index=None,
    ):  # fmt: skip
        super().__init__(n_jobs, verbose)
        wanted = _as_list(perplexities)
        self._mode = check_symmetrize(symmetrize)
        self.symmetrize = symmetrize
        n_samples = rows_of(data)
        k = None if n_samples is None else _neighbors_for(_usable(wanted, n_samples), n_samples)
        self._find(
            data, k or int(3 * max(wanted)), knn_index, method, metric=metric,
            metric_params=metric_params, n_jobs=n_jobs, random_state=random_state,
            verbose=verbose, knn_kwargs=knn_kwargs,
        )  # fmt: skip
        effective = self.check_perplexities(wanted, self.n_samples)
        if max(effective) > self._indices.shape[1]:
            effective = self.check_perplexities(effective, self._indices.shape[1] + 1)
        self._compute(perplexities, effective)

    def set_perplexities(self, new_perplexities) -> None:
        """Compute P for other perplexities from the neighbours that were found.

        Raises
        ------
        RuntimeError
            Where three times the largest is more than the neighbours: it takes a new search.
        """
        effective = self.check_perplexities(new_perplexities, self.n_samples)
        k = self._indices.shape[1]
        if _neighbors_for(effective, self.n_samples) > k:
            raise RuntimeError(
                f"perplexity {max(effective):g} needs {_neighbors_for(effective, self.n_samples)} "
                f"neighbours, but {k} were found; make a new {type(self).__name__} with it"
            )
        self._compute(new_perplexities, effective)

    def _compute(self, perplexities, effective):
        self.perplexities = perplexities
        self.effective_perplexities_ = effective
        shown = ", ".join(f"{perplexity:g}" for perplexity in effective)
        with Timer(f"computing affinities, perplexities {shown}", self.verbose):
            indices, distances = self._nearest(_neighbors_for(effective, self.n_samples))
            conditional = self._conditional(distances, effective, self._n_threads)
            self._join(indices, distances, conditional)

    def to_new(self, data, perplexities=None, return_distances=False):
        """Affinities of new rows to the rows of the data set.

        Parameters
        ----------
        data : new rows, as the index's ``query`` takes them.
        perplexities : a list, or one; None is those of the affinities.
        return_distances : return the neighbours and their distances, too.

        Returns
        -------
        P : (m, n) csr_matrix, float64; each row sums to one and depends on no other.
        neighbors, distances : (m, k) arrays, if ``return_distances``.
        """
        if perplexities is None:
            perplexities = self.effective_perplexities_
        effective = self.check_perplexities(perplexities, self.n_samples)
        return self._to_new(
            data, _neighbors_for(effective, self.n_samples), return_distances,
            lambda distances, units: self._conditional(distances, effective, self._n_threads),
        )  # fmt: skip

    def check_perplexities(self, perplexities, n_samples: int) -> list[float]:
        """Perplexities that so many rows allow, in ascending order.

        At most (n_samples - 1) / 3: those that are larger are replaced by that
        value, once, with a warning.
        """
        wanted = _as_list(perplexities)
        usable = _usable(wanted, n_samples)
        if usable != wanted:
            largest = _largest(n_samples)
            too_large = ", ".join(f"{p:g}" for p in wanted if p > largest)
            if too_large:
                warnings.warn(
                    f"perplexities {too_large} are too large for {n_samples} rows; "
                    f"using {largest:g}",
                    stacklevel=2,
                )
        return usable


class Multiscale(MultiscaleMixture):
    """Affinities of several perplexities, each computed by itself, and averaged.

    Parameters and attributes are those of :class:`MultiscaleMixture`.
    """

    _conditional = staticmethod(of_average)


def _as_list(perplexities) -> list[float]:
    """Checked, in ascending order."""
    if perplexities is None:
        raise ValueError("perplexities must be given: a list of numbers, or one")
    if isinstance(perplexities, numbers.Number):
        perplexities = [perplexities]
    perplexities = [check_number(p, "perplexities", above=0, finite=True) for p in perplexities]
    if not perplexities:
        raise ValueError("perplexities must not be empty")
    return sorted(perplexities)


def _largest(n_samples):
    return max((n_samples - 1) / 3, 1.0)


def _usable(perplexities, n_samples):
    """Those within what n rows allow, and that limit in place of those above."""
    largest = _largest(n_samples)
    usable = [p for p in perplexities if p <= largest]
    if len(usable) < len(perplexities) and largest not in usable:
        usable.append(largest)
    return usable


def _neighbors_for(perplexities, n_samples):
    """How many neighbours the largest perplexity takes."""
    # A third of a whole number, times three, may fall short of it.
    return max(min(n_samples - 1, int(3 * max(perplexities) * (1 + 1e-12))), 1)
