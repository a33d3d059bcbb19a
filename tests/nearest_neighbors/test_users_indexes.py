"""Classes of users derived from those of the package, and openTSNE's names of arguments."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from fasttsne import TSNE
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.nearest_neighbors import Exact, KNNIndex, PrecomputedDistanceMatrix


class Brute(KNNIndex):
    """As openTSNE's subclasses: ``build`` and ``query``, and a list of metrics."""

    VALID_METRICS = ["euclidean", "cityblock"]  # noqa: RUF012

    def build(self):
        distances = cdist(self.data, self.data, self.metric)
        np.fill_diagonal(distances, np.inf)
        return self._nearest(distances, self.k)

    def query(self, query, k):
        return self._nearest(cdist(query, self.data, self.metric), k)

    def _nearest(self, distances, k):
        indices = np.argsort(distances, axis=1)[:, :k]
        return indices, np.take_along_axis(distances, indices, 1)


@pytest.mark.parametrize("metric", Brute.VALID_METRICS)
def test_a_class_with_build_and_query(digits, metric):
    X = digits[:210] + np.linspace(0, 1, 210)[:, None]  # without ties
    X, new = X[:200], X[200:]
    index = Brute(X, 30, metric=metric)
    affinities = PerplexityBasedNN(knn_index=index, perplexity=10)
    expected = PerplexityBasedNN(X, 10, method="exact", metric=metric)
    assert abs(affinities.P - expected.P).max() < 1e-6
    P, expected = affinities.to_new(new), expected.to_new(new)
    assert abs(P - expected).max() < 1e-4
    with pytest.raises(ValueError, match="metric must be one of 'euclidean', 'cityblock'"):
        Brute(X, 30, metric="cosine")


def test_a_class_with_build_only(digits):
    class Lists(KNNIndex):
        VALID_METRICS = ("euclidean",)
        build = Brute.build
        _nearest = Brute._nearest

    embedding = TSNE(neighbors=Lists(digits[:100], 30), n_iter=5, perplexity=10).fit()
    with pytest.raises(NotImplementedError, match="Lists has no method query"):
        embedding.transform(digits[:3])


def test_query_of_a_built_in_search_is_overridden(digits):
    class First(Exact):
        def query(self, X, k):
            return np.tile(np.arange(k), (len(X), 1)), np.ones((len(X), k))

    affinities = PerplexityBasedNN(knn_index=First(digits[:100], 30), perplexity=10)
    assert (affinities.to_new(digits[:3], 5).indices.reshape(3, -1) == np.arange(15)).all()


def test_rows_that_do_not_exist_are_refused(digits):
    class Wrong(Exact):
        def build(self):
            indices, distances = super().build()
            return indices + 100, distances

    with pytest.raises(ValueError, match="row indices from 0 to 99"):
        PerplexityBasedNN(knn_index=Wrong(digits[:100], 30), perplexity=10)


def test_a_matrix_of_distances_by_name(digits):
    D = cdist(digits[:50], digits[:50])
    expected = PrecomputedDistanceMatrix(D, 5).build()
    for found in (
        PrecomputedDistanceMatrix(distance_matrix=D, k=5),
        PrecomputedDistanceMatrix(matrix=D, k=5),
    ):
        np.testing.assert_array_equal(found.build(), expected)
    with pytest.raises(TypeError, match="needs matrix and k"):
        PrecomputedDistanceMatrix(D)
