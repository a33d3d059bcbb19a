"""The rows of a data set, dense or sparse, as points whose Euclidean distance gives the metric."""

import scipy.sparse

from fasttsne.nearest_neighbors.dense_rows import DenseRows
from fasttsne.nearest_neighbors.metrics import METRICS
from fasttsne.nearest_neighbors.sparse_rows import SparseRows

__all__ = ["METRICS", "as_rows"]


def as_rows(data, metric: str):
    """Rows of an array or of a CSR matrix.

    Both kinds have ``n``, ``join`` (the exact neighbours of all rows), ``nearest_to``
    (those of others), ``rank`` (the nearest among candidates), ``reduced`` (the first
    principal components), ``dense`` and ``in_metric``.
    """
    kind = SparseRows if scipy.sparse.issparse(data) else DenseRows
    return kind(data, metric)
