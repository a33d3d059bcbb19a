"""What an iteration costs, part by part: python benchmarks/iteration.py [--data mnist-2000 ...]

On the map that a fit of each data set ends with, so for the widest map and the most expensive
iterations; KIND-ROWS as in made.py.  Milliseconds are medians with ``--n-jobs`` threads, parts in
turn, each by itself: in a fit attraction and repulsion may go side by side.  The preconditioner is
made anew in every tenth converging iteration, so a tenth of that counts.

bytes        what must be read and written at least, if no cache held it from before
operations   floating point, counted in the kernels' loops: a division, or a logarithm's polynomial,
             as one each
"""

import argparse
import time
from functools import partial
from math import log2

import numpy as np
from made import make

from fasttsne import TSNE, _kernels
from fasttsne.objective.kl import KLDivergence
from fasttsne.optimize.steps import REBUILD_EVERY, Preconditioner
from fasttsne.repulsion import FORCE_ERROR, AutoRepulsion
from fasttsne.repulsion.barnes_hut import bounding_box, curve_order
from fasttsne.repulsion.mesh import max_cells
from fasttsne.repulsion.mesh.particle_mesh import ParticleMesh
from fasttsne.repulsion.mesh.split import SEARCHED, SplitChooser, grid_shape

TURNS = 15


def parts_of_repulsion(y, n_threads):
    """Name, function, bytes and operations of each part, on a map of points in order."""
    n, d = y.shape
    repulsion, out = AutoRepulsion(n_threads=n_threads), np.empty_like(y)
    repulsion(y, out)
    if repulsion.last_method != "fft":
        print(f"repulsion: {repulsion.last_method}")
        yield "repulsion", partial(repulsion, y, out), 16 * n, 11 * n * n
        return
    low, high = bounding_box(y)
    extent, most = (high - low).tolist(), max_cells(n, d)
    chooser, mesh = SplitChooser(1.0, FORCE_ERROR), ParticleMesh(1.0, n_threads, "builtin")
    split = chooser.choose(y, low, extent, most)
    shape = grid_shape(extent, split)
    grid, influence = mesh.grid(shape), mesh.influence(shape, split)
    grid.set_influence(influence)
    points, arrays = mesh.sort(y, low, extent, split, n_threads)
    candidates = chooser.density(y, low).within(split.cutoff * SEARCHED[d] ** (1 / d), d)
    pairs = n * candidates if split.cutoff else 0
    cells, padded, p = grid.cells.size, int(np.prod(shape)), split.order
    near = arrays.near if split.cutoff else None
    spline = 2 * d * p * p  # Horner's rule for each node
    print(f"{split}, grid {' x '.join(map(str, shape[1:]))}, {pairs / n:.0f} near pairs a point")
    choose = partial(chooser.choose, y, low, extent, most)
    spread = partial(mesh.spread, points, grid, split, n_threads)
    gather = partial(mesh.gather, points, grid, split, influence, out, near, n_threads)
    yield "box and choice", lambda: (bounding_box(y), choose()), 8 * n, 2 * d * n
    yield "sorting", partial(mesh.sort, y, low, extent, split, n_threads), 44 * n, 4 * d * n
    yield "spreading", spread, 8 * n + 8 * cells, n * (spline + 2 * p**d)
    convolution = 5 * padded * log2(padded)
    yield "convolution", partial(grid.convolve, n_threads), 6 * 4 * padded, convolution
    if pairs:
        sums = partial(mesh.sum_pairs, points, arrays, split, n_threads)
        yield "near pairs", sums, 24 * n, 22 * pairs
    yield "gathering", gather, 28 * n + 4 * cells, n * (2 * spline + 4 * p**d)


def parts_of_steps(objective, y, gradient):
    """The same of what follows the forces, in a converging iteration."""
    n, d = y.shape
    edges, n_threads = len(objective._edges.packed.offsets), objective.n_threads
    preconditioner = Preconditioner(objective)
    preconditioner.rebuild(y)
    n_blocks = _kernels.gradient_step.count_blocks(n)
    scratch = np.empty((n_blocks + 1, d)), np.empty(n_blocks, np.int64)
    update, gains = np.zeros((2, n, d), np.float32)
    still = np.zeros_like(y)

    def step():
        arrays = y, update, gains, still, *scratch
        _kernels.gradient_step.gradient_step(*arrays, 1.0, 0.9, None, 5.0, n_threads, True, False)

    combined = objective.attractive, objective.repulsive, objective.z, 1.0, gradient, n_threads
    yield "rounding", lambda: objective.round(y, objective._points), 12 * d * n, d * n
    combine = partial(_kernels.gradient_step.combine_forces, *combined)
    yield "combining", combine, 16 * d * n, 3 * d * n
    apply = partial(preconditioner.apply, gradient)
    yield "preconditioning", apply, (24 + 24 * d) * n, (4 * d * 2**d + 6 * d) * n
    rebuild = 4 * edges + 40 * n, 30 * edges
    yield "a tenth of its making", partial(preconditioner.rebuild, y), *rebuild
    yield "step", step, 40 * d * n, 10 * d * n


def costs(name, n_threads, turns):
    """Print the table of one data set."""
    X, _ = make(name, 0)
    embedding = TSNE(n_jobs=n_threads, random_state=0).fit(X)
    order = curve_order(embedding)
    y = np.ascontiguousarray(np.asarray(embedding)[order])
    points = y.astype(np.float32)
    P = embedding.affinities.P_float32
    objective = KLDivergence(P, AutoRepulsion(n_threads=n_threads), 2, n_threads=n_threads)
    objective.reorder(order)
    gradient, _ = objective.gradient(y)
    edges, forces = objective._edges.packed, np.empty_like(points)
    n_edges = len(edges.offsets) + len(edges.columns)
    n_bytes = sum(array.nbytes for array in edges[:-1]) + 16 * len(y)
    attract = partial(_kernels.attraction.attraction, *edges, points, forces, 1.0, False, n_threads)
    print(f"{name}: {n_edges:,} edges, {embedding.optimizer.iteration} iterations; ", end="")
    parts = [("attraction", attract, n_bytes, 14 * n_edges)]
    parts += [*parts_of_repulsion(points, n_threads), *parts_of_steps(objective, y, gradient)]
    seconds = {part[0]: [] for part in parts}
    for _ in range(turns):
        for part, function, *_ in parts:
            start = time.perf_counter()
            function()
            seconds[part].append(time.perf_counter() - start)
    medians = {part: 1e3 * float(np.median(times)) for part, times in seconds.items()}
    shares = {part: REBUILD_EVERY if "making" in part else 1 for part in medians}
    whole = sum(medians[part] / shares[part] for part in medians)
    print(f"{'part':24}{'MB':>9}{'M operations':>14}{'ms':>9}{'share':>8}")
    for part, _, n_bytes, operations in parts:
        counts = n_bytes / 1e6 / shares[part], operations / 1e6 / shares[part]
        ms = medians[part] / shares[part]
        print(f"{part:24}{counts[0]:9.2f}{counts[1]:14.1f}{ms:9.2f}{ms / whole:8.0%}")
    print(f"{'in all':47}{whole:9.2f}\n", flush=True)


def main():
    parser = argparse.ArgumentParser()
    data = ["mnist-2000", "mnist-70000", "uneven-1000000"]
    parser.add_argument("--data", nargs="+", default=data, metavar="KIND-ROWS")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--turns", type=int, default=TURNS)
    options = parser.parse_args()
    for name in options.data:
        costs(name, options.n_jobs, options.turns)


if __name__ == "__main__":
    main()
