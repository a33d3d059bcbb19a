"""Whether classes or clusters that are known are those of the map, and were those of the data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metrics.estimate import Estimate, estimate_share
from fasttsne.metrics.labels import encoded_labels
from fasttsne.metrics.samples import check_rows, sample_rows
from fasttsne.metrics.silhouettes import mean_silhouette
from fasttsne.nearest_neighbors.builtin.ranks import distances_among, make_distances, nearest_of
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_number


@dataclass(frozen=True)
class LabelAgreement:
    """How labels agree with neighbours, in the map and in the data.

    Attributes
    ----------
    accuracy, accuracy_in_data : share of rows whose label is that of most of their k nearest
        others, 0 to 1.
    silhouette, silhouette_in_data : mean silhouette, -1 to 1: whether a row is nearer to rows of
        its own label than to those of the nearest other one.
    labels : (labels,) the distinct labels.
    """

    accuracy: Estimate
    accuracy_in_data: Estimate
    silhouette: Estimate
    silhouette_in_data: Estimate
    labels: np.ndarray


def label_agreement(
    X: Rows,
    embedding: ArrayLike,
    labels: ArrayLike,
    k: int = 10,
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 1000,
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
) -> LabelAgreement:
    """Return accuracy of k nearest neighbours and silhouette, of the map and of the data.

    A map whose silhouette is far above that of the data separates more than the data do; one
    whose accuracy is below mixes what the data separate.

    Parameters
    ----------
    labels : (n,) numbers or text; a row without a label has None, NaN, NaT or pandas' NA, and is
        left out.
    k : neighbours of each row, which vote with equal weight; of equal votes, the label that comes
        first in sorted order wins.  Where it is more than half of the other rows with a label, it
        becomes that: all of them would outvote each row's own label.
    sample_size : number of rows, chosen at random; None is all.  Neighbours are looked for among
        all rows with a label; mean distances, for silhouettes, are those to the sample.

    The others are those of :func:`neighbor_recall`.

    Returns
    -------
    LabelAgreement
        With one label, or one for each sampled row, silhouettes are NaN.  ``values`` of its numbers
        are in ``rows``.

    Raises
    ------
    ValueError
        If there are not as many labels as rows, or fewer than two rows with one.

    Source: Rousseeuw 1987, Silhouettes.
    """
    distances, points = check_rows(X, embedding, metric, metric_params)
    names, codes = encoded_labels(labels, len(points))
    n_labeled = int((codes >= 0).sum())
    if n_labeled < 2:
        raise ValueError(f"labels must be known for at least 2 rows; got {n_labeled}")
    k = check_number(k, "k", low=1, high=len(points) - 1, integer=True)
    k = min(k, max((n_labeled - 1) // 2, 1))
    labeled = np.flatnonzero(codes >= 0)
    sample = sample_rows(n_labeled, sample_size, random_state)
    rows, n_threads, n_labels = labeled[sample], resolve_n_jobs(n_jobs), len(names)
    found = []
    for space in (make_distances(points), distances):
        near = nearest_of(distances_among(space, labeled), sample, k, n_threads)
        is_right = _is_right(codes[labeled[near]], codes[rows], n_labels)
        found.append(estimate_share(is_right, rows, n_labeled))
        found.append(mean_silhouette(space, rows, codes[rows], n_labeled))
    return LabelAgreement(found[0], found[2], found[1], found[3], names)


def _is_right(votes: np.ndarray, own: np.ndarray, n_labels: int) -> np.ndarray:
    """Return whether most votes, (m, k), are for a row's own label."""
    m = len(votes)
    where = np.arange(m)[:, None] * n_labels + votes
    counts = np.bincount(where.ravel(), minlength=m * n_labels).reshape(m, -1)
    is_right: np.ndarray = counts.argmax(1) == own
    return is_right
