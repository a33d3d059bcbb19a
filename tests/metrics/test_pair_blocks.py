"""Measures of all pairs, block by block: the same as of all pairs at once, in less memory."""

import tracemalloc

import numpy as np
import pytest

from fasttsne import metrics
from fasttsne.metrics import pair_blocks


@pytest.fixture
def pair():
    """Rows and a map; distances have zeros and outliers."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    X[:5], X[-1] = X[5:10], 1e4
    return X, X[:, :2] + rng.normal(0, 0.5, (300, 2))


def small_blocks(monkeypatch):
    monkeypatch.setattr(pair_blocks, "BLOCK_PAIRS", 3000)


@pytest.mark.parametrize("sample_size", [None, 200])
@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_correlations(pair, monkeypatch, method, sample_size):
    whole = metrics.distance_correlation(*pair, method, sample_size=sample_size)
    small_blocks(monkeypatch)
    parts = metrics.distance_correlation(*pair, method, sample_size=sample_size)
    assert parts == pytest.approx(whole, abs=1e-7)
    assert parts.standard_error == pytest.approx(whole.standard_error, rel=1e-5)


@pytest.mark.thin(2)
@pytest.mark.parametrize(
    "scaled",
    [
        lambda d: np.exp(20 * d),
        lambda d: np.exp(-20 * d),
        lambda d: d * 1e-300,
        lambda d: np.where(d < 1, 1e-24 * d, np.where(d < 2, 1e-12 * d, d)),
        np.ceil,
        lambda d: np.where(d < 2, 0, d),
        lambda d: 1e-318 * d,
    ],
    ids=["wide", "falling", "small", "three scales", "ties", "zeros", "subnormal"],
)
def test_rank_correlations_of_any_orders_of_magnitude(monkeypatch, scaled):
    """Bins of one width would hold almost all of such distances in one."""
    Y = np.random.default_rng(0).normal(size=(300, 2))
    X = np.c_[Y, np.random.default_rng(1).normal(size=300)]
    D = scaled(np.linalg.norm(X[:, None] - X, axis=2))
    np.fill_diagonal(D, 0)
    whole = metrics.distance_correlation(D, Y, "spearman", "precomputed", sample_size=None)
    small_blocks(monkeypatch)
    parts = metrics.distance_correlation(D, Y, "spearman", "precomputed", sample_size=None)
    assert parts == pytest.approx(whole, abs=1e-7)


@pytest.mark.parametrize("sample_size", [None, 200])
def test_stress(pair, monkeypatch, sample_size):
    whole = metrics.stress(*pair, sample_size=sample_size)
    small_blocks(monkeypatch)
    parts = metrics.stress(*pair, sample_size=sample_size)
    for name in ("edges", "stress", "standard_error", "ratio", "scale", "total"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-8)
    assert parts.total.standard_error == pytest.approx(whole.total.standard_error, rel=1e-6)


@pytest.mark.parametrize("is_blocked", [False, True])
def test_large_numbers(pair, monkeypatch, is_blocked):
    """Of which the squares of the squares are not numbers."""
    X, Y = pair
    expected = metrics.distance_correlation(X, Y, "pearson", sample_size=200)
    if is_blocked:
        small_blocks(monkeypatch)
    found = metrics.distance_correlation(X * 1e140, Y, "pearson", sample_size=200)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-6)


def test_many_scales_take_little_memory(monkeypatch):
    """Tables of all of them at once would take 0.4 GB."""
    X = np.random.default_rng(0).normal(size=(100, 3))
    whole = metrics.stress(X, X[:, :2], 150, sample_size=None)
    small_blocks(monkeypatch)
    tracemalloc.start()
    parts = metrics.stress(X, X[:, :2], 150, sample_size=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e8
    np.testing.assert_array_equal(parts.edges, whole.edges)


@pytest.mark.parametrize("is_blocked", [False, True])
def test_what_is_constant_or_unknown(pair, monkeypatch, is_blocked):
    X, Y = pair
    if is_blocked:
        small_blocks(monkeypatch)
    for method in ("spearman", "pearson"):
        assert np.isnan(metrics.distance_correlation(X, np.zeros_like(Y), method, sample_size=None))
        # Their mean is not 0.1 in floating point.
        equal = 0.1 * (1 - np.eye(len(Y)))
        found = metrics.distance_correlation(equal, Y, method, "precomputed", sample_size=None)
        assert np.isnan(found)
        assert np.isnan(found.standard_error)
    with pytest.raises(ValueError, match="not all equal"):
        metrics.stress(X, np.zeros_like(Y), sample_size=None)


@pytest.mark.slow
@pytest.mark.parametrize("measure", [metrics.stress, metrics.distance_correlation])
def test_memory_does_not_grow_with_the_pairs(monkeypatch, measure):
    """Four times the pairs take as much; all of them at once would take four times as much."""
    monkeypatch.setattr(pair_blocks, "BLOCK_PAIRS", 2**17)
    X = np.random.default_rng(0).normal(size=(2000, 3))
    peaks = []
    for n in (1000, 2000):
        tracemalloc.start()
        measure(X[:n], X[:n, :2], sample_size=None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
