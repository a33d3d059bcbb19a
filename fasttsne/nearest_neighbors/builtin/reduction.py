"""Rows reduced to few coordinates, whose scores order points nearly as their distances do.

Rows with many columns are projected to their first principal components.  What two rows lose by
that, vectors of lengths r and s, has the squared distance r^2 + s^2 - 2 c r s with the cosine c of
an unknown angle, which is taken to be the same for all neighbours.  Then 2 c r s is the product of
one more coordinate of each row, sqrt(c) r, and r^2 + s^2 belongs to the squared lengths.
"""

from typing import Any

import numpy as np

from fasttsne.linalg.pca import Projection
from fasttsne.runtime.typing import RandomGenerator

# Rows of more than 3/2 as many columns are reduced to so many principal components.
N_COMPONENTS = 96
# The cosine: on MNIST 0.3 to 0.45 need the fewest candidates, within one in a hundred.
RESIDUAL_COSINE = 0.35


def is_reduced(n_columns: int) -> bool:
    """Return whether rows of so many columns are reduced."""
    return n_columns > N_COMPONENTS * 3 // 2


def reduce_rows(
    rows: Any, generator: RandomGenerator, n_threads: int
) -> tuple[np.ndarray, Projection | None]:
    """Return reduced coordinates of rows with many columns, and their projection.

    For few columns, the rows themselves, dense float32, and None.
    """
    if not is_reduced(rows.n_columns):
        return rows.to_dense(rows.points), None
    if hasattr(rows, "reduce_elsewhere"):  # rows on other machines
        return rows.reduce_elsewhere(N_COMPONENTS, generator, n_threads)  # type: ignore[no-any-return]
    scores, residuals, projection = rows.reduce(N_COMPONENTS, generator, n_threads)
    return with_residuals(scores, residuals, projection), projection


def reduce_queries(
    rows: Any, queries: Any, projection: Projection | None, n_threads: int
) -> np.ndarray:
    """Return the same coordinates of new rows, prepared by ``rows``; no row depends on another."""
    if projection is None:
        coordinates: np.ndarray = rows.to_dense(queries)
        return coordinates
    scores = rows.project(queries, projection, n_threads)
    squares = rows.squared_lengths(queries, projection.origin)
    return with_residuals(scores, projection.residuals(squares, scores), projection)


def score_norms(points: np.ndarray, projection: Projection | None) -> np.ndarray | None:
    """Return the squared lengths that stand in scores, (n,); None for those of the coordinates."""
    if projection is None or not _has_residuals(projection):
        return None
    norms: np.ndarray = np.einsum("ij,ij->i", points, points)
    norms += (1 / RESIDUAL_COSINE - 1) * points[:, -1] ** 2
    return norms


def _has_residuals(projection):
    return projection.max_residual > 0


def with_residuals(scores, residuals, projection):
    """Return the coordinates of rows from their scores and what they lose."""
    if not _has_residuals(projection):
        return scores
    return np.column_stack([scores, np.float32(RESIDUAL_COSINE**0.5) * residuals])
