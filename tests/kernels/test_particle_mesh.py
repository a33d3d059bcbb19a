import numpy as np
import pytest

from fasttsne import _kernels
from fasttsne._kernels import reference
from fasttsne.repulsion.mesh.grid import Grid
from fasttsne.repulsion.mesh.influence import polynomials, student_influence

SPACING = 0.4


# Grids of few and of many tiles.
SHAPES = {1: (1, 1, 80), 2: (1, 64, 80), 3: (48, 64, 80)}


def scratch(n, shape):
    return np.empty((3, max(n, 2 * shape[0] * shape[1]) + 64), np.int32)


def padded(d, size=96):
    return (1,) * (3 - d) + (size,) * d


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


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("order", [3, 5, 6, 8])
@pytest.mark.parametrize("n", [1, 300])
def test_spread_equals_reference(kernel, rng, d, order, n):
    y, low = points(rng, n, d)
    grid = np.full(SHAPES[d], np.nan, np.float32)
    kernel("particle_mesh").spread(
        y, grid, low, SPACING, polynomials(order), scratch(n, SHAPES[d]), 2
    )
    expected = reference.spread(y.astype(float), grid.shape, low, SPACING, order)
    np.testing.assert_allclose(grid, expected, atol=1e-4)
    assert grid.sum() == pytest.approx(n, rel=1e-5)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("order", [3, 5, 6])
def test_gather_equals_reference(kernel, rng, d, order):
    y, low = points(rng, 20, d)
    # A smooth potential: differences of the reference's interpolation are then accurate.
    layer, row, column = np.indices(SHAPES[d])
    potential = np.sin(row / 5) + np.cos(column / 7) + np.sin(layer / 6 + column / 9)
    out, phi = np.empty_like(y), np.empty(len(y), np.float32)
    kernel("particle_mesh").gather(
        y,
        potential.astype(np.float32),
        low,
        SPACING,
        polynomials(order),
        np.zeros(_kernels.particle_mesh.SELF_FORCE_TERMS, np.float32),
        out,
        2,
        phi,
    )
    expected = reference.gather(y.astype(float), potential, low, SPACING, order)
    np.testing.assert_allclose(out, expected, atol=3e-3 * abs(expected).max())
    expected = reference.interpolated(y.astype(float), potential, low, SPACING, order)
    np.testing.assert_allclose(phi, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 96), (1, 48, 96), (1, 160, 144), (48, 60, 64)])
def test_convolve_equals_reference(rng, shape):
    influence = student_influence(shape, SPACING, 5, 1.0)
    grid = Grid(shape, 2)
    grid.set_influence(influence)
    used = tuple(slice(max(m // 2, 1)) for m in shape)
    density = np.zeros(shape)
    density[used] = rng.random(density[used].shape)
    grid.cells[..., : shape[2] // 2] = density[used]
    energy = grid.convolve(2)
    potential, expected_energy = reference.convolve(density, influence.modes.astype(float))
    tolerance = 1e-5 * abs(potential).max()
    np.testing.assert_allclose(grid.cells[used], potential[used], atol=tolerance)
    assert energy == pytest.approx(expected_energy, rel=1e-5)


@pytest.mark.parametrize("order", [3, 4, 5, 6])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_lone_point_does_not_push_itself(kernel, rng, order, d):
    """What is left of the force on itself is far below the error of a pair."""
    shape = padded(d)
    influence = student_influence(shape, SPACING, order, 1.0)
    left, before = [], []
    grid = Grid(shape, 1)
    grid.set_influence(influence)
    for _ in range(40):
        y = rng.uniform(8, 9, (1, d)).astype(np.float32)
        origin = np.zeros(d, np.float32)
        tables = polynomials(order)
        kernel("particle_mesh").spread(y, grid.cells, origin, SPACING, tables, scratch(1, shape), 1)
        grid.convolve(1)
        for own, forces in ((influence.self_force, left), (influence.self_force * 0, before)):
            out = np.empty_like(y)
            kernel("particle_mesh").gather(y, grid.cells, origin, SPACING, tables, own, out, 1)
            forces.append(np.linalg.norm(out))
    assert np.mean(left) < 0.1 * np.mean(before)
    assert np.mean(left) < 2e-3


@pytest.mark.parametrize("shape", [(1, 128, 256), (112, 120, 128)])
def test_threads_do_not_change_bits(kernel, rng, shape):
    d = 2 if shape[0] == 1 else 3
    y, low = points(rng, 5000, d, cells=100)
    results = set()
    for n_threads in (1, 2, 3, 8):
        grid = np.empty(shape, np.float32)
        kernel("particle_mesh").spread(
            y, grid, low, SPACING, polynomials(5), scratch(5000, shape), n_threads
        )
        results.add(grid.tobytes())
    assert len(results) == 1
