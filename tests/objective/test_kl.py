"""The gradient is the derivative of the KL divergence."""

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.rounded import rounded

from fasttsne import TSNEEmbedding, initialization
from fasttsne._kernels import reference
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.objective.kl import KLDivergence
from fasttsne.repulsion import ExactRepulsion, MeshRepulsion, TreeRepulsion


@pytest.fixture
def P(rng):
    P = rng.random((40, 40)) * (rng.random((40, 40)) < 0.3)
    P = P + P.T
    np.fill_diagonal(P, 0)
    return P / P.sum()


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0, 4.0])
def test_twin_gradient_by_finite_differences(P, rng, d, dof):
    y = rng.normal(0, 2, (40, d))
    gradient = reference.gradient(P, y, dof)
    step = 1e-5
    for i in range(0, 40, 9):
        for c in range(d):
            ahead, behind = y.copy(), y.copy()
            ahead[i, c] += step
            behind[i, c] -= step
            difference = reference.kl_divergence(P, ahead, dof) - reference.kl_divergence(
                P, behind, dof
            )
            assert difference / (2 * step) == pytest.approx(
                gradient[i, c], rel=1e-5, abs=1e-7 * abs(gradient).max() + 1e-10
            )


@pytest.mark.parametrize("dof", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(
    ("method", "tolerance"), [(ExactRepulsion, 1e-5), (TreeRepulsion, 2e-2), (MeshRepulsion, 2e-2)]
)
def test_objective_equals_twin(P, rng, dof, method, tolerance):
    P = rounded(P)
    y = rng.normal(0, 2, (40, 2))
    objective = KLDivergence(sp.csr_matrix(P), method(dof), 2, dof)
    order = rng.permutation(40).astype(np.int32)
    objective.reorder(order)
    error = objective.compute_forces(y[order], with_error=True)
    gradient = 4 * (objective.attractive - objective.repulsive / objective.z)
    expected = reference.gradient(P, y, dof)[order]
    assert error == pytest.approx(reference.kl_divergence(P, y, dof), rel=tolerance, abs=tolerance)
    assert np.linalg.norm(gradient - expected) < tolerance * np.linalg.norm(expected)


@pytest.fixture(scope="module")
def affinities(digits):
    return PerplexityBasedNN(digits, 15)


@pytest.mark.thin(4)
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1, 2, 10])
def test_methods_agree_on_a_map_of_any_kernel(digits, affinities, d, dof):
    start = initialization.pca(digits, d, random_state=0)
    embedding = TSNEEmbedding(start, affinities, dof, "exact", n_jobs=2)
    embedding.optimize(40, inplace=True, exaggeration=12).optimize(80, inplace=True)
    results = []
    for repulsion in (ExactRepulsion(dof), TreeRepulsion(dof), MeshRepulsion(dof)):
        objective = KLDivergence(affinities.P, repulsion, d, dof)
        objective.reorder(np.arange(len(digits), dtype=np.int32))
        results.append((objective.compute_forces(np.asarray(embedding), True), objective.repulsive))
    exact_error, exact = results[0]
    assert exact_error == pytest.approx(embedding.kl_divergence, rel=1e-5)
    for error, forces in results[1:]:
        assert error > 0
        assert error == pytest.approx(exact_error, rel=1e-2)
        assert np.linalg.norm(forces - exact) < 3e-2 * np.linalg.norm(exact)


def test_values_of_16_bits_change_little(digits, affinities):
    """Beside the twin, with P in double precision, at a map that is nearly at its minimum."""
    P = affinities.P.toarray()
    y = np.asarray(
        TSNEEmbedding(initialization.pca(digits, random_state=0), affinities, n_jobs=2)
        .optimize(100, exaggeration=12)
        .optimize(400)
    )
    objective = KLDivergence(affinities.P_float32, ExactRepulsion(), 2)
    objective.reorder(np.arange(len(digits), dtype=np.int32))
    error = objective.compute_forces(y, with_error=True)
    expected, _ = reference.attraction(P, y)
    assert np.linalg.norm(objective.attractive - expected) < 3e-4 * np.linalg.norm(expected)
    assert error == pytest.approx(reference.kl_divergence(P, y), abs=1e-5)


@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
@pytest.mark.parametrize("dof", [0.5, 10])
def test_the_error_is_never_negative(digits, affinities, method, dof):
    """Not while the map is small, nor when its points have flown apart."""
    for spread in (1e-4, 1, 100, 1e4):
        start = initialization.pca(digits, 2, random_state=0) * (1e4 * spread)
        embedding = TSNEEmbedding(start, affinities, dof, method, n_jobs=2)
        assert embedding.optimize(1).kl_divergence >= 0


def test_error_does_not_depend_on_being_asked_for(P, rng):
    y = rng.normal(0, 2, (40, 2))
    objective = KLDivergence(sp.csr_matrix(P), ExactRepulsion(), 2)
    objective.reorder(np.arange(40, dtype=np.int32))
    forces = []
    for with_error in (True, False):
        objective.compute_forces(y, with_error)
        forces.append((objective.attractive.tobytes(), objective.repulsive.tobytes()))
    assert forces[0] == forces[1]
