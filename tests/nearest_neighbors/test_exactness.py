"""Exact neighbours are those of float64 differences, whatever the data: made by hypothesis.

``HYPOTHESIS_EXAMPLES=10000 python -m pytest tests/nearest_neighbors/test_exactness.py`` is what
runs at night.
"""

import os

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fasttsne._kernels import reference
from fasttsne.nearest_neighbors import Approx, Exact, approx, make_index
from fasttsne.nearest_neighbors.builtin import prepared_rows
from fasttsne.runtime import validation

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "200"))
METRICS = ["euclidean", "sqeuclidean", "cosine", "correlation"]

SHAPES = {
    "gaussian": lambda rng, n, d: rng.normal(size=(n, d)),
    "uniform": lambda rng, n, d: rng.random((n, d)),
    "clusters": lambda rng, n, d: (
        rng.normal(0, 9, (5, d))[rng.integers(5, size=n)] + rng.normal(size=(n, d))
    ),
    "whole numbers": lambda rng, n, d: rng.integers(-3, 4, (n, d)).astype(float),
    "zeros and ones": lambda rng, n, d: (rng.random((n, d)) < 0.3).astype(float),
    "cauchy": lambda rng, n, d: rng.standard_cauchy((n, d)),
    "counts": lambda rng, n, d: rng.poisson(rng.lognormal(-1, 2, d), (n, d)).astype(float),
    "times": lambda rng, n, d: np.cumsum(rng.random((n, d)), axis=0)[rng.permutation(n)],
}


@st.composite
def data_sets(draw):
    """A data set, dense or sparse, of float32 or float64, with what breaks searches in it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, d = draw(st.integers(3, 160)), draw(st.integers(1, 40))
    X = SHAPES[draw(st.sampled_from(sorted(SHAPES)))](rng, n, d)
    half = n // 2
    if draw(st.booleans()):  # two scales
        X[half:] = X[0] + X[half:] * 10.0 ** -draw(st.integers(1, 8))
    if draw(st.booleans()):  # columns of different units
        X *= 10.0 ** rng.integers(-6, 7, d)
    if draw(st.booleans()):  # far from the origin
        X += 10.0 ** draw(st.integers(0, 10)) * rng.normal(size=d)
    if draw(st.booleans()):  # duplicates
        X[rng.integers(n, size=half)] = X[rng.integers(n)]
    if draw(st.booleans()):  # near duplicates
        X[1::2] = np.nextafter(X[: n // 2 * 2 : 2], np.inf)
    is_float32 = draw(st.booleans())
    X *= 10.0 ** draw(st.integers(-30, 18) if is_float32 else st.integers(-300, 280))
    for _ in range(draw(st.integers(0, 3))):  # outliers
        size = 10.0 ** draw(st.integers(6, 35) if is_float32 else st.integers(6, 300))
        X[rng.integers(n), rng.integers(d) if draw(st.booleans()) else slice(None)] = size
    X = np.clip(X, -1e300, 1e300)
    if is_float32:
        X = np.clip(X, -3e38, 3e38).astype(np.float32)
    if draw(st.booleans()):
        X = X * (rng.random((n, d)) < 0.3).astype(X.dtype)
    return sp.csr_matrix(X) if draw(st.integers(0, 3)) == 0 else X


def check(X, metric, k, indices, rows):
    """Compare neighbours of rows with those by float64 differences, up to float64 rounding."""
    dense = X.toarray() if sp.issparse(X) else X
    true = reference.float64_distances(dense, metric, rows)
    found = np.take_along_axis(true, indices[rows], 1)
    # Coordinates that are quotients are rounded, and so are sums.
    rounding = 1e-13 if metric in ("cosine", "correlation") else 0
    expected = np.sort(true, axis=1)[:, :k]
    np.testing.assert_array_less(found, np.nextafter(expected * (1 + 1e-13) + rounding, np.inf))
    assert (np.sort(indices[rows], axis=1)[:, 1:] > np.sort(indices[rows], axis=1)[:, :-1]).all()
    assert (indices[rows] != np.asarray(rows)[:, None]).all()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data_sets(), st.sampled_from(METRICS), st.integers(1, 40), st.integers(1, 2))
@pytest.mark.slow
def test_exact_finds_the_neighbours_of_float64(X, metric, k, n_jobs):
    k = min(k, X.shape[0] - 1)
    indices, distances = Exact(X, k, metric=metric, n_jobs=n_jobs).build()
    assert np.isfinite(distances).all()
    check(X, metric, k, indices, np.arange(X.shape[0]))


@settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=list(HealthCheck))
@given(data_sets(), st.sampled_from(METRICS), st.integers(1, 20), st.booleans())
def test_queries_find_the_neighbours_of_float64(X, metric, k, as_float64):
    """Queries are half of the rows, in their own dtype, or a little beside float32."""
    half = X.shape[0] // 2
    data, queries = X[half:], X[:half]
    if as_float64:
        queries = queries.astype(np.float64) * (1 + 2**-40)
    k = min(k, data.shape[0])
    indices, _ = Exact(data, min(k, data.shape[0] - 1) or 1, metric=metric).query(queries, k)
    both = sp.vstack([queries, data]) if sp.issparse(X) else np.concatenate([queries, data])
    true = reference.float64_distances(
        both.toarray() if sp.issparse(both) else both, metric, np.arange(half)
    )[:, half:]
    found = np.take_along_axis(true, indices, 1)
    rounding = 1e-13 if metric in ("cosine", "correlation") else 0
    expected = np.sort(true, axis=1)[:, :k] * (1 + 1e-13) + rounding
    np.testing.assert_array_less(found, np.nextafter(expected, np.inf))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zeros and ones", "whole numbers", "halves", "equal rows"])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("shift", [0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_fall_to_the_smaller_index(monkeypatch, rng, kind, form, shift, dtype):
    """Also where nearly all distances are tied, and where float32 does not hold the numbers."""
    X = rng.integers(0, 4, (1500, 6)).astype(float)
    if kind == "zeros and ones":
        X = (X > 1).astype(float)
    if kind == "halves":
        X /= 2
    if kind == "equal rows":
        X = X[rng.integers(4, size=1500)]
    monkeypatch.setattr(validation, "MAX_DENSE_NUMBERS", 0)
    X = form((X * (1 + shift)).astype(dtype))
    indices, _ = Exact(X, 20).build()
    dense = (X.toarray() if sp.issparse(X) else X).astype(float)
    expected, _ = reference.nearest(dense, dense, 20, self_join=True)
    np.testing.assert_array_equal(indices, expected)


def hard(kind, rng, n):
    X = rng.normal(size=(n, 8))
    if kind.startswith("two scales"):
        X[n // 2 :] = np.r_[12, np.zeros(7)] + X[n // 2 :] * float(kind.split()[-1])
    elif kind == "entry 1e12":
        X[17, 3] = 1e12
    elif kind == "row 1e20":
        X[17] = 1e20
    elif kind == "times":
        X[:, 0] = 1.7e9 + rng.permutation(n)
        return X
    elif kind == "large integers":
        return 2**40 + rng.integers(0, 50, (n, 8)).astype(float)
    return X.astype(np.float32)


HARD = ["two scales 1e-3", "two scales 1e-5", "entry 1e12", "row 1e20", "times", "large integers"]


@pytest.mark.parametrize("kind", HARD)
def test_hard_data(rng, kind):
    X = hard(kind, rng, 4000)
    rows = np.arange(0, 4000, 40)
    check(X, "euclidean", 30, Exact(X, 30).build()[0], rows)


@pytest.mark.slow
@pytest.mark.parametrize("kind", HARD)
def test_recall_is_that_of_float64(monkeypatch, rng, kind):
    """What ``recall_`` says is true: the rows of its sample are searched in another way here."""
    monkeypatch.setattr(approx, "MAX_ATTEMPTS", 1)
    X = hard(kind, rng, 9000)
    index = Approx(X, 15, random_state=0)
    indices, _ = index.build()
    rows = np.sort(rng.permutation(len(X))[:600])
    true = reference.float64_distances(X, "euclidean", rows)
    kth = np.sort(true, axis=1)[:, 14:15]
    recall = (np.take_along_axis(true, indices[rows], 1) <= kth * (1 + 1e-12)).mean()
    # Two samples of rows differ by their own standard errors.
    assert recall > index.recall_ - 0.02
    assert recall > 0.93


def test_undecided_rows_are_searched_in_float64(monkeypatch, rng):
    """Without the search in float64, the same data has wrong neighbours: the test has teeth."""
    X = hard("two scales 1e-5", rng, 2000)
    monkeypatch.setattr(prepared_rows.Float64Search, "run", lambda self, undecided: None)
    with pytest.raises(AssertionError):
        check(X, "euclidean", 30, Exact(X, 30).build()[0], np.arange(1000, 2000, 20))


def test_neighbors_auto_keeps_float64_apart(rng):
    X = hard("times", rng, 3500)
    index = make_index("auto", X, 10, random_state=0)
    found = index.build()[0]
    assert (np.abs(X[found, 0] - X[:, :1]) < 30).mean() > 0.95


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_approx_orders_wide_float64_rows_by_float64(monkeypatch, rng, form):
    """Rows of a group differ by less than what rounding to float32 changes in them."""
    monkeypatch.setattr(validation, "MAX_DENSE_NUMBERS", 0)
    X = np.repeat(rng.normal(0, 1e6, (200, 8)), 20, axis=0) + rng.normal(0, 1e-3, (4000, 8))
    index = Approx(form(X), 15, random_state=0, knn_kwargs={"recall": 0.5})
    built, _ = index.build()
    assert index._probes is not None, "the exact search was used"
    rows = np.arange(0, 4000, 20)
    check_order(reference.float64_distances(X, "euclidean", rows), built[rows])

    queries = X[rows] + rng.normal(0, 1e-3, (200, 8))
    found, _ = index.query(form(queries), 15)
    both = np.concatenate([queries, X])
    true = reference.float64_distances(both, "euclidean", np.arange(200))[:, 200:]
    check_order(true, found)


def check_order(true, found):
    """Neighbours are in the order of their distances; most rows, whose group is in one block,
    have the nearest of all."""
    distances = np.take_along_axis(true, found, 1)
    assert (np.diff(distances) > 0).all()
    assert (found == np.argsort(true, axis=1)[:, : found.shape[1]]).all(1).mean() > 0.9
