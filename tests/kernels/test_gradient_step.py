import numpy as np
import pytest

from fasttsne._kernels import reference


def step(module, y, update, gains, gradient, *settings, **options):
    """A step with scratch arrays of its own."""
    n_blocks = module.count_blocks(len(y))
    scratch = np.full((n_blocks + 1, y.shape[1]), np.nan), np.full(n_blocks, -1, np.int64)
    return module.gradient_step(y, update, gains, gradient, *scratch, *settings, **options)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("bounds", [(None, None), (0.5, None), (None, 0.5), (0.1, 0.2)])
def test_equals_reference(kernel, rng, d, bounds):
    shape = (3000, d)
    y, update = rng.normal(0, 5, shape), rng.normal(0, 1, shape).astype(np.float32)
    update[::7] = 0
    gains = rng.uniform(0.005, 2, shape).astype(np.float32)
    gradient = rng.normal(0, 1, shape)
    gradient[::5] = 0
    settings = (0.3, 0.8, *bounds)
    expected = reference.gradient_step(y, update, gains, gradient, *settings)
    step(kernel("gradient_step"), y, update, gains, gradient, *settings, 2)
    for got, want in zip((y, update, gains), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_forces_are_combined_to_the_gradient(kernel, rng, d):
    attractive, repulsive = rng.normal(0, 1, (2, 3000, d)).astype(np.float32)
    gradient = np.full((3000, d), np.nan)
    kernel("gradient_step").combine_forces(attractive, repulsive, 2.5, 12.0, gradient, 2)
    expected = reference.combine_forces(attractive, repulsive, 2.5, 12.0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-12)


def test_moves_the_mean_to_the_origin(kernel, rng):
    y = rng.normal(100, 5, (5000, 2))
    zeros = np.zeros(y.shape, np.float32)
    module = kernel("gradient_step")
    step(module, y, zeros, np.ones_like(zeros), np.zeros(y.shape), 1, 0.8, None, None, 2)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-12)


def test_points_that_would_leave_all_bounds_stay(kernel, rng):
    y = rng.normal(0, 5, (2000, 2))
    y[7] = 9e14
    start = y.copy()
    gradient, update = np.zeros(y.shape), np.zeros(y.shape, np.float32)
    gradient[3, 0], gradient[5, 1], gradient[7] = np.nan, np.inf, -2e14
    n_stuck = step(
        kernel("gradient_step"),
        y,
        update,
        np.ones_like(update),
        gradient,
        1,
        0.8,
        None,
        None,
        2,
        recenter=False,
    )
    assert n_stuck == 3
    np.testing.assert_array_equal(y, start)
    assert not update.any()


def test_bounds_hold_where_squares_overflow(kernel):
    gradient, update = np.array([[3.0, 4.0]]), np.zeros((1, 2), np.float32)
    for learning_rate in (1e3, 1e250):
        y = np.zeros((1, 2))
        step(
            kernel("gradient_step"),
            y,
            update.copy(),
            np.ones_like(update),
            gradient,
            learning_rate,
            0,
            None,
            5.0,
            1,
            recenter=False,
        )
        np.testing.assert_allclose(y, [[-3, -4]])


def test_threads_do_not_change_bits(kernel, rng):
    shape = (5000, 2)
    start, gradient = rng.normal(0, 5, shape), rng.normal(0, 1, shape)
    results = set()
    for n_threads in (1, 2, 3, 8):
        y, update, gains = start.copy(), np.zeros(shape, "f4"), np.ones(shape, "f4")
        for _ in range(3):
            step(kernel("gradient_step"), y, update, gains, gradient, 1, 0.8, None, 5, n_threads)
        results.add((y.tobytes(), update.tobytes(), gains.tobytes()))
    assert len(results) == 1
