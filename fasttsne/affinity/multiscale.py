"""Gaussian affinities of several perplexities: local and global structure in one embedding."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from fasttsne.affinity.base import NewAffinities, check_symmetrize
from fasttsne.affinity.conditional import Dtype, from_average, from_mixture
from fasttsne.affinity.neighbor_based import KNNAffinities, n_rows_or_none
from fasttsne.nearest_neighbors.graph import KNNGraph, SearchSpec, find_neighbors
from fasttsne.nearest_neighbors.index import Index, Neighbors
from fasttsne.nearest_neighbors.select import MAX_PERPLEXITY, n_neighbors_for, perplexity_for
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_number
from fasttsne.utils import Timer, warn_user


def _as_list(perplexities: float | Iterable[float] | None) -> list[float]:
    """Return the perplexities, checked, in ascending order."""
    if perplexities is None:
        raise ValueError("perplexities must be given: a list of numbers, or one")
    several = perplexities if isinstance(perplexities, Iterable) else [perplexities]
    checked = [
        check_number(p, "perplexities", above=0, high=MAX_PERPLEXITY, finite=True) for p in several
    ]
    if not checked:
        raise ValueError("perplexities must not be empty")
    return sorted(checked)


def _check_given(perplexities: Any) -> Any:
    """Return perplexities as they were given, one or several."""
    _as_list(perplexities)
    return perplexities


class MultiscaleMixture(KNNAffinities):
    """Affinities from a mixture of Gaussians around each row, one for each perplexity.

    p_j ~ sum_h sqrt(beta_h) exp(-beta_h d_j^2), where beta_h gives the perplexity h.

    Parameters
    ----------
    data : (n, columns) array; not needed where the neighbours or an index are given.
    perplexities : a list, or one; it must be given.
    method, metric, metric_params, symmetrize, n_jobs, random_state, verbose : as for
        :class:`PerplexityBasedNN`.
    knn_kwargs, knn_index : the same.

    Attributes
    ----------
    effective_perplexities_ : the perplexities in ascending order, reduced if there are
        too few neighbours for them.

    Source: Kobak & Berens 2019.
    """

    PARAMETERS: ClassVar = {"perplexities": _check_given, "effective_perplexities_": _as_list}
    _conditional = staticmethod(from_mixture)

    def __init__(
        self,
        data: Rows | None = None,
        perplexities: float | Iterable[float] | None = None,
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
        perplexities = _readable_twice(perplexities)
        check_symmetrize(symmetrize)
        k = self.n_neighbors(perplexities, n_rows_or_none(data))
        spec = SearchSpec(method, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs)
        super().__init__(find_neighbors(data, k, spec, knn_index), symmetrize, n_jobs, verbose)
        self._compute(perplexities, self._usable(perplexities))

    @staticmethod
    def n_neighbors(perplexities: float | Iterable[float] | None, n_samples: int | None) -> int:
        """Return how many neighbours of each of n rows to search for."""
        wanted = _as_list(perplexities)
        if n_samples is None:
            return n_neighbors_for(max(wanted))
        return _n_neighbors_for(_clip_perplexities(wanted, n_samples), n_samples)

    def set_perplexities(self, new_perplexities: float | Iterable[float]) -> None:
        """Compute P for other perplexities from the neighbours that were found.

        Parameters
        ----------
        new_perplexities : one number above 0, or several.

        Raises
        ------
        RuntimeError
            If there are fewer neighbours than three times the largest: it needs a new search.
        """
        new_perplexities = _readable_twice(new_perplexities)
        effective = self.check_perplexities(new_perplexities, self.n_samples)
        k, needed = self._indices.shape[1], _n_neighbors_for(effective, self.n_samples)
        if needed > k:
            raise RuntimeError(
                f"perplexity {max(effective):g} needs {needed} neighbours, but {k} were found; "
                f"make a new {type(self).__name__} with it"
            )
        self._compute(new_perplexities, effective)

    def _compute(
        self, perplexities: float | Iterable[float] | None, effective: list[float]
    ) -> None:
        self._set_perplexities(perplexities, effective)
        shown = ", ".join(f"{perplexity:g}" for perplexity in effective)
        with Timer(f"computing affinities, perplexities {shown}", self.verbose):
            self._set_joint(self._n_used)

    def _set_perplexities(
        self, perplexities: float | Iterable[float] | None, effective: list[float]
    ) -> None:
        self.perplexities = perplexities
        self.effective_perplexities_ = effective
        self._n_used = _n_neighbors_for(effective, self.n_samples)

    def _usable(self, perplexities: float | Iterable[float] | None) -> list[float]:
        """Return the perplexities that the rows, and the neighbours that are known, allow."""
        usable = self.check_perplexities(perplexities, self.n_samples)
        k = self._indices.shape[1]
        return usable if max(usable) <= k else self.check_perplexities(usable, k + 1)

    def _n_asked(self) -> int:
        return n_neighbors_for(max(_as_list(self.perplexities)))

    def _recompute(self) -> None:
        self._set_perplexities(self.perplexities, self._usable(self.perplexities))
        super()._recompute()

    def _weights(self, distances: np.ndarray, dtype: Dtype) -> np.ndarray:
        return self._conditional(distances, self.effective_perplexities_, self._n_threads, dtype)

    def to_new(
        self,
        data: Rows,
        perplexities: float | Iterable[float] | None = None,
        return_distances: bool = False,
    ) -> NewAffinities:
        """Return affinities of new rows to the rows of the data set.

        Parameters
        ----------
        data : new rows, as the index's ``query`` takes them.
        perplexities : a list, or one; None is those of the affinities.
        return_distances : also return the neighbours and their distances.

        Returns
        -------
        P : (m, n) csr_matrix, float64; each row sums to one and depends on no other.
        neighbors, distances : (m, k) arrays, if ``return_distances``.
        """
        if perplexities is None:
            perplexities = self.effective_perplexities_
        effective = self.check_perplexities(perplexities, self.n_samples)
        return self._to_new(
            data,
            _n_neighbors_for(effective, self.n_samples),
            return_distances,
            lambda distances, scales: self._conditional(distances, effective, self._n_threads),
        )

    def check_perplexities(
        self, perplexities: float | Iterable[float] | None, n_samples: int
    ) -> list[float]:
        """Return the perplexities that so many rows allow, in ascending order.

        Those larger than (n_samples - 1) / 3 are replaced by that value, once, with a
        warning.
        """
        return usable_perplexities(perplexities, n_samples)


class Multiscale(MultiscaleMixture):
    """The average of the affinities of several perplexities.

    p_j = mean_h p_j(h), where p_j(h) are the affinities of the perplexity h alone.  Parameters and
    attributes are those of :class:`MultiscaleMixture`.

    Source: Lee, Peluffo-Ordonez & Verleysen 2015.
    """

    _conditional = staticmethod(from_average)


def usable_perplexities(
    perplexities: float | Iterable[float] | None, n_samples: int
) -> list[float]:
    """See :meth:`MultiscaleMixture.check_perplexities`."""
    wanted = _as_list(perplexities)
    usable = _clip_perplexities(wanted, n_samples)
    if usable != wanted:
        largest = perplexity_for(n_samples - 1)
        too_large = ", ".join(f"{p:g}" for p in wanted if p > largest)
        if too_large:
            warn_user(
                f"perplexities {too_large} are too large for {n_samples} rows; using {largest:g}"
            )
    return usable


def _readable_twice(perplexities: Any) -> Any:
    """Return the perplexities, to be read again when the number of rows changes."""
    return list(perplexities) if isinstance(perplexities, Iterator) else perplexities


def _clip_perplexities(perplexities: list[float], n_samples: int) -> list[float]:
    """Return those that n rows allow, and the limit once in place of those above."""
    largest = perplexity_for(n_samples - 1)
    usable = [p for p in perplexities if p <= largest]
    if len(usable) < len(perplexities) and largest not in usable:
        usable.append(largest)
    return usable


def _n_neighbors_for(perplexities: list[float], n_samples: int) -> int:
    """Return how many neighbours the largest perplexity takes."""
    # 3.3333333333333, as users write a third of ten, takes ten.
    return max(min(n_samples - 1, n_neighbors_for(max(perplexities) * (1 + 1e-12))), 1)
