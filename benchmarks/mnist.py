"""MNIST stage by stage: neighbours, affinities, start, the two phases; memory; KL divergence.

    FASTTSNE_DATA=... python benchmarks/mnist.py [--n-jobs 2]

Prints the exact KL divergence (Z from all pairs) of the final map, what one
iteration on it costs, and what a callback at every iteration adds that records
a float32 copy of the map.
"""

import argparse
import time
from contextlib import contextmanager

import numpy as np
from common import Built, exact_kl, median_seconds, mnist, peak_memory

import fasttsne
from fasttsne import TSNEEmbedding, initialization, nearest_neighbors
from fasttsne.affinity import PerplexityBasedNN

ITERATIONS = 50


@contextmanager
def stage(name):
    start = time.perf_counter()
    yield
    print(
        f"{name:32}{time.perf_counter() - start:8.2f} s   peak {peak_memory():6.0f} MiB", flush=True
    )


def fit(X, n_jobs, neighbors):
    """The stages of a whole fit, each with its time; returns the embedding."""
    with stage("neighbours (k = 90)"):
        index = Built(nearest_neighbors.make_index(neighbors, X, 90, n_jobs=n_jobs))
    with stage("affinities"):
        affinities = PerplexityBasedNN(knn_index=index, n_jobs=n_jobs)
    with stage("PCA start"):
        start = initialization.pca(X, random_state=0)
    embedding = TSNEEmbedding(start, affinities, n_jobs=n_jobs)
    with stage("early exaggeration, 250"):
        embedding.optimize(250, inplace=True, exaggeration=12)
    with stage("main phase, 500"):
        embedding.optimize(500, inplace=True)
    return embedding


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--neighbors", default="exact")
    options = parser.parse_args()
    fasttsne.show_config()
    X, _ = mnist()
    embedding = fit(X, options.n_jobs, options.neighbors)
    print(f"{'KL divergence, own estimate':32}{embedding.kl_divergence:10.4f}")
    print(f"{'KL divergence, exact':32}{exact_kl(embedding.affinities.P, embedding):10.4f}")

    frames = []
    moving = embedding.copy()
    plain = median_seconds(lambda: moving.optimize(ITERATIONS, inplace=True)) / ITERATIONS
    watched = (
        median_seconds(
            lambda: (
                frames.clear(),
                moving.optimize(
                    ITERATIONS,
                    inplace=True,
                    callbacks_every_iters=1,
                    callbacks=lambda i, e, y: frames.append(np.array(y, np.float32)),
                ),
            )
        )
        / ITERATIONS
    )
    print(f"{'iteration on the final map':32}{1e3 * plain:10.2f} ms")
    print(f"{'with a callback at each':32}{1e3 * watched:10.2f} ms   {watched / plain:.2f} x")


if __name__ == "__main__":
    main()
