"""Lists into which new rows are taken, beside their slow twin."""

import numpy as np
import pytest

from fasttsne._kernels import neighbor_lists, reference


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 2, 15])
def test_take_in(rng, dtype, k):
    n, m, n_found = 40, 60, 20
    indices = rng.permuted(np.tile(np.arange(n, dtype=np.int32), (n, 1)), axis=1)[:, :k].copy()
    distances = np.sort(rng.integers(0, 30, (n, k)), axis=1).astype(dtype)  # many are equal
    distances[3, k // 2 :] = np.inf  # lost neighbours
    found = rng.permuted(np.tile(np.arange(n, dtype=np.int32), (m, 1)), axis=1)[:, :n_found].copy()
    far = rng.integers(0, 30, found.shape).astype(float)
    is_old = rng.random(found.shape) < 0.8
    numbers = np.arange(n, n + m, dtype=np.int32)
    expected = reference.take_in(indices, distances, found, far, is_old, numbers)
    neighbor_lists.take_in(indices, distances, found, far, is_old.view(np.uint8), numbers)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_array_equal(distances, expected[1])
    assert (indices >= n).any()
