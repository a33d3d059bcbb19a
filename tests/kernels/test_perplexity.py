import numpy as np
import pytest

from fasttsne._kernels import reference


def affinities(kernel, distances, perplexity, n_threads=2):
    out = np.empty(distances.shape, np.float32)
    kernel("perplexity").conditional_affinities(
        np.ascontiguousarray(distances, np.float32), out, perplexity, n_threads
    )
    return out


@pytest.mark.thin(8)
@pytest.mark.parametrize("k", [1, 3, 8, 9, 90])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
def test_equals_reference(kernel, rng, k, scale):
    distances = rng.gamma(5, 1, (50, k)) * scale
    perplexity = max(k / 3, 1)
    p = affinities(kernel, distances, perplexity)
    expected = [reference.conditional_affinities(row, perplexity) for row in distances / scale]
    np.testing.assert_allclose(p, expected, atol=2e-4)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("perplexity", [2, 10, 29.9, 60])
def test_has_the_perplexity(kernel, rng, perplexity):
    p = affinities(kernel, rng.gamma(5, 1, (200, 90)), perplexity).astype(float)
    entropy = -(p * np.log(p, where=p > 0, out=np.zeros_like(p))).sum(1)
    np.testing.assert_allclose(np.exp(entropy), perplexity, rtol=1e-3)


def test_equal_distances_get_equal_shares(kernel):
    for value in (0.0, 1.0, 1e20):
        p = affinities(kernel, np.full((3, 12), value), 4.0)
        np.testing.assert_allclose(p, 1 / 12, rtol=1e-5)


def test_more_ties_than_perplexity_share_everything(kernel):
    distances = np.r_[np.zeros(10), np.ones(20)][None]
    p = affinities(kernel, distances, 5.0)[0]
    np.testing.assert_allclose(p[:10], 0.1, rtol=1e-3)
    np.testing.assert_allclose(p[10:], 0, atol=1e-6)


def test_one_neighbour_much_nearer(kernel):
    p = affinities(kernel, np.array([[1e-6, 1, 1, 1, 1, 1]]), 3.0)[0]
    assert np.isfinite(p).all()
    assert p.sum() == pytest.approx(1, rel=1e-5)
    assert p[0] > p[1]


def test_threads_do_not_change_bits(kernel, rng):
    distances = rng.gamma(5, 1, (500, 40))
    results = {affinities(kernel, distances, 10, n).tobytes() for n in (1, 2, 3, 8)}
    assert len(results) == 1
