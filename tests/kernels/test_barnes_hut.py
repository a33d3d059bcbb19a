import itertools

import numpy as np
import pytest

from fasttsne import _kernels
from fasttsne._kernels import reference
from fasttsne.repulsion import TreeRepulsion


def tree_forces(y, theta, dof=1.0, n_threads=2):
    out = np.empty_like(y)
    return TreeRepulsion(dof, theta, n_threads)(y, out), out


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 400])
def test_theta_zero_is_exact(rng, n, d):
    y = rng.normal(0, 3, (n, d)).astype(np.float32)
    z, out = tree_forces(y, 0.0)
    expected, expected_z = reference.repulsion(y.astype(float))
    assert z == pytest.approx(expected_z, rel=1e-5, abs=1e-5)
    np.testing.assert_allclose(out, expected, atol=1e-5 * max(abs(expected).max(), 1))


@pytest.mark.thin(3)
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0, 10.0])
def test_error_falls_with_theta(rng, d, dof):
    y = rng.normal(0, 20, (1500, d)).astype(np.float32)
    expected, _ = reference.repulsion(y.astype(float), dof)
    errors = []
    for theta in (0.4, 0.2, 0.1, 0.05):
        _, out = tree_forces(y, theta, dof)
        errors.append(np.linalg.norm(out - expected) / np.linalg.norm(expected))
    assert errors[0] < 0.03
    for coarse, fine in itertools.pairwise(errors):
        assert fine < 0.5 * coarse or fine < 1e-5


def test_duplicates_make_one_leaf_and_keep_their_mass(rng):
    y = np.repeat(rng.normal(0, 3, (20, 2)), 100, axis=0).astype(np.float32)
    z, out = tree_forces(y, 0.2)
    expected, expected_z = reference.repulsion(y.astype(float))
    assert z == pytest.approx(expected_z, rel=1e-3)
    assert np.linalg.norm(out - expected) < 5e-3 * np.linalg.norm(expected)


def test_all_points_in_one_place():
    y = np.full((1000, 2), 3.0, np.float32)
    z, out = tree_forces(y, 0.5)
    assert z == pytest.approx(1000 * 999)
    assert not out.any()


def test_nodes_are_nested_runs_that_cover_all_points(rng):
    check_nodes(*build(rng.normal(0, 3, (3000, 2)).astype(np.float32)))


def build(y):
    """The points in the order of the curve, and the nodes of their tree."""
    tree = TreeRepulsion()
    tree.build(y)
    return tree._sorted, tree._nodes[: tree._n_nodes]


def check_nodes(y, nodes):
    n_nodes, d = len(nodes), y.shape[1]
    start, stop, skip = nodes[:, 5:].view(np.int32).T
    leaves = np.flatnonzero(skip == np.arange(1, n_nodes + 1))
    assert start[leaves[0]] == 0
    assert stop[leaves[-1]] == len(y)
    np.testing.assert_array_equal(start[leaves[1:]], stop[leaves[:-1]])
    for node in range(n_nodes):
        inside = slice(node + 1, skip[node])
        assert (start[inside] >= start[node]).all()
        assert (stop[inside] <= stop[node]).all()
        points = y[start[node] : stop[node]].astype(float)
        np.testing.assert_allclose(nodes[node, :d], points.mean(0), rtol=1e-7, atol=1e-5)
        moment = ((points - points.mean(0)) ** 2).sum(1).mean()
        assert nodes[node, 4] == pytest.approx(moment, rel=1e-3, abs=1e-5)
        assert np.ptp(points, axis=0).max() <= nodes[node, 3] * (1 + 1e-6)


def test_a_far_outlier_does_not_make_the_tree_useless(rng):
    y = rng.normal(0, 3, (2000, 2)).astype(np.float32)
    y[0] = 1e6
    _, out = tree_forces(y, 0.2)
    expected, _ = reference.repulsion(y.astype(float))
    assert np.linalg.norm(out - expected) < 5e-3 * np.linalg.norm(expected)


def test_threads_do_not_change_bits(rng):
    y = rng.normal(0, 3, (3000, 2)).astype(np.float32)
    results = set()
    for n_threads in (1, 2, 3, 8):
        z, out = tree_forces(y, 0.5, n_threads=n_threads)
        results.add((z, out.tobytes()))
    assert len(results) == 1


@pytest.mark.parametrize("place", [-3e8, 3e8])
def test_moments_do_not_cancel_beside_a_point_far_out(rng, place):
    """Squares of 1e17 in the prefix sums leave nothing of those of the other points."""
    y = rng.normal(0, 3, (2000, 2)).astype(np.float32)
    y[0] = place
    y[1:] += np.float32(5)
    _, out = tree_forces(y, 0.2)
    expected, _ = reference.repulsion(y.astype(float))
    assert np.linalg.norm(out - expected) < 2e-3 * np.linalg.norm(expected)
    check_nodes(*build(y))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_moments_of_a_map_far_from_the_origin(rng, d):
    """Float32 tells points apart down to 0.25 there: those are places of their own."""
    y = np.float32(3e6) + rng.integers(0, 100, (2000, d)).astype(np.float32)
    check_nodes(*build(y))


@pytest.mark.parametrize("theta", [0.0, 0.5])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_repulsion_at_other_points_equals_reference(rng, d, theta):
    y, points = rng.normal(0, 5, (900, d)), rng.normal(0, 6, (70, d))
    tree = TreeRepulsion(theta=theta, n_threads=2)
    tree.build(y.astype(np.float32))
    out, z = np.empty((70, d), np.float32), np.empty(70)
    tree.field(points.astype(np.float32), out, z)
    expected, expected_z = reference.repulsion_at(points, y)
    tolerance = 1e-5 if theta == 0 else 3e-2
    np.testing.assert_allclose(z, expected_z, rtol=tolerance)
    assert np.linalg.norm(out - expected) < tolerance * np.linalg.norm(expected)


def test_scratch_is_not_read(rng):
    """The tree's sums are scratch of the traversal: a second call finds them overwritten."""
    y = rng.normal(0, 3, (700, 2)).astype(np.float32)
    tree, results = TreeRepulsion(), set()
    for _ in range(2):
        out = np.empty_like(y)
        results.add((tree(y, out), out.tobytes()))
    assert len(results) == 1


def test_package_uses_the_level_it_says(monkeypatch):
    monkeypatch.undo()  # of the level that all tests here set
    assert _kernels.barnes_hut.__name__ == f"fasttsne._kernels.{_kernels.simd}.barnes_hut"
