"""The kernels one by one, on one thread.

Both revisions run this file, the newer one's: what has moved in between is looked up in its
places of today, then in earlier ones.
"""

from importlib import import_module

import numpy as np
import pytest

from fasttsne.affinity import PerplexityBasedNN
from fasttsne.nearest_neighbors import Approx, Exact
from fasttsne.repulsion import ExactRepulsion, MeshRepulsion, TreeRepulsion


def find(*paths):
    """The first of these names, "module.name" below fasttsne, that this revision has."""
    for path in paths:
        module, _, name = path.rpartition(".")
        try:
            return getattr(import_module(f"fasttsne.{module}"), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"none of {', '.join(paths)}")


Objective = find("objective.kl.KLDivergence")
bounding_box = find("repulsion.barnes_hut.bounding_box", "repulsion.morton.bounding_box")
particle_mesh = find("_kernels.particle_mesh")
gradient_step = find("_kernels.gradient_step")
perplexity = find("_kernels.perplexity")
symmetrize = find("affinity.csr.symmetrize")


@pytest.fixture
def forces(points):
    return np.empty_like(points)


@pytest.mark.parametrize("with_error", [False, True], ids=["forces", "with-kl"])
def test_attraction(benchmark, X, points, with_error):
    objective = Objective(PerplexityBasedNN(X, n_jobs=-1).P, lambda y, out: 1.0, 2)
    objective.reorder(np.arange(len(X), dtype=np.int32))
    benchmark(objective.compute_forces, points[: len(X)].astype(float), with_error)


def test_mesh_spread(benchmark, points):
    mesh, grid, low, spacing, _ = on_mesh(points)
    benchmark(mesh.spread, points, grid, low, spacing)


def test_mesh_convolution(benchmark, points):
    grid = on_mesh(points)[1]
    benchmark(grid.convolve, 1)


def test_mesh_gather(benchmark, points, forces):
    mesh, grid, low, spacing, influence = on_mesh(points)
    benchmark(
        particle_mesh.gather,
        points,
        grid.cells,
        low,
        spacing,
        mesh.polynomials,
        influence.self_force,
        forces,
        1,
    )


def on_mesh(points):
    """A mesh and its grid, onto which the points are spread."""
    mesh = MeshRepulsion()
    low, high = bounding_box(points)
    spacing, shape = (
        mesh.layout((low, high)) if hasattr(mesh, "layout") else mesh._layout(low, high)
    )
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
    benchmark(perplexity.conditional_affinities, distances, out, 30.0, 1)


def test_symmetrize(benchmark, neighbors):
    indices, distances = neighbors
    benchmark(symmetrize, indices, distances.astype(np.float32), 1)


def test_step(benchmark, points):
    """Forces to a gradient and a step."""
    y, force = points.astype(float), np.full_like(points, 1e-3)
    update, gains = np.zeros_like(force), np.ones_like(force)
    n_blocks = gradient_step.count_blocks(len(y))
    gradient, scratch = np.empty_like(y), (np.empty((n_blocks + 1, 2)), np.empty(n_blocks, int))

    def step():
        gradient_step.combine_forces(force, force, 1.0, 1, gradient, 1)
        gradient_step.gradient_step(y, update, gains, gradient, *scratch, 1, 0.8, None, 5, 1)

    benchmark(step)
