"""Whether the graph that a map was made of has the true neighbours."""

from typing import Any

import numpy as np

from fasttsne.affinity import Affinities
from fasttsne.metrics.estimate import Estimate, estimate_penalized
from fasttsne.metrics.samples import sample_rows
from fasttsne.nearest_neighbors.builtin.ranks import make_distances, nearest_of
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_number


def graph_recall(
    X: Rows,
    embedding: Any,
    k: int = 15,
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 1000,
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
) -> Estimate:
    """Return the share of the k nearest neighbours that the affinity graph has an edge to.

    What the graph lacks no map can show.  The search for neighbours may miss few on average and
    most of some rows': that tail is in ``values``, of which ``np.quantile(recall.values, 0.01)``
    is what 99 % of the rows reach.

    Parameters
    ----------
    embedding : :class:`fasttsne.TSNEEmbedding`, or :class:`fasttsne.affinity.Affinities`.
    k : neighbours of each row, less than n.  A graph of fewer neighbours cannot have them all.

    The others are those of :func:`neighbor_recall`.
    """
    affinities = embedding if isinstance(embedding, Affinities) else _affinities_of(embedding)
    distances = make_distances(X, metric, metric_params)
    n = affinities.n_samples
    if distances.n_samples != n:
        raise ValueError(f"X must have as many rows as the graph, {n}; got {distances.n_samples}")
    k = check_number(k, "k", low=1, high=n - 1, integer=True)
    rows = sample_rows(n, sample_size, random_state)
    neighbors = nearest_of(distances, rows, k, resolve_n_jobs(n_jobs))
    P = affinities.P_float32
    found = [
        np.isin(near, P.indices[P.indptr[row] : P.indptr[row + 1]]).mean()
        for row, near in zip(rows, neighbors, strict=True)
    ]
    return estimate_penalized(np.array(found), rows, n, k)


def _affinities_of(embedding: Any) -> Affinities:
    affinities = getattr(embedding, "affinities", None)
    if not isinstance(affinities, Affinities):
        raise TypeError(
            f"embedding must be a TSNEEmbedding or Affinities; got {type(embedding).__name__}"
        )
    return affinities
