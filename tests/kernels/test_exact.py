import numpy as np
import pytest

from fasttsne._kernels import reference


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 33, 250])
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0, 10.0])
def test_equals_twin(kernel, rng, n, d, dof):
    y = rng.normal(0, 3, (n, d))
    single = y.astype(np.float32)
    out = np.empty_like(single)
    z = kernel("exact_repulsion").exact_repulsion(single, out, dof, 2)
    expected, expected_z = reference.repulsion(y, dof)
    assert z == pytest.approx(expected_z, rel=1e-5)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=2e-6 * max(abs(expected).max(), 1))


def test_more_sources_than_one_chunk(kernel, rng):
    y = rng.normal(0, 3, (2100, 2))
    out = np.empty(y.shape, np.float32)
    z = kernel("exact_repulsion").exact_repulsion(y.astype(np.float32), out, 1.0, 2)
    expected, expected_z = reference.repulsion(y)
    assert z == pytest.approx(expected_z, rel=1e-5)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


def test_z_of_few_far_points_is_not_lost(kernel):
    """Each w is 1e-8: float32 could not hold it beside the point's own w = 1."""
    y = np.array([[0, 0], [1e4, 0], [0, 1e4]], np.float32)
    z = kernel("exact_repulsion").exact_repulsion(y, np.empty_like(y), 1.0, 1)
    assert z == pytest.approx(4 / (1 + 1e8) + 2 / (1 + 2e8), rel=1e-6)


def test_threads_do_not_change_bits(kernel, rng):
    y = rng.normal(0, 3, (500, 2)).astype(np.float32)
    results = []
    for n_threads in (1, 2, 3, 8):
        out = np.empty_like(y)
        results.append(
            (kernel("exact_repulsion").exact_repulsion(y, out, 1.0, n_threads), out.tobytes())
        )
    assert len(set(results)) == 1
