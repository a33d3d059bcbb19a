"""Each measure against its definition or scikit-learn's, on all rows and on samples."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
from scipy.spatial.distance import cdist

import fasttsne
from fasttsne import TSNE, TSNEEmbedding, metrics
from fasttsne.affinity import PerplexityBasedNN


def recall_by_sets(D, embedding, k):
    """By the definition, from all distances."""
    found = []
    in_map = cdist(embedding, embedding)
    for row in range(len(D)):
        others = np.delete(np.arange(len(D)), row)
        near = others[np.argsort(D[row, others], kind="stable")[:k]]
        shown = others[np.argsort(in_map[row, others], kind="stable")[:k]]
        found.append(len(np.intersect1d(near, shown)) / k)
    return np.mean(found)


def test_is_there_after_a_bare_import():
    assert fasttsne.metrics is metrics


def test_pBIC(embedding, pictures):
    expected = 2 * embedding.kl_divergence + np.log(400) * 30 / 400
    assert metrics.pBIC(embedding) == pytest.approx(expected)
    fresh = TSNE(random_state=0).prepare_initial(pictures)
    with pytest.raises(ValueError, match="optimize it first"):
        metrics.pBIC(fresh)
    with pytest.raises(TypeError, match="affinities of one perplexity; got ndarray"):
        metrics.pBIC(np.zeros((5, 2)))
    with pytest.raises(TypeError, match="PrecomputedAffinities"):
        metrics.pBIC(TSNEEmbedding(embedding, embedding.affinities.P))


@pytest.mark.filterwarnings("ignore:perplexity")
def test_pBIC_takes_the_perplexity_that_P_has(pictures):
    affinities = PerplexityBasedNN(pictures[:31], perplexity=100)
    embedding = TSNEEmbedding(np.random.default_rng(0).normal(size=(31, 2)), affinities)
    embedding.optimize(5, inplace=True)
    expected = 2 * embedding.kl_divergence + np.log(31) * 10 / 31
    assert metrics.pBIC(embedding) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation", "manhattan"])
@pytest.mark.parametrize("k", [1, 10])
def test_neighbor_recall(pictures, embedding, metric, k):
    scipy_name = {"manhattan": "cityblock"}.get(metric, metric)
    D = cdist(pictures.astype(float), pictures.astype(float), scipy_name)
    expected = recall_by_sets(D, embedding, k)
    assert metrics.neighbor_recall(pictures, embedding, k, metric) == pytest.approx(
        expected, abs=1e-3
    )
    assert metrics.neighbor_recall(D, embedding, k, "precomputed") == pytest.approx(
        expected, abs=1e-3
    )
    sparse = sp.csr_matrix(pictures)
    assert metrics.neighbor_recall(sparse, embedding, k, metric) == pytest.approx(
        expected, abs=1e-3
    )


def test_extremes(pictures):
    flat = np.random.default_rng(0).normal(size=(300, 2))
    assert metrics.neighbor_recall(flat, 3 * flat, 10) == 1
    assert metrics.trustworthiness(flat, 3 * flat, 10) == 1
    assert metrics.distance_correlation(flat, 3 * flat) == pytest.approx(1, abs=1e-6)
    noise = np.random.default_rng(1).normal(size=(300, 2))
    assert metrics.neighbor_recall(flat, noise, 10) < 0.1
    assert 0.4 < metrics.trustworthiness(flat, noise, 10) < 0.6
    assert abs(metrics.distance_correlation(flat, noise)) < 0.1


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "cityblock"])
@pytest.mark.parametrize("k", [5, 50])
def test_trustworthiness_is_that_of_scikit_learn(pictures, embedding, metric, k):
    manifold = pytest.importorskip("sklearn.manifold")
    expected = manifold.trustworthiness(
        pictures.astype(float), np.asarray(embedding), n_neighbors=k, metric=metric
    )
    assert metrics.trustworthiness(pictures, embedding, k, metric) == pytest.approx(
        expected, abs=1e-5
    )


@pytest.mark.parametrize("method", ["spearman", "pearson"])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
def test_distance_correlation(pictures, embedding, method, kind):
    pairs = np.triu_indices(400, 1)
    a = cdist(pictures, pictures, "cosine")[pairs]
    b = cdist(embedding, embedding)[pairs]
    expected = getattr(scipy.stats, f"{method}r")(a, b).statistic
    found = metrics.distance_correlation(kind(pictures), embedding, method, metric="cosine")
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "measure", [metrics.neighbor_recall, metrics.trustworthiness, metrics.distance_correlation]
)
def test_samples(pictures, embedding, measure):
    X = pictures.copy()
    whole = measure(X, embedding, sample_size=None)
    assert whole == measure(X, embedding, sample_size=400)
    part = measure(X, embedding, sample_size=200)
    assert part != whole
    assert part == pytest.approx(whole, abs=0.06)
    assert part == measure(X, embedding, sample_size=200, random_state=0)
    assert part != measure(X, embedding, sample_size=200, random_state=1)
    np.testing.assert_array_equal(X, pictures)


def test_threads_do_not_matter(pictures, embedding):
    for measure in (metrics.neighbor_recall, metrics.trustworthiness):
        assert len({measure(pictures, embedding, n_jobs=n) for n in (1, 2, 5)}) == 1


def test_any_map_of_any_dimension(pictures):
    assert metrics.neighbor_recall(pictures, pictures[:, 20:40]) > 0.2
    with pytest.raises(ValueError, match="as many rows as X, 400; got 399"):
        metrics.neighbor_recall(pictures, pictures[:399, :2])


@pytest.mark.parametrize(
    ("measure", "params", "message"),
    [
        (metrics.neighbor_recall, {"k": 400}, "k must be at most 399; got 400"),
        (metrics.neighbor_recall, {"k": 0}, "k must be at least 1"),
        (metrics.neighbor_recall, {"metric": "x"}, "metric must be one of"),
        (metrics.neighbor_recall, {"metric": "precomputed"}, "square"),
        (metrics.trustworthiness, {"k": 200}, "less than half of the 400 rows; got 200"),
        (metrics.trustworthiness, {"sample_size": 1}, "sample_size must be at least 2"),
        (metrics.distance_correlation, {"method": "kendall"}, "'spearman', 'pearson'"),
    ],
)
def test_bad_parameters(pictures, embedding, measure, params, message):
    with pytest.raises(ValueError, match=message):
        measure(pictures, embedding, **params)


def test_unknown_distances(pictures, embedding):
    graph = sp.random(400, 400, 0.1, random_state=0, format="csr")
    assert 0 <= metrics.neighbor_recall(graph, embedding, 5, "precomputed") <= 1
    with pytest.raises(ValueError, match="unknown"):
        metrics.distance_correlation(graph, embedding, metric="precomputed")
