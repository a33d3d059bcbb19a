"""An index of rows to which others were added: what was built is kept, and extended.

New rows find their neighbours among the old ones by the old index, and among each other by an
index of their own.  An old row takes new ones into its list that are nearer than its farthest
neighbour; they are looked for among the pairs that the new rows found, twice as many as they keep.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from fasttsne.nearest_neighbors.index import Index
from fasttsne.nearest_neighbors.select import make_index

# Old rows that a new one looks at, in units of the neighbours that it keeps: it may be a neighbour
# of rows that are none of its own.
REVERSE_FACTOR = 2


class ExtendedIndex:
    """An index, and rows that were added to it, which are numbered after its own.

    Parameters
    ----------
    index : of the old rows.
    indices, distances : (n, k), what it found for them; not changed.
    X : (m, columns) new rows.

    Attributes
    ----------
    k, n_samples, metric : of all rows.
    """

    def __init__(self, index: Index, indices: np.ndarray, distances: np.ndarray, X: Any):
        self.k, self.n_old = indices.shape[1], len(indices)
        self.metric: Any = getattr(index, "metric", "euclidean")
        self.n_samples = self.n_old + X.shape[0]
        self._old, self._found = index, (indices, distances)
        self._new = self._index_of(X)
        self._X = X

    def _index_of(self, X: Any) -> Index | None:
        """The index of the new rows; None where there is one, which has no other."""
        if X.shape[0] == 1:
            return None
        settings: dict[str, Any] = {
            name: getattr(self._old, name)
            for name in ("metric", "metric_params", "n_jobs") if hasattr(self._old, name)
        }  # fmt: skip
        return make_index("auto", X, min(self.k, X.shape[0] - 1), **settings)

    def build(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the neighbours of all rows, and their distances: (n + m, k)."""
        n_looked_at = min(REVERSE_FACTOR * self.k, self.n_old)
        among_old = self._old.query(self._X, n_looked_at)
        parts = [among_old]
        if self._new is not None:
            indices, distances = self._new.build()
            parts.append((indices + self.n_old, distances))
        of_new = _nearest(parts, self.k)
        of_old = _with_new_rows(*self._found, *among_old)
        indices, distances = (np.concatenate(each) for each in zip(of_old, of_new, strict=True))
        return indices, distances

    def query(self, X: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the k rows nearest to each row of X, nearest first, and their distances."""
        parts = [self._old.query(X, min(k, self.n_old))]
        n_new = self._X.shape[0]
        if self._new is not None:
            indices, distances = self._new.query(X, min(k, n_new))
            parts.append((indices + self.n_old, distances))
        else:
            parts.append(self._distances_to_the_only(X))
        return _nearest(parts, k)

    def _distances_to_the_only(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        stack = sp.vstack if sp.issparse(self._X) else np.vstack
        twice = make_index("exact", stack([self._X, self._X]), 1, metric=self.metric)
        _, distances = twice.query(X, 1)
        return np.full(distances.shape, self.n_old, np.int32), distances


def _nearest(parts: list[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of several lists for the same rows; of equal distances the smaller number."""
    indices = np.concatenate([part[0] for part in parts], axis=1)
    distances = np.concatenate([part[1] for part in parts], axis=1)
    order = np.lexsort((indices, distances), axis=1)[:, :k]
    return (
        np.take_along_axis(indices, order, 1).astype(np.int32),
        np.take_along_axis(distances, order, 1),
    )


def _with_new_rows(
    indices: np.ndarray, distances: np.ndarray, found: np.ndarray, found_distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The lists of old rows, with those new ones in them that are nearer than others.

    found, found_distances : (m, any), old rows near to each new one.
    """
    n, k = indices.shape
    new = np.repeat(np.arange(n, n + len(found), dtype=np.int32), found.shape[1])
    old, far = found.ravel(), found_distances.ravel()
    is_near = far < distances[old, -1]
    old, new, far = old[is_near], new[is_near], far[is_near]
    order = np.lexsort((new, far, old))
    old, new, far = old[order], new[order], far[order]
    rows, starts, counts = np.unique(old, return_index=True, return_counts=True)
    place = np.arange(len(old)) - np.repeat(starts, counts)
    is_kept = place < k
    row, place = np.repeat(np.arange(len(rows)), counts)[is_kept], place[is_kept]
    more = np.full((len(rows), min(int(counts.max(initial=0)), k)), -1, np.int32)
    more_far = np.full(more.shape, np.inf, distances.dtype)
    more[row, place], more_far[row, place] = new[is_kept], far[is_kept]
    indices, distances = indices.copy(), distances.copy()
    indices[rows], distances[rows] = _nearest(
        [(indices[rows], distances[rows]), (more, more_far)], k
    )
    return indices, distances
