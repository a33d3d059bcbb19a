"""Time of one iteration against the number of points: per point and edge it should be flat.

    python benchmarks/scaling.py [--rows 10000 100000 1000000]

Synthetic clusters of very unequal sizes, 90 neighbours each; the map is what
50 + 150 iterations make of it.
"""

import argparse
import time

from common import clusters, peak_memory

from fasttsne import TSNEEmbedding, initialization
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.optimize.plan import resolve_method

ITERATIONS = 20


def one_iteration(embedding):
    """Seconds for an iteration, without what a call of ``optimize`` spends before and after."""
    times = []
    for n_iter in (ITERATIONS, 1):
        start = time.perf_counter()
        embedding.optimize(n_iter, inplace=True)
        times.append(time.perf_counter() - start)
    return (times[0] - times[1]) / (ITERATIONS - 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--method", default="auto")
    options = parser.parse_args()
    print(
        f"{'rows':>10} {'edges':>12} {'method':>7} {'ms':>9} {'ns a point':>11} {'ns an edge':>11}"
    )
    for rows in options.rows:
        X = clusters(rows, columns=3, n_clusters=max(rows // 1000, 10))
        affinities = PerplexityBasedNN(X, n_jobs=options.n_jobs, random_state=0)
        embedding = TSNEEmbedding(
            initialization.pca(X, random_state=0),
            affinities,
            n_jobs=options.n_jobs,
            negative_gradient_method=options.method,
        )
        embedding.optimize(50, inplace=True, exaggeration=12)
        embedding.optimize(150, inplace=True)
        seconds = [one_iteration(embedding) for _ in range(3)]
        second = sorted(seconds)[1]
        edges = affinities.P.nnz
        method = resolve_method(options.method, rows)
        print(
            f"{rows:10,} {edges:12,} {method:>7} {1e3 * second:9.2f} "
            f"{1e9 * second / rows:11.1f} {1e9 * second / edges:11.3f}   "
            f"peak {peak_memory():.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
