"""Mean silhouettes of a sample of rows, and their standard error."""

import numpy as np

from fasttsne.metrics.estimate import Estimate, standard_error_between
from fasttsne.nearest_neighbors.builtin.ranks import Distances

# Distances in memory at a time.
BLOCK_ENTRIES = 2**18


def mean_silhouette(space: Distances, rows: np.ndarray, codes: np.ndarray, n: int) -> Estimate:
    """Return the mean silhouette of rows among themselves.

    It is NaN where all have one label, or each has its own.

    A row of a sample counts twice: by its own silhouette, and by its part in the mean distances of
    others.  The standard error is that of both, to first order, and of two more rows, one of
    silhouette -1 and one of 1: of 300 rows there may be none in a wrong place where all have some.

    Parameters
    ----------
    rows : (m,) indices.
    codes : (m,) the number of each row's label.
    n : rows that the sample is of.
    """
    present, own, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    if len(present) < 2 or sizes.max() < 2:
        nothing = float("nan")
        return Estimate(nothing, nothing, rows, np.full(len(rows), nothing))
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
