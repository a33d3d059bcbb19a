"""Targets that follow a map, beside their slow twins."""

import numpy as np
import pytest

from fasttsne._kernels import follow, reference

N = 2500  # points of several blocks


@pytest.mark.parametrize("d", [1, 2, 3])
def test_moments(rng, d):
    y, rows = rng.normal(1, 5, (2, N, d))
    expected = reference.moments(y, rows)
    for found, value in zip(follow.moments(y, rows, 2), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-10)
    for one, two in zip(follow.moments(y, rows, 1), follow.moments(y, rows, 2), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_place(rng, d):
    rows, own = rng.normal(0, 5, (2, N, d))
    turn, shift = rng.normal(0, 1, (d, d)), rng.normal(0, 1, d)
    strengths = rng.choice([0, 0.5, np.inf], N)
    targets, weights = np.empty((N, d)), np.empty(N)
    with np.errstate(invalid="ignore"):
        expected = reference.place(rows, turn, shift, 0.25, own, strengths)
    follow.place(rows, turn, shift, 0.25, targets, weights, 2, own, strengths)
    np.testing.assert_allclose(targets, expected[0], rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(weights, expected[1])
    pinned = np.isinf(strengths)
    np.testing.assert_array_equal(targets[pinned], own[pinned])
    follow.place(rows, turn, shift, 0.25, targets, weights, 2)
    np.testing.assert_allclose(targets, rows @ turn + shift, rtol=1e-10, atol=1e-10)
    assert (weights == 0.25).all()
