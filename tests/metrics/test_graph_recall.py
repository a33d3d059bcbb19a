import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne import TSNEEmbedding, metrics
from fasttsne.affinity import PerplexityBasedNN


def test_an_exact_graph_has_them_all():
    X = np.random.default_rng(0).normal(size=(400, 5))
    affinities = PerplexityBasedNN(X, perplexity=10, method="exact")
    recall = metrics.graph_recall(X, affinities)
    assert recall == 1
    assert recall == metrics.graph_recall(X, TSNEEmbedding(X[:, :2], affinities))


def test_missing_edges_are_counted_and_their_rows_known():
    X = np.random.default_rng(0).normal(size=(400, 5))
    whole = PerplexityBasedNN(X, perplexity=10, method="exact").P
    kept = np.ones(400)
    kept[:40] = 0
    P = sp.csr_matrix(sp.diags(kept) @ whole)
    P.eliminate_zeros()
    recall = metrics.graph_recall(X, TSNEEmbedding(X[:, :2], P / P.sum()), sample_size=None)
    assert recall == pytest.approx(0.9)
    np.testing.assert_array_equal(recall.values == 0, np.arange(400) < 40)


def test_bad_input():
    X = np.random.default_rng(0).normal(size=(50, 5))
    with pytest.raises(TypeError, match="TSNEEmbedding or Affinities; got ndarray"):
        metrics.graph_recall(X, X)
    with pytest.raises(ValueError, match="as many rows as the graph, 50; got 49"):
        metrics.graph_recall(X[:49], PerplexityBasedNN(X, perplexity=5))
