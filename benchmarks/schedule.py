"""The automatic schedule beside the classical one: KL divergence, iterations, time, quality.

    python benchmarks/schedule.py [--data digits mnist-2000 ...] [--samples 5] [--picture map.png]

Both start from the same P and the same principal components.  "radius" is the largest
distance from the centre over its 99th percentile, which tells of points thrown out;
"labels" the share of points whose label most of their 10 nearest in the map have; "kept" the
share of those 10 that are among the neighbours P knows.  With several samples, of rows where
there are more and of random numbers, a last line has the mean of the automatic schedule's
iterations, the ratios of times and divergences, the largest ratio of radii, and the mean
difference of labels and kept.
"""

import argparse
import time

import numpy as np
from common import clusters, exact_kl, mnist
from neighbors import load

from fasttsne import TSNEEmbedding, initialization, schedule
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.datasets import load_digits
from fasttsne.nearest_neighbors import Exact

EVERY = 25
LINE = "{:6.0f}{:9.2f}{:9.4f}{:8.2f}{:8.4f}{:8.4f}"


def roll(rng):
    t = np.sort(rng.random(3000)) * 3 * np.pi + 1.5 * np.pi
    X = np.stack([t * np.cos(t), 21 * rng.random(3000), t * np.sin(t)], 1)
    return X, (2 * t).astype(int)


def half_duplicates(rng):
    X = rng.normal(size=(2000, 10))
    X[::2] = X[0]
    return X, np.arange(2000) % 2


def synthetic(rows):
    X = clusters(rows)
    return X, Exact(X[:100], 1).query(X, 1)[0].ravel()


def images(name, rows, sample):
    """A random sample of MNIST or Fashion-MNIST, with MNIST's labels or none."""
    chosen = np.random.RandomState(sample).permutation(70_000)[:rows]
    X = load(name, None)[chosen]
    return X, (mnist()[1][chosen] if name == "mnist" else np.zeros(rows, int))


def twenty_rows(rng):
    return rng.normal(size=(20, 4)), np.arange(20) % 2


def cells():
    """700 blood cells, which ship with scanpy, and their types."""
    import scanpy

    data = scanpy.datasets.pbmc68k_reduced()
    return data.obsm["X_pca"], np.unique(data.obs["bulk_labels"], return_inverse=True)[1]


# What each makes of the number of a sample.
DATA = {
    "digits": lambda _: load_digits(),
    "mnist-2000": lambda sample: images("mnist", 2000, sample),
    "mnist-10000": lambda sample: images("mnist", 10_000, sample),
    "mnist-70000": lambda sample: images("mnist", 70_000, sample),
    "fashion-10000": lambda sample: images("fashion", 10_000, sample),
    "fashion-70000": lambda sample: images("fashion", 70_000, sample),
    "clusters-200000": lambda _: synthetic(200_000),
    "roll": lambda sample: roll(np.random.default_rng(sample)),
    "line": lambda _: (np.linspace(0, 1, 1500)[:, None], np.arange(1500) // 100),
    "noise": lambda sample: (np.random.default_rng(sample).random((2000, 20)), np.zeros(2000, int)),
    "half-duplicates": lambda sample: half_duplicates(np.random.default_rng(sample)),
    "pbmc68k": lambda _: cells(),
    "20-rows": lambda sample: twenty_rows(np.random.default_rng(sample)),
}


class Course:
    """A callback that keeps iteration, KL divergence and seconds."""

    def __init__(self):
        self.points, self.offset, self.start = [], 0, time.perf_counter()

    def __call__(self, iteration, error, _):
        self.points.append((self.offset + iteration, error, time.perf_counter() - self.start))


def descend(affinities, start, automatic, **params):
    """One run; returns the embedding and its course."""
    course = Course()
    embedding = TSNEEmbedding(
        start, affinities, callbacks=course, callbacks_every_iters=EVERY, **params
    )
    if automatic:
        early = schedule.early_exaggeration(len(start), 12, 1, "auto", "auto")
        phases = (early, {}), ("auto", {})
    else:
        phases = (250, {"exaggeration": 12}), (500, {})
    for n_iter, settings in phases:
        embedding.optimize(n_iter, inplace=True, **settings)
        course.offset = embedding.optimizer.state.iteration
    return embedding, course


def quality(embedding, labels):
    y = np.ascontiguousarray(embedding, np.float32)
    near = Exact(y, min(10, len(y) - 1), n_jobs=-1).build()[0]
    radius = np.linalg.norm(y, axis=1)
    mode = np.array([np.bincount(row).argmax() for row in labels[near]])
    P = embedding.affinities.P
    kept = np.mean([np.isin(near[i], P.indices[P.indptr[i] : P.indptr[i + 1]]).mean()
                    for i in range(0, len(y), max(len(y) // 2000, 1))])  # fmt: skip
    return radius.max() / np.percentile(radius, 99), np.mean(mode == labels), kept


def compare(name, sample, options):
    """Both schedules on one sample: its labels and runs, and the numbers of their lines."""
    X, labels = DATA[name](sample)
    X = np.asarray(X, np.float32)
    affinities = PerplexityBasedNN(
        X, options.perplexity, n_jobs=options.n_jobs, random_state=sample
    )
    if options.initialization == "random":
        start = initialization.random(len(X), random_state=sample)
    elif options.initialization == "spectral":
        start = initialization.spectral(affinities.P, random_state=sample)
    else:
        start = initialization.pca(X, random_state=sample)
    runs, figures = [], []
    for kind in ("classical", "automatic"):
        begun = time.perf_counter()
        embedding, course = descend(
            affinities, start, kind == "automatic", n_jobs=options.n_jobs,
            negative_gradient_method=options.method,
        )  # fmt: skip
        seconds = time.perf_counter() - begun
        iterations, kl = embedding.optimizer.state.iteration, exact_kl(affinities.P, embedding)
        figures.append((iterations, seconds, kl, *quality(embedding, labels)))
        print(f"{name:16}{kind:10}" + LINE.format(*figures[-1]), flush=True)
        runs.append((kind, embedding, course))
    return (name, labels, runs), figures


def print_means(name, figures):
    classical, automatic = np.swapaxes(figures, 0, 1)
    ratio = automatic / classical
    gain = (automatic - classical).mean(0)
    print(f"{name:16}{'means':10}" + LINE.format(
        automatic[:, 0].mean(), ratio[:, 1].mean(), ratio[:, 2].mean(), ratio[:, 3].max(), *gain[4:]
    ))  # fmt: skip


def draw(results, path):
    """KL divergence against iterations, and the two maps, a row for each data set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(len(results), 3, figsize=(12, 4 * len(results)), squeeze=False)
    for row, (name, labels, runs) in zip(axes, results, strict=True):
        for (kind, embedding, course), ax in zip(runs, row[1:], strict=True):
            iteration, error, _ = zip(*course.points, strict=True)
            row[0].plot(iteration, error, label=kind)
            y = np.asarray(embedding)
            size = max(0.1, min(8, 6000 / len(y)))
            ax.scatter(*y.T, c=labels, s=size, cmap="tab10", linewidths=0, rasterized=True)
            ax.set_title(f"{name}, {kind}: {embedding.kl_divergence:.3f}")
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_aspect("equal")
        low = min(course.points[-1][1] for _, _, course in runs)
        row[0].set_ylim(0.95 * low, 2 * low)
        row[0].set_xlabel("iteration")
        row[0].set_ylabel("KL divergence")
        row[0].legend()
    plt.tight_layout()
    plt.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--initialization", default="pca", choices=["pca", "random", "spectral"])
    parser.add_argument("--perplexity", type=float, default=30)
    parser.add_argument("--method", default="auto", choices=["auto", "fft", "bh", "exact"])
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--picture")
    options = parser.parse_args()
    print(f"{'data':16}{'schedule':10}{'its':>6}{'s':>9}{'KL':>9}{'radius':>8}{'labels':>8}"
          f"{'kept':>8}")  # fmt: skip
    results = []
    for name in options.data:
        samples = [compare(name, sample, options) for sample in range(options.samples)]
        if options.samples > 1:
            print_means(name, [figures for _, figures in samples])
        results.append(samples[0][0])
    if options.picture:
        draw(results, options.picture)


if __name__ == "__main__":
    main()
