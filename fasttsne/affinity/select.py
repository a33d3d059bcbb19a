"""The affinities of a fit."""

from typing import Any

import numpy as np

from fasttsne.affinity.base import Affinities
from fasttsne.affinity.multiscale import MultiscaleMixture
from fasttsne.affinity.perplexity import PerplexityBasedNN
from fasttsne.affinity.precomputed import PrecomputedAffinities
from fasttsne.nearest_neighbors.select import MAX_PERPLEXITY
from fasttsne.runtime.typing import Rows
from fasttsne.runtime.validation import check_number


def make_affinities(
    X: Any, given: Affinities | Rows | None, perplexity: Any, **search: Any
) -> Affinities:
    """The affinities that are given, or those of the rows of X.

    Parameters
    ----------
    X : rows, as the neighbour search takes them; None where affinities or neighbours are given.
    given : :class:`Affinities`, a matrix of them, or None.
    perplexity : a number, or several.
    search : keyword arguments of :class:`PerplexityBasedNN`.
    """
    if given is None:
        several = np.ndim(perplexity) > 0
        return (MultiscaleMixture if several else PerplexityBasedNN)(X, perplexity, **search)
    affinities = given if isinstance(given, Affinities) else PrecomputedAffinities(given)
    if X is not None and np.shape(X)[0] != affinities.n_samples:
        raise ValueError(
            f"affinities are of {affinities.n_samples} rows, but X has {np.shape(X)[0]}"
        )
    return affinities


def check_perplexity(perplexity: Any) -> None:
    """Check one perplexity, or several."""
    several = np.ndim(perplexity) > 0
    if several and len(perplexity) == 0:
        raise ValueError(
            f"perplexity must be a number or a non-empty list of numbers; got {perplexity!r}"
        )
    for each in perplexity if several else [perplexity]:
        check_number(each, "perplexity", above=0, high=MAX_PERPLEXITY, finite=True)
