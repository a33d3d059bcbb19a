import numpy as np
import pytest

from fasttsne._kernels import reference
from fasttsne.nearest_neighbors import Exact


def others_of(rng, rows, n, k):
    """k different points for each row, none of them the row."""
    return np.stack([rng.permutation(np.delete(np.arange(n), row))[:k] for row in rows])


@pytest.mark.parametrize("d", [1, 7, 16, 130])
@pytest.mark.parametrize("k", [1, 9, 59])
def test_ranks_equal_reference(kernel, rng, d, k):
    points = rng.normal(0, 1, (60, d)).astype(np.float32)
    rows = np.arange(3, 60, 2, dtype=np.int32)
    others = others_of(rng, rows, 60, k).astype(np.int32)
    ranks = np.empty(others.shape, np.int32)
    kernel("neighbor_ranks").ranks_of(points, rows, others, ranks, 2)
    np.testing.assert_array_equal(ranks, reference.ranks_of(points.astype(float), rows, others))


def test_ties_fall_to_the_smaller_number(kernel):
    points = np.array([[0], [1], [-1], [1], [0], [0]], np.float32)
    others = np.array([[5, 3, 2, 1, 4]], np.int32)
    ranks = np.empty(others.shape, np.int32)
    kernel("neighbor_ranks").ranks_of(points, np.array([0], np.int32), others, ranks, 1)
    np.testing.assert_array_equal(ranks, [[2, 5, 4, 3, 1]])


@pytest.mark.parametrize("d", [2, 13, 64, 101])
def test_the_nearest_have_the_first_ranks(kernel, rng, d):
    points = rng.normal(5, 1, (400, d)).astype(np.float32)
    neighbors, _ = Exact(points, 20).build()
    maps = []
    for n_threads in (1, 3):
        ranks = np.empty(neighbors.shape, np.int32)
        kernel("neighbor_ranks").ranks_of(
            points, np.arange(400, dtype=np.int32), neighbors, ranks, n_threads
        )
        maps.append(ranks)
    np.testing.assert_array_equal(maps[0], np.tile(np.arange(1, 21), (400, 1)))
    np.testing.assert_array_equal(*maps)
