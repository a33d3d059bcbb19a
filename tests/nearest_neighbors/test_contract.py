"""What every index promises; a new one gets a line in ``CASES``, and all of these tests."""

import pickle
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist

from fasttsne import nearest_neighbors as nn
from fasttsne.runtime import validation
from fasttsne.runtime.threads import available_cores

K = 7


class Case(NamedTuple):
    """An index: its class, its package, its data, and what it does not promise."""

    index: type
    package: str = "fasttsne"
    data: str = "small"
    sparse: bool = False
    metric: str = "euclidean"
    kwargs: dict = {}  # noqa: RUF012
    bits_for_any_threads: bool = False


CASES = {
    "exact": Case(nn.Exact, bits_for_any_threads=True),
    "exact sparse": Case(nn.Exact, sparse=True, bits_for_any_threads=True),
    "exact by SciPy": Case(nn.Exact, metric="cityblock", bits_for_any_threads=True),
    "approx of few rows": Case(nn.Approx, bits_for_any_threads=True),
    "approx": Case(nn.Approx, data="many rows", bits_for_any_threads=True),
    "approx reduced": Case(nn.Approx, data="many columns", bits_for_any_threads=True),
    "approx sparse": Case(nn.Approx, data="counts", sparse=True, bits_for_any_threads=True),
    "annoy": Case(nn.Annoy, "annoy"),
    "hnsw": Case(nn.HNSW, "hnswlib"),
    "faiss": Case(nn.Faiss, "faiss"),
    "faiss ivf": Case(nn.Faiss, "faiss", kwargs={"index": "ivf", "nprobe": 40}),
    "pynndescent": Case(nn.NNDescent, "pynndescent"),
    "sklearn": Case(nn.Sklearn, "sklearn"),
    "sklearn sparse": Case(nn.Sklearn, "sklearn", sparse=True),
    "matrix": Case(nn.PrecomputedDistanceMatrix),
    "sparse matrix": Case(nn.PrecomputedDistanceMatrix, sparse=True),
    "lists": Case(nn.PrecomputedNeighbors),
}
SHAPES = {"small": (150, 12), "many rows": (6000, 16), "many columns": (5000, 120)}


@pytest.fixture(scope="module")
def data_sets():
    """Clusters of whole numbers, of few true dimensions; all rows different, read-only."""
    rng = np.random.default_rng(0)
    result = {}
    for name, (n, columns) in SHAPES.items():
        centers = rng.integers(0, 60, (12, columns))[rng.integers(12, size=n)]
        spread = rng.normal(0, 1, (n, 6)) @ rng.normal(0, 3, (6, columns))
        result[name] = np.abs(centers + spread).round().astype(np.float32)
    result["counts"] = result["many columns"] * (rng.random(120) < 0.1)
    for X in result.values():
        X.setflags(write=False)
    return result


class Subject:
    """A case with its data: makes indexes, and knows the true distances."""

    def __init__(self, case, X):
        self.case, self.X, self.n = case, X, len(X)
        self.is_given, self.is_list = is_given(case), is_list(case)

    def rows(self, X):
        """New rows as the index takes them."""
        if self.case.index is nn.PrecomputedDistanceMatrix:
            X = cdist(X, self.X)
            if self.case.sparse:  # zeros are stored: they are distances, too
                m, n = X.shape
                starts = np.arange(0, m * n + 1, n)
                return sp.csr_matrix((X.ravel(), np.tile(np.arange(n), m), starts), (m, n))
        return sp.csr_matrix(X) if self.case.sparse else X

    def make(self, k=K, X=None, **kwargs):
        X = self.X if X is None else X
        if self.is_list:
            distances = cdist(X, X)
            indices = np.argsort(distances, axis=1, kind="stable")[:, : k + 1]
            return nn.PrecomputedNeighbors(indices, np.take_along_axis(distances, indices, 1))
        if self.is_given:
            return nn.PrecomputedDistanceMatrix(self.rows(X), k)
        settings = {
            "metric": self.case.metric,
            "random_state": 0,
            "n_jobs": 1,
            "knn_kwargs": self.case.kwargs,
        }
        return self.case.index(self.rows(X), k, **{**settings, **kwargs})

    def check(self, found, queries, k, is_self=False):
        """Check shapes, order, distances and recall of what was found; return the indices."""
        indices, distances = found
        assert indices.shape == distances.shape == (len(queries), k)
        assert indices.dtype == np.int32
        assert distances.dtype in (np.float32, np.float64)
        assert (np.diff(distances) >= -1e-6).all()
        assert all(len(set(row)) == k for row in indices.tolist())
        table = cdist(queries, self.X, self.case.metric)
        expected = np.take_along_axis(table, indices.astype(np.int64), 1)
        np.testing.assert_allclose(distances, expected, rtol=1e-3, atol=2e-3)
        if is_self:
            assert not (indices == np.arange(self.n)[:, None]).any()
            np.fill_diagonal(table, np.inf)
        kth = np.partition(table, k - 1, axis=1)[:, k - 1 : k]
        assert (expected <= kth * (1 + 1e-6)).mean() > 0.93
        return indices


def subjects(keep):
    """A fixture: a subject of each case that is to be kept."""

    def make(request, data_sets, monkeypatch):
        case = CASES[request.param]
        if case.sparse:  # small sparse rows would be made dense
            monkeypatch.setattr(validation, "MAX_DENSE_NUMBERS", 0)
        pytest.importorskip(case.package)
        return Subject(case, data_sets[case.data])

    return pytest.fixture(make, params=[name for name, case in CASES.items() if keep(case)])


def is_list(case):
    return case.index is nn.PrecomputedNeighbors


def is_given(case):
    return is_list(case) or case.index is nn.PrecomputedDistanceMatrix


subject = subjects(lambda case: True)
search = subjects(lambda case: not is_given(case))
queried = subjects(lambda case: not is_list(case))  # lists have no neighbours of new rows
any_threads = subjects(lambda case: case.bits_for_any_threads)
independent = subjects(
    lambda case: case.bits_for_any_threads or case.index is nn.PrecomputedDistanceMatrix
)


def assert_same(got, want):
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.thin(4)
def test_build(subject):
    index = subject.make()
    subject.check(index.build(), subject.X, K, is_self=True)
    assert (index.k, index.n_samples) == (K, subject.n)
    if subject.case.data != "small":  # the search is not the exact one in disguise
        assert index.recall_ >= 0.95
        assert index._probes is not None


def test_query(queried):
    index = queried.make()
    index.build()
    new = np.abs(queried.X[:40] + np.float32(0.25))
    queried.check(index.query(queried.rows(new), K + 2), new, K + 2)


def test_own_rows_are_nearest_to_themselves(queried):
    indices, distances = queried.make().query(queried.rows(queried.X[:9]), 1)
    assert indices.ravel().tolist() == list(range(9))
    np.testing.assert_allclose(distances, 0, atol=2e-3)


def test_queries_do_not_depend_on_each_other(independent):
    index = independent.make()
    index.build()
    together = index.query(independent.rows(independent.X[:20]), 4)
    for row in (0, 7, 19):
        alone = index.query(independent.rows(independent.X[row : row + 1]), 4)
        assert_same(alone, [array[row : row + 1] for array in together])


@pytest.mark.thin(4)
def test_bits_do_not_depend_on_threads(any_threads):
    search, results = any_threads, set()
    for n_jobs in (1, 2, 3, -1):
        index = search.make(n_jobs=n_jobs)
        found = (*index.build(), *index.query(search.rows(search.X[:50]), 4))
        results.add(tuple(array.tobytes() for array in found))
    assert len(results) == 1
    assert search.make(n_jobs=-1).n_threads == available_cores()


def test_same_seed_same_neighbours(subject):
    assert_same(subject.make().build(), subject.make().build())


@pytest.mark.thin(7)
def test_any_random_state(search):
    for state in (None, np.random.RandomState(0), np.random.default_rng(0)):
        index = search.make(random_state=state)
        assert index.build()[0].shape == (search.n, K)


def test_data_is_not_changed(subject):
    X = subject.X.copy()
    X.setflags(write=False)
    rows = subject.rows(X)
    parts = (rows.data, rows.indices, rows.indptr) if sp.issparse(rows) else (rows,)
    before = [part.copy() for part in parts]
    for part in parts:
        part.setflags(write=False)
    index = subject.make(X=X)
    index.build()
    if not subject.is_list:
        index.query(rows[:5], 2)
    assert_same(parts, before)


def test_result_is_not_changed_by_its_owner(search):
    """A caller may write into what it got: later answers are the same, or it is read-only."""
    index = search.make()
    first = index.build()
    copies = [array.copy() for array in first]
    for array in first:
        array[:] = 0
    assert_same(index.build(), copies)


@pytest.mark.thin(8)
def test_pickled_it_answers_the_same(subject):
    index = subject.make()
    index.build()
    again = pickle.loads(pickle.dumps(index))
    assert_same(again.build(), index.build())
    if not subject.is_list:
        rows = subject.rows(subject.X[:9])
        assert_same(again.query(rows, 4), index.query(rows, 4))


def test_all_others_are_neighbours(subject):
    few = Subject(subject.case, subject.X[:6])
    settings = {"knn_kwargs": {}} if subject.case.kwargs else {}
    indices, _ = few.make(5, **settings).build()
    assert np.sort(indices).tolist() == [[j for j in range(6) if j != i] for i in range(6)]


def test_more_equal_rows_than_neighbours(subject):
    """A row may not be among its own nearest, and is never its own neighbour."""
    X = np.repeat(subject.X[:10], 12, axis=0)
    indices, distances = Subject(subject.case, X).make(5).build()
    assert not (indices == np.arange(120)[:, None]).any()
    assert all(len(set(row)) == 5 for row in indices.tolist())
    np.testing.assert_allclose(distances, 0, atol=2e-3)


def test_limits_of_k(search):
    for k, message in ((0, "k must be at least 1; got 0"), (search.n, "k must be less than")):
        with pytest.raises(ValueError, match=message):
            search.make(k)
    with pytest.raises(TypeError, match=r"k must be an integer; got 2\.5"):
        search.make(2.5)


def test_limits_of_k_in_queries(queried):
    index, rows = queried.make(), queried.rows(queried.X[:3])
    with pytest.raises(ValueError, match="k must be at least 1; got 0"):
        index.query(rows, 0)
    with pytest.raises(ValueError, match=f"k must be at most {queried.n}; got {queried.n + 1}"):
        index.query(rows, queried.n + 1)


def test_bad_queries(queried):
    index = queried.make()
    rows = queried.rows(queried.X[:3])
    with pytest.raises(ValueError, match=f"X must have {rows.shape[1]} columns"):
        index.query(rows[:, :5], 2)
    bad = rows.toarray() if sp.issparse(rows) else rows.copy()
    bad[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"X.* must be finite.*X\[1, 2\] is nan"):
        index.query(sp.csr_matrix(bad) if sp.issparse(rows) else bad, 2)


def test_bad_data(search):
    X = search.X.copy()
    X[1, 2] = np.inf
    with pytest.raises(ValueError, match=r"data must be finite; data\[1, 2\] is inf"):
        search.make(X=X)
    with pytest.raises(ValueError, match="data needs at least 2 rows; got 1"):
        search.make(1, X=X[:1])


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"metric": "nonsense"}, ValueError, r"metric must be one of .*'euclidean'.*'nonsense'"),
        ({"metric": 3}, TypeError, "metric must be one of .* got 3"),
        ({"metric_params": [1]}, TypeError, "metric_params must be a dictionary or None"),
        ({"knn_kwargs": 3}, TypeError, "knn_kwargs must be a dictionary or None; got 3"),
        ({"n_jobs": 0}, ValueError, "n_jobs must not be 0"),
    ],
)
def test_bad_parameters(search, params, error, message):
    with pytest.raises(error, match=message):
        search.make(**params).build()


def test_metric_by_position(search):
    metric = "cityblock" if search.case.metric == "cityblock" else "cosine"
    assert search.case.index(search.rows(search.X), K, metric).metric == metric
