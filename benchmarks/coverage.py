"""Do the 95 % intervals of scores hold?  Reports of samples beside the scores of all rows.

    python benchmarks/coverage.py [--sizes 40 200 600 1000] [--seeds 200] [--data digits ...]

For each data set one map is made, and its scores are taken of all rows.  Then each report is of a
random sample.  Printed is, by score, its value for all rows, and by size of the sample the share of
reports whose interval holds that value; "-" where the error is not known.  At the end are named
those not between .92 and .98: shares near 0 or 1, as "jumps", are beyond, since a sample has none
or one of such rows.  ``FASTTSNE_DATA`` has MNIST; without it, the other four data sets are used.
"""

import argparse
import os

import numpy as np
from common import mnist_rows

from fasttsne import TSNE, TSNEEmbedding, metrics, report
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.datasets import load_digits

LOWEST, HIGHEST = 0.92, 0.98
# Noise by which the graph lacks some neighbours, in standard deviations of a column.
NOISE = 0.3


def digits():
    return load_digits()


def tumours():
    """30 standardized properties of 569 tumours (UCI, Breast Cancer Wisconsin)."""
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    return (X - X.mean(0)) / X.std(0), y


def clusters():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 8, 1500)
    return 2 * rng.normal(size=(8, 10))[labels] + rng.normal(size=(1500, 10)), labels


def swiss_roll():
    from sklearn.datasets import make_swiss_roll

    X, along = make_swiss_roll(1500, random_state=0)
    return X, np.digitize(along, np.quantile(along, [0.2, 0.4, 0.6, 0.8]))


def images():
    return mnist_rows(2000)


SETS = {each.__name__: each for each in (digits, tumours, clusters, swiss_roll, images)}


def make_map(X, n_jobs):
    """Return a map of X whose graph has the neighbours of rows with a little noise."""
    Y = np.asarray(TSNE(random_state=0, n_jobs=n_jobs).fit(X))
    noise = np.random.default_rng(0).normal(0, NOISE * np.std(X, axis=0).mean(), X.shape)
    graph = PerplexityBasedNN(X + noise, perplexity=10, n_jobs=n_jobs, random_state=0)
    return TSNEEmbedding(Y, graph)


def scores_of_all(X, embedding, labels, n_jobs):
    """Return the scores of all rows by name, which a report takes of samples."""
    every, parallel = {"sample_size": None}, {"sample_size": None, "n_jobs": n_jobs}
    curves = metrics.rank_curves(X, embedding, **parallel)
    agreement = metrics.label_agreement(X, embedding, labels, **parallel)
    loo = metrics.loo_scores(embedding, n_jobs=n_jobs)
    return {
        "neighbor_recall": curves.neighbor_recall,
        "trustworthiness": curves.trustworthiness,
        "continuity": curves.continuity,
        "rank_area": curves.auc,
        "rank_local": curves.local,
        "rank_global": curves.global_,
        "distance_correlation": metrics.distance_correlation(X, embedding, **every),
        "stress": metrics.stress(X, embedding, **every).total,
        "density_correlation": metrics.density_correlation(X, embedding, **parallel),
        "jumps": loo.jumps.mean(),
        "loose": loo.is_loose.mean(),
        "graph_recall": metrics.graph_recall(X, embedding, **parallel),
        "label_accuracy": agreement.accuracy,
        "label_accuracy_in_data": agreement.accuracy_in_data,
        "silhouette": agreement.silhouette,
        "silhouette_in_data": agreement.silhouette_in_data,
    }


def measure(name, sizes, seeds, n_jobs):
    """Return the share of intervals that hold, and of errors that are known, by score and size."""
    X, labels = SETS[name]()
    X = np.asarray(X, np.float32)
    embedding = make_map(X, n_jobs)
    whole = scores_of_all(X, embedding, labels, n_jobs)
    found = {}
    for size in (size for size in sizes if size < len(X)):
        reports = [report(X, embedding, labels, size, seed, n_jobs).scores for seed in range(seeds)]
        for score, value in whole.items():
            known = [each[score] for each in reports if each[score].standard_error >= 0]
            holds = [each.interval[0] <= value <= each.interval[1] for each in known]
            found[score, size] = (
                float(np.mean(holds)) if holds else np.nan,
                len(known) / seeds,
                float(value),
            )
    return len(X), found


def shown(share, known):
    if known == 0:
        return "-"
    return f"{share:.2f}".lstrip("0") + "?" * (known < 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[40, 200, 600, 1000])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--n-jobs", type=int, default=1)
    options = parser.parse_args()
    if "FASTTSNE_DATA" not in os.environ and "images" in options.data:
        options.data.remove("images")
    outside = []
    for name in options.data:
        n, found = measure(name, options.sizes, options.seeds, options.n_jobs)
        sizes = sorted({size for _, size in found})
        print(f"{name}, {n:,} rows{'':<16}" + "".join(f"{size:>8,}" for size in sizes))
        for score in dict.fromkeys(score for score, _ in found):
            parts = [found[score, size] for size in sizes]
            texts = "".join(f"{shown(share, known):>8}" for share, known, _ in parts)
            print(f"  {score:<24}{parts[0][2]:>8.3f}{texts}", flush=True)
            outside += [
                f"{score} of {size:,} rows of {name}: {share:.3f}"
                for size, (share, _, _) in zip(sizes, parts, strict=True)
                if not (np.isnan(share) or LOWEST <= share <= HIGHEST)
            ]
    print(f"not between {LOWEST} and {HIGHEST}:", *(outside or ["none"]), sep="\n  ")


if __name__ == "__main__":
    main()
