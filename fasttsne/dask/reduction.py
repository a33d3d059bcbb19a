"""Rows of many columns reduced on the workers to principal components and what they lose."""

from functools import partial
from typing import Any

import numpy as np

from fasttsne.dask.remote_rows import RemoteRows
from fasttsne.linalg.pca import (
    CENTERED_SIZE,
    Centering,
    Projection,
    lost_squares,
    sampled_loadings,
    shortened,
)
from fasttsne.linalg.products import matmul
from fasttsne.linalg.rows import iter_chunks
from fasttsne.linalg.scaling import rows_within
from fasttsne.nearest_neighbors.builtin.reduction import with_residuals

STAGE = "reducing rows"


def reduced_rows(
    values: RemoteRows, rank: int, generator: Any, n_threads: int
) -> tuple[RemoteRows, Projection]:
    """Return coordinates of rows as ``reduce_rows`` does, on the workers, and their projection."""
    cluster = values.cluster
    data, loadings = sampled_loadings(values, rank, generator, n_threads)
    project = partial(_project, data.centering, loadings.astype(values.dtype))
    projected = values.submit_blocks(STAGE, project)
    limits = None
    if len(data.far):
        ranges = [
            cluster.submit(STAGE, partial(_score_range, data.far, int(first)), block)
            for block, first in zip(projected, values.edges[:-1], strict=True)
        ]
        lows, highs = zip(*cluster.results(STAGE, ranges), strict=True)
        limits = np.min(lows, axis=0), np.max(highs, axis=0)
    shorten = partial(_clip_far, data.far, limits)
    clipped = [
        cluster.submit(STAGE, partial(shorten, int(first)), block)
        for block, first in zip(projected, values.edges[:-1], strict=True)
    ]
    largest = [
        cluster.submit(STAGE, partial(_largest_loss, data.far, int(first)), block)
        for block, first in zip(clipped, values.edges[:-1], strict=True)
    ]
    max_residual = float(np.sqrt(max(cluster.results(STAGE, largest, values.sizes))))
    projection = data.projection(loadings, max_residual)
    blocks = [cluster.submit(STAGE, partial(_coordinates, projection), each) for each in clipped]
    n_columns = loadings.shape[1] + (max_residual > 0)
    return RemoteRows(cluster, blocks, values.edges, n_columns, np.float32, STAGE), projection


def _project(
    centering: Centering, loadings: np.ndarray, block: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, and squared lengths of the centered rows."""
    scores = np.empty((len(block), loadings.shape[1]), np.float32)
    squares = np.empty(len(block))
    for a, chunk in iter_chunks(block, CENTERED_SIZE):
        rows = centering(first + a, chunk, with_far=True)
        scores[a : a + len(rows)] = matmul(rows, loadings)
        squares[a : a + len(rows)] = np.einsum("ij,ij->i", rows, rows)
    return scores, squares


def _score_range(
    far: np.ndarray, first: int, block: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    ordinary = np.delete(block[0], rows_within(far, first, len(block[0])), 0)
    return ordinary.min(0, initial=np.inf), ordinary.max(0, initial=-np.inf)


def _clip_far(
    far: np.ndarray, limits: Any, first: int, block: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, those of far rows as large as others' at most, and lost squares."""
    scores, squares = block
    own = rows_within(far, first, len(scores))
    if len(own):
        scores = scores.copy()
        scores[own] = np.clip(scores[own], *limits)
    return scores, lost_squares(squares, scores)


def _largest_loss(far: np.ndarray, first: int, block: tuple[np.ndarray, np.ndarray]) -> float:
    lost = np.delete(block[1], rows_within(far, first, len(block[1])))
    return float(lost.max(initial=0))


def _coordinates(projection: Projection, block: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    scores, lost = block
    residuals = shortened(lost, projection.max_residual)
    points: np.ndarray = with_residuals(scores, residuals, projection)
    return points
