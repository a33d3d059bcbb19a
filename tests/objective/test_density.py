"""Density-preserving maps: the gradient, what it does to a map, and what it needs."""

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.rounded import rounded

from fasttsne import TSNE, TSNEEmbedding
from fasttsne._kernels import reference
from fasttsne.affinity import FixedSigmaNN, MultiscaleMixture, PerplexityBasedNN, Uniform
from fasttsne.metrics import density_correlation
from fasttsne.objective.kl import (
    DensityObjective,
    correlation_and_gradient,
    standardize_log_radii,
)
from fasttsne.repulsion import ExactRepulsion

WEIGHT = 0.1


@pytest.fixture(scope="module")
def unequal():
    """Three clusters of 200 rows, 20 times as wide as one another."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(60 * i, 20.0**-i, (200, 8)) for i in range(3)])
    return X.astype(np.float32)


def loss(P, y, wanted, dof):
    squares, _ = reference.squared_radii(P, y, dof)
    return (
        reference.kl_divergence(P, y, dof) - WEIGHT * correlation_and_gradient(wanted, squares)[0]
    )


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0, 4.0])
def test_gradient_is_the_derivative_of_the_loss(rng, d, dof):
    P = rng.random((40, 40)) * (rng.random((40, 40)) < 0.3)
    P += P.T
    np.fill_diagonal(P, 0)
    P = rounded(P / P.sum())
    radii, y = rng.normal(0, 1, 40), rng.normal(0, 2, (40, d))
    objective = DensityObjective(sp.csr_matrix(P), ExactRepulsion(dof), d, dof, 1, radii, WEIGHT)
    order = rng.permutation(40).astype(np.int32)
    objective.reorder(order)
    error = objective.compute_forces(y[order], with_error=True)
    gradient = np.empty((40, d))
    gradient[order] = 4 * (objective.attractive - objective.repulsive / objective.z)
    wanted = standardize_log_radii(radii)
    assert error == pytest.approx(reference.kl_divergence(P, y, dof), rel=1e-5)
    assert objective.loss(error) == pytest.approx(loss(P, y, wanted, dof), rel=1e-4)
    step = 1e-5
    for i in range(0, 40, 9):
        for c in range(d):
            ahead, behind = y.copy(), y.copy()
            ahead[i, c] += step
            behind[i, c] -= step
            slope = (loss(P, ahead, wanted, dof) - loss(P, behind, wanted, dof)) / (2 * step)
            assert gradient[i, c] == pytest.approx(slope, rel=1e-3, abs=1e-3 * abs(gradient).max())


@pytest.mark.thin(1)
@pytest.mark.parametrize("n_iter", [300, "auto"])
def test_a_map_shows_density(unequal, n_iter):
    plain = TSNE(n_iter=n_iter, random_state=0).fit(unequal)
    dense = TSNE(n_iter=n_iter, random_state=0, density_weight=0.3).fit(unequal)
    before, after = (density_correlation(unequal, points) for points in (plain, dense))
    assert before < 0.3
    assert after > 0.75
    assert dense.kl_divergence < 1.1 * plain.kl_divergence


def test_a_map_of_several_blocks_does_not_depend_on_threads(unequal):
    """Kernels give threads blocks of 1,024 points at most."""
    rows = np.concatenate([unequal + shift for shift in range(4)])
    maps = {
        TSNE(n_iter=30, early_exaggeration_iter=10, random_state=0, density_weight=WEIGHT, n_jobs=n)
        .fit(rows)
        .tobytes()
        for n in (1, 2, 3)
    }
    assert len(maps) == 1


def test_a_saved_map_goes_on_as_if_it_had_not_been_stopped(unequal, tmp_path):
    embedding = TSNE(n_iter=50, random_state=0, density_weight=WEIGHT).fit(unequal)
    embedding.save(tmp_path / "map.npz")
    loaded = TSNEEmbedding.load(tmp_path / "map.npz")
    np.testing.assert_array_equal(loaded.optimize(60), embedding.optimize(60))


@pytest.mark.parametrize("factor", [1e-200, 1, 1e200])
def test_radii_are_the_mean_squared_distance_whatever_the_unit(digits, factor):
    X = digits.astype(float)
    known = PerplexityBasedNN(X, 10).log_radii()
    scaled = PerplexityBasedNN(X * factor, 10).log_radii()
    np.testing.assert_allclose(scaled, known + 2 * np.log(factor), rtol=1e-5)
    C = PerplexityBasedNN(X, 10, symmetrize=False).P.toarray()[3]
    expected = C @ ((X - X[3]) ** 2).sum(1) / C.sum()
    assert known[3] == pytest.approx(np.log(expected), rel=1e-4)


@pytest.mark.parametrize(
    "affinities",
    [lambda X: FixedSigmaNN(X, 10.0), lambda X: MultiscaleMixture(X, [5, 20]), Uniform],
)
def test_all_affinities_that_know_distances_serve(digits, affinities):
    embedding = TSNE(n_iter=30, random_state=0, density_weight=WEIGHT).fit(
        digits, affinities=affinities(digits)
    )
    assert np.isfinite(embedding).all()


@pytest.mark.slow
def test_equal_rows_do_no_harm():
    X = np.repeat(np.arange(40.0)[:, None], 5, axis=0)
    assert np.isfinite(TSNE(perplexity=4, density_weight=WEIGHT).fit(X)).all()
    assert np.isfinite(TSNE(perplexity=4, density_weight=WEIGHT).fit(np.zeros((30, 3)))).all()


def test_what_it_needs(digits):
    P = PerplexityBasedNN(digits, 10).P
    with pytest.raises(ValueError, match="has no distances of neighbours"):
        TSNE(density_weight=WEIGHT).fit(affinities=P)
    one_way = PerplexityBasedNN(digits, 10, symmetrize=False)
    with pytest.raises(ValueError, match="symmetric"):
        TSNE(density_weight=WEIGHT).fit(digits, affinities=one_way)
    with pytest.raises(ValueError, match="density_weight"):
        TSNE(density_weight=-1).fit(digits)
    with pytest.raises(ValueError, match="density_weight cannot be used with another"):
        TSNEEmbedding(digits[:, :2], PerplexityBasedNN(digits, 10)).optimize(
            5, density_weight=WEIGHT, negative_gradient_method=lambda *args, **kw: (1.0, args[0])
        )
