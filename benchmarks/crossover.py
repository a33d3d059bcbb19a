"""Which repulsion is the fastest for how many points: the basis of method "auto".

    FASTTSNE_DATA=... python benchmarks/crossover.py [--components 2] [--rows 250 500 ...]

For random samples of MNIST: the time of 750 iterations (250 with early
exaggeration) from the PCA start by each method, in turn, and the exact KL
divergence where they end.  "auto" should be no slower than the best of the others.
"""

import argparse
import time

from common import exact_kl, mnist_rows

from fasttsne import TSNEEmbedding, initialization
from fasttsne.affinity import PerplexityBasedNN

ROWS = (250, 500, 1000, 2000, 5000, 10_000, 20_000, 40_000, 70_000)
EXACT_UP_TO = 5000
METHODS = ("exact", "bh", "fft", "auto")


def run(start, affinities, method):
    """Seconds for 750 iterations, and the embedding."""
    embedding = TSNEEmbedding(start, affinities, negative_gradient_method=method, n_jobs=-1)
    begin = time.perf_counter()
    embedding.optimize(250, inplace=True, exaggeration=12)
    embedding.optimize(500, inplace=True)
    return time.perf_counter() - begin, embedding


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--components", type=int, default=2)
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS)
    options = parser.parse_args()
    print(f"{'rows':>7}  " + "".join(f"{m:>10} s {'KL':>8}" for m in METHODS))
    for rows in options.rows:
        X, _ = mnist_rows(rows)
        affinities = PerplexityBasedNN(X, n_jobs=-1)
        start = initialization.pca(X, options.components, random_state=0)
        line = f"{rows:7,}  "
        for method in METHODS:
            if method == "exact" and rows > EXACT_UP_TO:
                line += f"{'':>12} {'':>8}"
                continue
            seconds = []
            for _ in range(3 if rows <= 5000 else 1):
                taken, embedding = run(start, affinities, method)
                seconds.append(taken)
            median = sorted(seconds)[len(seconds) // 2]
            line += f"{median:12.2f} {exact_kl(affinities.P, embedding):8.4f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
