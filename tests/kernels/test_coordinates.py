import numpy as np
import pytest

from fasttsne import _kernels


@pytest.mark.parametrize("d", [1, 2, 3])
def test_bounds(rng, d):
    y = rng.normal(0, 1, (50, d)).astype(np.float32)
    low, high = np.empty((2, d), np.float32)
    _kernels.coordinates.bounds(y, low, high)
    np.testing.assert_array_equal(low, y.min(0))
    np.testing.assert_array_equal(high, y.max(0))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_gather_and_scatter(rng, d):
    rows, order = rng.normal(0, 1, (50, d)), rng.permutation(50).astype(np.int32)
    points, back = np.empty((2, 50, d))
    _kernels.coordinates.gather(rows, order, points)
    np.testing.assert_array_equal(points, rows[order])
    _kernels.coordinates.scatter(points, order, back)
    np.testing.assert_array_equal(back, rows)
