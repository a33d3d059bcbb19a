"""Prepared rows, dense or sparse: points whose Euclidean distances determine the metric."""

from typing import Any

import scipy.sparse

from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.builtin.sparse_rows import SparseRows

__all__ = ["METRICS", "CachedRowsMixin", "prepare_rows"]


def prepare_rows(data, metric: str):
    """Return the prepared rows of an array or of a CSR matrix.

    Both kinds have ``n``, ``self_kneighbors`` (exact neighbours of all rows), ``kneighbors``
    (of new rows), ``rerank`` and ``rerank_queries`` (the nearest among candidates), ``reduce``
    (the first principal components), ``project`` (those of new rows), ``to_dense`` and
    ``to_metric``.
    """
    kind = SparseRows if scipy.sparse.issparse(data) else DenseRows
    return kind(data, metric)


class CachedRowsMixin:
    """Prepares the rows of an index at its first query and caches them, but not in pickles."""

    data: Any
    metric: Any
    _rows = None

    @property
    def rows(self):
        """The prepared rows of ``data``."""
        if self._rows is None:
            self._rows = prepare_rows(self.data, self.metric)
        return self._rows

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_rows"}
