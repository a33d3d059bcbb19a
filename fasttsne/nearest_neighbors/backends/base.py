"""What the searches by other packages have in common; results without each row itself."""

from functools import cached_property
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.builtin.rows import DenseRows
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.utils import require


def drop_self(indices: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Remove each row from its own neighbours, or the farthest neighbour if it is not there.

    Among many equal rows a search may find k others before the row itself.

    Parameters
    ----------
    indices, distances : (n, k) arrays, nearest first, no index twice in a row.

    Returns
    -------
    indices, distances : (n, k - 1) arrays.
    """
    n, k = indices.shape
    is_self = indices == np.arange(n)[:, None]
    is_self[~is_self.any(1), -1] = True
    keep = ~is_self
    return indices[keep].reshape(n, k - 1), distances[keep].reshape(n, k - 1)


def check_complete(indices: np.ndarray, distances: np.ndarray, library: str, setting: str) -> None:
    """Check that a library found all neighbours, at finite distances.

    Raises
    ------
    RuntimeError
        Where a row has too few neighbours, marked by -1; ``setting`` is the entry of
        ``knn_kwargs`` that finds more.
    ValueError
        Where distances are infinite or NaN.
    """
    found = (indices >= 0).sum(1)
    row = int(found.argmin())
    if found[row] < indices.shape[1]:
        raise RuntimeError(
            f"{library} found {found[row]} of {indices.shape[1]} neighbours of row {row}; "
            f"ask for more with knn_kwargs={{{setting!r}: ...}}"
        )
    if not np.isfinite(distances).all():
        row = int(np.flatnonzero(~np.isfinite(distances).all(1))[0])
        raise ValueError(f"{library} gives distances of row {row} that are not finite")


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
