"""What "auto" is, how many neighbours a perplexity takes, and both sides of each limit."""

import numpy as np
import pytest
from helpers.quick import run_python

from fasttsne.nearest_neighbors import (
    Annoy,
    Approx,
    Exact,
    Faiss,
    backends,
    exact,
    make_index,
    select,
)
from fasttsne.nearest_neighbors.approx import EXACT_MAX_SAMPLES
from fasttsne.nearest_neighbors.index import OWNERS_OF_SETTINGS


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
    [
        "manhattan",
        "l1",
        "cityblock",
        "taxicab",
        "chebyshev",
        "linfinity",
        "linfty",
        "linf",
        "minkowski",
        "hamming",
        "canberra",
        "braycurtis",
        "jaccard",
        "dice",
        "rogerstanimoto",
        "russellrao",
        "sokalsneath",
        "sokalmichener",
        "yule",
        "mahalanobis",
        "seuclidean",
        "standardised_euclidean",
        "jensenshannon",
        "infinity",
    ],
)
def test_auto_has_metrics_of_other_packages(rng, metric):
    X = rng.integers(0, 3, (60, 8)).astype(float)
    X[:, 0] = 1
    indices, distances = make_index("auto", X, 5, metric=metric).build()
    assert indices.shape == distances.shape == (60, 5)


def between(u, v):
    return float(np.abs(u - v).sum())


# What a metric does, whatever is installed: by "auto", by "approx", and by that of sparse rows.
RULE = [
    ("euclidean", "approx", "approx", "approx"),
    ("cosine", "approx", "approx", "approx"),
    ("manhattan", "exact", "annoy", "pynndescent"),
    ("cityblock", "exact", "annoy", "pynndescent"),
    ("l1", "exact", "annoy", "pynndescent"),
    ("taxicab", "exact", "annoy", "pynndescent"),
    ("hamming", "exact", "annoy", "pynndescent"),
    ("chebyshev", "exact", "pynndescent", "pynndescent"),
    ("haversine", "exact", "pynndescent", "pynndescent"),
    (between, "exact", "pynndescent", "pynndescent"),
    ("hellinger", "pynndescent", "pynndescent", "pynndescent"),
    ("angular", "annoy", "annoy", "exact"),
]


@pytest.mark.parametrize(("metric", "auto", "approx", "sparse"), RULE)
def test_the_metric_alone_decides(metric, auto, approx, sparse):
    for package in ("annoy", "pynndescent"):
        pytest.importorskip(package)
    assert select.resolve_search("auto", metric) == auto
    assert select.resolve_search("approx", metric) == approx
    assert select.resolve_search("approx", metric, is_sparse=True) == sparse


WITHOUT_PACKAGES = """
import sys, numpy as np, fasttsne
from fasttsne.nearest_neighbors.select import make_index
sys.modules.update(sklearn=None, pynndescent=None, annoy=None)
X = np.random.default_rng(0).random((40, 2))
metric = (lambda u, v: abs(u - v).sum()) if {metric!r} == "function" else {metric!r}
try:
    print(type(make_index({neighbors!r}, X, 3, metric=metric)).__name__)
except ImportError as error:
    print(error)
"""


@pytest.mark.thin(1)
@pytest.mark.parametrize(
    ("metric", "neighbors", "expected"),
    [
        ("haversine", "auto", "Exact"),
        ("manhattan", "auto", "Exact"),
        ("function", "auto", "Exact"),
        ("cosine", "approx", "Approx"),
        (
            "hellinger",
            "auto",
            "metric='hellinger' with neighbors='auto' needs PyNNDescent: "
            "pip install 'fasttsne[pynndescent]'",
        ),
        (
            "angular",
            "auto",
            "metric='angular' with neighbors='auto' needs Annoy: pip install 'fasttsne[annoy]'",
        ),
        (
            "manhattan",
            "approx",
            "metric='manhattan' with neighbors='approx' needs Annoy: pip install "
            "'fasttsne[annoy]'; neighbors='exact' needs no package",
        ),
        (
            "chebyshev",
            "approx",
            "metric='chebyshev' with neighbors='approx' needs PyNNDescent: pip install "
            "'fasttsne[pynndescent]'; neighbors='exact' needs no package",
        ),
    ],
)
def test_without_packages_a_metric_is_the_same_search_or_an_error(metric, neighbors, expected):
    result = run_python("-c", WITHOUT_PACKAGES.format(metric=metric, neighbors=neighbors))
    assert result.stdout.strip() == expected, result.stderr


@pytest.mark.slow
def test_a_function_that_needs_a_package_to_be_approximate():
    result = run_python("-c", WITHOUT_PACKAGES.format(metric="function", neighbors="approx"))
    assert "with neighbors='approx' needs PyNNDescent" in result.stdout, result.stderr


@pytest.mark.parametrize("neighbors", ["auto", "approx", "exact", "annoy", "hnsw", "faiss"])
def test_inner_products_are_no_distances(rng, neighbors):
    """PyNNDescent's "dot" is of normalized rows: it has to be asked for by name."""
    with pytest.raises(ValueError, match=r"metric='dot' gives inner products.*metric='cosine'"):
        make_index(neighbors, rng.normal(size=(9, 2)), 3, metric="dot")


def test_metrics_without_an_approximate_search(rng):
    X = rng.random((9, 2))
    message = "'approx' has no search for metric='jensenshannon'; neighbors='exact' has one"
    with pytest.raises(ValueError, match=message):
        make_index("approx", X, 3, metric="jensenshannon")
    with pytest.raises(ValueError, match=r"metric must be one of .* got 'nonsense'"):
        make_index("approx", X, 3, metric="nonsense")


def test_approx_takes_the_settings_of_the_package(rng):
    pytest.importorskip("annoy")
    X = rng.normal(size=(200, 4))
    index = make_index("approx", X, 5, metric="taxicab", knn_kwargs={"n_trees": 10})
    assert isinstance(index, Annoy)
    true = Exact(X, 5, metric="manhattan").build()[0]
    assert recall(index.build()[0], true) > 0.9
    with pytest.raises(TypeError, match=r"'recall'.* of Annoy; accepted are 'n_trees', 'search_k'"):
        make_index("approx", X, 5, metric="taxicab", knn_kwargs={"recall": 0.99})
    with pytest.raises(TypeError, match=r"'recall'; 'n_trees' is a setting of neighbors='annoy'"):
        make_index("approx", X, 5, knn_kwargs={"n_trees": 10})


def test_owners_of_settings_have_them():
    for name, owner in OWNERS_OF_SETTINGS.items():
        settings = select.BACKENDS[owner].SETTINGS
        assert settings is None or name in settings


def test_scikit_learn_has_no_metric_that_is_not_built_in():
    names = pytest.importorskip("sklearn.neighbors").VALID_METRICS.values()
    assert set().union(*names) - backends.UNSUPPORTED_METRICS <= set(Exact.VALID_METRICS)


def test_angles_on_a_sphere(rng):
    """Those of scikit-learn, also of opposite points, which rounding takes beyond the diameter."""
    pairwise = pytest.importorskip("sklearn.metrics").pairwise.haversine_distances
    X = rng.uniform([-np.pi / 2, -np.pi], [np.pi / 2, np.pi], (300, 2))
    X[0], X[1] = (0.3, 0.2), (-0.3, 0.2 - np.pi)
    indices, distances = make_index("exact", X, 299, metric="haversine").build()
    expected = pairwise(X)
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, 1:], atol=1e-7)
    assert indices[0, -1] == 1
    queried = Exact(X, 5, metric="haversine").query(X[:7], 1)
    assert (queried[0].ravel() == np.arange(7)).all()
    with pytest.raises(ValueError, match=r"takes two columns, latitude and longitude.* X has 3"):
        make_index("auto", np.c_[X, X[:, 0]], 3, metric="haversine").build()
    with pytest.warns(UserWarning, match=r"takes radians.*pass np\.radians"):
        make_index("auto", np.degrees(X), 3, metric="haversine").build()


def test_a_metric_that_nobody_has(rng):
    with pytest.raises(ValueError, match=r"metric must be one of .* got 'nonsense'"):
        make_index("auto", rng.normal(size=(9, 2)), 3, metric="nonsense")


@pytest.mark.slow
def test_a_long_search_is_announced(rng, caplog, monkeypatch):
    X = rng.normal(size=(5000, 3))
    with caplog.at_level("INFO", "fasttsne"):
        make_index("auto", X, 3, metric="l1").build()
    assert "exact search of 5000 rows, metric l1: about " in caplog.text
    monkeypatch.setattr(exact, "LONG_SEARCH", 0)
    caplog.clear()
    make_index("auto", X, 3, metric="l1").build()
    (record,) = [r for r in caplog.records if "exact search" in r.message]
    assert record.levelname == "WARNING"
    assert record.message.endswith("; neighbors='approx' searches by Annoy")
    caplog.clear()
    with caplog.at_level("INFO", "fasttsne"):
        make_index("auto", X[:400], 3, metric="l1").build()  # all in the first block
    assert "exact search of 400 rows, metric l1: about 0 s;" in caplog.text
    caplog.clear()
    make_index("auto", X**2, 3, metric="jensenshannon").build()
    assert caplog.text.rstrip().endswith(" s")


@pytest.mark.thin(1)
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
        ("auto", 30, 500, 90),
        ("auto", 30.5, 500, 91),
        ("auto", 30, 91, 90),
        ("auto", 30, 90, 89),
        ("auto", 30, None, 90),
        ("auto", 0.1, 500, 1),
        (7, 30, 500, 7),
        (500, 30, 500, 499),
    ],
)
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


@pytest.mark.thin(1)
@pytest.mark.parametrize("columns", [144, 145, 160])
def test_quality_on_both_sides_of_the_reduction(clusters, columns):
    """Of any width: the projection may be in Fortran order."""
    X = clusters[:, :columns]
    index = Approx(X, 10, n_jobs=2, random_state=0)
    found, _ = index.build()
    assert recall(found, Exact(X, 10, n_jobs=2).build()[0]) > 0.93
    assert (index._probes.projection is None) == (columns == 144)
    new = X[:100] + np.float32(0.1)
    assert recall(index.query(new, 10)[0], Exact(X, 10, n_jobs=2).query(new, 10)[0]) > 0.9


@pytest.mark.parametrize("n", [backends.FLAT_MAX_SAMPLES, backends.FLAT_MAX_SAMPLES + 1])
def test_which_index_of_faiss_is_automatic(rng, n):
    X = rng.normal(size=(n, 2)).astype(np.float32)
    assert Faiss(X, 3)._by_lists == (n > backends.FLAT_MAX_SAMPLES)
    assert not Faiss(X, 3, metric="manhattan")._by_lists
    assert Faiss(X, 3, knn_kwargs={"index": "ivf"})._by_lists
