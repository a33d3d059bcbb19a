"""Rank curves against the co-ranking matrix, the other measures, and other packages."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from fasttsne import metrics


def ranks_in(D):
    """The rank of each column for each row, from 1; 0 for the row itself."""
    D = D.copy()
    np.fill_diagonal(D, -1)
    return np.argsort(np.argsort(D, axis=1, kind="stable"), axis=1)


def curves_by_matrix(X, Y):
    """Q_NX and R_NX from the whole co-ranking matrix, by its definition."""
    a, b = ranks_in(cdist(X, X)), ranks_in(cdist(Y, Y))
    n = len(X)
    Q = np.zeros((n - 1, n - 1))
    off = ~np.eye(n, dtype=bool)
    np.add.at(Q, (a[off] - 1, b[off] - 1), 1)
    k = np.arange(1, n - 1)
    q_nx = np.array([Q[:size, :size].sum() / (size * n) for size in k])
    return k, q_nx, ((n - 1) * q_nx - k) / (n - 1 - k)


def draw(seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 2000, (80, 3)).astype(float)
    return X, np.round(X[:, :2] + rng.normal(0, 300, (80, 2)))


def has_ties(points):
    return any(len(np.unique(row)) < 80 for row in cdist(points, points, "sqeuclidean"))


@pytest.fixture(scope="module")
def plain():
    """Whole numbers, whose distances float32 holds, no two of a row equal; and a map of them."""
    return next(pair for pair in map(draw, range(1000)) if not any(map(has_ties, pair)))


def test_equal_the_co_ranking_matrix(plain):
    X, Y = plain
    found = metrics.rank_curves(X, Y, sample_size=None)
    k, q_nx, r_nx = curves_by_matrix(X, Y)
    np.testing.assert_array_equal(found.k, k)
    np.testing.assert_allclose(found.q_nx, q_nx, atol=1e-12)
    np.testing.assert_allclose(found.r_nx, r_nx, atol=1e-12)
    assert found.auc == pytest.approx((r_nx / k).sum() / (1 / k).sum(), abs=1e-12)
    split = np.argmax(q_nx - k / 79) + 1
    assert found.k_max == split
    assert found.local == pytest.approx(q_nx[:split].mean(), abs=1e-12)
    assert found.global_ == pytest.approx(q_nx[split:].mean(), abs=1e-12)
    assert not found.r_nx_error.any()
    assert found.auc.standard_error == found.local.standard_error == 0


@pytest.mark.parametrize("sample_size", [None, 30])
def test_scores_are_those_of_their_functions(plain, sample_size):
    X, Y = plain
    found = metrics.rank_curves(X, Y, 7, sample_size=sample_size)
    for name in ("neighbor_recall", "trustworthiness", "continuity"):
        score = getattr(found, name)
        expected = getattr(metrics, name)(X, Y, 7, sample_size=sample_size)
        assert score == pytest.approx(expected, abs=1e-12)
        assert score.standard_error == pytest.approx(
            expected.standard_error, abs=1e-12, nan_ok=True
        )
        np.testing.assert_allclose(score.values, expected.values, atol=1e-12)
    assert found.neighbor_recall == pytest.approx(found.q_nx[6], abs=1e-12)


def test_many_rows_have_the_same_curves(monkeypatch):
    """Beyond a number of rows, ranks are those of single precision, by another kernel."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 5)).astype(np.float32)
    Y = (X[:, :2] + rng.normal(0, 0.3, (700, 2))).astype(np.float32)
    double = metrics.rank_curves(X, Y, sample_size=300)
    monkeypatch.setattr("fasttsne.nearest_neighbors.builtin.ranks.FLOAT64_RANKS_MAX_SAMPLES", 0)
    single = [metrics.rank_curves(X, Y, sample_size=300, n_jobs=n) for n in (1, 3)]
    for name in ("q_nx", "r_nx", "r_nx_error", "auc", "k_max", "local", "global_"):
        np.testing.assert_array_equal(*(getattr(each, name) for each in single))
        np.testing.assert_allclose(getattr(single[0], name), getattr(double, name), atol=2e-4)
    np.testing.assert_allclose(single[0].trustworthiness, double.trustworthiness, atol=1e-5)


def test_extremes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    same = metrics.rank_curves(X, -3 * X)
    for score in (same.auc, same.local, same.trustworthiness, same.continuity):
        assert score == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(same.r_nx, 1, atol=1e-3)
    other = metrics.rank_curves(X, rng.normal(size=(300, 2)))
    assert abs(other.auc) < 0.05
    assert abs(other.neighbor_recall - 10 / 299) < 0.02


def test_any_metric_and_storage(plain):
    X, Y = plain
    by_rows = metrics.rank_curves(X, Y, metric="cityblock")
    by_matrix = metrics.rank_curves(cdist(X, X, "cityblock"), Y, metric="precomputed")
    np.testing.assert_array_equal(by_rows.q_nx, by_matrix.q_nx)


@pytest.mark.parametrize("n", [4, 5])
def test_few_rows(n):
    X = np.random.default_rng(0).normal(size=(n, 3))
    found = metrics.rank_curves(X, X[:, :2])
    assert found.at == (n - 1) // 2
    assert len(found.k) == n - 2
    assert np.isfinite([found.auc, found.local, found.global_, found.trustworthiness]).all()


def test_three_rows_are_too_few():
    with pytest.raises(ValueError, match="at least 4 rows; got 3"):
        metrics.rank_curves(np.eye(3), np.eye(3))


def test_agrees_with_scikit_learn(plain):
    manifold = pytest.importorskip("sklearn.manifold")
    X, Y = plain
    found = metrics.rank_curves(X, Y, 12, sample_size=None)
    expected = manifold.trustworthiness(X, Y, n_neighbors=12)
    assert found.trustworthiness == pytest.approx(expected, abs=1e-10)
    assert found.continuity == pytest.approx(
        manifold.trustworthiness(Y, X, n_neighbors=12), abs=1e-10
    )


def test_agrees_with_pyDRMetrics(plain):
    """It divides by n - 1 where the definition, which its own matrix gives, has n."""
    package = pytest.importorskip("pyDRMetrics.pyDRMetrics")
    X, Y = plain
    n = len(X)
    found = metrics.rank_curves(X, Y, 12, sample_size=None)
    other = package.DRMetrics(X, Y)
    Q = np.asarray(other.Q)[1:, 1:]
    q_nx = [Q[:k, :k].sum() / (k * n) for k in found.k]
    np.testing.assert_allclose(found.q_nx, q_nx, atol=1e-10)
    np.testing.assert_allclose(found.q_nx, np.asarray(other.QNN)[: n - 2] * (n - 1) / n, atol=1e-10)
