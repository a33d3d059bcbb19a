import numpy as np
import pytest


def ranks_by_sorting(distances, own):
    """The rank of each other, from 1, ties by number; the row itself last."""
    order = [j for j in np.argsort(distances, kind="stable") if j != own] + [own]
    ranks = np.empty(len(order), int)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks


def counts_by_definition(first, second, rows, k):
    counts, excess = [], []
    for a, b, row in zip(first, second, rows, strict=True):
        a, b = ranks_by_sorting(a, row), ranks_by_sorting(b, row)
        counts.append([(np.maximum(a, b) == rank).sum() for rank in range(1, len(a) + 1)])
        near_b, near_a = np.argsort(b)[:k], np.argsort(a)[:k]
        excess.append([np.maximum(a[near_b] - k, 0).sum(), np.maximum(b[near_a] - k, 0).sum()])
    return counts, excess


@pytest.mark.parametrize("n", [4, 50, 257])
@pytest.mark.parametrize("has_ties", [False, True])
def test_counts_equal_the_definition(kernel, rng, n, has_ties):
    rows = np.sort(rng.permutation(n)[:4]).astype(np.int32)
    first, second = rng.gamma(1, 10, (2, 4, n)).astype(np.float32)
    if has_ties:
        first, second = np.round(first / 5), np.round(second / 5)
    k = max(n // 5, 1)
    expected = counts_by_definition(first, second, rows, k)
    for n_threads in (1, 3):
        counts, excess = np.empty((4, n), np.int32), np.empty((4, 2), np.int64)
        kernel("rank_counts").max_rank_counts(first, second, rows, k, counts, excess, n_threads)
        np.testing.assert_array_equal(counts, expected[0])
        np.testing.assert_array_equal(excess, expected[1])


@pytest.mark.parametrize("d", [1, 2, 16, 35])
def test_distances_to_all(kernel, rng, d):
    points = rng.normal(3, 1, (200, d)).astype(np.float32)
    rows = np.arange(0, 200, 11, dtype=np.int32)
    out = np.empty((len(rows), 200), np.float32)
    kernel("rank_counts").distances_to_all(points, rows, out, 2)
    exact = ((points[rows, None].astype(float) - points.astype(float)) ** 2).sum(2)
    np.testing.assert_allclose(out, exact, rtol=1e-5, atol=1e-6)
    assert (out[np.arange(len(rows)), rows] == 0).all()
