"""The kernels one by one, on one thread.

Both revisions run this file, the newer one's: what has moved in between is looked up in its
places of today, then in earlier ones.
"""

from importlib import import_module

import numpy as np
import pytest

from fasttsne.affinity import PerplexityBasedNN
from fasttsne.nearest_neighbors import Approx, Exact
from fasttsne.repulsion import ExactRepulsion, MeshRepulsion, TreeRepulsion, make_repulsion


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


@pytest.mark.parametrize("method", ["auto", "fft"])
def test_repulsion(benchmark, points, forces, method):
    accuracy = {"accuracy": 4e-3, "theta": 0.5, "n_interpolation_points": 3}
    accuracy |= {"min_num_intervals": 50, "ints_in_interval": 1}
    benchmark(make_repulsion(method, 1, 1, accuracy), points, forces)


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
