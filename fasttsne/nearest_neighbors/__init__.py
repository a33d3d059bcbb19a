"""Nearest neighbours: one protocol, the built-in search, optional backends."""

from fasttsne.nearest_neighbors.annoy import Annoy
from fasttsne.nearest_neighbors.base import KNNIndex
from fasttsne.nearest_neighbors.exact import Exact

__all__ = ["Annoy", "Exact", "KNNIndex", "make_index"]

# Approximate search is not there yet: until it is, "approx" gives the exact
# neighbours, which no recall can exceed.
BACKENDS = {"auto": Exact, "exact": Exact, "approx": Exact, "annoy": Annoy}


def make_index(neighbors, data, k, **kwargs):
    """The index of a name in ``BACKENDS``, or the given object if it has ``build`` and ``query``.

    Parameters
    ----------
    neighbors : "auto", "exact", "approx", "annoy", or an index object.
    kwargs : as for :class:`KNNIndex`.
    """
    if isinstance(neighbors, str):
        if neighbors not in BACKENDS:
            names = ", ".join(map(repr, BACKENDS))
            raise ValueError(f"neighbors must be one of {names}, or an index; got {neighbors!r}")
        return BACKENDS[neighbors](data, k, **kwargs)
    if all(hasattr(neighbors, name) for name in ("build", "query", "k", "n_samples")):
        return neighbors
    raise TypeError(
        "neighbors must be a name, or an object with build, query, k and n_samples; "
        f"got {neighbors!r}"
    )
