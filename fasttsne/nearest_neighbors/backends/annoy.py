"""Approximate neighbours by Annoy's random trees: an optional backend, extra ``annoy``."""

from functools import cached_property
from typing import ClassVar

import numpy as np

from fasttsne.nearest_neighbors.backends.base import BackendIndex, check_complete, drop_self

METRICS = {
    "euclidean": "euclidean",
    "l2": "euclidean",
    "manhattan": "manhattan",
    "l1": "manhattan",
    "taxicab": "manhattan",
    "cityblock": "manhattan",
    "cosine": "angular",
    "angular": "angular",
    "hamming": "hamming",
}


class Annoy(BackendIndex):
    """Neighbours by random projection trees, as in fastTSNE of 2018.

    ``knn_kwargs``: ``n_trees`` (50), ``search_k`` (-1: trees times k).

    Raises
    ------
    ImportError
        Where the package ``annoy`` is not installed.
    """

    EXTRA = "annoy"
    VALID_METRICS = tuple(METRICS)
    SETTINGS: ClassVar = {"n_trees": 50, "search_k": -1}

    def __getstate__(self):
        """Leave out Annoy's index, which cannot be pickled: it is built again when it is needed."""
        return {name: value for name, value in vars(self).items() if name != "_index"}

    @cached_property
    def _index(self):
        annoy = self._import("annoy")
        index = annoy.AnnoyIndex(self.data.shape[1], METRICS[self.check_metric(self.metric)])
        index.set_seed(self.seed)
        for i, row in enumerate(self.data):
            index.add_item(i, row)
        index.build(self.settings["n_trees"], n_jobs=self.n_threads)
        return index

    def _build(self):
        search = self._index.get_nns_by_item
        return drop_self(*self._gather(search, range(self.n_samples), self.k + 1))

    def _query(self, X, k):
        return self._gather(self._index.get_nns_by_vector, X, k)

    def _gather(self, search, items, k):
        search_k = self.settings["search_k"]
        indices = np.full((len(items), k), -1, np.int32)
        distances = np.empty((len(items), k), np.float32)
        for row, item in enumerate(items):
            found = search(item, k, search_k=search_k, include_distances=True)
            indices[row, : len(found[0])], distances[row, : len(found[1])] = found
        check_complete(indices, distances, "Annoy", "search_k")
        if self.metric == "cosine":
            distances = distances**2 / 2
        elif self.metric == "hamming":  # Annoy counts the columns that differ
            distances /= self.data.shape[1]
        return indices, distances
