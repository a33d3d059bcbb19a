import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.hostile_rows import two_scales
from scipy.spatial.distance import cdist

import fasttsne
from fasttsne import _kernels, metrics, nearest_neighbors
from fasttsne._kernels import reference
from fasttsne.nearest_neighbors import Annoy, Approx, Exact, exact, make_index
from fasttsne.nearest_neighbors.builtin import cells, prepared_rows
from fasttsne.nearest_neighbors.builtin import rows as builtin_rows
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.builtin.ranks import make_distances


def test_exact_equals_twin(digits):
    indices, distances = Exact(digits, 20, n_jobs=2).build()
    expected, expected_distances = reference.nearest(
        digits[:100].astype(float), digits.astype(float), 21, self_join=False
    )
    np.testing.assert_allclose(distances[:100], expected_distances[:, 1:], rtol=1e-5)
    assert indices.dtype == np.int32
    assert distances.dtype == np.float32
    assert not (indices == np.arange(len(digits))[:, None]).any()
    assert (np.sort(indices[:100]) == np.sort(expected[:, 1:])).mean() > 0.99


def test_exact_one_way_equals_both_ways(monkeypatch, rng):
    X = rng.normal(0, 1, (3000, 8)).astype(np.float32)
    both_ways = Exact(X, 10).build()
    monkeypatch.setattr(builtin_rows, "SELF_JOIN_MAX_SAMPLES", 100)
    monkeypatch.setattr(prepared_rows, "QUERY_BATCH_SIZE", 700)
    monkeypatch.setattr(builtin_rows, "MAX_PACKED_NUMBERS", 10_000)
    for got, want in zip(Exact(X, 10).build(), both_ways, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("metric", ["manhattan", "chebyshev", "hamming", "correlation", "callable"])
def test_exact_other_metrics_equal_scipy(digits, metric):
    if metric == "callable":
        metric = expected_metric = lambda u, v: abs(u - v).max()
    else:
        expected_metric = {"manhattan": "cityblock"}.get(metric, metric)
    X = digits[:80]
    _, distances = Exact(X, 6, metric=metric).build()
    expected = np.sort(cdist(X, X, expected_metric), axis=1)[:, 1:7]
    np.testing.assert_allclose(distances, expected, rtol=1e-4, atol=1e-6)


def test_metric_params(digits):
    _, distances = Exact(digits[:50], 4, metric="minkowski", metric_params={"p": 3}).build()
    expected = np.sort(cdist(digits[:50], digits[:50], "minkowski", p=3), axis=1)[:, 1:5]
    np.testing.assert_allclose(distances, expected)


@pytest.fixture(scope="module")
def clustered():
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 4, (40, 100))
    return (centres[rng.integers(40, size=8000)] + rng.normal(size=(8000, 100))).astype("f4")


@pytest.fixture(params=[512, 6])
def levels(request, monkeypatch):
    """Clusters by one k-means, and by two levels as for hundreds of thousands of rows."""
    monkeypatch.setattr(cells, "MAX_CLUSTERS_ONE_LEVEL", request.param)


@pytest.mark.thin(2)
@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize("recall", [0.8, 0.95, 0.99])
def test_approx_has_the_recall_that_it_says(clustered, recall):
    index = Approx(clustered, 15, n_jobs=2, random_state=0, knn_kwargs={"recall": recall})
    indices, distances = index.build()
    true, true_distances = Exact(clustered, 15, n_jobs=2).build()
    hits = [len(np.intersect1d(a, b)) for a, b in zip(indices, true, strict=True)]
    assert index.recall_ >= recall
    assert np.mean(hits) / 15 > recall - 0.02
    assert (distances >= true_distances * (1 - 1e-5)).all()
    assert not (indices == np.arange(8000)[:, None]).any()


@pytest.mark.usefixtures("levels")
def test_approx_same_seed_same_graph_for_any_number_of_threads(clustered):
    results = {
        tuple(a.tobytes() for a in Approx(clustered, 15, n_jobs=n, random_state=0).build())
        for n in (1, 2, 3)
    }
    assert len(results) == 1


def test_approx_on_noise_without_cells_is_not_silently_bad(rng):
    X = rng.random((4000, 300)).astype(np.float32)
    index = Approx(X, 10, n_jobs=2, random_state=0)
    indices, _ = index.build()
    true, _ = Exact(X, 10, n_jobs=2).build()
    hits = [len(np.intersect1d(a, b)) for a, b in zip(indices, true, strict=True)]
    assert np.mean(hits) / 10 > 0.93
    assert index.recall_ >= 0.95


@pytest.mark.thin(2)
@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize("kind", ["all equal", "half duplicated", "one column"])
def test_approx_awkward_data(rng, kind):
    X = rng.normal(0, 1, (4000, 5)).astype(np.float32)
    if kind == "all equal":
        X[:] = 1
    elif kind == "half duplicated":
        X[:2000] = X[0]
    else:
        X = X[:, :1]
    _, distances = Approx(X, 8, random_state=0).build()
    _, true = Exact(X, 8).build()
    assert np.isclose(distances, true, rtol=1e-3, atol=1e-5).mean() > 0.93


@pytest.mark.slow
def test_no_rows_are_left_out_of_the_recall(rng):
    """Clusters whose ends share blocks: such rows found each other only, and made false islands."""
    n = 9000
    families = rng.normal(scale=1.2, size=(3, 50))
    centres = families.repeat(5, axis=0) + rng.normal(scale=0.6, size=(15, 50))
    X = (centres[rng.integers(15, size=n)] + rng.normal(size=(n, 50))).astype(np.float32)
    index = Approx(X, 90, n_jobs=-1, random_state=0)
    found, _ = index.build()
    true, _ = Exact(X, 90, n_jobs=-1).build()
    assert 0.95 <= index.recall_ < 1
    recall = [np.isin(a, b).mean() for a, b in zip(found, true, strict=True)]
    assert np.mean(np.less(recall, 0.5)) < 0.005


def test_exact_query(digits):
    index = Exact(digits[:400], 5)
    _indices, distances = index.query(digits[400:], 7)
    _expected, expected_distances = reference.nearest(
        digits[400:].astype(float), digits[:400].astype(float), 7, self_join=False
    )
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-5)
    same, at = index.query(digits[:5], 1)
    assert same.ravel().tolist() == list(range(5))
    assert not at.any()


def test_exact_far_from_the_origin(rng):
    """Centring and differences keep what |x|^2 + |y|^2 - 2 x.y would lose."""
    X = rng.normal(0, 1, (200, 5))
    near = Exact(X, 10).build()[0]
    far = Exact(X + 1e5, 10).build()[0]
    assert (near == far).mean() > 0.99


def test_exact_duplicates_are_at_distance_zero(rng):
    X = np.repeat(rng.normal(0, 100, (50, 30)), 4, axis=0).astype(np.float32)
    _, distances = Exact(X, 3).build()
    assert not distances.any()


def test_exact_cosine(digits):
    _, distances = Exact(digits, 5, metric="cosine").build()
    unit = digits / np.linalg.norm(digits, axis=1, keepdims=True)
    expected = np.sort(1 - unit @ unit.T, axis=1)[:, 1:6]
    np.testing.assert_allclose(distances, expected, atol=1e-5)


def test_missing_backend_says_what_to_install(monkeypatch, digits):
    monkeypatch.setitem(sys.modules, "annoy", None)
    with pytest.raises(ImportError, match=r"pip install 'fasttsne\[annoy\]'"):
        Annoy(digits, 5).build()


def test_bad_arguments(digits):
    with pytest.raises(ValueError, match="less than the number of rows, 500; got 500"):
        Exact(digits, 500)
    with pytest.raises(ValueError, match=r"metric must be one of .*'nonsense'"):
        Exact(digits, 5, metric="nonsense")
    with pytest.raises(ValueError, match="must have 64 columns"):
        Exact(digits, 5).query(digits[:, :3], 2)
    with pytest.raises(ValueError, match=r"'exact'.*'nonsense'"):
        make_index("nonsense", digits, 5)
    with pytest.raises(TypeError, match="build, query"):
        make_index(3, digits, 5)


def test_any_object_with_the_protocol_is_an_index(digits):
    class Mine:
        k, n_samples = 5, 500

        def build(self):
            return nearest_neighbors.Exact(digits, 5).build()

        def query(self, X, k):
            return nearest_neighbors.Exact(digits, 5).query(X, k)

    mine = Mine()
    assert make_index(mine, None, 5) is mine


@pytest.mark.parametrize("k", [15, 500])
def test_approx_rows_of_a_short_last_block_have_k_neighbours(rng, k):
    """10 rows are left for the last block: with its own rows alone none would have k others."""
    X = rng.normal(0, 1, (10 * 384 + 10, 8)).astype(np.float32)
    indices, distances = Approx(X, k, random_state=0, knn_kwargs={"recall": 0.0}).build()
    for row, (found, at) in enumerate(zip(indices, distances, strict=True)):
        assert len(set(found.tolist()) - {row}) == k
        np.testing.assert_allclose(at, np.linalg.norm(X[found] - X[row], axis=1), rtol=1e-4)


LARGER_THAN_MEMORY = """
import resource, sys
import numpy as np
from fasttsne.nearest_neighbors import Approx, Exact

data = np.load(sys.argv[1], mmap_mode="r")
Approx(np.zeros((4000, 3), np.float32), 5).build()  # whatever is allocated once
held = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (held + data.nbytes * 3 // 4,) * 2)
index = Approx(data, 10, n_jobs=1, random_state=0)
index.build()
print(index.recall_)
assert (Exact(data, 3, n_jobs=1).query(data[:50], 1)[0].ravel() == np.arange(50)).all()
assert (Exact(data[:3000], 3, n_jobs=1).build()[1] > 0).all()
try:
    np.empty(data.size, np.float32)[:] = 0
except MemoryError:
    print("a copy does not fit")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_approx_on_a_file_larger_than_the_memory_allowed(rng, tmp_path):
    path = tmp_path / "rows.npy"
    rows, columns = 40_000, 1200
    file = np.lib.format.open_memmap(path, "w+", np.float32, (rows, columns))
    directions = rng.normal(0, 1, (10, columns)).astype(np.float32)
    for a in range(0, rows, 2000):
        places = rng.standard_normal((2000, 10), np.float32)
        file[a : a + 2000] = places @ directions
    file.flush()
    del file
    before = path.read_bytes()[:100_000]
    result = subprocess.run(
        [sys.executable, "-c", LARGER_THAN_MEMORY, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    recall, copy = result.stdout.strip().splitlines()
    assert float(recall) >= 0.95
    assert copy == "a copy does not fit"
    assert path.read_bytes()[:100_000] == before


def test_float32_data_is_not_copied(rng):
    X = rng.normal(0, 1, (100, 4)).astype(np.float32)
    assert builtin_rows.DenseRows(X, "euclidean").points.values is X


def test_covariance_of_mahalanobis_by_either_name(rng):
    X = rng.normal(size=(60, 3)) * [1, 5, 9]
    V = np.cov(X.T)
    expected = Exact(X, 5, metric="mahalanobis").build()[0]
    for params in ({"V": V}, {"VI": np.linalg.inv(V)}):
        found = Exact(X, 5, metric="mahalanobis", metric_params=params).build()[0]
        np.testing.assert_array_equal(found, expected)
        assert set(params) <= {"V", "VI"}


@pytest.mark.parametrize(
    ("name", "same", "params"),
    [
        ("infinity", "chebyshev", None),
        ("linf", "chebyshev", None),
        ("p", "minkowski", {"p": 3}),
        ("taxicab", "l1", None),
        ("l1", "manhattan", None),
        ("standardised_euclidean", "seuclidean", None),
        ("sokalmichener", "rogerstanimoto", None),
    ],
)
def test_names_of_metrics_elsewhere(rng, name, same, params):
    X = rng.integers(0, 3, size=(50, 6)).astype(float)
    for kind in (
        lambda metric: Exact(X, 5, metric=metric, metric_params=params),
        lambda metric: make_index("auto", X, 5, metric=metric, metric_params=params),
    ):
        np.testing.assert_array_equal(kind(name).build(), kind(same).build())


@pytest.mark.parametrize("neighbors", ["auto", "exact", "approx"])
def test_unknown_metrics_are_refused_with_what_there_is(rng, neighbors):
    with pytest.raises(ValueError, match=r"metric must be one of 'euclidean', .*; got 'edges'"):
        make_index(neighbors, rng.normal(size=(50, 6)), 5, metric="edges")


@pytest.mark.parametrize(
    ("metric", "params", "message"),
    [
        ("minkowski", {"p": -1}, r"metric_params\['p'\] must be greater than 0"),
        ("p", {"q": 1}, r"metric_params \['q'\] do not suit metric='minkowski'"),
        ("mahalanobis", {"VI": np.eye(2)}, r"\['VI'\] must have the shape \(6, 6\); got \(2, 2"),
        ("mahalanobis", {"V": np.eye(2)}, r"\['VI'\] must have the shape \(6, 6\); got \(2, 2"),
        ("mahalanobis", {"VI": np.ones(3)}, r"metric_params\['VI'\] must be two-dimensional"),
        ("mahalanobis", {"V": np.zeros((6, 6))}, r"metric_params\['V'\] must be an invertible"),
        ("mahalanobis", {"V": "x"}, r"metric_params\['V'\] must be an invertible"),
        ("mahalanobis", [1], "metric_params must be a dictionary or None"),
    ],
)
def test_metric_params_that_do_not_suit(rng, metric, params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Exact(rng.normal(size=(50, 6)), 5, metric=metric, metric_params=params).build()


@pytest.mark.parametrize("metric", ["mahalanobis", "seuclidean"])
def test_columns_that_do_not_vary_make_no_difference(rng, metric):
    X = rng.normal(size=(50, 4))
    more = np.c_[X, np.full(50, 7.0)]
    found, distances = Exact(more, 5, metric=metric).build()
    expected = Exact(X, 5, metric=metric).build()
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-6)
    with pytest.raises(ValueError, match=f"metric='{metric}': the .* of X overflow"):
        Exact(X * 1e300, 5, metric=metric).build()


def test_mahalanobis_of_the_data_does_not_depend_on_blocks(rng, monkeypatch):
    X = rng.normal(size=(90, 5)) @ rng.normal(size=(5, 5))
    expected = np.sort(cdist(X, X, "mahalanobis", VI=np.linalg.inv(np.cov(X.T))))[:, 1:6]
    for entries in (90 * 7, 90 * 100):
        monkeypatch.setattr(exact, "BLOCK_ENTRIES", entries)
        np.testing.assert_allclose(Exact(X, 5, metric="mahalanobis").build()[1], expected)


def test_rows_without_finite_distances_are_refused(rng):
    X = rng.normal(size=(50, 6))
    with pytest.raises(ValueError, match=r"row 0 of X has fewer than 5 .* metric='minkowski'"):
        Exact(X * 1e300, 5, metric="minkowski", metric_params={"p": 3}).build()
    X[7] *= -1e5
    with pytest.raises(ValueError, match=r"row \d of X has fewer than 5 .* metric='jensenshannon'"):
        Exact(X, 5, metric="jensenshannon").build()


def test_negative_distances_are_refused(rng):
    with pytest.raises(ValueError, match=r"negative distances; got -1\.0"):
        Exact(rng.normal(size=(9, 2)), 3, metric=lambda a, b: -1).build()


@pytest.mark.parametrize("returned", [np.nan, "some"])
def test_a_callable_that_returns_nan_is_refused(rng, returned):
    """Whatever asks for distances: a search, new rows, a score."""
    X = rng.normal(size=(30, 2))

    def metric(u, v):
        is_odd = returned is np.nan or (u == X[7]).all() or (v == X[7]).all()
        return np.nan if is_odd else np.linalg.norm(u - v)

    with pytest.raises(ValueError, match=r"metric must return numbers; it returned nan for the ro"):
        Exact(X, 3, metric=metric).build()
    with pytest.raises(ValueError, match=r"it returned nan for the rows .*\]"):
        Exact(X[:5], 3, metric=metric).query(X[7:9], 3)
    with pytest.raises(ValueError, match="it returned nan"):
        metrics.neighbor_recall(X, X, 3, metric=metric)
    with pytest.raises(ValueError, match="it returned nan"):
        fasttsne.TSNE(metric=metric, perplexity=3).fit(X)


# By its definition, Russell and Rao's distance of equal rows is the share of their zeros.
@pytest.mark.thin(20)
@pytest.mark.parametrize("metric", sorted({*METRICS, *exact.OTHER_METRICS} - {"russellrao"}))
@pytest.mark.parametrize("form", [np.float32, np.float64, sp.csr_matrix])
def test_equal_rows_are_at_distance_0(rng, metric, form):
    """Rows of zeros, of ones, of another constant, and others: four each, among many."""
    d = 2 if metric == "haversine" else 6
    X = np.abs(rng.normal(size=(60, d))) % 1.5  # latitudes, too
    groups = np.arange(16).reshape(4, 4)
    for group, row in zip(groups, [np.zeros(d), np.ones(d), np.full(d, 0.3), X[20]], strict=True):
        X[group] = row
    # Without these two, the covariance would be one of zeros and of a few ones.
    params = {"seuclidean": {"V": np.ones(d)}, "mahalanobis": {"VI": np.eye(d)}}.get(metric)
    index = Exact(form(X), 3, metric=metric, metric_params=params)
    _, distances = index.build()
    np.testing.assert_allclose(distances[:16], 0, atol=1e-15)
    _, distances = Exact(form(X), 3, metric=metric, metric_params=params).query(form(X)[:16], 4)
    np.testing.assert_allclose(distances, 0, atol=1e-15)
    pairwise = make_distances(form(X), metric, params).pairwise(np.arange(16), np.arange(60))
    for group in groups:
        np.testing.assert_allclose(pairwise[np.ix_(group, group)], 0, atol=1e-7)
    assert not np.isnan(pairwise).any()


@pytest.mark.thin(3)
@pytest.mark.parametrize("metric", ["braycurtis", "dice", "sokalsneath"])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_rows_of_zeros_are_neighbours(rng, metric, form):
    """Their twins and no others; in the map, new rows of zeros are placed among them."""
    X = np.abs(rng.normal(size=(300, 6))) * (rng.random((300, 6)) < 0.7)
    X[5:] += np.eye(6)[rng.integers(6, size=295)]
    X[:5] = 0
    embedding = fasttsne.TSNE(metric=metric, random_state=0).fit(form(X))
    np.testing.assert_array_equal(
        np.sort(embedding.affinities._indices[:5, :4]),
        [np.delete(np.arange(5), i) for i in range(5)],
    )
    found = embedding.transform(form(X)[:5])
    away = np.linalg.norm(found - np.asarray(embedding)[:5].mean(0), axis=1)
    assert away.max() < 0.2 * np.std(embedding)
    recall = metrics.neighbor_recall(form(X), embedding, 4, metric=metric)
    assert recall.values[:5].min() == 1


def images(rng, last=0.0):
    """Rows of whole numbers from 0 to 255 in clusters; the last number is given."""
    centres = rng.integers(0, 200, (30, 130))
    X = centres[rng.integers(30, size=4000)] + rng.integers(0, 56, (4000, 130))
    X = X.astype(np.float32)
    X[-1, -1] = last
    return X


def test_bytes_find_what_floats_find(monkeypatch, rng):
    X = images(rng)
    assert builtin_rows.DenseRows(X, "euclidean").as_bytes.dtype == np.uint8
    in_bytes = Approx(X, 15, random_state=0).build()
    monkeypatch.setattr(builtin_rows, "BYTE_COLUMNS", (10**6, 10**6))
    indices, distances = Approx(X, 15, random_state=0).build()
    np.testing.assert_array_equal(in_bytes[0], indices)
    np.testing.assert_allclose(in_bytes[1], distances, rtol=3e-7)


def test_bytes_in_a_file_give_the_same_bits(tmp_path, rng):
    """Their rows are compared in batches, and are bytes all the same: sums round otherwise."""
    X = rng.integers(0, 256, (300, 3000)).astype(np.float32)
    np.save(tmp_path / "images.npy", X)
    expected = Exact(X, 15).build()
    found = Exact(np.load(tmp_path / "images.npy", mmap_mode="r"), 15).build()
    for own, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(own, other)


def test_distances_do_not_depend_on_the_batch(monkeypatch, rng):
    """Rows that float32 cannot tell apart are searched in groups: of a batch, or of all."""
    X = two_scales(rng, 2000).astype(np.float32)
    expected = Exact(X, 30).build()
    monkeypatch.setattr(builtin_rows, "SELF_JOIN_MAX_SAMPLES", 0)
    monkeypatch.setattr(prepared_rows, "QUERY_BATCH_SIZE", 300)
    for own, other in zip(expected, Exact(X, 30).build(), strict=True):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize("last", [-1, 256, 7.5])
def test_other_numbers_stay_floats(rng, last):
    assert builtin_rows.DenseRows(images(rng, last), "euclidean").as_bytes is None


@pytest.mark.parametrize("n_columns", [1, 31, 130, 33_000])
def test_distances_of_bytes_are_rounded_once(rng, n_columns):
    X = rng.choice([0, 255], (12, n_columns)).astype(np.uint8)
    X[0], X[1] = 0, 255
    keys = np.tile(np.arange(12, dtype=np.uint64), (12, 1))
    indices, distances = np.empty((12, 12), np.int32), np.empty((12, 12), np.float32)
    numbers = np.arange(12, dtype=np.int32)
    _kernels.rerank.rerank(
        X,
        X,
        numbers,
        numbers,
        keys,
        np.full(12, 12, np.int32),
        np.full(12, np.inf, np.float32),
        12,
        12,
        indices,
        distances,
        2,
    )
    expected = cdist(X.astype(float), X.astype(float))
    np.testing.assert_allclose(distances, np.sort(expected, axis=1), rtol=1.2e-7)
    found = np.take_along_axis(expected, indices, 1)
    np.testing.assert_allclose(found, distances, rtol=1.2e-7)
