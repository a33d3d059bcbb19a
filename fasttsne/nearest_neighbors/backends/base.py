"""What the searches by other packages have in common."""

from functools import cached_property
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from fasttsne.nearest_neighbors.backends.results import drop_self
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.utils import require


class BackendIndex(KNNIndex):
    """A search that finds each row among its own neighbours, by a package that is optional."""

    EXTRA: ClassVar[str]  # that installs the package, and the name of the backend

    @classmethod
    def _import(cls, module):
        return require(module, f"neighbors={cls.EXTRA!r}", cls.EXTRA)

    @cached_property
    def _rows(self):
        """Rows whose Euclidean distances determine the metric, or None."""
        if sp.issparse(self.data) or self.metric not in METRICS:
            return None
        return DenseRows(self.data, self.metric)

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_rows"}

    def _points(self, X):
        """Return rows as the package takes them, in float32."""
        if sp.issparse(self.data):
            return sp.csr_matrix(X, dtype=np.float32)
        if self._rows is None:
            return np.ascontiguousarray(X, np.float32)
        return (self._rows.points if X is self.data else self._rows.prepare(X)).values

    def _build(self):
        return drop_self(*self._query(self.data, self.k + 1))
