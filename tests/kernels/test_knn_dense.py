import numpy as np
import pytest

from fasttsne import _kernels
from fasttsne._kernels import reference
from fasttsne.nearest_neighbors.builtin.candidates import (
    Candidates,
    all_block_pairs,
    capacity,
    conflict_free_batches,
    pack,
)
from fasttsne.nearest_neighbors.builtin.cells import (
    MAX_CELL_ROWS,
    NEAR_CENTROID,
    REFERENCE_CELLS,
    Bound,
    Cells,
    SearchPlan,
)


def ranked(candidates, queries, points, k, n_threads, rows=None, names=None):
    rows = np.arange(len(queries)) if rows is None else rows
    names = np.arange(len(points)) if names is None else names
    indices = np.empty((len(queries), k), np.int32)
    distances = np.empty((len(queries), k), np.float32)
    _kernels.rerank.rerank(
        queries,
        points,
        rows.astype(np.int32),
        names.astype(np.int32),
        candidates.keys,
        candidates.counts,
        candidates.thresholds,
        candidates.n_kept,
        k,
        indices,
        distances,
        n_threads,
    )
    return indices, distances


def self_join(points, k, kept=None, n_threads=2):
    packed = pack(points)
    candidates = Candidates(len(points), kept or k)
    candidates.compare_block_pairs(packed, all_block_pairs(packed.n_blocks), n_threads)
    return ranked(candidates, points, points, k, n_threads)


@pytest.mark.thin(6)
@pytest.mark.parametrize("n", [2, 24, 25, 800])
@pytest.mark.parametrize("d", [1, 7, 130])
def test_self_join_equals_reference(rng, n, d):
    points = rng.normal(0, 1, (n, d)).astype(np.float32)
    k = min(20, n - 1)
    indices, distances = self_join(points, k, min(k + 8, n - 1))
    expected, expected_distances = reference.nearest(
        points.astype(float), points.astype(float), k, True
    )
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-4, atol=1e-6)
    assert (indices == expected).mean() > 0.999


def test_queries_equal_reference(rng):
    points = rng.normal(0, 1, (300, 9)).astype(np.float32)
    queries = rng.normal(0, 1, (70, 9)).astype(np.float32)
    candidates = Candidates(70, 30)
    packed = pack(queries)
    for first in (0, 100, 200):
        candidates.compare_all(packed, pack(points[first : first + 100]), first, 2)
    indices, distances = ranked(candidates, queries, points, 20, 2)
    expected, expected_distances = reference.nearest(
        queries.astype(float), points.astype(float), 20, False
    )
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-5)
    assert (indices == expected).mean() > 0.999


def test_ties_fall_to_the_smaller_number():
    points = np.zeros((400, 3), np.float32)
    indices, distances = self_join(points, 4)
    assert not distances.any()
    for row, found in enumerate(indices):
        assert found.tolist() == [j for j in range(6) if j != row][:4]


def test_drop_and_other_numbers(rng):
    points = rng.normal(0, 1, (60, 4)).astype(np.float32)
    order = rng.permutation(60)
    packed = pack(points, order)
    candidates = Candidates(60, 20)
    candidates.compare_block_pairs(packed, all_block_pairs(packed.n_blocks), 1)
    indices, _ = ranked(candidates, points, points, 10, 1, order, order)
    np.testing.assert_array_equal(indices, self_join(points, 10, 20)[0])
    candidates = Candidates(60, 21)
    candidates.compare_all(pack(points), pack(points), 0, 1)
    candidates.remove(np.arange(60, dtype=np.int32))
    np.testing.assert_array_equal(ranked(candidates, points, points, 10, 1)[0], indices)


@pytest.mark.parametrize("n", [1, 8, 30])
def test_pack(rng, n):
    points = rng.normal(0, 1, (40, 5)).astype(np.float32)
    order, origin = rng.permutation(40)[:n], rng.normal(0, 1, 5).astype(np.float32)
    packed = pack(points, order, origin, 2)
    rows = packed.panels.transpose(0, 2, 1).reshape(-1, 5)
    expected = points[order] - origin
    assert len(rows) % 24 == 0
    np.testing.assert_array_equal(rows[:n], expected)
    assert not rows[n:].any()
    np.testing.assert_allclose(packed.norms[:n], (expected**2).sum(1), rtol=1e-6)
    assert np.isinf(packed.norms[n:]).all()


@pytest.mark.parametrize("n_blocks", [1, 2, 9, 10])
def test_rounds_have_every_pair_once_and_no_block_twice(n_blocks):
    pairs = all_block_pairs(n_blocks)
    met = []
    for together in conflict_free_batches(pairs):
        blocks = [{a, b} for a, b in together.tolist()]
        assert sum(map(len, blocks)) == len(set().union(*blocks))
        met += map(tuple, together.tolist())
    assert sorted(met) == sorted(map(tuple, pairs.tolist()))
    assert len({frozenset(pair) for pair in met}) == n_blocks * (n_blocks + 1) // 2
    sizes = [len(together) for together in conflict_free_batches(pairs)]
    n_rounds = len(sizes) - 1
    assert sizes == [n_blocks] + [n_blocks // 2] * n_rounds  # no thread waits but for the last


def test_threads_do_not_change_bits(rng):
    points = rng.integers(0, 3, (900, 4)).astype(np.float32)
    results = set()
    for n_threads in (1, 2, 3, 8):
        results.add(tuple(a.tobytes() for a in self_join(points, 20, n_threads=n_threads)))
    assert len(results) == 1


def found_in_cells(cells, n_near, n_far, bound, kept, n_threads):
    """The candidates of each row, as sets of rows."""
    found = {}
    plan, near = SearchPlan(n_near, n_far, bound, kept), cells.near_cells(n_near)
    for rows, candidates, _ in cells.search(near, plan, n_threads):
        numbers = candidates.top(kept)
        found |= dict(zip(rows.tolist(), map(set, cells.index_map[numbers].tolist()), strict=True))
    return found


def make_cells(points, kept):
    cells = Cells.partition(points, points[0], np.random.RandomState(0), 1)
    cells.find_near(kept, 1)
    return cells


@pytest.mark.thin(3)
@pytest.mark.parametrize("n_near", [9, 20])
@pytest.mark.parametrize(
    "bound", [Bound(-1e6), Bound(0.95), Bound(1.2), Bound(0.5, 0.5, 0.1), Bound(0.1, 1.0, 0.25)]
)
def test_rows_search_the_cells_near_to_them(rng, n_near, bound):
    points = np.repeat(rng.normal(0, 3, (20, 6)), 65, axis=0)
    points = (points + rng.normal(0, 1, points.shape)).astype(np.float32)
    points[::40] = rng.normal(0, 5, points[::40].shape)
    cells = make_cells(points, 12)
    members = np.split(cells.order, cells.firsts[1:-1])
    assert max(map(len, members)) <= MAX_CELL_ROWS
    lists = cells.nearest(np.arange(cells.n_cells), cells.n_cells, 1)
    expected = reference.search_cells(
        points.astype(float),
        members,
        lists[:, :n_near],
        lists[:, n_near:],
        bound,
        NEAR_CENTROID,
        REFERENCE_CELLS,
        12,
        capacity(12),
    )
    found = found_in_cells(cells, n_near, cells.n_cells, bound, 12, 2)
    # Rounding may change which cells are probed, or the order of points, for one row in hundreds.
    assert np.mean([found[row] == expected[row] for row in expected]) > 0.99
    assert len(found) == len(points)


def test_rows_with_far_neighbors_go_on(rng):
    """Rows between clusters, whose neighbours are in cells that are far from their own."""
    points = rng.normal(0, 6, (30, 20))[rng.integers(30, size=6000)]
    points += rng.normal(size=points.shape)
    points[:120] = rng.uniform(-15, 15, (120, 20))
    points = points.astype(np.float32)
    cells = make_cells(points, 30)
    expected, _ = reference.nearest(points[:120].astype(float), points.astype(float), 31, False)

    def recall(n_far):
        found = found_in_cells(cells, 4, n_far, Bound(0.85, 0.25), 30, 2)
        return np.mean([len(found[i] & set(expected[i, 1:].tolist())) / 30 for i in range(120)])

    assert recall(0) < 0.9
    assert recall(cells.n_cells) > 0.95


@pytest.mark.parametrize("place", [0.0, 1.0])
def test_equal_rows_end_the_search(rng, place):
    """They would probe all of the cells that have them, to no end."""
    points = rng.normal(size=(6000, 5)).astype(np.float32)
    points[:3000] = place
    cells = Cells.partition(points, np.zeros(5, np.float32), np.random.RandomState(0), 1)
    cells.find_near(20, 1)
    cell = np.empty(len(points), int)
    cell[cells.order] = np.repeat(np.arange(cells.n_cells), cells.sizes)
    found = found_in_cells(cells, 10**6, 0, Bound(1.0), 20, 2)
    # Of all equal rows, those of the first cells would be the candidates.
    assert len(set(cell[:3000])) > 10
    assert all(cell[row] in cell[list(found[row])] for row in range(3000))


def test_threads_and_batches_do_not_change_candidates(rng, monkeypatch):
    points = np.repeat(rng.normal(0, 3, (20, 6)), 130, axis=0)
    points = (points + rng.normal(0, 1, points.shape)).astype(np.float32)
    cells = make_cells(points, 12)
    how = 4, cells.n_cells, Bound(0.5, 0.5, 0.1), 12
    found = found_in_cells(cells, *how, 1)
    monkeypatch.setattr("fasttsne.nearest_neighbors.builtin.cells.SEARCH_BATCH", 300)
    assert found_in_cells(cells, *how, 3) == found


def test_search_of_all_cells_is_exact(rng):
    points = rng.normal(0, 1, (1500, 5)).astype(np.float32)
    found = found_in_cells(make_cells(points, 20), 10**6, 0, Bound(1e9), 20, 2)
    expected, _ = reference.nearest(points.astype(float), points.astype(float), 20, True)
    assert np.mean([found[i] == set(row) for i, row in enumerate(expected.tolist())]) > 0.99


def test_cells_of_equal_rows_are_cut_and_have_enough_candidates(rng, monkeypatch):
    monkeypatch.setattr("fasttsne.nearest_neighbors.builtin.cells.MAX_NEAR", 1)
    points = np.zeros((1000, 3), np.float32)
    points[:30] = rng.normal(0, 1, (30, 3))
    cells = make_cells(points, 300)
    assert cells.sizes.max() <= MAX_CELL_ROWS
    assert (cells.sizes[cells.near].sum(1) > 300).all()
    found = found_in_cells(cells, 1, 0, Bound(-1e6), 300, 1)
    assert all(len(others) == 300 and row not in others for row, others in found.items())


def test_ties_do_not_depend_on_threads(rng):
    points = rng.integers(0, 6, (2500, 4)).astype(np.float32)
    cells = make_cells(points, 20)
    how = 12, cells.n_cells, Bound(0.5, 0.5, 0.1), 20
    results = [found_in_cells(cells, *how, n_threads) for n_threads in (1, 2, 3)]
    assert results[0] == results[1] == results[2]
