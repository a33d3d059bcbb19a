"""Do the measures tell the truth?  Maps whose faults are known, and maps without fault.

    python benchmarks/trust.py [--rows 3000] [--seeds 1] [--n-jobs 2]
        [--mnist MAP.npz] [--sklearn 5000 10000]

For each case: which points the fault is at, by the truth that the data were made with, and how well
scores of points tell them from the others (AUROC; 0.5 is chance); which share of all points
is flagged, and of those at the fault.  ``--mnist`` times each measure on MNIST, with a map that was
saved.  ``--sklearn`` times trustworthiness of so many rows of MNIST beside scikit-learn's.  How
often the intervals of samples hold: ``benchmarks/coverage.py``.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from common import mnist, mnist_rows
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from fasttsne import TSNE, TSNEEmbedding, metrics
from fasttsne.affinity import PerplexityBasedNN

# A neighbour in the truth is torn off where it is so many times farther than is usual.
TORN = 10
# A descent that stops by itself leaves up to 6 % of a circle's points where their loss has no
# minimum, and loo_scores says so.  So many iterations more bring them to rest.
MORE = 250


@dataclass
class Case:
    """X is what the map is of; is_fault says of each point whether the map is wrong there."""

    name: str
    X: np.ndarray
    embedding: TSNEEmbedding
    is_fault: np.ndarray


def stretches(truth, embedding, k=10):
    """How far the farthest of k true neighbours is in the map, by the median distance of such."""
    near = cKDTree(truth).query(truth, k + 1)[1][:, 1:]
    y = np.asarray(embedding)
    lengths = np.linalg.norm(y[near] - y[:, None], axis=2)
    return lengths.max(1) / np.median(lengths)


def from_truth(X, truth, perplexity, n_jobs):
    """A map that starts from the truth in two dimensions."""
    affinities = PerplexityBasedNN(X, perplexity=perplexity, random_state=0, n_jobs=n_jobs)
    start = 20 * (truth - truth.mean(0)) / truth.std()
    return TSNEEmbedding(start, affinities).optimize("auto", n_jobs=n_jobs)


def from_anywhere(X, perplexity, n_jobs):
    return TSNE(perplexity=perplexity, random_state=1, initialization="random", n_jobs=n_jobs).fit(
        X
    )


def roll(n, rng):
    """A Swiss roll, and where its points are on the sheet."""
    t, height = 1.5 * np.pi * (1 + 2 * rng.random(n)), 60 * rng.random(n)
    along = 0.5 * (t * np.sqrt(1 + t * t) + np.arcsinh(t))
    return np.c_[t * np.cos(t), height, t * np.sin(t)], np.c_[along, height]


def torn_roll(n, rng, n_jobs):
    X, sheet = roll(n, rng)
    torn = from_anywhere(X, 100, n_jobs)
    return Case("Swiss roll, torn", X, torn, stretches(sheet, torn) > TORN)


def whole_roll(n, rng, n_jobs):
    X, sheet = roll(n, rng)
    whole = from_truth(X, sheet, 100, n_jobs)
    return Case("Swiss roll, whole", X, whole, stretches(sheet, whole) > TORN)


def split_blob(n, rng, n_jobs):
    """One Gaussian, in pieces: the fault is where a true neighbour is in another piece."""
    X = rng.normal(size=(n, 2))
    split = from_anywhere(X, 5, n_jobs)
    return Case("one Gaussian, perplexity 5", X, split, stretches(X, split) > TORN)


def whole_blob(n, rng, n_jobs):
    X = rng.normal(size=(n, 2))
    whole = from_truth(X, X, 50, n_jobs)
    return Case("one Gaussian, perplexity 50", X, whole, stretches(X, whole) > TORN)


def clusters(n, rng, n_jobs):
    centers = 6 * rng.normal(size=(8, 10))
    X = centers[rng.integers(0, 8, n)] + rng.normal(size=(n, 10))
    return Case("eight clusters", X, TSNE(random_state=0, n_jobs=n_jobs).fit(X), np.zeros(n, bool))


def merged_clusters(n, rng, n_jobs):
    """Three clusters, of which two are drawn on top of each other."""
    labels = rng.integers(0, 3, n)
    X = np.array([[0.0] * 10, [20.0] * 10, [-20.0] * 10])[labels] + rng.normal(size=(n, 10))
    good = TSNE(random_state=0, n_jobs=n_jobs).fit(X)
    y = np.array(good)
    y[labels == 2] += y[labels == 1].mean(0) - y[labels == 2].mean(0)
    return Case("two clusters, merged", X, TSNEEmbedding(y, good.affinities), labels > 0)


def cut_circle(n, rng, n_jobs):
    """A circle as a line: it is cut open at one place."""
    angle = np.sort(2 * np.pi * rng.random(n))
    X = np.c_[np.cos(angle), np.sin(angle)]
    line = from_truth(X, np.c_[angle, 0 * angle + rng.normal(0, 1e-3, n)], 30, n_jobs)
    return Case("circle, cut open", X, line, stretches(X, line) > TORN)


def whole_circle(n, rng, n_jobs):
    angle = np.sort(2 * np.pi * rng.random(n))
    X = np.c_[np.cos(angle), np.sin(angle)]
    whole = from_truth(X, X, 30, n_jobs).optimize(MORE, n_jobs=n_jobs)
    return Case("circle", X, whole, stretches(X, whole) > TORN)


def branches(n, rng, n_jobs):
    """Five arms from one point in ten dimensions; torn where a neighbour along an arm is far."""
    arm, along = rng.integers(0, 5, n), rng.random(n)
    directions = np.linalg.qr(rng.normal(size=(10, 5)))[0].T
    X = 30 * along[:, None] * directions[arm] + rng.normal(0, 0.3, (n, 10))
    truth = 30 * along[:, None] * np.eye(5)[arm]
    found = TSNE(random_state=0, n_jobs=n_jobs).fit(X)
    return Case("branches", X, found, stretches(truth, found) > TORN)


CASES: tuple[Callable[..., Case], ...] = (
    torn_roll,
    whole_roll,
    split_blob,
    whole_blob,
    cut_circle,
    whole_circle,
    merged_clusters,
    clusters,
    branches,
)


def auroc(score, truth):
    """The chance that a point at the fault has a higher score than another."""
    ranks, m, n = rankdata(score), truth.sum(), (~truth).sum()
    return (ranks[truth].sum() - m * (m + 1) / 2) / (m * n) if m and n else np.nan


def scores_of_points(case, n_jobs):
    """Every score that points have, higher where something is wrong; and who is flagged."""
    rows = {"sample_size": None, "n_jobs": n_jobs}
    loo = metrics.loo_scores(case.embedding, n_jobs=n_jobs)
    ranks = metrics.rank_curves(case.X, case.embedding, 10, sample_size=None, n_jobs=n_jobs)
    shape = metrics.local_distortion(case.X, case.embedding, **rows)
    return {
        "perturbation": loo.perturbation,
        "singularity": loo.singularity,
        "1 - trust": -ranks.trustworthiness.values,
        "1 - contin.": -ranks.continuity.values,
        "1 - recall": -ranks.neighbor_recall.values,
        "1 - explained": -shape.explained,
    }, loo.is_flagged


def show_cases(n, seed, n_jobs):
    for make in CASES:
        case = make(n, np.random.default_rng(seed), n_jobs)
        scores, is_flagged = scores_of_points(case, n_jobs)
        fault, flagged = case.is_fault, is_flagged.mean()
        print(f"{case.name}: at a fault {fault.mean():.1%}, flagged {flagged:.1%}", end="")
        if fault.any() and not fault.all():
            print(
                f", of the fault {is_flagged[fault].mean():.0%}, of the others "
                f"{is_flagged[~fault].mean():.1%}",
                end="",
            )
            print()
            found = (f"{name} {auroc(score, fault):.3f}" for name, score in scores.items())
            print("   AUROC:", ", ".join(found), end="")
        print(flush=True)


def show_times(path, n_jobs):
    """Seconds of the processor for each measure on MNIST."""
    X, labels = mnist()
    X, embedding = X.astype(np.float32), TSNEEmbedding.load(path)
    both = {"sample_size": 500, "n_jobs": n_jobs}
    measures = {
        "rank_curves, 200 rows": lambda: metrics.rank_curves(
            X, embedding, sample_size=200, n_jobs=n_jobs
        ),
        "distance_correlation, 1,000 rows": lambda: metrics.distance_correlation(
            X, embedding, sample_size=1000
        ),
        "density_correlation, 500 rows": lambda: metrics.density_correlation(X, embedding, **both),
        "stress, 1,000 rows": lambda: metrics.stress(X, embedding),
        "local_distortion, 500 rows": lambda: metrics.local_distortion(X, embedding, **both),
        "label_agreement, 500 rows": lambda: metrics.label_agreement(X, embedding, labels, **both),
        "graph_recall, 500 rows": lambda: metrics.graph_recall(X, embedding, **both),
        "loo_scores, 1,000 rows": lambda: metrics.loo_scores(
            embedding, sample_size=1000, n_jobs=n_jobs
        ),
        "loo_scores, all rows": lambda: metrics.loo_scores(embedding, n_jobs=n_jobs),
    }
    for name, measure in measures.items():
        wall, start = time.perf_counter(), time.process_time()
        measure()
        print(
            f"{name:<34} {time.process_time() - start:6.2f} s of the processor, "
            f"{time.perf_counter() - wall:6.2f} s",
            flush=True,
        )


def show_beside_sklearn(sizes, n_jobs):
    """Seconds of the processor for the trustworthiness of all rows, ours and scikit-learn's."""
    from sklearn.manifold import trustworthiness

    for n in sizes:
        X = mnist_rows(n)[0].astype(np.float32)
        Y = np.linalg.svd(X - X.mean(0), full_matrices=False)[0][:, :2]
        start = time.process_time()
        ours = metrics.trustworthiness(X, Y, 5, sample_size=None, n_jobs=n_jobs)
        middle = time.process_time()
        theirs = trustworthiness(X, Y, n_neighbors=5)
        seconds = middle - start, time.process_time() - middle
        print(
            f"{n:,} rows: {seconds[0]:.2f} s of the processor, scikit-learn {seconds[1]:.2f}, "
            f"{seconds[1] / seconds[0]:.1f} x; difference {ours - theirs:.1e}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--mnist")
    parser.add_argument("--sklearn", type=int, nargs="+", metavar="ROWS")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    if options.mnist:
        show_times(options.mnist, options.n_jobs)
    elif options.sklearn:
        show_beside_sklearn(options.sklearn, options.n_jobs)
    else:
        for seed in range(options.seeds):
            show_cases(options.rows, seed, options.n_jobs)


if __name__ == "__main__":
    main()
