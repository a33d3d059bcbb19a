"""The kernels of the split mesh, at every SIMD level, against their slow twins."""

import numpy as np
import pytest

from fasttsne import _kernels
from fasttsne._kernels import reference
from fasttsne.repulsion.mesh.grid import Grid
from fasttsne.repulsion.mesh.influence import (
    make_influence,
    polynomials,
    taylor_coefficients,
)
from fasttsne.repulsion.mesh.particle_mesh import Arrays, SortedPoints

SPACING = 0.4
NO_SELF_FORCE = np.zeros(_kernels.particle_mesh.SELF_FORCE_TERMS, np.float32)
# Grids of few and of many bands.
SHAPES = {1: (1, 1, 80), 2: (1, 64, 80), 3: (48, 64, 80)}
# Strips of this width, and so many of them in a band, wider than any spline.
SIDE, BAND = 1.1, 4


def padded(d, size=96):
    return (1,) * (3 - d) + (size,) * d


def points(rng, n, d, cells=40):
    """Points in a box of so many cells, and the box's corner."""
    y = rng.uniform(0, cells * SPACING, (n, d)).astype(np.float32)
    return y, y.min(0)


def sort(mesh, y, low, side=SIDE, n_threads=2):
    """The points as the kernels take them, and scratch arrays."""
    n, d = y.shape
    shape = (*(np.ptp(np.vstack([y, low]), axis=0) / side).astype(int) + 1, 1, 1)[:3]
    arrays = Arrays.make(n, d, shape[0], shape[1] * shape[2])
    arrays.columns[...] = np.nan
    cells = low, side, np.array(shape, np.int32)
    sorted_points = SortedPoints(*cells, arrays.starts, arrays.columns, arrays.order)
    mesh.sort_points(y, *cells, arrays.numbers, arrays.counts, *sorted_points[3:], n_threads)
    return sorted_points, arrays


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 700])
def test_each_point_is_in_its_cell(kernel, rng, n, d):
    y, low = points(rng, n, d)
    (_, _, shape, starts, columns, order), _ = sort(kernel("particle_mesh"), y, low)
    strips = np.floor((y - low) / np.float32(SIDE)).astype(int)
    seen = []
    for strip, row in enumerate(starts):
        for cell in range(shape[0]):
            here = order[row[cell] : row[cell + 1]]
            assert (np.diff(here) > 0).all()  # in the order of their numbers
            np.testing.assert_array_equal(columns[:, row[cell] : row[cell + 1]].T, y[here])
            place = np.array([cell, strip % shape[1], strip // shape[1]])[:d]
            np.testing.assert_array_equal(strips[here], np.broadcast_to(place, (len(here), d)))
            seen += here.tolist()
        assert (order[row[-1] : row[-1] + 8] == -1).all()
        assert (columns[:, row[-1] : row[-1] + 8] > 1e17).all()
    assert sorted(seen) == list(range(n))


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("order", [3, 5, 6])
@pytest.mark.parametrize("n", [1, 5, 700])
def test_points_need_not_be_sorted(kernel, rng, n, order, d):
    """Spread in parts, and gathered in their own order, for any number of threads."""
    mesh, tables = kernel("particle_mesh"), polynomials(order)
    y, low = points(rng, n, d)
    expected = reference.spread(y.astype(float), SHAPES[d], low, SPACING, order)
    found = []
    for n_threads in (1, 2, 3):
        cells = np.full(SHAPES[d], np.nan, np.float32)
        parts = np.full((mesh.PARTS, *SHAPES[d]), np.nan, np.float32)
        mesh.spread_in_parts(y, low, parts, cells, SPACING, tables, n_threads)
        found.append(cells)
        np.testing.assert_array_equal(cells, found[0])
    np.testing.assert_allclose(found[0], expected, atol=1e-4)
    layer, row, column = np.indices(SHAPES[d])
    potential = np.sin(row / 5) + np.cos(column / 7) + np.sin(layer / 6 + column / 9)
    grid = potential.astype(np.float32), SPACING, tables
    forces, sorted_forces = np.full((2, n, d), np.nan, np.float32)
    mesh.gather_unsorted(y, low, *grid, NO_SELF_FORCE, forces, 2)
    sorted_points, _ = sort(mesh, y, low)
    mesh.gather(*sorted_points, *grid, NO_SELF_FORCE, sorted_forces, 2)
    np.testing.assert_allclose(forces, sorted_forces, atol=1e-6)


def close_points(rng, n, d):
    """Points with some 40 others within a distance of 4, and pairs in one place."""
    y = rng.uniform(0, 3 * (n / 40) ** (1 / d) * 2, (n, d)).astype(np.float32)
    y[1] = y[0]
    return y, y.min(0)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("cutoff", [1.5, 4.0])
@pytest.mark.parametrize("n", [2, 900])
def test_near_pairs_equal_reference(kernel, rng, n, cutoff, dof, d):
    mesh = kernel("particle_mesh")
    y, low = close_points(rng, n, d)
    sorted_points, arrays = sort(mesh, y, low, cutoff / mesh.CELLS_PER_CUTOFF)
    taylor = taylor_coefficients(cutoff, dof)
    z = mesh.sum_pairs(*sorted_points, dof, cutoff, taylor, arrays.near, BAND, arrays.z, 2)
    forces = np.full((n, d), np.nan)
    filled = arrays.order >= 0
    forces[arrays.order[filled]] = arrays.near[:, filled].T
    expected, shares = reference.near_repulsion(y.astype(float), y.astype(float), cutoff, dof)
    own = reference.near_part(np.zeros(()), cutoff, dof)[0]
    np.testing.assert_allclose(forces, expected, atol=3e-6 * max(abs(expected).max(), 1))
    assert z == pytest.approx(shares.sum() - n * own, rel=1e-4)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0])
@pytest.mark.parametrize("cutoff", [0.0, 3.0])
def test_gather_at_equals_reference(kernel, rng, cutoff, dof, d):
    """Anywhere on the grid: near points and the grid's potential."""
    mesh = kernel("particle_mesh")
    sources, low = points(rng, 500, d, cells=20)
    sorted_points, _ = sort(mesh, sources, low, cutoff / mesh.CELLS_PER_CUTOFF or SIDE)
    y = low + rng.uniform(0, 25 * SPACING, (30, d)).astype(np.float32)
    layer, row, column = np.indices(SHAPES[d])
    potential = np.sin(row / 5) + np.cos(column / 7) + np.sin(layer / 6 + column / 9)
    grid = potential.astype(np.float32), SPACING, polynomials(5)
    kernel_of = dof, cutoff, taylor_coefficients(cutoff, dof)
    out, phi = np.empty_like(y), np.empty(len(y), np.float32)
    mesh.gather_at(y, *sorted_points, *grid, *kernel_of, out, phi, 2)
    force = reference.gather(y.astype(float), potential, low, SPACING, 5)
    z = reference.interpolated(y.astype(float), potential, low, SPACING, 5)
    if cutoff:
        near = reference.near_repulsion(y.astype(float), sources.astype(float), cutoff, dof)
        force, z = force + near[0], z + near[1]
    np.testing.assert_allclose(out, force, atol=3e-3 * abs(force).max())
    np.testing.assert_allclose(phi, z, atol=1e-4)


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
@pytest.mark.parametrize("order", [3, 4, 5, 6, 8])
@pytest.mark.parametrize("n", [1, 300])
def test_spread_equals_reference(kernel, rng, d, order, n):
    y, low = points(rng, n, d)
    mesh = kernel("particle_mesh")
    sorted_points, _ = sort(mesh, y, low)
    grid = np.full(SHAPES[d], np.nan, np.float32)
    mesh.spread(*sorted_points, grid, SPACING, polynomials(order), BAND, 2)
    expected = reference.spread(y.astype(float), grid.shape, low, SPACING, order)
    np.testing.assert_allclose(grid, expected, atol=1e-4)
    assert grid.sum() == pytest.approx(n, rel=1e-5)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("order", [3, 4, 5, 6])
def test_gather_equals_reference(kernel, rng, d, order):
    y, low = points(rng, 20, d)
    mesh = kernel("particle_mesh")
    sorted_points, arrays = sort(mesh, y, low)
    # A smooth potential: differences of the reference's interpolation are then accurate.
    layer, row, column = np.indices(SHAPES[d])
    potential = np.sin(row / 5) + np.cos(column / 7) + np.sin(layer / 6 + column / 9)
    grid = potential.astype(np.float32), SPACING, polynomials(order), NO_SELF_FORCE
    out, with_near = np.empty_like(y), np.empty_like(y)
    mesh.gather(*sorted_points, *grid, out, 2)
    expected = reference.gather(y.astype(float), potential, low, SPACING, order)
    np.testing.assert_allclose(out, expected, atol=3e-3 * abs(expected).max())
    arrays.near[...] = np.arange(arrays.near.size).reshape(arrays.near.shape)
    mesh.gather(*sorted_points, *grid, with_near, 2, arrays.near)
    added = with_near[arrays.order[arrays.order >= 0]] - out[arrays.order[arrays.order >= 0]]
    np.testing.assert_allclose(added, arrays.near[:, arrays.order >= 0].T, atol=1e-2)


@pytest.mark.parametrize("shape", [(1, 1, 96), (1, 48, 96), (1, 160, 144), (48, 60, 64)])
def test_convolve_equals_reference(rng, shape):
    influence = make_influence(shape, SPACING, 5, 1.0)
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
    influence = make_influence(shape, SPACING, order, 1.0)
    left, before = [], []
    grid = Grid(shape, 1)
    grid.set_influence(influence)
    mesh, tables = kernel("particle_mesh"), polynomials(order)
    for _ in range(40):
        y = rng.uniform(8, 9, (1, d)).astype(np.float32)
        sorted_points, _ = sort(mesh, y, np.zeros(d, np.float32))
        mesh.spread(*sorted_points, grid.cells, SPACING, tables, BAND, 1)
        grid.convolve(1)
        for own, forces in ((influence.self_force, left), (influence.self_force * 0, before)):
            out = np.empty_like(y)
            mesh.gather(*sorted_points, grid.cells, SPACING, tables, own, out, 1)
            forces.append(np.linalg.norm(out))
    assert np.mean(left) < 0.1 * np.mean(before)
    assert np.mean(left) < 2e-3


@pytest.mark.parametrize("shape", [(1, 128, 256), (112, 120, 128)])
def test_threads_do_not_change_bits(kernel, rng, shape):
    mesh = kernel("particle_mesh")
    y, low = points(rng, 5000, 2 if shape[0] == 1 else 3, cells=100)
    results = set()
    for n_threads in (1, 2, 3, 8):
        grid = np.empty(shape, np.float32)
        sorted_points, arrays = sort(mesh, y, low, n_threads=n_threads)
        mesh.spread(*sorted_points, grid, SPACING, polynomials(5), BAND, n_threads)
        near = 1.0, 2 * SIDE, taylor_coefficients(2 * SIDE, 1.0), arrays.near, BAND, arrays.z
        z = mesh.sum_pairs(*sorted_points, *near, n_threads)
        results.add((grid.tobytes(), arrays.near[:, arrays.order >= 0].tobytes(), z))
    assert len(results) == 1
