"""The rows of a data set, dense or sparse, as points whose Euclidean distance gives the metric."""

import scipy.sparse

from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.builtin.sparse_rows import SparseRows

__all__ = ["METRICS", "KeepsRows", "as_rows"]


def as_rows(data, metric: str):
    """Rows of an array or of a CSR matrix.

    Both kinds have ``n``, ``join`` (the exact neighbours of all rows), ``nearest_to``
    (those of others), ``rank`` and ``ranked`` (the nearest among candidates), ``reduced``
    (the first principal components) and ``project`` (those of others), ``dense``,
    ``as_dense`` and ``in_metric``.
    """
    kind = SparseRows if scipy.sparse.issparse(data) else DenseRows
    return kind(data, metric)


class KeepsRows:
    """An index that keeps its rows as they were prepared for its first query; not in pickles."""

    data: object
    metric: str
    _rows = None

    @property
    def rows(self):
        """The rows of ``data``, prepared."""
        if self._rows is None:
            self._rows = as_rows(self.data, self.metric)
        return self._rows

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_rows"}
