"""Stress by scale, and the Jacobian of the map."""

from importlib import import_module

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist, pdist

from fasttsne import metrics


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4)).astype(np.float32)
    return X, (X[:, :2] ** 3).astype(np.float32)


def test_stress_is_kruskals(pair):
    X, Y = pair
    found = metrics.stress(X, Y, 4, sample_size=None)
    d, e = pdist(X.astype(float)), pdist(Y.astype(float))
    scale = (d @ e) / (e @ e)
    assert found.scale == pytest.approx(scale)
    expected = np.sqrt(((d - scale * e) ** 2).sum() / (d @ d))
    assert found.total == pytest.approx(expected, abs=1e-10)
    edges = np.quantile(d, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found.edges, edges)
    for j in range(4):
        part = (d >= edges[j]) & ((d < edges[j + 1]) | (j == 3))
        missed = np.sqrt(((d - scale * e)[part] ** 2).sum() / (d[part] ** 2).sum())
        assert found.stress[j] == pytest.approx(missed, abs=1e-9)
        assert found.ratio[j] == pytest.approx(scale * e[part].mean() / d[part].mean())


def test_the_size_of_a_map_does_not_matter(pair):
    X, Y = pair
    one, other = metrics.stress(X, Y), metrics.stress(X, 8 * Y)
    np.testing.assert_allclose(one.stress, other.stress, rtol=1e-6)
    assert metrics.stress(X, 5 * X).total == pytest.approx(0, abs=1e-6)


def test_stress_of_what_has_no_size(pair):
    X, _ = pair
    with pytest.raises(ValueError, match="not all equal"):
        metrics.stress(X, np.zeros((120, 2)))
    with pytest.raises(ValueError, match="some are unknown"):
        metrics.stress(sp.random(120, 120, 0.1, format="csr"), X, metric="precomputed")


@pytest.mark.parametrize("sample_size", [None, 110])
def test_pairs_of_more_rows_than_memory_holds_are_sampled(pair, monkeypatch, sample_size):
    # As an attribute of the package, stress is the function.
    monkeypatch.setattr(import_module("fasttsne.metrics.stress"), "MAX_PAIR_ROWS", 100)
    curve = metrics.stress(*pair, sample_size=sample_size)
    correlation = metrics.distance_correlation(*pair, sample_size=sample_size)
    for found in (curve, correlation):
        np.testing.assert_array_equal(found.rows, metrics.stress(*pair, sample_size=100).rows)
    assert correlation == metrics.distance_correlation(*pair, sample_size=100)
    assert 0 < correlation.standard_error < 0.1
    assert np.isnan(curve.total.standard_error)  # not known of fewer than 200 rows
    whole = metrics.distance_correlation(pair[0][:100], pair[1][:100], sample_size=None)
    assert whole.standard_error == 0


def test_correlation_of_large_numbers(pair):
    """Squares of the squares are not numbers."""
    X, Y = pair
    expected = metrics.distance_correlation(X.astype(float), Y, "pearson", sample_size=100)
    found = metrics.distance_correlation(X.astype(float) * 1e140, Y, "pearson", sample_size=100)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-6)


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_constant_distances_have_no_correlation(pair, method):
    X, Y = pair
    assert np.isnan(metrics.distance_correlation(X, np.zeros_like(Y), method, sample_size=None))
    # Their mean is not 0.1 in floating point.
    equal = 0.1 * (1 - np.eye(120))
    found = metrics.distance_correlation(equal, Y, method, "precomputed", sample_size=None)
    assert np.isnan(found)


@pytest.mark.parametrize("sample_size", [None, 100])
def test_stress_of_many_equal_rows(sample_size):
    """A fourth of the distances is 0: no warning, and no ratio to a mean of 0."""
    rng = np.random.default_rng(0)
    X, Y = np.repeat(rng.normal(size=(4, 8)), 50, axis=0), rng.normal(size=(200, 2))
    found = metrics.stress(X, Y, sample_size=sample_size)
    is_zero = found.edges[1:] == 0
    assert is_zero.any()
    assert np.isnan(found.ratio[is_zero]).all()
    assert not np.isinf(found.ratio).any()
    assert np.isfinite(found.ratio).any()
    assert np.isfinite(found.total)


def test_a_linear_map_has_its_jacobian():
    """A sheet in five dimensions, stretched by 6 and by 2."""
    rng = np.random.default_rng(0)
    flat = rng.uniform(size=(400, 2))
    frame = np.linalg.qr(rng.normal(size=(5, 2)))[0]
    found = metrics.local_distortion(flat @ frame.T, flat * [6, 2], sample_size=None)
    np.testing.assert_allclose(found.area, 1, rtol=1e-3)
    np.testing.assert_allclose(found.anisotropy, 3, rtol=1e-3)
    np.testing.assert_allclose(found.explained, 1, atol=1e-5)


def test_area_says_where_a_map_grows():
    rng = np.random.default_rng(0)
    flat = rng.uniform(size=(800, 2))
    stretched = flat.copy()
    right = flat[:, 0] > 0.5
    stretched[right, 0] = 0.5 + 4 * (flat[right, 0] - 0.5)
    found = metrics.local_distortion(flat, stretched, sample_size=None)
    inner = np.abs(flat[:, 0] - 0.5) > 0.15
    ratio = np.median(found.area[right & inner]) / np.median(found.area[~right & inner])
    assert ratio == pytest.approx(4, rel=0.02)
    assert np.median(found.anisotropy[right & inner]) == pytest.approx(4, rel=0.02)


def test_distances_alone_suffice(pair):
    X, Y = pair
    by_rows = metrics.local_distortion(X, Y)
    by_matrix = metrics.local_distortion(cdist(X, X), Y, metric="precomputed")
    np.testing.assert_allclose(by_rows.area, by_matrix.area, rtol=1e-3)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_maps_of_any_dimension(d):
    X = np.random.default_rng(0).normal(size=(60, 4))
    found = metrics.local_distortion(X, X[:, :d])
    assert (found.anisotropy >= 1).all()
    assert np.median(found.area) == pytest.approx(1)


def test_a_map_that_is_one_point():
    X = np.random.default_rng(0).normal(size=(60, 4))
    assert np.isnan(metrics.local_distortion(X, np.zeros((60, 2))).area).all()
