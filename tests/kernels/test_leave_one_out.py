import numpy as np
import pytest
import scipy.sparse as sp
from helpers import loo_twin

from fasttsne.metrics.loo import leave_one_out, make_point_field
from fasttsne.objective.edges import edges_of
from fasttsne.repulsion.auto import MAX_FIELD_CELLS


def case(rng, n, d, spread):
    """A map of clusters, and a graph of near points with edges at random: not all are at rest."""
    y = rng.normal(0, 1, (n, d)) + spread * rng.normal(0, 1, (4, d))[rng.integers(0, 4, n)]
    P = sp.random(n, n, 12 / n, format="csr", random_state=1)
    near = ((y[:, None] - y) ** 2).sum(2)
    P = sp.csr_matrix(P + P.T + sp.csr_matrix(np.where(near < 0.3, np.exp(-near), 0)))
    P = sp.csr_matrix(P - sp.diags(P.diagonal()))
    P.eliminate_zeros()
    P.sort_indices()
    return (P / P.sum()).tocsr(), np.ascontiguousarray(y, np.float32)


def run(P, y, rows, dof=1.0, is_exact=True, exaggeration=1.0, n_threads=2):
    field = make_point_field(y, dof, n_threads, is_exact)
    return leave_one_out(edges_of(P, "P"), y, np.asarray(rows), field, exaggeration, dof, n_threads)


@pytest.mark.parametrize(("d", "dof"), [(1, 1.0), (2, 1.0), (2, 0.7), (2, 3.0), (3, 1.0)])
def test_curvature_equals_second_differences(rng, d, dof):
    P, y = case(rng, 150, d, 4)
    rows = np.arange(0, 150, 7)
    found, *_ = run(P, y, rows, dof)
    exact = y.astype(float)
    z = loo_twin.z_of_all(exact, dof)
    expected = [loo_twin.smallest_curvature(P, exact, i, z, dof) for i in rows]
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_minima_are_those_of_scipy(rng, d):
    P, y = case(rng, 150, d, 4)
    rows = np.arange(0, 150, 13)
    _, perturbation, target, toward = run(P, y, rows)
    exact = y.astype(float)
    z = loo_twin.z_of_all(exact)
    # Each of two methods may end a descent in another valley.
    same = 0
    for i, moved, place, k in zip(rows, perturbation, target, toward, strict=True):
        assert moved == pytest.approx(np.linalg.norm(place - y[i]), abs=1e-9)
        assert k in loo_twin.directions_of(P, exact, i, 10, 2)
        loss = loo_twin.PartialLoss(loo_twin.moved_affinities(P, i, k, 0.8), exact, i, z)
        settled, _ = loss.minimum_from(place)
        assert np.linalg.norm(settled - place) < 0.05
        same += abs(loo_twin.perturbation(P, exact, i, z) - moved) < 0.05
    assert same >= 0.8 * len(rows)


def test_the_grid_agrees_with_the_sum(rng):
    P, y = case(rng, 1500, 2, 30)
    rows = np.arange(0, 1500, 10)
    exact, grid = run(P, y, rows), run(P, y, rows, is_exact=False)
    scale = np.abs(exact[0]).max()
    np.testing.assert_allclose(grid[0], exact[0], atol=0.05 * scale)
    assert np.median(np.abs(grid[1] - exact[1])) < 0.02


def test_threads_do_not_matter(rng):
    P, y = case(rng, 1200, 2, 10)
    one, three = (run(P, y, np.arange(1200), n_threads=n) for n in (1, 3))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)


def test_exaggeration_holds_points_tighter(rng):
    P, y = case(rng, 150, 2, 4)
    rows = np.arange(150)
    assert run(P, y, rows, exaggeration=1.0)[0].min() != run(P, y, rows, exaggeration=4.0)[0].min()


def test_a_point_without_edges_stays(rng):
    P, y = case(rng, 150, 2, 4)
    keep = sp.diags(np.r_[0, np.ones(149)])
    P = sp.csr_matrix(keep @ P @ keep)
    P.eliminate_zeros()
    _, perturbation, target, toward = run(P, y, [0])
    assert (perturbation[0], toward[0]) == (0, -1)
    np.testing.assert_array_equal(target[0], y[0])


def wide_case(rng):
    """Four maps far from each other: one that is wider than a grid of a descent may be."""
    P, y = case(rng, 2000, 2, 2)
    corners = np.array([[0, 0], [420, 0], [0, 420], [420, 420]], np.float32)
    wide = np.concatenate([y + corner for corner in corners])
    return sp.csr_matrix(sp.block_diag([P / 4] * 4)), np.ascontiguousarray(wide, np.float32)


@pytest.mark.slow
def test_a_wide_map_has_a_small_grid(rng):
    P, y = wide_case(rng)
    field = make_point_field(y, 1.0, 2)
    assert field.potential.split.cutoff > 0
    assert field.potential.cells.size <= MAX_FIELD_CELLS
    rows = np.arange(0, 8000, 50)
    exact, grid = run(P, y, rows), run(P, y, rows, is_exact=False)
    scale = np.abs(exact[0]).max()
    np.testing.assert_allclose(grid[0], exact[0], atol=0.02 * scale)
    assert np.median(np.abs(grid[1] - exact[1])) < 0.01


def test_a_grid_has_a_limit_of_memory(rng):
    """Two groups so far from each other that a grid would take many gigabytes."""
    y = rng.normal(0, 1, (20_000, 2)).astype(np.float32)
    y[::2] += 1e6
    assert make_point_field(y, 1.0, 2).potential is None
