import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne._kernels import reference
from fasttsne.objective.kl import KLDivergence


@pytest.fixture
def P(rng):
    P = rng.random((60, 60)) * (rng.random((60, 60)) < 0.2)
    P = P + P.T
    np.fill_diagonal(P, 0)
    P[7] = P[:, 7] = 0  # a point without edges
    return P / P.sum()


def edges_of(P, d):
    objective = KLDivergence(sp.csr_matrix(P), None, d)
    objective.reorder(np.arange(len(P), dtype=np.int32))
    return objective._edges.packed


def radii(kernel, P, y, dof, n_threads=2):
    out = np.empty((2, len(P)), np.float32)
    kernel("local_radii").radii(
        *edges_of(P, y.shape[1]), y.astype(np.float32), dof, out[0], out[1], n_threads
    )
    return out


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0, 10.0])
def test_radii_equal_reference(kernel, P, rng, d, dof):
    y = rng.normal(0, 3, (60, d))
    weights, squares = radii(kernel, P, y, dof)
    expected, expected_weights = reference.squared_radii(P, y, dof)
    np.testing.assert_allclose(squares, expected, rtol=1e-5)
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-5)
    assert squares[7] == weights[7] == 0


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0, 10.0])
def test_forces_are_the_derivative_of_a_function_of_the_radii(kernel, P, rng, d, dof):
    y = rng.normal(0, 3, (60, d))
    slope = rng.normal(0, 1, 60)
    squares, weights = reference.squared_radii(P, y, dof)
    a = np.where(weights > 0, slope / np.where(weights > 0, weights, 1), 0)
    out = np.empty((60, d), np.float32)
    kernel("local_radii").forces(
        *edges_of(P, d),
        y.astype(np.float32),
        np.stack([a, a * squares], 1).astype(np.float32),
        dof,
        out,
        2,
    )
    step = 1e-5
    for i in (0, 7, 20, 59):
        for c in range(d):
            moved = [y.copy(), y.copy()]
            moved[0][i, c] += step
            moved[1][i, c] -= step
            ahead, behind = (slope @ reference.squared_radii(P, m, dof)[0] for m in moved)
            assert out[i, c] == pytest.approx(
                (ahead - behind) / (2 * step), rel=1e-3, abs=1e-4 * float(abs(out).max())
            )


def test_threads_do_not_matter_and_no_edges_are_no_forces(kernel, P, rng):
    y = rng.normal(0, 3, (60, 2))
    np.testing.assert_array_equal(radii(kernel, P, y, 1.0, 1), radii(kernel, P, y, 1.0, 3))
    assert not radii(kernel, np.zeros((60, 60)), y, 1.0).any()
