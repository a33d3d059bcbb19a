"""Choice of the prepared rows, dense or sparse, and their place in an index."""

from typing import Any

import scipy.sparse

from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.sparse_rows import SparseRows


def prepare_rows(data, metric: str):
    """Return the prepared rows of an array or of a CSR matrix."""
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
            self._rows = self._prepare()
        return self._rows

    def _prepare(self):
        return prepare_rows(self.data, self.metric)

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_rows"}
