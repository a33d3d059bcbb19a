"""Optional searches: what they find, its units, and what they say; skipped where not installed."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK
from scipy.spatial.distance import cdist

from fasttsne import TSNE
from fasttsne.nearest_neighbors import HNSW, Annoy, Exact, Faiss, NNDescent, Sklearn, make_index

PACKAGES = {Annoy: "annoy", HNSW: "hnswlib", Faiss: "faiss", Sklearn: "sklearn"}
NAMES = {"annoy": Annoy, "hnsw": HNSW, "faiss": Faiss, "sklearn": Sklearn}
SCIPY_NAMES = {"l2": "euclidean", "l1": "cityblock", "manhattan": "cityblock"}

every_backend = pytest.mark.parametrize("backend", PACKAGES, ids=lambda backend: backend.__name__)


def make(backend, *arguments, **keywords):
    pytest.importorskip(PACKAGES.get(backend, "pynndescent"))
    return backend(*arguments, **keywords)


def recall(found, true):
    return (
        np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, true, strict=True)])
        / (true.shape[1])
    )


def check_graph(index, X, k, metric="euclidean"):
    """Shapes, order, no row its own neighbour, distances those of SciPy."""
    indices, distances = index.build()
    assert indices.shape == distances.shape == (len(X), k)
    assert indices.dtype == np.int32
    assert not (indices == np.arange(len(X))[:, None]).any()
    assert all(len(set(row)) == k for row in indices.tolist())
    assert (np.diff(distances) >= -1e-6).all()
    table = cdist(X, X, SCIPY_NAMES.get(metric, metric))
    expected = np.take_along_axis(table, indices.astype(np.int64), 1)
    np.testing.assert_allclose(distances, expected, rtol=1e-3, atol=1e-5)
    return indices


@pytest.mark.parametrize(
    ("backend", "metric"),
    [(backend, metric) for backend in PACKAGES for metric in ("euclidean", "l2", "cosine")]
    + [(backend, "manhattan") for backend in (Annoy, Faiss, Sklearn)],
)
def test_finds_the_neighbours_of_exact(digits, backend, metric):
    index = make(backend, digits, 15, metric=metric, n_jobs=2, random_state=0)
    indices = check_graph(index, digits.astype(float), 15, metric)
    assert recall(indices, Exact(digits, 15, metric=metric).build()[0]) > 0.95


def test_annoy_angles_and_bits(digits, rng):
    """In the units of SciPy; an angle is the distance of rows of length one."""
    unit = digits / np.linalg.norm(digits, axis=1, keepdims=True)
    indices, distances = make(Annoy, digits, 5, metric="angular", random_state=0).build()
    expected = np.take_along_axis(cdist(unit, unit), indices.astype(np.int64), 1)
    np.testing.assert_allclose(distances, expected, rtol=1e-3)
    bits = (rng.random((300, 64)) < 0.5).astype(np.float32)
    indices = check_graph(make(Annoy, bits, 5, metric="hamming"), bits, 5, "hamming")
    kth = np.sort(cdist(bits, bits, "hamming"), axis=1)[:, 5]
    assert (bits[indices[:, 0]] != bits).mean(1).mean() <= kth.mean()


def test_annoy_has_the_names_of_opentsne(digits):
    found = [
        make(Annoy, digits, 5, metric=metric, random_state=0).build()
        for metric in ("manhattan", "l1", "taxicab", "cityblock")
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_annoy_refuses_inner_products(digits):
    with pytest.raises(ValueError, match=r"metric='dot' gives inner products.*metric='cosine'"):
        make(Annoy, digits, 5, metric="dot")
    with pytest.raises(ValueError, match="metric='dot' gives inner products"):
        TSNE(neighbors="annoy", metric="dot", **QUICK).fit(digits)
    index = make(Annoy, digits, 5)
    index.metric = "dot"
    with pytest.raises(ValueError, match="metric='dot' gives inner products"):
        index.build()


@pytest.mark.parametrize("backend", [HNSW, Faiss, Sklearn])
@pytest.mark.parametrize("metric", ["sqeuclidean", "correlation"])
def test_more_metrics_in_their_own_units(digits, backend, metric):
    check_graph(make(backend, digits, 5, metric=metric), digits.astype(float), 5, metric)


@pytest.mark.parametrize("metric", ["chebyshev", "canberra", "braycurtis"])
def test_metrics_of_the_flat_faiss_index(rng, metric):
    X = rng.random((200, 6)).astype(np.float32)
    check_graph(make(Faiss, X, 5, metric=metric), X.astype(float), 5, metric)


@pytest.mark.parametrize("metric", ["canberra", "braycurtis"])
def test_zeros_in_rows_of_the_flat_faiss_index(rng, metric):
    """0 / 0 is no distance: rows of zeros have their twins as neighbours."""
    X = (rng.random((200, 6)) * (rng.random((200, 6)) < 0.6)).astype(np.float32)
    X[:5] = 0
    indices, distances = make(Faiss, X, 4, metric=metric).build()
    np.testing.assert_allclose(distances, Exact(X, 4, metric=metric).build()[1], rtol=1e-5)
    np.testing.assert_array_equal(
        np.sort(indices[:5]), [np.delete(np.arange(5), i) for i in range(5)]
    )


@pytest.mark.parametrize("name", NAMES)
def test_whole_fit(digits, name):
    pytest.importorskip(PACKAGES[NAMES[name]])
    assert isinstance(make_index(name, digits, 5), NAMES[name])
    embedding = TSNE(neighbors=name, **QUICK).fit(digits)
    assert np.isfinite(embedding).all()
    assert isinstance(embedding.affinities.knn_index, NAMES[name])


@pytest.mark.parametrize(
    ("backend", "module", "extra"),
    [
        (Annoy, "annoy", "annoy"),
        (HNSW, "hnswlib", "hnsw"),
        (NNDescent, "pynndescent", "pynndescent"),
        (Faiss, "faiss", "faiss"),
        (Sklearn, "sklearn.neighbors", "sklearn"),
    ],
)
def test_missing_package_says_what_to_install(monkeypatch, digits, backend, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'fasttsne\[{extra}\]'"):
        backend(digits, 5).build()


@pytest.mark.parametrize("backend", [Annoy, HNSW, Faiss, Sklearn])
def test_unknown_settings(digits, backend):
    with pytest.raises(TypeError, match=r"unknown knn_kwargs \['trees'\] of .*; accepted are '"):
        make(backend, digits, 5, knn_kwargs={"trees": 5})


@pytest.mark.parametrize(
    ("backend", "settings", "error", "message"),
    [
        (Annoy, {"n_trees": 0}, ValueError, "n_trees must be at least 1; got 0"),
        (HNSW, {"M": 1}, ValueError, "M must be at least 2; got 1"),
        (HNSW, {"ef": 2.5}, TypeError, "ef must be an integer; got 2.5"),
        (Faiss, {"index": "tree"}, ValueError, "index must be one of 'auto', 'flat', 'ivf'"),
        (Faiss, {"nprobe": "all"}, TypeError, "nprobe must be an integer; got 'all'"),
        (Sklearn, {"algorithm": "magic"}, ValueError, "magic"),
    ],
)
def test_bad_settings(digits, backend, settings, error, message):
    with pytest.raises(error, match=message):
        make(backend, digits, 5, knn_kwargs=settings).build()


@every_backend
def test_far_from_the_origin(digits, backend):
    index = make(backend, digits + 1e4, 10, n_jobs=1, random_state=0)
    assert recall(index.build()[0], Exact(digits, 10).build()[0]) > 0.9


def test_faiss_lists(digits):
    index = make(Faiss, digits, 10, random_state=0, n_jobs=2, knn_kwargs={"index": "ivf"})
    indices = check_graph(index, digits.astype(float), 10)
    true = Exact(digits, 10).build()[0]
    some = recall(indices, true)
    settings = {"index": "ivf", "nlist": 20, "nprobe": 20}
    assert some > 0.8
    assert recall(Faiss(digits, 10, knn_kwargs=settings).build()[0], true) > 0.99
    with pytest.raises(ValueError, match=r"for index='ivf'; got 'manhattan'"):
        Faiss(digits, 10, metric="manhattan", knn_kwargs={"index": "ivf"})


def test_faiss_keeps_the_threads_of_the_process(digits):
    faiss = pytest.importorskip("faiss")
    before = faiss.omp_get_max_threads()
    Faiss(digits, 5, n_jobs=before + 1).build()
    assert faiss.omp_get_max_threads() == before


def test_too_few_found(digits):
    settings = {"index": "ivf", "nlist": 100, "nprobe": 1}
    with pytest.raises(RuntimeError, match=r"faiss found \d+ of 31 .*knn_kwargs={'nprobe': ...}"):
        make(Faiss, digits, 30, random_state=0, knn_kwargs=settings).build()


def test_distances_that_are_not_finite(rng):
    with pytest.raises(ValueError, match=r"Annoy gives distances of row 0 that are not finite"):
        make(Annoy, rng.normal(0, 1e200, (50, 3)), 5).build()


def test_sklearn_callable_and_parameters(digits):
    X = digits[:60].astype(float)
    _, distances = make(Sklearn, X, 4, metric="minkowski", metric_params={"p": 3}).build()
    expected = np.sort(cdist(X, X, "minkowski", p=3), axis=1)[:, 1:5]
    np.testing.assert_allclose(distances, expected)
    _, distances = Sklearn(X, 4, metric=lambda u, v: abs(u - v).max()).build()
    np.testing.assert_allclose(distances, np.sort(cdist(X, X, "chebyshev"), axis=1)[:, 1:5])
    _, distances = Sklearn(X, 4, metric="jaccard").build()
    np.testing.assert_allclose(distances, np.sort(cdist(X > 0, X > 0, "jaccard"), axis=1)[:, 1:5])


def test_sklearn_sparse_rows(digits):
    dense = make(Sklearn, digits, 8, metric="cosine").build()
    for X in (sp.csr_matrix(digits), sp.csr_array(digits), sp.coo_array(digits)):
        index = Sklearn(X, 8, metric="cosine")
        _, distances = index.build()
        np.testing.assert_allclose(distances, dense[1], atol=1e-6)
        assert index.query(X.tocsr()[:3], 2)[0][:, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (sp.csr_matrix([[0.0, np.nan], [1, 0]]), ValueError, r"data\[0, 1\] is nan"),
        (sp.csr_matrix([[0.0, 1.0]]), ValueError, "at least 2 rows"),
        (sp.csr_matrix([[0.0, 1j], [1, 0]]), TypeError, "real numbers"),
    ],
)
def test_bad_sparse_rows(X, error, message):
    with pytest.raises(error, match=message):
        make(Sklearn, X, 1)


def test_sparse_rows_are_not_changed():
    X = sp.csr_matrix((np.array([3, 2, 1]), np.array([1, 0, 1]), np.array([0, 2, 3])), (2, 2))
    make(Sklearn, X, 1).build()
    assert X.indices.tolist() == [1, 0, 1]
    assert X.data.tolist() == [3, 2, 1]


@pytest.fixture(scope="module")
def descent(digits):
    """One index for all tests: the first is compiled for half a minute."""
    index = make(NNDescent, digits, 15, n_jobs=2, random_state=0)
    return index, index.build()


@pytest.mark.slow
def test_descent_finds_the_neighbours_of_exact(digits, descent):
    index, (indices, _) = descent
    check_graph(index, digits.astype(float), 15)
    assert recall(indices, Exact(digits, 15).build()[0]) > 0.95
    assert recall(index.query(digits[:50], 7)[0], Exact(digits, 7).query(digits[:50], 7)[0]) > 0.9


@pytest.mark.thin(1)
@pytest.mark.parametrize("metric", ["cosine", "correlation", "sqeuclidean"])
def test_descent_metrics_in_their_own_units(digits, descent, metric):
    check_graph(NNDescent(digits, 15, metric=metric), digits.astype(float), 15, metric)


@pytest.mark.slow
def test_descent_sparse_rows_and_another_metric(digits, descent):
    X = sp.csr_matrix(digits)
    index = NNDescent(X, 10, metric="cityblock", random_state=0)
    indices = check_graph(index, digits.astype(float), 10, "cityblock")
    assert recall(indices, Exact(digits, 10, metric="cityblock").build()[0]) > 0.95


def test_descent_settings_go_to_the_library(digits, descent):
    with pytest.raises(TypeError, match="trees"):
        NNDescent(digits, 15, knn_kwargs={"trees": 5}).build()
    assert NNDescent(digits, 15, knn_kwargs={"n_iters": 1}).build()[0].shape == (500, 15)


@pytest.mark.slow
def test_nndescent_compiles_functions_and_has_mahalanobis(rng, caplog):
    pytest.importorskip("pynndescent")
    X = rng.normal(size=(120, 3)).astype(np.float32)

    def chebyshev(u, v):
        return np.max(np.abs(u - v))

    inverse = np.linalg.inv(np.cov(X.T)).astype(np.float32)
    for metric, params, expected in [
        (chebyshev, None, cdist(X, X, "chebyshev")),
        ("mahalanobis", {"vinv": inverse}, cdist(X, X, "mahalanobis", VI=inverse)),
    ]:
        caplog.clear()
        indices, distances = NNDescent(X, 4, metric, params, random_state=0).build()
        assert f"compiles its search for metric={metric}, once in a process" in caplog.text
        true = np.take_along_axis(expected, indices.astype(np.int64), 1)
        np.testing.assert_allclose(distances, true, rtol=1e-4)
        assert recall(indices, np.argsort(expected, 1)[:, 1:5]) > 0.95
