"""The choice of near pairs and grid: errors are as expected, and no larger than is asked for."""

import math

import numpy as np
import pytest

from fasttsne import _kernels
from fasttsne.repulsion import AutoRepulsion, ExactRepulsion
from fasttsne.repulsion.mesh import split as splits
from fasttsne.repulsion.mesh.particle_mesh import ParticleMesh

KINDS = ("uniform", "normal", "clusters", "copies", "outlier", "line")


def random_map(rng, n):
    """A map of any kind, dimension and width, and how narrow its tails are."""
    kind, d, width = rng.choice(KINDS), rng.integers(1, 4), 10 ** rng.uniform(-1, 3.5)
    y = rng.uniform(0, 1, (n, d))
    if kind == "normal":
        y = rng.normal(0, 0.25, (n, d))
    elif kind == "clusters":
        centres = rng.uniform(0, 1, (rng.integers(2, 60), d))
        y = centres[rng.integers(len(centres), size=n)]
        y += rng.normal(0, 10 ** rng.uniform(-3, -1), (n, d))
    elif kind == "copies":
        y = np.repeat(y, rng.integers(2, 9), axis=0)[:n]
        y += rng.normal(0, 10 ** rng.uniform(-7, -2), (n, d))
    elif kind == "outlier":
        y[0] = 10 ** rng.uniform(0, 3)
    elif kind == "line":
        t = np.sort(y[:, :1], axis=0)
        y = np.hstack([t, t**2, np.sin(5 * t)])[:, :d] + rng.normal(0, 1e-3, (n, d))
    return (width * y).astype(np.float32), float(rng.choice([0.3, 0.5, 1.0, 2.0, 5.0]))


def error_of(repulsion, y):
    """Of the forces, relative to exact ones."""
    force, exact = np.empty_like(y), np.empty_like(y)
    repulsion(y, force)
    ExactRepulsion(repulsion.dof, 2)(y, exact)
    difference, exact = force.astype(float) - exact, exact.astype(float)
    return np.linalg.norm(difference) / np.linalg.norm(exact)


@pytest.mark.thin(10)
@pytest.mark.parametrize("seed", range(60))
def test_no_map_has_a_larger_error_than_is_asked_for(seed):
    rng = np.random.default_rng(seed)
    y, dof = random_map(rng, int(rng.integers(750, 12_000)))
    accuracy = float(rng.choice([4e-3, 1e-3]))
    assert error_of(AutoRepulsion(dof, accuracy, 2), y) < 1.5 * accuracy


def test_what_is_chosen_depends_on_the_map():
    """All of the kernel on a grid, near pairs, sums over all pairs, and the tree."""
    rng = np.random.default_rng(0)
    even = rng.uniform(-1, 1, (30_000, 2)).astype(np.float32)
    outlier = even.copy()
    outlier[0] = 3e4
    seen = []
    for y in (20 * even, 400 * even, even[:700] * 1000, 20 * outlier):
        repulsion = AutoRepulsion()
        repulsion(y, np.empty_like(y))
        seen.append(repulsion.last_method)
    assert seen == ["fft", "fft", "exact", "bh"]
    cutoffs = []
    for width in (20, 400, 2000):
        y = width * even
        low, extent = y.min(0), np.ptp(y, axis=0).tolist()
        chosen = splits.SplitChooser(1.0, 4e-3).choose(y, low, extent, 1e9)
        cutoffs.append(chosen.cutoff)
    assert cutoffs[0] == 0 < cutoffs[1] < cutoffs[2]


@pytest.mark.parametrize(
    ("d", "width", "cutoff", "spacing"),
    [(1, 4000, 3, 1), (2, 200, 0, 0.4), (2, 300, 4, 1.4), (2, 600, 12, 6), (3, 120, 8, 3)],
)
@pytest.mark.parametrize("dof", [0.5, 1.0])
def test_expected_errors_are_found(d, width, cutoff, spacing, dof):
    """For points at random, so sparse that their forces do not add up."""
    y = np.random.default_rng(1).uniform(0, width, (6000, d)).astype(np.float32)
    split = splits.Split(cutoff, spacing, splits.ORDER)
    low, extent = y.min(0), np.ptp(y, axis=0).tolist()
    mesh = ParticleMesh(dof, 2, "builtin")

    def repulsion(y, out):
        return mesh(y, out, low, extent, split, splits.grid_shape(extent, split), 2)

    repulsion.dof = dof
    density = splits.SplitChooser(dof, 1.0).density(y, low)
    share = math.sqrt(density.squared_force(d, dof) / density.densest(cutoff, d))
    expected = splits.expected_error(cutoff, spacing, splits.ORDER, d, dof) / share
    assert 0.2 * expected < error_of(repulsion, y) < 1.4 * expected


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("n", [2, 900])
def test_pair_counts_equal_a_direct_count(rng, n, d):
    y = rng.normal(0, 20, (n, d)).astype(np.float32)
    y[1] = y[0]
    sides = np.array(splits.SIDES, np.float32)
    drawn, counts = np.empty_like(y), np.empty(len(sides))
    table = np.empty(4096 * _kernels.pair_counts.SLOT_BYTES, np.uint8)
    _kernels.pair_counts.count_pairs(y, y.min(0), sides, drawn, table, counts)
    np.testing.assert_array_equal(drawn, y)
    for side, count in zip(sides, counts, strict=True):
        cells = np.floor((y - y.min(0)) * (1 / side)).astype(int)
        assert count == (np.unique(cells, axis=0, return_counts=True)[1] ** 2).sum()


@pytest.mark.parametrize("d", [2, 3])
def test_a_sample_tells_the_density(rng, d):
    """Also of points in the order of a curve, whose neighbours a regular sample would miss."""
    y = np.sort(rng.normal(0, {2: 40, 3: 20}[d], (60_000, d)).astype(np.float32), axis=0)
    rng.shuffle(y[:, 1])
    found = splits.SplitChooser(1.0, 4e-3).density(y, y.min(0)).others
    for side, others in zip(splits.SIDES[1:], found[1:], strict=True):
        cells = np.floor((y - y.min(0)) / side).astype(int)
        counts = np.unique(cells, axis=0, return_counts=True)[1]
        assert others == pytest.approx((counts**2).sum() / len(y) - 1, rel=0.3)


@pytest.mark.parametrize("dof", [0.001, 0.1, 1.0, 30.0, 1e6])
def test_spacings_are_as_fine_as_the_kernel(dof):
    """Its width is the square root of dof, and 1 from dof = 1 on."""
    for cutoff in (0.0, 2.0, 16.0):
        spacings = [
            splits.coarsest_spacing(cutoff, splits.ORDER, 2, dof, e) for e in (1e-1, 3e-2, 1e-2)
        ]
        assert spacings == sorted(spacings, reverse=True)
        if not cutoff:
            assert 0.03 * min(dof, 1) ** 0.5 < spacings[-1] < spacings[0] < min(dof, 1) ** 0.5


@pytest.mark.parametrize("d", [1, 2, 3])
def test_small_maps_have_a_grid(rng, d):
    """From where forces are linear to where the kernel bends, the tree would be slow."""
    for span in (0.01, 0.03, 0.3, 1.0):
        y = (span * rng.uniform(0, 1, (100_000, d))).astype(np.float32)
        repulsion = AutoRepulsion(n_threads=2)
        repulsion(y, np.empty_like(y))
        assert repulsion.last_method == "fft"


@pytest.mark.parametrize("dof", [0.001, 0.1, 1.0])
@pytest.mark.parametrize("accuracy", [1e-4, 4e-3])
def test_linear_forces_are_as_accurate(rng, dof, accuracy):
    """Below a span that depends on both, forces are n times the distance from the mean."""
    for share in (0.99, 1.01):
        span = share * splits.linear_span(dof, accuracy)
        y = (span * rng.uniform(0, 1, (1000, 2))).astype(np.float32)
        assert error_of(AutoRepulsion(dof, accuracy), y) < accuracy


def test_what_is_chosen_does_not_depend_on_earlier_maps(rng):
    """The name of the method, too, by which a descent knows whether losses compare."""
    wide, tiny = rng.uniform(0, 1, (2, 800, 2)).astype(np.float32) * [[[900]], [[1e-4]]]
    wide, tiny = wide.astype(np.float32), tiny.astype(np.float32)
    used, fresh = AutoRepulsion(), AutoRepulsion()
    used(wide, np.empty_like(wide))
    for repulsion in (used, fresh):
        repulsion(tiny, np.empty_like(tiny))
    assert used.last_method == fresh.last_method == "fft"


@np.errstate(all="raise")
def test_underflow_is_no_error_of_the_choice(rng):
    for function in (splits.expected_error, splits.coarsest_spacing, splits._squared_forces):
        function.cache_clear()
    y = rng.uniform(0, 600, (40_000, 2)).astype(np.float32)
    for dof in (0.3, 1.0, 50.0):
        AutoRepulsion(dof)(y, np.empty_like(y))


def test_coordinates_that_are_infinite_are_no_error_of_the_choice():
    y = np.array([[0, 0], [1, np.inf], [2, 2]], np.float32)
    forces = np.empty_like(y)
    AutoRepulsion()(y, forces)
    assert not np.isfinite(forces).all()
