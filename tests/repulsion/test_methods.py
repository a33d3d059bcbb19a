"""The methods of repulsion against the sum over all pairs, on maps of every span and shape."""

import itertools
import logging
import math
import tracemalloc

import numpy as np
import pytest

from fasttsne.metrics.loo import make_point_field
from fasttsne.optimize.plan import EXACT_MAX_POINTS, resolve_method
from fasttsne.repulsion import METHODS as NAMES
from fasttsne.repulsion import (
    AutoRepulsion,
    ExactRepulsion,
    MeshRepulsion,
    TreeRepulsion,
    make_repulsion,
)
from fasttsne.repulsion.fixed_reference import make_field
from fasttsne.repulsion.mesh import (
    MAX_CELLS_PER_POINT,
    MAX_LINE_CELLS,
    MIN_CELL_LIMIT,
    max_cells,
)
from fasttsne.repulsion.mesh.grid import padded_size, transform_sizes

ROWS = 3000
# Bounds of the error in 1-D and 2-D, and in 3-D, where the default spacing is wider.
METHODS = {
    "auto": (AutoRepulsion(n_threads=2), 6e-3, 6e-3),
    "auto, finer": (AutoRepulsion(accuracy=5e-4), 2e-3, 1e-3),
    "fft": (MeshRepulsion(n_threads=2), 1.5e-2, 3e-2),
    "fft, finer": (MeshRepulsion(1, 4, min_num_intervals=100, ints_in_interval=0.8), 5e-3, 3e-2),
    "bh 0.5": (TreeRepulsion(theta=0.5, n_threads=2), 3e-2, 3e-2),
    "bh 0.2": (TreeRepulsion(theta=0.2), 5e-3, 5e-3),
}


def make_map(kind, span, d):
    rng = np.random.default_rng(0)
    if kind == "uniform":
        y = rng.uniform(-0.5, 0.5, (ROWS, d))
    else:
        centers = rng.uniform(-0.45, 0.45, (20, d))
        y = centers[rng.integers(20, size=ROWS)] + rng.normal(0, 0.015, (ROWS, d))
    if kind == "outlier":
        y[0] = 10
    return (span * y).astype(np.float32)


@pytest.mark.thin(48)
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("kind", ["uniform", "clustered", "outlier"])
@pytest.mark.parametrize("span", [2e-4, 1, 10, 100, 1000])
@pytest.mark.parametrize("name", METHODS)
def test_force_error(name, kind, span, d):
    repulsion, *bounds = METHODS[name]
    y = make_map(kind, span, d)
    exact, force = np.empty_like(y), np.empty_like(y)
    exact_z = ExactRepulsion()(y, exact)
    z = repulsion(y, force)
    assert np.linalg.norm(force - exact) < bounds[d == 3] * np.linalg.norm(exact)
    assert z == pytest.approx(exact_z, rel=2e-2)


@pytest.mark.thin(6)
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 2.0, 10.0])
@pytest.mark.parametrize("name", ["fft", "bh 0.5"])
def test_degrees_of_freedom(name, dof, d):
    repulsion = MeshRepulsion(dof) if name == "fft" else TreeRepulsion(dof)
    for span in (10, 60):
        y = make_map("clustered", span, d)
        exact, force = np.empty_like(y), np.empty_like(y)
        exact_z = ExactRepulsion(dof)(y, exact)
        z = repulsion(y, force)
        assert np.linalg.norm(force - exact) < 3e-2 * np.linalg.norm(exact)
        assert z == pytest.approx(exact_z, rel=2e-2)


@pytest.mark.parametrize(("d", "span"), [(1, 100), (2, 60), (3, 15)])
def test_finer_meshes_converge(d, span):
    y = make_map("uniform", span, d)
    exact, force = np.empty_like(y), np.empty_like(y)
    ExactRepulsion()(y, exact)
    errors = []
    for scale in (1.5, 1, 0.75, 0.5):
        MeshRepulsion(min_num_intervals=1, ints_in_interval=scale)(y, force)
        errors.append(np.linalg.norm(force - exact) / np.linalg.norm(exact))
    for coarse, fine in itertools.pairwise(errors):
        assert fine < 0.5 * coarse


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("span", [0, 1e-30, 1e-12, 1e-5])
@pytest.mark.parametrize("method", [MeshRepulsion, AutoRepulsion])
def test_tiny_maps_have_linear_forces(method, span, d):
    """All w are 1: the force on a point is n times its distance from the mean."""
    y = make_map("uniform", 1, d) * np.float32(span)
    force = np.empty_like(y)
    z = method()(y, force)
    expected = ROWS * (y - y.mean(0, dtype=float))
    assert z == pytest.approx(ROWS * (ROWS - 1))
    np.testing.assert_allclose(force, expected, atol=2e-3 * abs(expected).max())


@pytest.mark.parametrize("d", [2, 3])
def test_a_grid_that_would_be_too_large_falls_back_and_says_so(caplog, d):
    y = make_map("clustered", 30, d)
    y[0] = 1e5
    repulsion = MeshRepulsion()
    exact, force = np.empty_like(y), np.empty_like(y)
    ExactRepulsion()(y, exact)
    with caplog.at_level(logging.INFO, "fasttsne"):
        repulsion(y, force)
        repulsion(y, force)
    assert len(caplog.records) == 1
    assert "Barnes-Hut" in caplog.text
    assert (caplog.records[0].levelno == logging.WARNING) == (d == 2)
    assert np.linalg.norm(force - exact) < 2e-2 * np.linalg.norm(exact)
    y[0] = 0
    ExactRepulsion()(y, exact)
    repulsion(y, force)
    assert np.linalg.norm(force - exact) < 1.5e-2 * np.linalg.norm(exact)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("method", [AutoRepulsion, MeshRepulsion, TreeRepulsion, ExactRepulsion])
def test_threads_do_not_change_bits(method, d):
    y = make_map("clustered", 30, d)
    results = set()
    for n_threads in (1, 2, 3, 8):
        force = np.empty_like(y)
        results.add((method(n_threads=n_threads)(y, force), force.tobytes()))
    assert len(results) == 1


def test_padded_sizes_are_good_and_close():
    for min_size, is_3d in itertools.product((1, 16, 17, 129, 1000, 5001), (False, True)):
        size = padded_size(min_size, is_3d)
        assert min_size <= size <= max((2 if is_3d or min_size < 600 else 1.2) * min_size, 16)
        assert size % 2 == 0
        for factor in (2, 3, 5):
            while size % factor == 0:
                size //= factor
        assert size == 1


@pytest.mark.parametrize("d", [2, 3])
def test_the_grid_is_given_up_exactly_at_its_limit(d, monkeypatch):
    y = make_map("uniform", 5, d)
    mesh = MeshRepulsion()
    n_cells = math.prod(mesh.layout((y.min(0), y.max(0)))[1])
    monkeypatch.setitem(MAX_CELLS_PER_POINT, d, 0)
    for limit, expected in ((n_cells, "fft"), (n_cells - 1, "bh"), (n_cells, "fft")):
        monkeypatch.setitem(MIN_CELL_LIMIT, d, limit)
        assert max_cells(len(y), d) == limit
        mesh(y, np.empty_like(y))
        assert mesh.last_method == expected


def test_methods_name_themselves():
    assert (ExactRepulsion().last_method, TreeRepulsion().last_method) == ("exact", "bh")


@pytest.mark.parametrize("method", [ExactRepulsion, MeshRepulsion, AutoRepulsion, TreeRepulsion])
def test_iterations_allocate_no_arrays(method):
    """After the first, for a map of the same size: the objects own what kernels work in."""
    y = make_map("clustered", 30, 2)
    repulsion, force = method(), np.empty_like(y)
    repulsion(y, force)
    tracemalloc.start()
    try:
        repulsion(y, force)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        repulsion(y, force)
        assert tracemalloc.get_traced_memory()[1] - before < y.nbytes / 4
    finally:
        tracemalloc.stop()


def test_resolve_method():
    assert resolve_method("auto", EXACT_MAX_POINTS) == "exact"
    assert resolve_method("auto", EXACT_MAX_POINTS + 1) == "auto"
    assert resolve_method("interpolation", 100) == "fft"
    assert resolve_method("barnes-hut", 100) == "bh"


@pytest.mark.parametrize("mesh", [MeshRepulsion, AutoRepulsion])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_map_wider_than_any_grid_goes_to_the_tree(rng, d, mesh):
    y = (rng.normal(size=(50, d)) * 1e9).astype(np.float32)
    forces = [np.empty_like(y) for _ in range(2)]
    z = [method(y, out) for method, out in zip((mesh(), ExactRepulsion()), forces, strict=True)]
    assert z[0] == pytest.approx(z[1], abs=1e-6)
    found, expected = (out.astype(float) for out in forces)  # squares would underflow
    assert np.linalg.norm(found - expected) < 3e-2 * np.linalg.norm(expected)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("method", [TreeRepulsion, MeshRepulsion, AutoRepulsion])
def test_forces_of_dense_maps_for_all_tails(rng, d, dof, method):
    """As wide as maps of a few thousand rows are: light tails see a cell's inside."""
    y = rng.normal(0, 20 / dof**0.9, (3000, d)).astype(np.float32)
    expected, found = np.empty_like(y), np.empty_like(y)
    z = ExactRepulsion(dof, 2)(y, expected)
    assert method(dof)(y, found) == pytest.approx(z, rel=1e-2)
    assert np.linalg.norm(found - expected) < 3e-2 * np.linalg.norm(expected)


def test_each_name_is_made_and_no_other():
    accuracy = {
        "accuracy": 4e-3,
        "theta": 0.5,
        "n_interpolation_points": 3,
        "min_num_intervals": 50,
        "ints_in_interval": 1,
    }
    points = make_map("uniform", 10, 2)
    kinds = {}
    for name in set(NAMES.values()):
        kinds[name] = type(make_repulsion(name, 1, 1, accuracy))
        make_field(points, name, 1, 1, accuracy)
    assert kinds == {
        "exact": ExactRepulsion,
        "bh": TreeRepulsion,
        "fft": MeshRepulsion,
        "auto": AutoRepulsion,
    }
    with pytest.raises(ValueError, match="no repulsion is called 'pairs'"):
        make_repulsion("pairs", 1, 1, accuracy)
    with pytest.raises(ValueError, match="no repulsion of a fixed map is called 'pairs'"):
        make_field(points, "pairs", 1, 1, accuracy)


@pytest.mark.parametrize("works", ["forces", "leave-one-out"])
def test_lines_longer_than_any_transform_have_no_grid(rng, works):
    """Where only the number of cells was limited, there was an error for want of such an FFT."""
    n = 400_000 if works == "forces" else 20_000
    y = rng.uniform(0, 4e6, (n, 1)).astype(np.float32)
    if works == "forces":
        z = MeshRepulsion(n_threads=2)(y, np.empty_like(y))
    else:
        z = make_point_field(y, 1.0, 2).z
    assert z == pytest.approx(TreeRepulsion(1.0, 0.3, 2)(y, np.empty_like(y)), rel=1e-3)
    assert transform_sizes(False)[-1] == MAX_LINE_CELLS
