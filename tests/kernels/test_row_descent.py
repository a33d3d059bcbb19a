"""Iterations in one call have the bits of one after the other, at each SIMD level."""

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.objective.points import NewPointsDivergence
from fasttsne.repulsion.fixed_reference import make_field

ACCURACY = {
    "theta": 0.5,
    "n_interpolation_points": 3,
    "min_num_intervals": 50,
    "ints_in_interval": 1,
    "accuracy": 4e-3,
}


@pytest.mark.parametrize("method", ["bh", "fft"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_bits_are_those_of_single_iterations(rng, method, d):
    n, m = 400, 20
    reference = rng.normal(0, 6, (n, d)).astype(np.float32)
    P = sp.random(m, n, 0.04, "csr", random_state=0)
    P.data /= P.sum()
    P = P * m
    objective = NewPointsDivergence(P, reference, make_field(reference, method, 1.0, 2, ACCURACY))
    start = rng.normal(0, 3, (m, d))
    settings = (0.1, 0.8, 0.25, None)
    y, update, gains = start.copy(), np.zeros((m, d), "f4"), np.ones((m, d), "f4")
    scratch = np.empty((2, d)), np.empty(1, np.int64)
    for _ in range(30):
        gradient, _ = objective.gradient(y, 1.5)
        _kernels.gradient_step.gradient_step(
            y, update, gains, gradient, *scratch, *settings, 2, recenter=False
        )
    expected = y, update, gains

    y, update, gains = start.copy(), np.zeros((m, d), "f4"), np.ones((m, d), "f4")
    rows, gradient = objective.row_tasks(with_spares=False), np.empty((m, d))
    rows.points[...] = y
    step = _kernels.gradient_step.row_task(y, update, gains, gradient, *rows[2:], 1.5, *settings)
    for first, last in (0, 16), (16, m):
        tasks = (*rows.tasks, step), (*rows.spares, None)
        assert _kernels.row_descent.descend(*tasks, first, last, 30, 2)
    assert np.abs(y - start).max() > 0.1
    for got, want in zip((y, update, gains), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_point_that_would_leave_all_bounds_ends_it(rng):
    reference = rng.normal(0, 6, (400, 2)).astype(np.float32)
    P = sp.csr_matrix(np.full((3, 400), 1 / 400))
    objective = NewPointsDivergence(P, reference, make_field(reference, "bh", 1.0, 1, ACCURACY))
    y, update, gains = rng.normal(0, 3, (3, 2)), np.zeros((3, 2), "f4"), np.ones((3, 2), "f4")
    rows, gradient = objective.row_tasks(with_spares=True), np.empty((3, 2))
    rows.points[...] = y
    step = _kernels.gradient_step.row_task(
        y, update, gains, gradient, *rows[2:], 1.5, 1e30, 0.8, None, None
    )
    tasks = (*rows.tasks, step), (*rows.spares, None)
    assert not _kernels.row_descent.descend(*tasks, 0, 3, 5, 1)
