"""How a map stretches the neighbourhood of each point: its Jacobian."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metrics.estimate import Sample
from fasttsne.nearest_neighbors.builtin.ranks import Distances, nearest_of
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_number

# Of singular values below this share of the map's usual one the logarithm is not taken.
SMALLEST = 1e-12


@dataclass(frozen=True)
class LocalDistortion:
    """What the map does to the neighbourhoods of rows.

    Attributes
    ----------
    rows : (m,) indices of the rows, ascending.
    area : (m,) area of the neighbourhood's image by the area of the neighbourhood, in d dimensions,
        divided by the median of the rows: 2 is twice as large as usual.
    anisotropy : (m,) largest by smallest stretch, 1 for a similarity; infinite where the image is
        flat.
    explained : (m,) share of the points' offsets in the map that the linear map explains, at most
        1: where it is small, there is no Jacobian to speak of, as at a tear.
    """

    rows: np.ndarray
    area: np.ndarray
    anisotropy: np.ndarray
    explained: np.ndarray


def local_distortion(
    X: Rows,
    embedding: ArrayLike,
    k: int = 15,
    metric: Metric = "euclidean",
    metric_params: Settings = None,
    sample_size: int | None = 1000,
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
) -> LocalDistortion:
    """Return the area and the anisotropy of the map's Jacobian at each sampled row.

    The k nearest neighbours in the data are flattened by classical scaling of their distances
    (with Euclidean distances: by their principal components), to as many dimensions as the map
    has.  The Jacobian is the linear map from there to the points of the map, by least squares.

    Parameters
    ----------
    k : neighbours of each row, at least as many as dimensions plus one.

    Other parameters are as for :func:`neighbor_recall`.  Each row has a value of its own, so that a
    sample has no standard errors.

    Source: Venna 2007 and Aupetit 2007 (stretching and compression of projections); the Jacobian
    from local principal components as in Singer & Wu 2012, Vector diffusion maps.
    """
    sample = Sample.take(X, embedding, metric, metric_params, sample_size, random_state, n_jobs)
    n, d = sample.points.shape
    k = check_number(k, "k", low=d + 1, high=n - 1, integer=True)
    neighbors = nearest_of(sample.distances, sample.rows, k, sample.n_threads)
    groups = np.column_stack([sample.rows, neighbors])
    inputs = _flattened(sample.distances, groups, d)
    outputs = sample.points[groups].astype(np.float64)
    outputs -= outputs.mean(1, keepdims=True)
    # By least squares.
    jacobians = np.linalg.pinv(inputs, rcond=SMALLEST) @ outputs
    left = outputs - inputs @ jacobians
    stretches = np.linalg.svd(jacobians, compute_uv=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = 1 - (left**2).sum((1, 2)) / (outputs**2).sum((1, 2))
        areas = stretches.prod(1)
        median = np.median(areas)
        relative = areas / median if median > 0 else np.full(len(areas), np.nan)
        return LocalDistortion(sample.rows, relative, stretches[:, 0] / stretches[:, -1], explained)


def _flattened(distances: Distances, groups: np.ndarray, d: int) -> np.ndarray:
    """Return coordinates of each group's rows in d dimensions, centered, (m, rows, d)."""
    squares = np.stack([distances.pairwise(group, group) for group in groups]) ** 2
    if not np.isfinite(squares).all():
        raise ValueError("X must hold all distances between neighbours; some are unknown")
    means = squares.mean(1)
    products = (means[:, :, None] + means[:, None] - means.mean(1)[:, None, None] - squares) / 2
    values, vectors = np.linalg.eigh(products)
    values = np.maximum(values[:, -d:], 0)
    flat: np.ndarray = vectors[:, :, -d:] * np.sqrt(values)[:, None]
    return flat
