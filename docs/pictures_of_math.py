"""The pictures of docs/math.rst; ``make_pictures.py`` draws them with the others."""

import numpy as np
from matplotlib.figure import Figure
from scipy.cluster.vq import kmeans2, vq
from scipy.spatial import cKDTree

from fasttsne import TSNE, plotting
from fasttsne.callbacks import EmbeddingRecorder
from fasttsne.datasets import load_digits
from fasttsne.repulsion import ExactRepulsion, MeshRepulsion, TreeRepulsion
from fasttsne.repulsion.barnes_hut import curve_order

BLUE, RED, GREY = "#0072b2", "#d55e00", "#b4b4b4"
STAGES = ("arranging", "annealing", "inert", "converging", "settling")


def kernels_and_forces():
    """The kernel for several dof, and both forces on points of a map of the digits."""
    X = load_digits()[0]
    embedding = TSNE(random_state=0).fit(X)
    attraction, repulsion = both_forces(np.asarray(embedding), embedding.affinities.P.toarray())
    figure = Figure(figsize=(9, 4.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    r = np.linspace(0, 6, 200)
    for dof in (0.5, 1, 2):
        left.plot(r, (1 + r**2 / dof) ** -dof, label=f"dof {dof:g}")
    left.plot(r, np.exp(-(r**2)), "--", color="black", label="Gaussian, as of SNE")
    left.set(xlabel="distance r in the map", ylabel="w", title="The kernel")
    left.legend(frameon=False)
    plotting.scatter(embedding, ax=right, palette=[GREY], title="Both forces on some points")
    some = np.random.default_rng(0).permutation(len(X))[:40]
    for force, color in ((-attraction, BLUE), (repulsion, RED)):
        right.quiver(*embedding[some].T, *force[some].T, color=color, width=0.004)
    return figure


def both_forces(map_, P):
    """The gradient's two parts, summed over all pairs."""
    q = 1 / (1 + ((map_[:, None] - map_) ** 2).sum(axis=2))
    np.fill_diagonal(q, 0)
    return tuple(w.sum(axis=1)[:, None] * map_ - w @ map_ for w in (P * q, q * q / q.sum()))


def errors_of_forces():
    """Relative error of the repulsion by grid and tree, against all pairs."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    grid, tree = figure.subplots(1, 2, sharey=True)
    spacings, thetas = (0.25, 0.5, 0.75, 1, 1.5, 2), (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
    for width, color in ((5, "#56b4e9"), (30, BLUE), (100, "black")):
        map_ = (np.random.default_rng(0).random((3000, 2)) * width).astype(np.float32)
        map_ = map_[curve_order(map_)]
        true = forces_on(map_, ExactRepulsion())
        for ax, values, make in (
            (grid, spacings, lambda value: MeshRepulsion(ints_in_interval=value)),
            (tree, thetas, lambda value: TreeRepulsion(theta=value)),
        ):
            found = [forces_on(map_, make(value)) for value in values]
            errors = [np.linalg.norm(forces - true) / np.linalg.norm(true) for forces in found]
            ax.loglog(values, errors, "o-", color=color, label=f"map {width} wide")
    for ax, values in ((grid, spacings), (tree, thetas)):
        ax.set_xticks(values, [f"{value:g}" for value in values])
        ax.set_xticks([], minor=True)
    grid.set(xlabel="ints_in_interval", ylabel="relative error of the force", title="Grid")
    tree.set(xlabel="theta", title="Tree")
    grid.legend(frameon=False)
    return figure


def stages_of_a_fit():
    """A rolled sheet at the end of each stage of the automatic schedule."""
    rng = np.random.default_rng(0)
    angle = 1.5 * np.pi * (1 + 2 * np.sort(rng.random(3000)))
    roll = np.column_stack([angle * np.cos(angle), 21 * rng.random(3000), angle * np.sin(angle)])
    recorder = EmbeddingRecorder()
    tsne = TSNE(callbacks=recorder, callbacks_every_iters=1, random_state=0)
    tsne.fit(roll)
    stages = [stage for phase in tsne.plan(3000).phases for stage in phase.stages]
    ends = np.cumsum([sum(s.n_iter for s in stages if s.name == name) for name in STAGES])
    ends = np.minimum(ends, len(recorder.frames)) - 1  # the fourth may stop early
    figure = Figure(figsize=(9, 2.5), layout="constrained")
    for ax, end, name in zip(figure.subplots(1, 5), ends, STAGES, strict=True):
        title = f"{name}: KL {recorder.errors[end]:.2f}"
        plotting.scatter(recorder.frames[end], angle, ax, legend=False, title=title)
    return figure


def cells_of_a_search():
    """Which cells one row probes: among many rows few, among few rows more."""
    rng = np.random.default_rng(1)
    rows = np.concatenate([rng.normal(size=(3000, 2)), 9 * rng.random((400, 2)) - 4.5])
    centroids, _ = kmeans2(rows, 60, seed=0, minit="++")
    cell, distance = vq(rows, centroids)
    radii = np.sqrt(np.bincount(cell, distance**2, 60) / np.maximum(np.bincount(cell, None, 60), 1))
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    for ax, near, title in zip(
        figure.subplots(1, 2),
        ((0.3, 0.2), (3.0, 2.4)),
        ("A row in the middle of many", "A row far from most"),
        strict=True,
    ):
        row = rows[cKDTree(rows).query(near)[1]]
        far = np.linalg.norm(centroids - row, axis=1)
        last = np.sort(np.linalg.norm(rows - row, axis=1))[30]
        probed = far < 0.5 * np.sort(far)[5] + 0.5 * last + 0.1 * radii
        colors = np.where(probed[cell], BLUE, GREY)
        ax.scatter(*rows.T, c=colors, s=3, linewidths=0)
        ax.scatter(*centroids.T, c="black", s=8, marker="x", linewidths=0.7)
        ax.scatter(*row, c=RED, s=45, marker="*", zorder=3)
        ax.set(title=f"{title}: {probed.sum()} of 60 cells", xticks=[], yticks=[], aspect="equal")
    return figure


def forces_on(map_, repulsion):
    out = np.empty_like(map_)
    repulsion(map_, out)
    return out
