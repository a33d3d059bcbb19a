"""Agreement of known labels with neighbourhoods in the data and in the embedding."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metrics.estimate import (
    Estimate,
    check_rows,
    estimate_share,
    sample_rows,
    standard_error_between,
)
from fasttsne.nearest_neighbors.builtin.ranks import (
    Distances,
    distances_among,
    make_distances,
    nearest_of,
)
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import as_labels, check_number, is_missing

# Distances in memory at a time.
BLOCK_ENTRIES = 2**18


@dataclass(frozen=True)
class LabelAgreement:
    """How labels agree with neighbours, in the map and in the data.

    Attributes
    ----------
    accuracy, accuracy_in_data : share of rows whose label is the majority of their k nearest
        others, 0 to 1.
    silhouette, silhouette_in_data : mean silhouette, -1 to 1: whether a row is nearer to rows of
        its own label than to rows of the nearest other label.
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

    A map whose silhouette is far above the data's separates more than the data do; one
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

    Other parameters are as for :func:`neighbor_recall`.

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
    labeled = np.flatnonzero(codes >= 0)
    n_labeled, n_threads = len(labeled), resolve_n_jobs(n_jobs)
    if n_labeled < 2:
        raise ValueError(f"labels must be known for at least 2 rows; got {n_labeled}")
    k = check_number(k, "k", low=1, high=len(points) - 1, integer=True)
    k = min(k, max((n_labeled - 1) // 2, 1))
    sample = sample_rows(n_labeled, sample_size, random_state)
    rows, m, n_labels = labeled[sample], len(sample), len(names)
    accuracies, silhouettes = [], []
    for space in (make_distances(points), distances):
        near = nearest_of(distances_among(space, labeled), sample, k, n_threads)
        votes = np.arange(m)[:, None] * n_labels + codes[labeled[near]]
        counts = np.bincount(votes.ravel(), minlength=m * n_labels).reshape(m, -1)
        accuracies.append(estimate_share(counts.argmax(1) == codes[rows], rows, n_labeled))
        silhouettes.append(mean_silhouette(space, rows, codes[rows], n_labeled))
    return LabelAgreement(accuracies[0], accuracies[1], silhouettes[0], silhouettes[1], names)


def encoded_labels(labels: ArrayLike, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct labels, and the number of each row's, -1 where it has none."""
    given = as_labels(labels, n)
    is_known = ~is_missing(given)
    known = given[is_known]
    codes = np.full(n, -1)
    if known.dtype.kind == "O":
        texts = [str(label) for label in known]
        names = np.array(sorted(set(texts)), object)
        code_of = {name: code for code, name in enumerate(names)}
        codes[is_known] = [code_of[text] for text in texts]
    else:
        names, codes[is_known] = np.unique(known, return_inverse=True)
    return names, codes


def mean_silhouette(space: Distances, rows: np.ndarray, codes: np.ndarray, n: int) -> Estimate:
    """Return the mean silhouette of rows, by their labels' codes, among themselves.

    It is NaN where all have one label, or each has its own.  A row counts twice: by its own
    silhouette, and by its part in the mean distances of others.  The standard error allows for
    both, to first order, and adds two rows, of silhouettes -1 and 1: a sample of 300 rows may lack
    the misplaced ones.
    """
    present, own, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    if len(present) < 2 or sizes.max() < 2:
        return Estimate(np.nan, np.nan, rows, np.full(len(rows), np.nan))
    order = np.argsort(own, kind="stable")
    starts = np.append(0, np.cumsum(sizes))[:-1]
    widths, influence = np.empty(len(rows)), np.zeros(len(rows))
    step = max(BLOCK_ENTRIES // len(rows), 1)
    for a in range(0, len(rows), step):
        part = slice(a, a + step)
        block = space.pairwise(rows[part], rows[order])
        means = np.add.reduceat(block, starts, axis=1) / _others(sizes, own[part])
        widths[part], slopes = _silhouettes(means, sizes, own[part])
        slopes /= _others(sizes, own[part])
        of_label = slopes[:, own[order]]
        influence[order] += (of_label * block).sum(0)
        influence -= (slopes * means).sum(0)[own]
        # A row is not one of the others that its own mean is over.
        influence[part] += (slopes * means)[np.arange(len(block)), own[part]]
    mean = float(widths.mean())
    error = standard_error_between(widths + influence, mean, len(rows), n, -1.0, 1.0)
    return Estimate(mean, error, rows, widths)


def _others(sizes: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return how many other rows of each label there are for each row, at least 1."""
    counts = np.tile(sizes.astype(float), (len(own), 1))
    counts[np.arange(len(own)), own] -= 1
    np.maximum(counts, 1, out=counts)
    return counts


def _silhouettes(
    means: np.ndarray, sizes: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return silhouettes from mean distances to each label, (m, labels), and their derivatives.

    The silhouette of the only row of a label is 0.
    """
    at = np.arange(len(means))
    inner, others = means[at, own], means.copy()
    others[at, own] = np.inf
    nearest = others.argmin(1)
    outer = others[at, nearest]
    largest = np.maximum(inner, outer)
    is_known = (sizes[own] > 1) & (largest > 0)
    scale = np.where(is_known, largest, 1)
    widths = np.where(is_known, (outer - inner) / scale, 0)
    slopes = np.zeros_like(means)
    # (b - a) / max(a, b) is 1 - a / b or b / a - 1.
    is_inside = inner < outer
    slopes[at, own] = np.where(is_inside, -1 / scale, -outer / scale**2) * is_known
    slopes[at, nearest] = np.where(is_inside, inner / scale**2, 1 / scale) * is_known
    return widths, slopes
