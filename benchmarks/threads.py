"""What a second thread saves, stage by stage, on MNIST: python benchmarks/threads.py

Each stage runs with each number of threads in turn; medians, and whether the results are the same
to the bit.  What follows "early iterations" are parts of an iteration on the final map of
the default fit, which is wide, and on that of optimizer="momentum", which is half as wide.
Below "repulsion" are its steps, where it is by near pairs and a grid.
"""

import argparse
import time
from functools import partial

import numpy as np
from common import Built, mnist_rows

from fasttsne import TSNE
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.initialization import pca
from fasttsne.nearest_neighbors import Approx
from fasttsne.objective.kl import KLDivergence
from fasttsne.repulsion import FORCE_ERROR, AutoRepulsion
from fasttsne.repulsion.barnes_hut import bounding_box, curve_order
from fasttsne.repulsion.mesh import max_cells
from fasttsne.repulsion.mesh.particle_mesh import ParticleMesh
from fasttsne.repulsion.mesh.split import SplitChooser, grid_shape


def compare(name, functions, turns):
    """Print the medians of functions, by number of threads, which return an array each."""
    results = {n: function() for n, function in functions.items()}
    seconds = {n: [] for n in functions}
    for _ in range(turns):
        for n, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[n].append(time.perf_counter() - start)
    medians = {n: float(np.median(times)) for n, times in seconds.items()}
    first, *others = results
    same = all(np.array_equal(results[first], results[n]) for n in others)
    columns = " ".join(f"{1e3 * median:10.2f}" for median in medians.values())
    gain = medians[first] / min(medians[n] for n in others)
    print(f"{name:20} {columns} {gain:6.2f} {'same bits' if same else 'OTHER BITS'}", flush=True)


def whole_stages(X, embedding, threads, turns):
    """The stages of a fit."""

    def search(n):
        return Approx(X, 90, n_jobs=n, random_state=0).build()[1]

    compare("neighbours", {n: partial(search, n) for n in threads}, turns)
    index = Built(Approx(X, 90, n_jobs=max(threads), random_state=0))

    def affinities(n):
        return PerplexityBasedNN(n_jobs=n, knn_index=index).P_float32.data

    compare("affinities", {n: partial(affinities, n) for n in threads}, turns)
    compare("start", {n: partial(pca, X, n_jobs=n, random_state=0) for n in threads}, turns)
    start = pca(X, random_state=0)

    def descend(n, y, **kwargs):
        run = TSNE(n_jobs=n, initialization=y, **kwargs).prepare_initial(
            affinities=embedding.affinities
        )
        return run.optimize(n_iter=20, exaggeration=kwargs.get("exaggeration"))

    compare("20 early iterations", {n: partial(descend, n, start) for n in threads}, turns)


def parts_of_an_iteration(embedding, threads, turns):
    """Attraction, and the steps of the repulsion, on the final map."""
    order = curve_order(embedding)
    y = np.ascontiguousarray(np.asarray(embedding)[order], np.float32)
    chosen = {n: AutoRepulsion(n_threads=n) for n in threads}
    out = np.empty_like(y)

    def attract(n, objective):
        objective.gradient(y, 1.0, False)
        return objective.attractive

    def no_repulsion(y, out, *_):
        out[:] = 0
        return 1.0

    objectives = {
        n: KLDivergence(embedding.affinities.P_float32, no_repulsion, 2, n_threads=n)
        for n in threads
    }
    for objective in objectives.values():
        objective.reorder(order)
    compare("attraction", {n: partial(attract, n, objectives[n]) for n in threads}, turns)

    def repel(repulsion):
        repulsion(y, out)
        return out.copy()

    repel(chosen[threads[0]])
    method = chosen[threads[0]].last_method
    compare(f"repulsion ({method})", {n: partial(repel, chosen[n]) for n in threads}, turns)
    if method == "fft":
        steps_of_the_mesh(y, threads, turns)


def steps_of_the_mesh(y, threads, turns):
    """Sorting, spreading, convolution, near pairs and gathering."""
    low, high = bounding_box(y)
    extent, cells = (high - low).tolist(), max_cells(*y.shape)
    split = SplitChooser(1.0, FORCE_ERROR).choose(y, low, extent, cells)
    shape = grid_shape(extent, split)
    meshes = {n: ParticleMesh(1.0, n, "builtin") for n in threads}
    out = np.empty_like(y)
    print(f"{split}, grid {' x '.join(map(str, shape[1:]))}")
    influence = meshes[threads[0]].influence(shape, split)
    points = {n: mesh.sort(y, low, extent, split, n) for n, mesh in meshes.items()}
    for mesh in meshes.values():
        mesh.grid(shape).set_influence(influence)

    def sort(n):
        return meshes[n].sort(y, low, extent, split, n)[0].starts

    def spread(n):
        meshes[n].spread(points[n][0], meshes[n].grid(shape), split, n)
        return meshes[n].grid(shape).cells

    def convolve(n):
        return meshes[n].grid(shape).convolve(n)

    def pairs(n):
        return meshes[n].sum_pairs(*points[n], split, n)

    def gather(n):
        meshes[n].gather(points[n][0], meshes[n].grid(shape), split, influence, out, None, n)
        return out

    steps = {"sorting": sort, "spreading": spread, "convolution": convolve, "near pairs": pairs}
    for name, step in {**steps, "gathering": gather}.items():
        if name != "near pairs" or split.cutoff:
            compare(f"  {name}", {n: partial(step, n) for n in threads}, turns)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=70_000)
    parser.add_argument("--n-jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    X, _ = mnist_rows(options.rows)
    embedding = TSNE(random_state=0).fit(X)
    print(f"{'stage':20} {' '.join(f'{n:2} jobs, ms' for n in options.n_jobs)}   gain")
    whole_stages(X, embedding, options.n_jobs, options.turns)
    narrower = TSNE(optimizer="momentum", random_state=0).fit(affinities=embedding.affinities)
    for title, final in {"the default map": embedding, 'optimizer="momentum"': narrower}.items():
        width, height = np.ptp(final, axis=0)
        print(f"{title}, {width:.0f} x {height:.0f} units")
        parts_of_an_iteration(final, options.n_jobs, 20 * options.turns)


if __name__ == "__main__":
    main()
