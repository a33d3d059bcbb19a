"""The gradient is the derivative of the KL divergence."""

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne._kernels import reference
from fasttsne.objective import Objective
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
    y = rng.normal(0, 2, (40, 2))
    objective = Objective(sp.csr_matrix(P), method(dof), 2, dof)
    order = rng.permutation(40).astype(np.int32)
    objective.renumber(order)
    error = objective.evaluate(y[order], with_error=True)
    gradient = 4 * (objective.attractive - objective.repulsive / objective.z)
    expected = reference.gradient(P, y, dof)[order]
    assert error == pytest.approx(reference.kl_divergence(P, y, dof), rel=tolerance, abs=tolerance)
    assert np.linalg.norm(gradient - expected) < tolerance * np.linalg.norm(expected)


def test_error_does_not_depend_on_being_asked_for(P, rng):
    y = rng.normal(0, 2, (40, 2))
    objective = Objective(sp.csr_matrix(P), ExactRepulsion(), 2)
    objective.renumber(np.arange(40, dtype=np.int32))
    forces = []
    for with_error in (True, False):
        objective.evaluate(y, with_error)
        forces.append((objective.attractive.tobytes(), objective.repulsive.tobytes()))
    assert forces[0] == forces[1]
