import numpy as np
import pytest

from fasttsne._kernels import reference


def search(kernel, queries, points, k, self_join, kept=None, room=5, tile=37, n_threads=2):
    """The kernels as the exact search uses them, with tiny tiles and buffers."""
    kept = kept or k
    norms = (points**2).sum(1)
    keys = np.empty((len(queries), kept + room), np.uint64)
    counts = np.zeros(len(queries), np.int32)
    thresholds = np.full(len(queries), np.inf, np.float32)
    for left in range(0, len(points), tile):
        columns = points[left : left + tile]
        kernel("topk").offer(
            np.ascontiguousarray(queries @ columns.T), norms[left : left + len(columns)], left,
            0 if self_join else -(2**40), kept, keys, counts, thresholds, n_threads,
        )  # fmt: skip
    indices = np.empty((len(queries), k), np.int32)
    distances = np.empty((len(queries), k), np.float32)
    kernel("topk").rank(queries, points, keys, counts, k, indices, distances, n_threads)
    return indices, distances


@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize("d", [1, 7, 16, 50])
@pytest.mark.parametrize("self_join", [True, False])
def test_equals_twin(kernel, rng, k, d, self_join):
    points = rng.normal(0, 1, (200, d)).astype(np.float32)
    queries = points if self_join else rng.normal(0, 1, (60, d)).astype(np.float32)
    spare = min(k + 8, 199)
    indices, distances = search(kernel, queries, points, k, self_join, kept=spare)
    expected, expected_distances = reference.nearest(
        queries.astype(float), points.astype(float), k, self_join
    )
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-5, atol=1e-6)
    assert (indices == expected).mean() > 0.999


def test_ties_fall_to_the_smaller_number(kernel):
    points = np.zeros((100, 3), np.float32)
    indices, distances = search(kernel, points, points, 4, self_join=True)
    assert not distances.any()
    for row, found in enumerate(indices):
        assert found.tolist() == [j for j in range(100) if j != row][:4]


def test_scores_of_either_sign_sort(kernel):
    points = np.linspace(-50, 50, 101, dtype=np.float32)[:, None]
    indices, _ = search(kernel, points[:1], points, 101, self_join=False, room=3)
    assert indices[0].tolist() == list(range(101))


def test_threads_do_not_change_bits(kernel, rng):
    points = rng.integers(0, 3, (300, 4)).astype(np.float32)
    results = set()
    for n_threads in (1, 2, 3, 8):
        found = search(kernel, points, points, 20, True, n_threads=n_threads)
        results.add(tuple(a.tobytes() for a in found))
    assert len(results) == 1
