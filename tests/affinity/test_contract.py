"""What all affinities promise; a new family gets a line in ``FAMILIES``, and all of these tests."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne.affinity import (
    FixedSigmaNN,
    Multiscale,
    MultiscaleMixture,
    PerplexityBasedNN,
    PrecomputedAffinities,
    Uniform,
)
from fasttsne.nearest_neighbors import Exact

FAMILIES = {
    "perplexity": (PerplexityBasedNN, {"perplexity": 10}),
    "perplexity of few rows": (PerplexityBasedNN, {"perplexity": 66}),
    "fixed sigma": (FixedSigmaNN, {"sigma": 15.0}),
    "uniform": (Uniform, {"k_neighbors": 12}),
    "multiscale": (Multiscale, {"perplexities": [20, 5]}),
    "mixture": (MultiscaleMixture, {"perplexities": [20, 5]}),
    "mixture of one": (MultiscaleMixture, {"perplexities": 10}),
}


@pytest.fixture(scope="module")
def X(digits):
    return digits[:200]


@pytest.fixture(params=FAMILIES)
def make(request):
    """Makes affinities of one family, for data or other parameters."""
    family, params = FAMILIES[request.param]
    return lambda *data, **more: family(*data, **params, **more)


@pytest.fixture
def new_rows(digits):
    return digits[200:230]


def bits(matrix):
    return matrix.data.tobytes(), matrix.indices.tobytes(), matrix.indptr.tobytes()


def check_P(P, n):
    assert isinstance(P, sp.csr_matrix)
    assert P.shape == (n, n)
    assert P.dtype == np.float64
    assert P.data.sum() == pytest.approx(1, abs=1e-12)
    assert P.data.min() >= 0
    assert not P.diagonal().any()
    columns = np.split(P.indices, P.indptr[1:-1])
    assert all((np.diff(row) > 0).all() for row in columns)
    assert P.has_canonical_format


@pytest.mark.parametrize("symmetrize", [True, "mean", "max", False, "none"])
def test_P(make, X, symmetrize):
    affinities = make(X, symmetrize=symmetrize)
    assert affinities.n_samples == 200
    check_P(affinities.P, 200)
    if symmetrize in (False, "none"):
        with pytest.raises(ValueError, match="radii need symmetric affinities"):
            affinities.log_radii()
    else:
        assert abs(affinities.P - affinities.P.T).max() == 0
        assert affinities.log_radii().shape == (200,)


def test_new_rows(make, X, new_rows):
    affinities = make(X)
    P, neighbors, distances = affinities.to_new(new_rows, return_distances=True)
    assert P.shape == (30, 200)
    assert P.dtype == np.float64
    np.testing.assert_allclose(np.asarray(P.sum(1)).ravel(), 1, rtol=1e-12)
    assert P.data.min() >= 0
    assert neighbors.shape == distances.shape == (30, np.diff(P.indptr)[0])
    np.testing.assert_array_equal(np.sort(neighbors).ravel(), P.indices)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert bits(affinities.to_new(new_rows)) == bits(P)


def test_new_rows_do_not_depend_on_each_other(make, X, new_rows):
    affinities = make(X)
    together = affinities.to_new(new_rows)
    for row in (0, 7, 29):
        assert bits(affinities.to_new(new_rows[row : row + 1])) == bits(together[row : row + 1])


def test_bits_do_not_depend_on_threads(make, X, new_rows):
    results = set()
    for n_jobs in (1, 2, 3, -1):
        affinities = make(X, n_jobs=n_jobs)
        radii = affinities.log_radii().tobytes()
        results.add((bits(affinities.P), bits(affinities.to_new(new_rows)), radii))
    assert len(results) == 1


def test_data_is_not_changed(make, X, new_rows):
    before, new_before = X.copy(), new_rows.copy()
    X, new_rows = X.copy(), new_rows.copy()
    for array in (X, new_rows):
        array.setflags(write=False)
    make(X).to_new(new_rows)
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(new_rows, new_before)


def test_results_of_an_index_are_not_changed(make, X):
    """The index may keep the arrays that it returns."""
    index = Exact(X, 199)
    found = index.build()
    copies = [array.copy() for array in found]

    class Mine:
        k, n_samples = 199, 200

        def build(self):
            return found

        def query(self, X, k):
            return index.query(X, k)

    make(knn_index=Mine())
    for array, copy in zip(found, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_given_index_is_used(make, X, new_rows):
    expected = make(X)
    index = Exact(X, expected.knn_index.k)
    affinities = make(knn_index=index)
    assert affinities.knn_index is index
    assert bits(affinities.P) == bits(expected.P)
    assert bits(affinities.to_new(new_rows)) == bits(expected.to_new(new_rows))


def test_pickled_they_answer_the_same(make, X, new_rows):
    affinities = make(X)
    again = pickle.loads(pickle.dumps(affinities))
    assert bits(again.P) == bits(affinities.P)
    assert bits(again.to_new(new_rows)) == bits(affinities.to_new(new_rows))
    np.testing.assert_array_equal(again.log_radii(), affinities.log_radii())


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
@pytest.mark.parametrize("name", FAMILIES)
def test_unit_of_the_data_does_not_matter(rng, name, scale):
    X = rng.normal(0, 1, (300, 20))
    family, params = FAMILIES[name]
    scaled_params = {**params, "sigma": 15.0 * scale} if "sigma" in params else params
    P, scaled = family(X, **params).P, family(X * scale, **scaled_params).P
    assert abs(P - scaled).max() < 1e-4 * P.max()


def test_equal_rows(make):
    affinities = make(np.ones((200, 3)))
    check_P(affinities.P, 200)
    assert (affinities.log_radii() == -np.inf).all()


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({}, ValueError, "data is needed where no neighbours or knn_index are given"),
        ({"data": np.eye(200), "knn_index": 3}, ValueError, "data and knn_index were both given"),
        (
            {"method": "nonsense", "data": np.eye(200)},
            ValueError,
            "neighbors must be one of .*'nonsense'",
        ),
        ({"symmetrize": "sideways"}, ValueError, "symmetrize must be True.* got 'sideways'"),
        ({"n_jobs": 0, "data": np.eye(200)}, ValueError, "n_jobs must not be 0"),
        ({"metric": "nonsense", "data": np.eye(200)}, ValueError, "metric must be one of"),
    ],
)
def test_bad_parameters(make, params, error, message):
    with pytest.raises(error, match=message):
        make(**params)


def test_given_matrix(X):
    P = PerplexityBasedNN(X, 10).P
    before = bits(P)
    affinities = PrecomputedAffinities(P)
    check_P(affinities.P, 200)
    assert bits(P) == before
    assert bits(pickle.loads(pickle.dumps(affinities)).P) == bits(affinities.P)
    with pytest.raises(NotImplementedError, match=r"to_new\(\) is not available"):
        affinities.to_new(X)
    with pytest.raises(ValueError, match="PrecomputedAffinities has no distances of neighbours"):
        affinities.log_radii()
