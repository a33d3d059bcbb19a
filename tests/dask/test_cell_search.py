"""Groups of cells are searched with the result of the search of all of them."""

import numpy as np
import pytest

pytest.importorskip("distributed")

from fasttsne.dask.cells import (
    CellShard,
    Group,
    Space,
    search_again,
    search_at_first,
    take_cells,
)
from fasttsne.nearest_neighbors.builtin.cells import Bound, Cells, SearchPlan
from fasttsne.nearest_neighbors.builtin.rows import DenseRows

N, K, N_NEAR, N_FAR = 6000, 10, 2, 40


@pytest.fixture(scope="module")
def searched():
    """Rows, their cells in one group, and their space; every third row is far from the others."""
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (N, 8)) + 2 * rng.normal(size=(12, 8))[rng.integers(0, 12, N)]
    X[::3] *= 3
    rows = DenseRows(X.astype(np.float32), "euclidean")
    cells = Cells.partition(rows.points.values, rows.origin, np.random.RandomState(0), 1)
    cells.find_near(K, 1)
    group = Group(cells.order.astype(np.int32), cells.sizes, rows.points.source[cells.order], None)
    return rows, cells, group, Space(rows.frame, None)


def nearest_of_all(rows, cells, plan, near):
    """The slow twin: what one search of all cells finds, by row."""
    out = np.empty((N, K), np.int32), np.empty((N, K), np.float32)
    for some, candidates, _ in cells.search(near, plan, 2):
        queries, at = rows.points[some], np.arange(len(some))
        sizes = rows.copied_lengths(queries)
        found = rows.rerank_queries(queries, candidates, at, cells.index_map, K, 1, sizes)
        out[0][some], out[1][some] = found[:2]
    return out


@pytest.mark.parametrize(
    "bound", [Bound(0.9, 0.5, 0.5), Bound(0.5, 1.2, 0.0), Bound(1.4, 1.0, 1.0)]
)
@pytest.mark.parametrize("n_far", [N_NEAR, N_FAR])
def test_groups_have_the_neighbours_of_one_search(searched, bound, n_far):
    rows, cells, group, space = searched
    plan = SearchPlan(N_NEAR, n_far, bound, 2 * K)
    near = cells.nearest(np.arange(cells.n_cells), N_NEAR, 1)
    expected = nearest_of_all(rows, cells, plan, near)
    table = cells.centroids, cells.radii, cells.origin
    found, n_again = (np.full((N, K), -1, np.int32), np.full((N, K), -1, np.float32)), 0

    def search(run, read, *how):
        return run(space, plan, K, *how, read, table, take_cells(group, read))

    def keep(ids, indices, distances):
        assert (found[0][ids] == -1).all()
        found[0][ids], found[1][ids] = indices, distances

    every = np.arange(cells.n_cells)
    for own in np.array_split(every, 4):
        # One group has all that its rows may reach, and need not search again.
        read = every if own[0] == 0 else np.union1d(own, near[own])
        first, unfinished = search(search_at_first, read, own[0], near[own])
        assert not (unfinished and own[0] == 0)
        keep(*first)
        if not unfinished:
            continue
        numbers = np.array(sorted(unfinished))
        cells_again = [unfinished[cell] for cell in numbers]
        reached = [cell.reached for cell in cells_again]
        read = np.unique(np.concatenate([numbers, near[numbers].ravel(), *reached]))
        n_again += sum(cell.is_open.sum() for cell in cells_again)
        keep(*search(search_again, read, numbers, near[numbers], cells_again))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    # The test would show nothing if all rows ended at once, or none.
    assert n_again == 0 if n_far == N_NEAR else 0 < n_again < N


def test_cells_that_may_be_reached(searched, rng):
    """All that float64 says, and few more."""
    _, cells, group, space = searched
    every, table = np.arange(cells.n_cells), (cells.centroids, cells.radii, cells.origin)
    shard, bound, n_found = CellShard(space, every, table, [group]), Bound(0.9, 0.5, 0.5), []
    for cell in range(0, cells.n_cells, 7):
        rows = shard.cells.rows_between(cell, cell + 1)
        limits = rng.uniform(-1, 4, len(rows))
        own = shard.rows.points.values[rows].astype(np.float64) - cells.origin
        distances = np.linalg.norm(own[:, None] - cells.centroids.astype(np.float64), axis=2)
        ends = limits[:, None] + bound.width * cells.radii
        found = shard.cells.reached(rows, limits, every, bound.width)
        assert np.isin(every[(distances <= ends).any(0)], found).all()
        assert (distances <= 1.01 * ends)[:, found].any(0).all()
        n_found.append(len(found))
    assert min(n_found) > 0
    assert np.mean(n_found) < cells.n_cells / 2
    limits[0] = np.inf
    np.testing.assert_array_equal(shard.cells.reached(rows, limits, every, bound.width), every)


def test_runs_are_consecutive_and_not_too_long(searched):
    _, cells, _, _ = searched
    own = np.concatenate([np.arange(3), [5], np.arange(9, cells.n_cells)])
    runs = list(cells.runs(own))
    np.testing.assert_array_equal(np.concatenate([own[part] for _, _, part in runs]), own)
    for first, last, part in runs:
        np.testing.assert_array_equal(own[part], np.arange(first, last))
        assert last <= cells.batch_end(first)
    assert runs[:2] == [(0, 3, slice(0, 3)), (5, 6, slice(3, 4))]
