import numpy as np
import pytest

from fasttsne._kernels import reference
from fasttsne.repulsion.exact import ExactRepulsion, padded_columns


def exact_repulsion(kernel, y, out, dof, n_threads):
    module = kernel("exact_repulsion")
    z_sums = np.full(module.count_blocks(len(y)), np.nan)
    return module.exact_repulsion(y, padded_columns(y), out, dof, z_sums, n_threads)


@pytest.mark.thin(20)
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 33, 250])
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0, 10.0])
def test_equals_reference(kernel, rng, n, d, dof):
    y = rng.normal(0, 3, (n, d))
    single = y.astype(np.float32)
    out = np.empty_like(single)
    z = exact_repulsion(kernel, single, out, dof, 2)
    expected, expected_z = reference.repulsion(y, dof)
    assert z == pytest.approx(expected_z, rel=1e-5)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=2e-6 * max(abs(expected).max(), 1))


def test_more_sources_than_one_chunk(kernel, rng):
    y = rng.normal(0, 3, (2100, 2))
    out = np.empty(y.shape, np.float32)
    z = exact_repulsion(kernel, y.astype(np.float32), out, 1.0, 2)
    expected, expected_z = reference.repulsion(y)
    assert z == pytest.approx(expected_z, rel=1e-5)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


def test_z_of_few_far_points_is_not_lost(kernel):
    """Each w is 1e-8: float32 could not hold it beside the point's own w = 1."""
    y = np.array([[0, 0], [1e4, 0], [0, 1e4]], np.float32)
    z = exact_repulsion(kernel, y, np.empty_like(y), 1.0, 1)
    assert z == pytest.approx(4 / (1 + 1e8) + 2 / (1 + 2e8), rel=1e-6)


def test_threads_do_not_change_bits(kernel, rng):
    y = rng.normal(0, 3, (500, 2)).astype(np.float32)
    results = []
    for n_threads in (1, 2, 3, 8):
        out = np.empty_like(y)
        results.append((exact_repulsion(kernel, y, out, 1.0, n_threads), out.tobytes()))
    assert len(set(results)) == 1


@pytest.mark.parametrize("n", [1, 8, 1500])
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0])
def test_forces_on_other_points_equal_reference(kernel, rng, n, d, dof):
    y, sources = rng.normal(0, 3, (70, d)), rng.normal(0, 3, (n, d))
    out, z = np.empty((70, d), np.float32), np.empty(70)
    kernel("exact_repulsion").exact_repulsion_at(
        y.astype(np.float32), padded_columns(sources.astype(np.float32)), out, z, dof, 2
    )
    expected, expected_z = reference.repulsion_at(y, sources, dof)
    np.testing.assert_allclose(z, expected_z, rtol=1e-5)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


def test_arrays_of_one_call_serve_the_next(rng):
    """Also for another number of points, of which the padding differs."""
    repulsion = ExactRepulsion()
    for n in (30, 30, 13, 0, 30):
        y = rng.normal(0, 3, (n, 2)).astype(np.float32)
        forces = np.empty((2, n, 2), np.float32)
        assert repulsion(y, forces[0]) == ExactRepulsion()(y, forces[1])
        np.testing.assert_array_equal(*forces)
