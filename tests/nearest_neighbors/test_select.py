"""What "auto" is, how many neighbours a perplexity takes, and both sides of each limit."""

import numpy as np
import pytest
from quick import run_python

from fasttsne.nearest_neighbors import Approx, Exact, Faiss, exact, make_index, select
from fasttsne.nearest_neighbors.approx import EXACT_MAX_SAMPLES
from fasttsne.nearest_neighbors.backends import faiss as faiss_backend
from fasttsne.nearest_neighbors.backends.scikit import OTHER_METRICS, UNSUPPORTED_METRICS


@pytest.fixture(scope="module")
def clusters():
    """5,000 rows of few true dimensions in 160 columns."""
    rng = np.random.default_rng(0)
    centers = rng.integers(0, 60, (12, 160))[rng.integers(12, size=5000)]
    spread = rng.normal(size=(5000, 6)) @ rng.normal(0, 3, (6, 160))
    return (centers + spread).astype(np.float32)


@pytest.mark.parametrize(
    ("metric", "kind"),
    [("euclidean", Approx), ("cosine", Approx), ("manhattan", Exact), (max, Exact)],
)
def test_auto_is_approx_for_built_in_metrics(rng, metric, kind):
    assert type(make_index("auto", rng.normal(size=(9, 2)), 3, metric=metric)) is kind


def test_names_of_all_backends(rng):
    with pytest.raises(ValueError, match="'auto', " + ", ".join(map(repr, select.BACKENDS))):
        make_index("nonsense", rng.normal(size=(9, 2)), 3)


@pytest.mark.parametrize(
    "metric",
    ["manhattan", "l1", "cityblock", "taxicab", "chebyshev", "linfinity", "linfty", "linf",
     "minkowski", "hamming", "canberra", "braycurtis", "jaccard", "dice", "rogerstanimoto",
     "russellrao", "sokalsneath", "sokalmichener", "yule", "mahalanobis", "seuclidean",
     "standardised_euclidean", "jensenshannon"],
)  # fmt: skip
def test_auto_has_metrics_of_other_packages(rng, metric):
    X = rng.integers(0, 3, (60, 8)).astype(float)
    X[:, 0] = 1
    indices, distances = make_index("auto", X, 5, metric=metric).build()
    assert indices.shape == distances.shape == (60, 5)


@pytest.mark.parametrize(
    ("metric", "package"), [("haversine", "sklearn"), ("hellinger", "pynndescent")]
)
def test_auto_looks_for_a_metric_in_other_packages(rng, metric, package):
    pytest.importorskip(package)
    index = make_index("auto", abs(rng.normal(size=(30, 2))), 3, metric=metric)
    assert isinstance(index, select.backend_class(package))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("haversine", "scikit-learn or pynndescent: pip install 'fasttsne[sklearn]' or "
         "'fasttsne[pynndescent]'"),
        ("hellinger", "pynndescent: pip install 'fasttsne[pynndescent]'"),
        ("angular", "annoy: pip install 'fasttsne[annoy]'"),
    ],
)  # fmt: skip
def test_a_metric_of_packages_that_are_not_there(metric, message):
    result = run_python(
        "-c",
        "import sys, numpy, fasttsne\n"
        "sys.modules.update(sklearn=None, pynndescent=None, annoy=None)\n"
        f"fasttsne.TSNE(metric={metric!r}).fit(numpy.random.rand(30, 2))\n",
    )
    assert result.stderr.rstrip().endswith(f"ImportError: metric={metric!r} needs {message}")
    assert "The above exception" not in result.stderr


def test_scikit_learn_has_the_metrics_that_are_looked_for_there():
    names = pytest.importorskip("sklearn.neighbors").VALID_METRICS.values()
    others = set().union(*names) - UNSUPPORTED_METRICS - set(Exact.VALID_METRICS)
    assert others >= set(OTHER_METRICS)


def test_a_metric_that_nobody_has(rng):
    with pytest.raises(ValueError, match=r"metric must be one of .* got 'nonsense'"):
        make_index("auto", rng.normal(size=(9, 2)), 3, metric="nonsense")


def test_a_long_search_is_announced(rng, caplog, monkeypatch):
    X = rng.normal(size=(5000, 3))
    with caplog.at_level("INFO", "fasttsne"):
        make_index("auto", X, 3, metric="l1").build()
    assert "exact search of 5000 rows, metric l1: about " in caplog.text
    monkeypatch.setattr(exact, "LONG_SEARCH", 0)
    caplog.clear()
    make_index("auto", X, 3, metric="l1").build()
    assert [r.levelname for r in caplog.records if "exact search" in r.message] == ["WARNING"]


@pytest.mark.parametrize("metric", ["l1", "hamming", "euclidean"])
def test_exact_search_does_not_depend_on_threads(rng, metric):
    X = rng.integers(0, 4, (3000, 5)).astype(float)
    one, two = (Exact(X, 20, metric=metric, n_jobs=n).build() for n in (1, 3))
    np.testing.assert_array_equal(one, two)


def test_unknown_settings_of_the_exact_search(rng):
    with pytest.raises(TypeError, match=r"knn_kwargs \['n_trees'\] of Exact; accepted are none"):
        Exact(rng.normal(size=(9, 2)), 3, knn_kwargs={"n_trees": 3})


@pytest.mark.parametrize(
    ("k", "perplexity", "n_samples", "expected"),
    [
        ("auto", 30, 500, 90), ("auto", 30.5, 500, 91), ("auto", 30, 91, 90), ("auto", 30, 90, 89),
        ("auto", 30, None, 90), ("auto", 0.1, 500, 1), (7, 30, 500, 7), (500, 30, 500, 499),
    ],
)  # fmt: skip
def test_neighbors_for_a_perplexity(k, perplexity, n_samples, expected):
    assert select.resolve_k_neighbors(k, perplexity, n_samples) == expected


@pytest.mark.parametrize("k", [1, 2, 3, 14, 89, 90, 10_000_019])
def test_perplexity_for_neighbors_is_the_inverse(k):
    assert select.perplexity_for(k) == max(k / 3, 1)
    assert select.n_neighbors_for(k / 3) == k


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        ("many", ValueError, "k_neighbors must be 'auto' or an integer; got 'many'"),
        (0, ValueError, "k_neighbors must be at least 1; got 0"),
        (2.5, TypeError, r"k_neighbors must be an integer; got 2\.5"),
    ],
)
def test_bad_numbers_of_neighbors(k, error, message):
    with pytest.raises(error, match=message):
        select.resolve_k_neighbors(k, 30, 500)


def recall(found, true):
    return np.mean([np.isin(a, b).mean() for a, b in zip(found, true, strict=True)])


@pytest.mark.parametrize("n", [EXACT_MAX_SAMPLES, EXACT_MAX_SAMPLES + 1])
def test_quality_on_both_sides_of_the_exact_search(clusters, n):
    X = clusters[:n, :60]
    index = Approx(X, 10, n_jobs=2, random_state=0)
    found, _ = index.build()
    assert recall(found, Exact(X, 10, n_jobs=2).build()[0]) > 0.93
    assert (index._probes is None) == (n == EXACT_MAX_SAMPLES)
    assert (index.query(X[:50], 1)[0].ravel() == np.arange(50)).all()


@pytest.mark.parametrize("columns", [144, 145, 160])
def test_quality_on_both_sides_of_the_reduction(clusters, columns):
    """Some widths failed in 0.1.0: the projection was in Fortran order."""
    X = clusters[:, :columns]
    index = Approx(X, 10, n_jobs=2, random_state=0)
    found, _ = index.build()
    assert recall(found, Exact(X, 10, n_jobs=2).build()[0]) > 0.93
    assert (index._probes.projection is None) == (columns == 144)
    new = X[:100] + np.float32(0.1)
    assert recall(index.query(new, 10)[0], Exact(X, 10, n_jobs=2).query(new, 10)[0]) > 0.9


@pytest.mark.parametrize("n", [faiss_backend.FLAT_MAX_SAMPLES, faiss_backend.FLAT_MAX_SAMPLES + 1])
def test_which_index_of_faiss_is_automatic(rng, n):
    X = rng.normal(size=(n, 2)).astype(np.float32)
    assert Faiss(X, 3)._by_lists == (n > faiss_backend.FLAT_MAX_SAMPLES)
    assert not Faiss(X, 3, metric="manhattan")._by_lists
    assert Faiss(X, 3, knn_kwargs={"index": "ivf"})._by_lists
