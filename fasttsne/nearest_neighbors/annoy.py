"""Approximate neighbours by Annoy's random trees: an optional backend, extra ``annoy``."""

import numpy as np

from fasttsne._validation import check_random_state
from fasttsne.nearest_neighbors.base import KNNIndex
from fasttsne.utils import require

METRICS = {
    "euclidean": "euclidean", "l2": "euclidean", "manhattan": "manhattan", "l1": "manhattan",
    "cosine": "angular", "angular": "angular", "hamming": "hamming", "dot": "dot",
}  # fmt: skip


class Annoy(KNNIndex):
    """Neighbours by random projection trees, as old fastTSNE had them.

    ``knn_kwargs``: ``n_trees`` (50), ``search_k`` (-1: trees times k).

    Raises
    ------
    ImportError
        Where the package ``annoy`` is not installed.
    """

    VALID_METRICS = tuple(METRICS)

    def _build(self):
        annoy = require("annoy", "neighbors='annoy'", "annoy")
        self._index = annoy.AnnoyIndex(self.data.shape[1], METRICS[self.metric])
        self._index.set_seed(int(check_random_state(self.random_state).randint(2**31 - 1)))
        for i, row in enumerate(self.data):
            self._index.add_item(i, row)
        self._index.build(self.knn_kwargs.get("n_trees", 50), n_jobs=self.n_threads)
        indices, distances = self._gather(
            self._index.get_nns_by_item, range(self.n_samples), self.k + 1
        )
        return _without_self(indices, distances)

    def _query(self, X, k):
        return self._gather(self._index.get_nns_by_vector, X, k)

    def _gather(self, ask, items, k):
        search_k = self.knn_kwargs.get("search_k", -1)
        indices = np.empty((len(items), k), np.int32)
        distances = np.empty((len(items), k), np.float32)
        for row, item in enumerate(items):
            found, at = ask(item, k, search_k=search_k, include_distances=True)
            if len(found) < k:
                raise RuntimeError(
                    f"Annoy found {len(found)} of {k} neighbours of row {row}; "
                    "ask for more with knn_kwargs={'search_k': ...}"
                )
            indices[row], distances[row] = found, at
        if self.metric == "cosine":
            distances = distances**2 / 2
        return indices, distances


def _without_self(indices, distances):
    """Drop each row's own number, or the farthest neighbour where it was not found."""
    n, k = indices.shape
    own = indices == np.arange(n)[:, None]
    own[~own.any(1), -1] = True
    keep = ~own
    return indices[keep].reshape(n, k - 1), distances[keep].reshape(n, k - 1)
