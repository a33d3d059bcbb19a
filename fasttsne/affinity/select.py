"""The affinities of a fit."""

from typing import Any

import numpy as np

from fasttsne.affinity.base import Affinities
from fasttsne.affinity.multiscale import MultiscaleMixture
from fasttsne.affinity.perplexity import PerplexityBasedNN
from fasttsne.affinity.precomputed import PrecomputedAffinities
from fasttsne.nearest_neighbors.graph import KNNGraph
from fasttsne.nearest_neighbors.select import MAX_PERPLEXITY, resolve_k_neighbors
from fasttsne.runtime.typing import Rows
from fasttsne.runtime.validation import check_number

# The families of one perplexity, and of several.
FAMILIES = PerplexityBasedNN, MultiscaleMixture


def make_affinities(
    X: Any, given: Affinities | Rows | None, perplexity: Any, **search: Any
) -> Affinities:
    """Return the given affinities, or make them of the rows of X.

    Parameters
    ----------
    X : rows, as the neighbour search takes them; None where affinities or neighbours are given.
    given : :class:`Affinities`, a matrix of them, or None.
    perplexity : a number, or several.
    search : keyword arguments of :class:`PerplexityBasedNN`.
    """
    if given is None:
        return FAMILIES[np.ndim(perplexity) > 0](X, perplexity, **search)
    return as_affinities(given, None if X is None else np.shape(X)[0])


def as_affinities(given: Affinities | Rows, n_samples: int | None) -> Affinities:
    """Return given affinities, of so many rows unless that is None."""
    affinities = given if isinstance(given, Affinities) else PrecomputedAffinities(given)
    if n_samples is not None and n_samples != affinities.n_samples:
        raise ValueError(f"affinities are of {affinities.n_samples} rows, but X has {n_samples}")
    return affinities


def affinities_of_graph(
    graph: KNNGraph, perplexity: Any, n_jobs: int | None, verbose: bool
) -> Affinities:
    """Return the affinities of a neighbour graph for one perplexity, or several."""
    family = FAMILIES[np.ndim(perplexity) > 0]
    return family(None, perplexity, n_jobs=n_jobs, verbose=verbose, knn_index=graph)


def n_neighbors(perplexity: Any, n_samples: int | None) -> int:
    """Return how many neighbours of each of n rows one perplexity takes, or several."""
    if np.ndim(perplexity):
        return MultiscaleMixture.n_neighbors(perplexity, n_samples)
    return resolve_k_neighbors("auto", perplexity, n_samples)


def check_perplexity(perplexity: Any) -> None:
    """Check one perplexity, or several."""
    several = np.ndim(perplexity) > 0
    if several and len(perplexity) == 0:
        raise ValueError(
            f"perplexity must be a number or a non-empty list of numbers; got {perplexity!r}"
        )
    for each in perplexity if several else [perplexity]:
        check_number(each, "perplexity", above=0, high=MAX_PERPLEXITY, finite=True)
