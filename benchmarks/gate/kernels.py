"""The kernels one by one, on one thread."""

import numpy as np
import pytest

from fasttsne import _kernels
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.affinity.base import symmetrized
from fasttsne.nearest_neighbors import Approx, Exact
from fasttsne.objective.kl import Objective
from fasttsne.repulsion import ExactRepulsion, MeshRepulsion, TreeRepulsion
from fasttsne.repulsion.morton import bounding_box


@pytest.fixture
def forces(points):
    return np.empty_like(points)


@pytest.mark.parametrize("with_error", [False, True], ids=["forces", "with-kl"])
def test_attraction(benchmark, X, points, with_error):
    objective = Objective(PerplexityBasedNN(X, n_jobs=-1).P, lambda y, out: 1.0, 2)
    objective.renumber(np.arange(len(X), dtype=np.int32))
    y = points[: len(X)].astype(float)
    benchmark(objective.evaluate, y, with_error)


def test_mesh_spread(benchmark, points):
    mesh, grid, low, spacing, _ = on_mesh(points)
    benchmark(mesh.spread, points, grid, low, spacing)


def test_mesh_convolution(benchmark, points):
    grid = on_mesh(points)[1]
    benchmark(grid.convolve, 1)


def test_mesh_gather(benchmark, points, forces):
    mesh, grid, low, spacing, influence = on_mesh(points)
    benchmark(
        _kernels.particle_mesh.gather, points, grid.cells, low, spacing, mesh.polynomials,
        influence.self_force, forces, 1,
    )  # fmt: skip


def on_mesh(points):
    """A mesh and its grid, onto which the points are spread."""
    mesh = MeshRepulsion()
    low, high = bounding_box(points)
    spacing, shape = mesh._layout(low, high)
    grid, influence = mesh._make_grid(shape), mesh._make_influence(shape, spacing)
    grid.set_influence(influence)
    mesh.spread(points, grid, low, spacing)
    return mesh, grid, low, spacing, influence


def test_mesh_in_three_dimensions(benchmark, points):
    y = np.column_stack([points, points[::-1, 0]]) * np.float32(0.25)
    mesh, out = MeshRepulsion(), np.empty_like(y)
    benchmark(mesh, y, out)


def test_tree_build(benchmark, points):
    tree = TreeRepulsion()
    benchmark(tree.build, points)


def test_tree_walk(benchmark, points, forces):
    tree, some = TreeRepulsion(), points[:4000]
    tree.build(points)
    benchmark(tree.field, some, forces[:4000], np.empty(4000))


def test_exact(benchmark, points, forces):
    exact = ExactRepulsion()
    benchmark(exact, points[:3000], forces[:3000])


@pytest.mark.parametrize("search", [Exact, Approx])
def test_neighbors(benchmark, X, search):
    index = search(X, 90, n_jobs=1, random_state=0)
    benchmark(index.build)


def test_perplexity(benchmark, neighbors):
    distances = np.ascontiguousarray(neighbors[1], np.float32)
    out = np.empty_like(distances)
    benchmark(_kernels.perplexity.conditional_affinities, distances, out, 30.0, 1)


def test_symmetrize(benchmark, neighbors):
    indices, distances = neighbors
    benchmark(symmetrized, indices, distances.astype(np.float32), 1)


def test_step(benchmark, points):
    y, force = points.astype(float), np.full_like(points, 1e-3)
    update, gains = np.zeros_like(force), np.ones_like(force)
    benchmark(
        _kernels.gradient_step.gradient_step,
        y,
        update,
        gains,
        force,
        force,
        1.0,
        1,
        1,
        0.8,
        None,
        5,
        1,
    )
