import numpy as np
import pytest

from fasttsne import _kernels
from fasttsne._kernels import reference
from fasttsne.repulsion import fft
from fasttsne.repulsion.influence import student_influence
from fasttsne.repulsion.mesh import Grid
from fasttsne.repulsion.splines import polynomials

SPACING = 0.4


def scratch(n, rows):
    return np.empty((3, max(n, rows) + 2), np.int32)


def points(rng, n, d, cells=40):
    """Points in a box of so many cells, and the box's corner."""
    y = rng.uniform(0, cells * SPACING, (n, d)).astype(np.float32)
    return y, y.min(0)


@pytest.mark.parametrize("order", [3, 4, 5, 6, 7, 8])
def test_polynomials_are_the_spline(order):
    table = polynomials(order)
    t = np.linspace(0, 1, 11)[:-1]
    for node in range(order):
        expected = reference.b_spline(t + order - 1 - node, order)
        np.testing.assert_allclose(np.polyval(table[0, :, node], t), expected, atol=1e-6)
        slope = np.polyval(np.polyder(table[0, :, node].astype(float)), t)
        np.testing.assert_allclose(np.polyval(table[1, :-1, node], t), slope, atol=1e-5)
    assert not table[:, :, order:].any()


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("order", [3, 5, 6, 8])
@pytest.mark.parametrize("n", [1, 300])
def test_spread_equals_twin(kernel, rng, d, order, n):
    y, low = points(rng, n, d)
    rows = 64 if d == 2 else 1
    grid = np.full((rows, 80), np.nan, np.float32)
    kernel("grid").spread(y, grid, low, SPACING, polynomials(order), scratch(n, rows), 2)
    expected = reference.spread(y.astype(float), grid.shape, low, SPACING, order)
    np.testing.assert_allclose(grid, expected, atol=1e-4)
    assert grid.sum() == pytest.approx(n, rel=1e-5)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("order", [3, 5, 6])
def test_gather_equals_twin(kernel, rng, d, order):
    y, low = points(rng, 20, d)
    rows = 64 if d == 2 else 1
    # A smooth potential: differences of the twin's interpolation are then accurate.
    potential = np.add.outer(np.sin(np.arange(rows) / 5), np.cos(np.arange(80) / 7))
    out = np.empty_like(y)
    kernel("grid").gather(
        y, potential.astype(np.float32), low, SPACING, polynomials(order),
        np.zeros(_kernels.grid.SELF_FORCE_TERMS, np.float32), out, 2,
    )  # fmt: skip
    expected = reference.gather(y.astype(float), potential, low, SPACING, order)
    np.testing.assert_allclose(out, expected, atol=3e-3 * abs(expected).max())


@pytest.mark.parametrize("shape", [(1, 96), (48, 96), (160, 144)])
def test_convolve_equals_twin(rng, shape):
    influence = student_influence(shape, SPACING, 5, 1.0)
    grid = Grid(shape, 2)
    grid.set_influence(influence)
    used = max(shape[0] // 2, 1), shape[1] // 2
    density = np.zeros(shape)
    density[: used[0], : used[1]] = rng.random(used)
    grid.cells[: used[0], : shape[1]] = density[: used[0]]
    energy = grid.convolve(2)
    potential, expected_energy = reference.convolve(density, influence.modes.astype(float))
    tolerance = 1e-5 * abs(potential).max()
    np.testing.assert_allclose(
        grid.cells[: used[0], : used[1]], potential[: used[0], : used[1]], atol=tolerance
    )
    assert energy == pytest.approx(expected_energy, rel=1e-5)


@pytest.mark.parametrize("order", [3, 4, 5, 6])
@pytest.mark.parametrize("d", [1, 2])
def test_a_lone_point_does_not_push_itself(kernel, rng, order, d):
    """What is left of the force on itself is far below the error of a pair."""
    shape = (96 if d == 2 else 1, 96)
    influence = student_influence(shape, SPACING, order, 1.0)
    left, before = [], []
    for _ in range(40):
        y = rng.uniform(8, 9, (1, d)).astype(np.float32)
        grid = Grid(shape, 1)
        grid.set_influence(influence)
        origin = np.zeros(d, np.float32)
        tables = polynomials(order)
        kernel("grid").spread(y, grid.cells, origin, SPACING, tables, scratch(1, 96), 1)
        grid.convolve(1)
        for own, forces in ((influence.self_force, left), (influence.self_force * 0, before)):
            out = np.empty_like(y)
            kernel("grid").gather(y, grid.cells, origin, SPACING, tables, own, out, 1)
            forces.append(np.linalg.norm(out))
    assert np.mean(left) < 0.1 * np.mean(before)
    assert np.mean(left) < 2e-3


def test_threads_do_not_change_bits(kernel, rng):
    y, low = points(rng, 5000, 2, cells=100)
    results = set()
    for n_threads in (1, 2, 3, 8):
        grid = np.empty((128, 256), np.float32)
        kernel("grid").spread(y, grid, low, SPACING, polynomials(5), scratch(5000, 128), n_threads)
        results.add(grid.tobytes())
    assert len(results) == 1


@pytest.mark.skipif(fft.pyfftw is None, reason="pyFFTW is not installed")
def test_scipy_stands_in_for_fftw(monkeypatch, rng):
    shape = (160, 144)
    influence = student_influence(shape, SPACING, 5, 1.0)
    results = []
    for backend in (fft.pyfftw, None):
        monkeypatch.setattr(fft, "pyfftw", backend)
        grid = Grid(shape, 2)
        grid.set_influence(influence)
        grid.cells[:80, :72] = np.random.default_rng(0).random((80, 72))
        energy = grid.convolve(2)
        results.append((energy, grid.cells[:80, :72].copy()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-3, atol=1e-4)
