"""New points look for better places than small steps reach."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne import Anchors
from fasttsne._kernels import reference
from fasttsne.embedding import update
from fasttsne.embedding.update import N_PLACES, relocate_free_points, relocate_misplaced_points
from fasttsne.objective.points import FreePointsDivergence
from fasttsne.repulsion import ExactRepulsion
from fasttsne.repulsion.fixed_reference import ExactField


def made(rng, d, dof=1.0, n=60, m=12):
    """Points, affinities of the free ones to all, and the objective of the free ones."""
    fixed, free = rng.normal(0, 5, (n, d)).astype(np.float32), rng.normal(0, 5, (m, d))
    P = sp.random(m, n + m, 0.2, "csr", np.float32, rng)
    P.data /= 2 * P.data.sum()
    objective = FreePointsDivergence(
        P, fixed, ExactField(fixed, dof, 2), ExactRepulsion(dof, 2), dof, 2
    )
    return P, fixed, free, objective


def expected_place(i, P, fixed, free, exaggeration, dof):
    """The best place of point i, one place and one pair after the other."""
    places, row = np.concatenate([fixed, free]), P[i].toarray()[0]
    strongest = np.argsort(-row, kind="stable")[:N_PLACES]
    z = reference.repulsion(fixed, dof)[1] + 2 * reference.repulsion_at(free, fixed, dof)[1].sum()
    looked_at = [free[i], *places[strongest[row[strongest] > 0]]]
    losses = []
    for place in looked_at:
        attraction = dof * row @ np.log1p(((places - place) ** 2).sum(1) / dof)
        repulsion = reference.repulsion_at(place[None], fixed, dof)[1][0]
        losses.append(2 * exaggeration * attraction + 2 * repulsion / z)
    return looked_at[int(np.argmin(losses))]


@pytest.mark.parametrize(("d", "dof"), [(1, 1.0), (2, 1.0), (2, 0.5), (3, 2.0)])
@pytest.mark.parametrize("exaggeration", [1.0, 4.0])
def test_each_point_goes_to_its_best_place(rng, d, dof, exaggeration):
    P, fixed, free, objective = made(rng, d, dof)
    before, noise = free.copy(), np.zeros_like(free)
    got = relocate_free_points(P, fixed, free, objective, exaggeration, noise)
    expected = [expected_place(i, P, fixed, free, exaggeration, dof) for i in range(len(free))]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    np.testing.assert_array_equal(free, before)
    assert (np.abs(got - before).max(axis=1) > 0).any()


def test_points_at_their_best_places_stay(rng):
    """Their only neighbour is where they are; elsewhere they are not drawn to."""
    fixed = rng.normal(0, 5, (50, 2)).astype(np.float32)
    free = fixed[:8].astype(np.float64)
    P = sp.csr_matrix((np.full(8, 1 / 16, np.float32), (np.arange(8), np.arange(8))), (8, 58))
    objective = FreePointsDivergence(P, fixed, ExactField(fixed, 1.0, 1), ExactRepulsion(1.0, 1))
    got = relocate_free_points(P, fixed, free, objective, 1.0, np.ones_like(free))
    np.testing.assert_array_equal(got, free)


def test_points_without_neighbours_stay(rng):
    P, fixed, free, objective = made(rng, 2)
    none = sp.csr_matrix(P.shape, dtype=np.float32)
    got = relocate_free_points(none, fixed, free, objective, 1.0, np.ones_like(free))
    np.testing.assert_array_equal(got, free)


def test_a_point_gets_past_a_cluster(rng):
    """Its neighbours are on the other side of many points that do not move."""
    wall, goal = rng.normal(0, 4, (2000, 2)), rng.normal([30, 0], 1, (20, 2))
    fixed = np.concatenate([wall, goal]).astype(np.float32)
    P = sp.csr_matrix(
        (np.full(20, 1e-5, np.float32), (np.zeros(20, int), np.arange(2000, 2020))), (1, 2021)
    )
    objective = FreePointsDivergence(P, fixed, ExactField(fixed, 1.0, 1), ExactRepulsion(1.0, 1))
    start = np.array([[-30.0, 0.0]])
    got = relocate_free_points(P, fixed, start, objective, 1.0, np.full((1, 2), 0.01))
    assert np.linalg.norm(got - [30, 0]) < 5


def loss_of(P, y, dof, anchors):
    """The KL divergence but for a constant, and the loss of anchors."""
    w = (1 + ((y[:, None] - y) ** 2).sum(2) / dof) ** -dof
    z = w.sum() - len(y)
    loss = -(P.toarray() * np.log(w)).sum() + np.log(z)
    if anchors is None:
        return loss
    is_held = np.isfinite(anchors.weights) & (anchors.weights > 0)
    squares = ((y - anchors.targets)[is_held] ** 2).sum(1)
    return loss + 2 / len(y) * anchors.weights[is_held] @ squares


@pytest.mark.parametrize(("d", "dof"), [(1, 1.0), (2, 1.0), (3, 2.0)])
@pytest.mark.parametrize("hold", [None, 0.3])
def test_a_point_that_leaves_lowers_the_loss(rng, d, dof, hold):
    """All is as it should be, but that one point is in another group than its neighbours."""
    n = 60
    group = np.arange(n) // 20
    y = 20.0 * group[:, None] + rng.normal(0, 1, (n, d))
    same = (group[:, None] == group) & ~np.eye(n, dtype=bool)
    P = sp.csr_matrix((same / same.sum()).astype(np.float32))
    y[0] = y[25] + 0.5
    targets = y.copy()
    anchors = None if hold is None else Anchors(targets, np.where(np.arange(n) == 0, 0, hold))
    field = ExactField(y.astype(np.float32), dof, 1)
    got = relocate_misplaced_points(P, y, field, dof, 1.0, anchors, np.full((n, d), 1e-3))
    assert np.linalg.norm(got[0] - y[0]) > 5
    moved = y.copy()
    moved[0] = got[0]
    assert loss_of(P, moved, dof, anchors) < loss_of(P, y, dof, anchors)
    if anchors is not None:
        pinned = Anchors(targets, np.where(np.arange(n) < 30, np.inf, 1e6))
        got = relocate_misplaced_points(P, y, field, dof, 1.0, pinned, np.full((n, d), 1e-3))
        np.testing.assert_array_equal(got, y)


@pytest.mark.parametrize("n_neighbors", [1, 40, 4000])
def test_blocks_make_no_difference(rng, monkeypatch, n_neighbors):
    """Of a row or more, as neighbours fit in; here one row is a neighbour of all."""
    P, fixed, free, objective = made(rng, 2)
    P = P.tolil()
    P[3] = 1e-3
    P = P.tocsr().astype(np.float32)
    noise = np.zeros_like(free)
    expected = relocate_free_points(P, fixed, free, objective, 1.0, noise)
    monkeypatch.setattr(update, "BLOCK_NEIGHBORS", n_neighbors)
    monkeypatch.setattr(update, "MIN_LENGTH", 1)
    got = relocate_free_points(P, fixed, free, objective, 1.0, noise)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_memory_does_not_grow_with_the_longest_row(rng):
    """One row that is a neighbour of all would make all rows of its block as long."""
    n = 4000
    rows, columns = np.repeat(np.arange(n), 5), rng.integers(0, n, 5 * n)
    hub, every = np.zeros(n, int), np.arange(n)
    ends = np.r_[rows, hub, every], np.r_[columns, every, hub]
    P = sp.csr_matrix((np.full(7 * n, 1 / (7 * n), np.float32), ends), (n, n))
    y = rng.normal(0, 20, (n, 2))
    field = ExactField(y.astype(np.float32), 1.0, 1)
    tracemalloc.start()
    relocate_misplaced_points(P, y, field, 1.0, 1.0, None, np.full((n, 2), 1e-3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e8  # 16 million pairs, of 50 bytes each


def test_points_of_a_very_wide_map_stay(rng):
    """What is left of Z is rounding: 0, by which repulsion would be divided."""
    n = 1000
    y = 1e8 * rng.normal(size=(n, 2))
    P = sp.csr_matrix((np.full(n, 1 / n, np.float32), (np.arange(n), np.arange(n)[::-1])), (n, n))
    field = ExactField(y.astype(np.float32), 1.0, 1)
    with np.errstate(all="raise"):
        got = relocate_misplaced_points(P, y, field, 1.0, 1.0, None, np.full((n, 2), 1e-3))
    np.testing.assert_array_equal(got, y)
