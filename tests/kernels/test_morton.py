import numpy as np
import pytest

from fasttsne import _kernels
from fasttsne._kernels import reference
from fasttsne.repulsion.barnes_hut import bounding_box, curve_order, sort_along_curve


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 500])
def test_codes_equal_reference_and_are_sorted(rng, n, d):
    y = rng.normal(0, 3, (n, d)).astype(np.float32)
    codes, order = np.empty((2, n), np.uint64), np.empty((2, n), np.int32)
    sort_along_curve(y, codes, order)
    expected = reference.morton_codes(y.astype(float), _kernels.morton.BITS[d])
    assert codes[0].tolist() == sorted(expected)
    assert [expected[i] for i in order[0]] == sorted(expected)
    np.testing.assert_array_equal(np.sort(order[0]), np.arange(n))


def test_ties_keep_their_order():
    y = np.repeat(np.array([[1, 1], [0, 0], [1, 0]], np.float32), 50, axis=0)
    order = curve_order(y)
    for group in range(3):
        members = order[order // 50 == group]
        assert (np.diff(members) > 0).all()


def test_neighbours_on_the_curve_are_near_in_the_map(rng):
    y = rng.random((5000, 2)).astype(np.float32)
    steps = np.linalg.norm(np.diff(y[curve_order(y)], axis=0), axis=1)
    assert np.median(steps) < 0.03  # about 0.5 for a random order


def test_bounding_box(rng):
    y = rng.normal(0, 3, (100, 3)).astype(np.float32)
    low, high = bounding_box(y)
    np.testing.assert_array_equal(low, y.min(0))
    np.testing.assert_array_equal(high, y.max(0))


def test_points_that_share_their_leading_bits(rng):
    """One point far out leaves the others in a few of the coarse cells."""
    y = rng.normal(0, 1e-3, (3000, 2)).astype(np.float32)
    y[7] = 1e4
    codes, order = np.empty((2, 3000), np.uint64), np.empty((2, 3000), np.int32)
    sort_along_curve(y, codes, order)
    expected = reference.morton_codes(y.astype(float), _kernels.morton.BITS[2])
    assert len(set(expected)) > 100
    assert codes[0].tolist() == sorted(expected)
    assert order[0].tolist() == sorted(range(3000), key=lambda i: (expected[i], i))


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_a_code_like_others(rng, value, d):
    """A tree over codes of more digits shifts by negative numbers, which C does not define."""
    y = rng.normal(size=(50, d)).astype(np.float32)
    y[7:9] = value
    codes, order = np.empty((2, 50), np.uint64), np.empty((2, 50), np.int32)
    sort_along_curve(y, codes, order)
    assert int(codes[0].max()) < 2 ** (d * _kernels.morton.BITS[d])
    np.testing.assert_array_equal(np.sort(order[0]), np.arange(50))
