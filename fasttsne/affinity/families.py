"""The families of affinities between neighbours, and the choice of one for a fit."""

from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.affinity.base import Affinities, NewAffinities, PrecomputedAffinities
from fasttsne.affinity.conditional import (
    Dtype,
    from_average,
    from_mixture,
    from_perplexity,
    from_sigma,
    from_uniform,
)
from fasttsne.affinity.neighbor_based import KNNAffinities, check_n_neighbors
from fasttsne.nearest_neighbors.graph import KNNGraph, SearchSpec
from fasttsne.nearest_neighbors.index import Index, Neighbors
from fasttsne.nearest_neighbors.select import (
    MAX_PERPLEXITY,
    n_neighbors_for,
    perplexity_for,
    resolve_k_neighbors,
)
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_number, n_rows_or_none
from fasttsne.utils import warn_user

# A perplexity of more than this share of the neighbours leaves little difference among them.
NEARLY_UNIFORM = 0.9
# A perplexity may be larger than a third of the neighbours by this: 3.3333333333333 is ten thirds.
ROUNDED_THIRD = 1 + 1e-12

Perplexities: TypeAlias = float | Iterable[float] | None


def _check_perplexity(perplexity: object) -> float:
    return check_number(perplexity, "perplexity", above=0, high=MAX_PERPLEXITY, finite=True)


def _check_sigma(sigma: object) -> float:
    if sigma is None:
        raise ValueError("sigma must be given: the standard deviation of the Gaussians")
    return check_number(sigma, "sigma", above=0, finite=True)


def _as_list(perplexities: Perplexities) -> list[float]:
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


def _check_given(perplexities: Perplexities) -> Perplexities:
    """Return perplexities as they were given, one or several, if they can be read again."""
    if isinstance(perplexities, Iterator):
        perplexities = list(perplexities)
    _as_list(perplexities)
    return perplexities


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
        self.perplexity = _check_perplexity(perplexity)
        spec = SearchSpec(method, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs)
        k = resolve_k_neighbors(k_neighbors, self.perplexity, n_rows_or_none(data))
        self._find(data, k, spec, knn_index, symmetrize)
        self._compute()

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
        self.perplexity = new_perplexity
        self._compute()
        if k < min(n_neighbors_for(self.effective_perplexity_), self.n_samples - 1):
            warn_user(
                f"only {k} neighbours were found, fewer than three times the perplexity, "
                f"{new_perplexity:g}; a new {type(self).__name__} with it is more exact"
            )

    def _settle(self) -> None:
        k = self._indices.shape[1]
        self.effective_perplexity_ = self._usable(self.perplexity, k, self.n_samples - 1)
        self._n_used = max(min(n_neighbors_for(self.effective_perplexity_), k), 1)

    def _setting(self) -> str:
        return f"perplexity {self.effective_perplexity_:g}"

    def _usable(self, perplexity: float, k: int, n_others: int) -> float:
        """Return a perplexity for which k of so many other rows suffice."""
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

    def _weights(self, distances: np.ndarray, units: np.ndarray, dtype: Dtype) -> np.ndarray:
        return from_perplexity(distances, self.effective_perplexity_, self._n_threads, dtype=dtype)

    def to_new(
        self,
        data: Rows,
        perplexity: float | None = None,
        return_distances: bool = False,
        k_neighbors: int | str = "auto",
    ) -> NewAffinities:
        """Return affinities of new rows to the rows of the data set: see :meth:`Affinities.to_new`.

        Parameters
        ----------
        data, return_distances : as there.
        perplexity : None takes the perplexity of the affinities.
        k_neighbors : "auto" is three times the perplexity, or all other rows if there are fewer.
        """
        perplexity = _check_perplexity(self.perplexity if perplexity is None else perplexity)
        k = resolve_k_neighbors(k_neighbors, perplexity, self.n_samples + 1)
        usable = self._usable(perplexity, k, self.n_samples)
        return self._to_new(
            data, k, return_distances, lambda d, _: from_perplexity(d, usable, self._n_threads)
        )

    @staticmethod
    def check_perplexity(perplexity: float, k_neighbors: int) -> float:
        """Return a perplexity for which k neighbours suffice; warn if it is a smaller one.

        It takes three times as many.  With fewer, the farthest weigh nearly as much as the nearest,
        and a map in which they are all the others has little to show, or collapses.
        """
        perplexity, usable = _check_perplexity(perplexity), perplexity_for(k_neighbors)
        if perplexity <= usable * ROUNDED_THIRD:
            return perplexity
        warn_user(
            f"perplexity {perplexity:g} is too large for {k_neighbors} neighbours; using {usable:g}"
        )
        return usable


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
        perplexities: Perplexities = None,
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
        self.perplexities = _check_given(perplexities)
        spec = SearchSpec(method, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs)
        k = self.n_neighbors(self.perplexities, n_rows_or_none(data))
        self._find(data, k, spec, knn_index, symmetrize)
        self._compute()

    @staticmethod
    def n_neighbors(perplexities: Perplexities, n_samples: int | None) -> int:
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
        given = _check_given(new_perplexities)
        usable = _clip_perplexities(_as_list(given), self.n_samples)
        k, needed = self._indices.shape[1], _n_neighbors_for(usable, self.n_samples)
        if needed > k:
            raise RuntimeError(
                f"perplexity {max(usable):g} needs {needed} neighbours, but {k} were found; "
                f"make a new {type(self).__name__} with it"
            )
        self.perplexities = given
        self._compute()

    def _settle(self) -> None:
        k, usable = (
            self._indices.shape[1],
            self.check_perplexities(self.perplexities, self.n_samples),
        )
        if max(usable) > k:
            usable = self.check_perplexities(usable, k + 1)
        self.effective_perplexities_ = usable
        self._n_used = min(_n_neighbors_for(usable, self.n_samples), k)

    def _setting(self) -> str:
        return "perplexities " + ", ".join(f"{p:g}" for p in self.effective_perplexities_)

    def _n_asked(self) -> int:
        return n_neighbors_for(max(_as_list(self.perplexities)))

    def _weights(self, distances: np.ndarray, units: np.ndarray, dtype: Dtype) -> np.ndarray:
        return self._conditional(distances, self.effective_perplexities_, self._n_threads, dtype)

    def to_new(
        self, data: Rows, perplexities: Perplexities = None, return_distances: bool = False
    ) -> NewAffinities:
        """Return affinities of new rows to the rows of the data set: see :meth:`Affinities.to_new`.

        Parameters
        ----------
        data, return_distances : as there.
        perplexities : a list, or one; None takes the perplexities of the affinities.
        """
        if perplexities is None:
            perplexities = self.effective_perplexities_
        effective = self.check_perplexities(perplexities, self.n_samples)
        return self._to_new(
            data,
            _n_neighbors_for(effective, self.n_samples),
            return_distances,
            lambda d, _: self._conditional(d, effective, self._n_threads),
        )

    def check_perplexities(self, perplexities: Perplexities, n_samples: int) -> list[float]:
        """Return the perplexities that so many rows allow, in ascending order.

        Those larger than (n_samples - 1) / 3 are replaced by that value, once, with a
        warning.
        """
        return usable_perplexities(perplexities, n_samples)


class Multiscale(MultiscaleMixture):
    """The average of the affinities of several perplexities.

    p_j = mean_h p_j(h), where p_j(h) are the affinities of the perplexity h alone.  Parameters and
    attributes are documented by :class:`MultiscaleMixture`.

    Source: Lee, Peluffo-Ordonez & Verleysen 2015.
    """

    _conditional = staticmethod(from_average)


def usable_perplexities(perplexities: Perplexities, n_samples: int) -> list[float]:
    """See :meth:`MultiscaleMixture.check_perplexities`."""
    wanted, largest = _as_list(perplexities), perplexity_for(n_samples - 1)
    too_large = ", ".join(f"{p:g}" for p in wanted if p > largest)
    if too_large:
        warn_user(f"perplexities {too_large} are too large for {n_samples} rows; using {largest:g}")
    return _clip_perplexities(wanted, n_samples)


def _clip_perplexities(perplexities: list[float], n_samples: int) -> list[float]:
    """Return those that n rows allow, and the limit once in place of those above."""
    largest = perplexity_for(n_samples - 1)
    usable = [p for p in perplexities if p <= largest]
    if len(usable) < len(perplexities) and largest not in usable:
        usable.append(largest)
    return usable


def _n_neighbors_for(perplexities: list[float], n_samples: int) -> int:
    """Return how many neighbours the largest perplexity takes."""
    return max(min(n_samples - 1, n_neighbors_for(max(perplexities) * ROUNDED_THIRD)), 1)


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
        spec = SearchSpec(method, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs)
        k = check_n_neighbors(k, n_rows_or_none(data), "k")
        self._find(data, k, spec, knn_index, symmetrize)
        self._compute()

    def _setting(self) -> str:
        return f"sigma {self.sigma:g}"

    def _weights(self, distances: np.ndarray, units: np.ndarray, dtype: Dtype) -> np.ndarray:
        return from_sigma(distances, units, self.sigma, self._n_threads, dtype)

    def to_new(
        self,
        data: Rows,
        k: int | None = None,
        sigma: float | None = None,
        return_distances: bool = False,
    ) -> NewAffinities:
        """Return affinities of new rows to the rows of the data set: see :meth:`Affinities.to_new`.

        Parameters
        ----------
        data, return_distances : as there.
        k : neighbours of each row; None is as many as were found for the data.
        sigma : None takes the sigma of the affinities.
        """
        own = self.sigma if sigma is None else _check_sigma(sigma)
        k = check_n_neighbors(self._indices.shape[1] if k is None else k, self.n_samples, "k")
        return self._to_new(
            data, k, return_distances, lambda d, units: from_sigma(d, units, own, self._n_threads)
        )


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
        spec = SearchSpec(method, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs)
        k = check_n_neighbors(k_neighbors, n_rows_or_none(data), "k_neighbors")
        self._find(data, k, spec, knn_index, symmetrize)
        self._compute()

    def _weights(self, distances: np.ndarray, units: np.ndarray, dtype: Dtype) -> np.ndarray:
        return from_uniform(distances, dtype)

    def to_new(
        self, data: Rows, k_neighbors: int | None = None, return_distances: bool = False
    ) -> NewAffinities:
        """Return affinities of new rows to the rows of the data set: see :meth:`Affinities.to_new`.

        Parameters
        ----------
        data, return_distances : as there.
        k_neighbors : of each row; None is as many as were found for the data.
        """
        k = self._indices.shape[1] if k_neighbors is None else k_neighbors
        k = check_n_neighbors(k, self.n_samples, "k_neighbors")
        return self._to_new(data, k, return_distances, lambda d, _: from_uniform(d))


def make_affinities(
    X: Rows | None,
    given: Affinities | Rows | None,
    perplexity: float | Iterable[float],
    **search: object,
) -> Affinities:
    """Return the given affinities, or make them of the rows of X.

    Parameters
    ----------
    X : rows, as the neighbour search takes them; None where affinities or neighbours are given.
    given : :class:`Affinities`, a matrix of them, or None.
    perplexity : a number, or several.
    search : keyword arguments of :class:`PerplexityBasedNN`.
    """
    if given is not None:
        return as_affinities(given, n_rows_or_none(X))
    is_one = not isinstance(perplexity, Iterable)
    make: Callable[..., Affinities] = PerplexityBasedNN if is_one else MultiscaleMixture
    return make(X, perplexity, **search)


def as_affinities(given: Affinities | Rows, n_samples: int | None) -> Affinities:
    """Return given affinities, of so many rows unless that is None."""
    affinities = given if isinstance(given, Affinities) else PrecomputedAffinities(given)
    if n_samples is not None and n_samples != affinities.n_samples:
        raise ValueError(f"affinities are of {affinities.n_samples} rows, but X has {n_samples}")
    return affinities


def affinities_of_graph(
    graph: KNNGraph, perplexity: float | Iterable[float], n_jobs: int | None, verbose: bool
) -> Affinities:
    """Return the affinities of a neighbour graph for one perplexity, or several."""
    common = {"n_jobs": n_jobs, "verbose": verbose}
    if isinstance(perplexity, Iterable):
        return MultiscaleMixture.from_neighbors(graph, perplexities=perplexity, **common)
    return PerplexityBasedNN.from_neighbors(graph, perplexity=perplexity, **common)


def n_neighbors(perplexity: float | Iterable[float], n_samples: int | None) -> int:
    """Return how many neighbours of each of n rows one perplexity takes, or several."""
    if isinstance(perplexity, Iterable):
        return MultiscaleMixture.n_neighbors(perplexity, n_samples)
    return resolve_k_neighbors("auto", perplexity, n_samples)


def check_perplexity(perplexity: ArrayLike) -> None:
    """Check one perplexity, or several."""
    values: list[object] = [perplexity]
    if isinstance(perplexity, Iterable) and np.ndim(perplexity) > 0:
        values = list(perplexity)
    if not values:
        raise ValueError(
            f"perplexity must be a number or a non-empty list of numbers; got {perplexity!r}"
        )
    for each in values:
        _check_perplexity(each)
