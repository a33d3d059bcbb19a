import numpy as np
import pytest
import scipy.sparse
from scipy.spatial.distance import cdist

from fasttsne import TSNE, _kernels, initialization
from fasttsne.nearest_neighbors import Approx, Exact
from fasttsne.runtime import validation


@pytest.fixture
def counts(rng):
    """Rows with a few small counts, as of genes or words; rows 0 and 1 are empty, 2 and 3 equal."""
    X = rng.poisson(0.1, (700, 150)).astype(np.float32) * rng.gamma(2, 1, 150).astype(np.float32)
    X[:2] = 0
    X[3] = X[2]
    return X


@pytest.fixture(autouse=True)
def level(kernel, monkeypatch):
    monkeypatch.setattr(_kernels, "knn_sparse", kernel("knn_sparse"))
    monkeypatch.setattr(validation, "MAX_DENSE_NUMBERS", 0)  # what is small stays sparse, too


@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine", "correlation"])
def test_exact_equals_dense(counts, metric, kind):
    _, distances = Exact(kind(counts), 12, metric=metric, n_jobs=2).build()
    indices, expected = Exact(counts, 12, metric=metric, n_jobs=2).build()
    np.testing.assert_allclose(distances, expected, rtol=1e-4, atol=1e-6)
    assert not (indices == np.arange(700)[:, None]).any()


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation"])
def test_exact_equals_scipy(counts, metric):
    counts = counts[2:]  # SciPy has no angle to an empty row
    indices, distances = Exact(scipy.sparse.csr_matrix(counts), 5, metric=metric).build()
    expected = cdist(counts.astype(float), counts.astype(float), metric)
    np.testing.assert_allclose(
        distances, np.take_along_axis(expected, indices, 1), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, 1:6], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("metric", ["manhattan", "jaccard", "seuclidean"])
def test_other_metrics(counts, metric, monkeypatch):
    from fasttsne.nearest_neighbors import exact

    counts = counts[:, counts.std(0) > 0]
    monkeypatch.setattr(exact, "BLOCK_ENTRIES", 100 * 700)
    _, distances = Exact(scipy.sparse.csr_matrix(counts), 5, metric=metric).build()
    _, expected = Exact(counts, 5, metric=metric).build()
    np.testing.assert_allclose(distances, expected, rtol=1e-5)


def test_query(counts):
    index = Exact(scipy.sparse.csr_matrix(counts[:600]), 5)
    indices, distances = index.query(scipy.sparse.csr_matrix(counts[600:]), 4)
    expected = Exact(counts[:600], 5).query(counts[600:], 4)
    np.testing.assert_allclose(distances, expected[1], rtol=1e-4)
    np.testing.assert_allclose(index.query(counts[600:], 4)[1], distances)
    assert indices.dtype == np.int32


@pytest.mark.thin(1)
@pytest.mark.parametrize("columns", [60, 500])
@pytest.mark.parametrize("metric", ["euclidean", "correlation"])
def test_approx(rng, columns, metric):
    topics = rng.gamma(0.2, 1, (30, columns))
    X = rng.poisson(topics[rng.integers(30, size=4000)]).astype(np.float32)
    index = Approx(scipy.sparse.csr_matrix(X), 15, metric=metric, n_jobs=2, random_state=0)
    _, distances = index.build()
    _, true = Exact(X, 15, metric=metric, n_jobs=2).build()
    assert index.recall_ >= 0.95
    assert (distances <= true[:, -1:] * (1 + 1e-4) + 1e-6).mean() > 0.93


@pytest.mark.parametrize("columns", [40, 1100])
def test_principal_components(rng, columns):
    X = rng.poisson(0.3, (1300, columns)) * rng.gamma(1, 1, columns)
    X[:400, :20] += 5
    dense = initialization.pca(X, 1, add_jitter=False, random_state=0)
    sparse = initialization.pca(scipy.sparse.csr_matrix(X), 1, add_jitter=False, random_state=0)
    assert abs(np.corrcoef(dense[:, 0], sparse[:, 0])[0, 1]) > 0.999


def test_fit(counts):
    X = scipy.sparse.csr_matrix(counts)
    before = X.copy()
    embedding = TSNE(perplexity=10, n_iter=20, early_exaggeration_iter=10, random_state=0).fit(X)
    assert embedding.shape == (700, 2)
    assert np.isfinite(embedding).all()
    assert (before != X).nnz == 0


def test_bad_input(counts):
    X = scipy.sparse.csr_matrix(counts)
    X.data[7] = np.nan
    with pytest.raises(ValueError, match=r"X must be finite; X\[\d+, \d+\] is nan"):
        TSNE().fit(X)
    with pytest.raises(ValueError, match=r"metric_params\['VI'\]"):
        Exact(scipy.sparse.csr_matrix(counts), 5, metric="mahalanobis").build()
    assert Exact(scipy.sparse.csr_matrix((5, 4)), 2).build()[1].max() == 0
