import numpy as np
import pytest

from fasttsne._kernels import reference


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("bounds", [(None, None), (0.5, None), (None, 0.5), (0.1, 0.2)])
def test_equals_twin(kernel, rng, d, bounds):
    shape = (3000, d)
    y, update = rng.normal(0, 5, shape), rng.normal(0, 1, shape).astype(np.float32)
    update[::7] = 0
    gains = rng.uniform(0.005, 2, shape).astype(np.float32)
    attractive, repulsive = rng.normal(0, 1, (2, *shape)).astype(np.float32)
    attractive[::5] = repulsive[::5] = 0
    settings = (2.0, 12.0, 0.3, 0.8, *bounds)
    expected = reference.gradient_step(y, update, gains, attractive, repulsive, *settings)
    kernel("gradient_step").gradient_step(y, update, gains, attractive, repulsive, *settings, 2)
    for got, want in zip((y, update, gains), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_leaves_the_mean_at_the_origin(kernel, rng):
    y = rng.normal(100, 5, (5000, 2))
    zeros = np.zeros(y.shape, np.float32)
    kernel("gradient_step").gradient_step(
        y, zeros.copy(), np.ones_like(zeros), zeros, zeros, 1.0, 1, 1, 0.8, None, None, 2
    )
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-12)


def test_points_stay_where_a_step_leads_nowhere(kernel, rng):
    y = rng.normal(0, 5, (2000, 2))
    y[7] = 9e14
    start = y.copy()
    force, zeros = np.zeros((2, *y.shape), np.float32)
    force[3, 0], force[5, 1], force[7] = np.nan, np.inf, -2e14
    update, gains = zeros.copy(), np.ones_like(zeros)
    kept = kernel("gradient_step").gradient_step(
        y, update, gains, force, zeros, 1.0, 1, 1, 0.8, None, None, 2, recentre=False
    )
    assert kept == 3
    np.testing.assert_array_equal(y, start)
    assert not update.any()


def test_bounds_hold_where_squares_overflow(kernel):
    y = np.zeros((1, 2))
    force, zeros = np.array([[3, 4]], np.float32), np.zeros((1, 2), np.float32)
    for learning_rate in (1e3, 1e250):
        y[:] = 0
        kernel("gradient_step").gradient_step(
            y, zeros.copy(), np.ones_like(zeros), force, zeros, 1.0, 1, learning_rate, 0, None,
            5.0, 1, recentre=False,
        )  # fmt: skip
        np.testing.assert_allclose(y, [[-3, -4]])


def test_threads_do_not_change_bits(kernel, rng):
    shape = (5000, 2)
    start = rng.normal(0, 5, shape)
    force = rng.normal(0, 1, shape).astype(np.float32)
    results = set()
    for n_threads in (1, 2, 3, 8):
        y, update, gains = start.copy(), np.zeros_like(force), np.ones_like(force)
        for _ in range(3):
            kernel("gradient_step").gradient_step(
                y, update, gains, force, force, 3.0, 1, 1, 0.8, None, 5, n_threads
            )
        results.add((y.tobytes(), update.tobytes(), gains.tobytes()))
    assert len(results) == 1
