import numpy as np
import pytest

from fasttsne import initialization


@pytest.mark.parametrize("solver", ["full", "randomized", "auto"])
@pytest.mark.parametrize("shape", [(300, 40), (40, 300), (700, 600)])
def test_pca_equals_svd(rng, solver, shape):
    scales = 0.9 ** np.arange(shape[1])
    X = rng.normal(0, 1, shape) * scales + 5
    map_ = initialization.pca(X, 2, svd_solver=solver, random_state=0, add_jitter=False)
    u, s, _ = np.linalg.svd(X - X.mean(0), full_matrices=False)
    scores = u[:, :2] * s[:2]
    for got, want in zip(map_.T, scores.T, strict=True):
        assert abs(np.corrcoef(got, want)[0, 1]) > 1 - 1e-3
    assert np.std(map_[:, 0]) == pytest.approx(1e-4)
    assert np.std(map_[:, 1]) / np.std(map_[:, 0]) == pytest.approx(
        np.std(scores[:, 1]) / np.std(scores[:, 0]), rel=1e-2
    )


def test_pca_is_reproducible_and_leaves_x_alone(digits):
    X = digits.copy()
    first = initialization.pca(X, random_state=1)
    np.testing.assert_array_equal(first, initialization.pca(X, random_state=1))
    np.testing.assert_array_equal(X, digits)
    assert len(np.unique(initialization.pca(np.repeat(X, 2, axis=0), random_state=1), axis=0)) == (
        2 * len(X)
    )


@pytest.mark.parametrize(
    "X", [np.ones((10, 3)), np.arange(10.0)[:, None], np.zeros((2, 5)), np.full((5, 2), 1e300)]
)
def test_pca_of_data_with_too_few_components(X):
    map_ = initialization.pca(X, 2, random_state=0)
    assert map_.shape == (len(X), 2)
    assert np.isfinite(map_).all()
    assert len(np.unique(map_, axis=0)) == len(X)


def test_random():
    map_ = initialization.random(1000, 3, random_state=0)
    assert map_.shape == (1000, 3)
    assert np.std(map_) == pytest.approx(1e-4, rel=0.05)
    np.testing.assert_array_equal(map_, initialization.random(np.empty((1000, 7)), 3, 0))
    np.testing.assert_array_equal(map_, initialization.random([[1]] * 1000, 3, 0))


def test_rescale_and_jitter(rng):
    x = rng.normal(0, 5, (500, 2))
    before = x.copy()
    scaled = initialization.rescale(x)
    assert np.std(scaled[:, 0]) == pytest.approx(1e-4)
    np.testing.assert_array_equal(x, before)
    moved = initialization.jitter(x, scale=0.01, random_state=0)
    assert np.std(moved - x) == pytest.approx(0.01 * np.std(x[:, 0]), rel=0.1)
    assert initialization.rescale(x, inplace=True) is x
    assert np.std(x[:, 0]) == pytest.approx(1e-4)
