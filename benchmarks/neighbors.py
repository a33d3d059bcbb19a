"""Neighbour searches side by side: time to build, to answer queries, recall, peak memory.

    python benchmarks/neighbors.py [--data mnist fashion pca clusters] [--k 90]
        [--programs approx hnsw ...] [--rows 1000000]

Every program runs in a process of its own, in turn, on the same rows:

mnist      70,000 x 784 (FASTTSNE_DATA)
fashion    70,000 x 784, Fashion-MNIST (Debian's dataset-fashion-mnist, or FASHION_MNIST,
           a folder with the same four files)
pca        the first 50 principal components of mnist
clusters   --rows x 50, synthetic clusters of very unequal sizes

Recall is the share of the true neighbours of 1,000 rows, by distance.  Peak memory is that
of the process less what it held before the search, the data included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import clusters, fashion, mnist, peak_memory

from fasttsne import initialization, nearest_neighbors

QUERIES = 1000
PROGRAMS = {
    "approx": ("approx", {}),
    "approx-99": ("approx", {"recall": 0.99}),
    "exact": ("exact", {}),
    "hnsw": ("hnsw", {"ef_construction": 100, "ef": 120}),
    "hnsw-fast": ("hnsw", {"M": 12, "ef_construction": 60, "ef": 91}),
    "hnsw-lean": ("hnsw", {"M": 8, "ef_construction": 40, "ef": 91}),
    "faiss-ivf": ("faiss", {"index": "ivf", "nlist": 256, "nprobe": 16}),
    "faiss-ivf-99": ("faiss", {"index": "ivf", "nlist": 256, "nprobe": 32}),
    "faiss-flat": ("faiss", {"index": "flat"}),
    "pynndescent": ("pynndescent", {}),
    "annoy": ("annoy", {}),
    "sklearn": ("sklearn", {}),
}
SLOW = ("faiss-flat", "sklearn")


def load(name, rows):
    """The rows of a data set, float32."""
    if name == "clusters":
        return clusters(rows, n_clusters=max(rows // 2000, 50))
    if name == "fashion":
        return fashion()[0].astype(np.float32)
    X = mnist()[0].astype(np.float32)
    return initialization.principal_components(X, 50) if name == "pca" else X


def work(folder, program, k, n_jobs):
    """Run one program on the rows of a folder; print what it took as the last line."""
    method, settings = PROGRAMS[program]
    X = np.load(folder / "X.npy")
    queries = np.load(folder / "queries.npy")
    # Imports and compilation do not count.
    few = nearest_neighbors.make_index(
        method, X[:500].copy(), min(k, 20), n_jobs=n_jobs, random_state=0
    )
    few.build()
    few.query(X[:5], 3)
    before = peak_memory() - X.nbytes / 2**20
    start = time.perf_counter()
    index = nearest_neighbors.make_index(
        method, X, k, n_jobs=n_jobs, random_state=0, knn_kwargs=settings
    )
    _, distances = index.build()
    built = time.perf_counter() - start
    start = time.perf_counter()
    index.query(queries, min(k, 25))
    answered = time.perf_counter() - start
    sample, kth = np.load(folder / "sample.npy"), np.load(folder / "kth.npy")
    found = float((distances[sample] <= kth[:, None] * (1 + 1e-4)).mean())
    print(
        json.dumps(
            {"built": built, "answered": answered, "recall": found, "peak": peak_memory() - before}
        )
    )


def truth(X, k, folder, n_jobs):
    """Write a sample of rows and the distance of each one's k-th neighbour."""
    sample = np.sort(np.random.RandomState(1).permutation(len(X))[:QUERIES])
    _, distances = nearest_neighbors.Exact(X, k, n_jobs=n_jobs).query(X[sample], k + 1)
    np.save(folder / "sample.npy", sample)
    np.save(folder / "kth.npy", distances[:, -1])


def compare(name, options):
    X = load(name, options.rows)
    print(f"{name}: {X.shape[0]:,} x {X.shape[1]}, k = {options.k}, {options.n_jobs} threads")
    print(f"  {'program':14}{'build, s':>10}{'1,000 queries, s':>18}{'recall':>9}{'peak, MiB':>11}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        noise = np.random.RandomState(2).normal(0, 0.01, (QUERIES, X.shape[1]))
        np.save(folder / "X.npy", X)
        np.save(folder / "queries.npy", (X[-QUERIES:] + noise).astype(np.float32))
        truth(X, options.k, folder, options.n_jobs)
        del X
        for program in options.programs:
            order = json.dumps([str(folder), program, options.k, options.n_jobs])
            result = subprocess.run(
                [sys.executable, __file__, "--order", order], capture_output=True, text=True
            )
            if result.returncode:
                reason = result.stderr.strip().splitlines()[-1:]
                print(f"  {program:14}", *reason, flush=True)
                continue
            got = json.loads(result.stdout.splitlines()[-1])
            print(
                f"  {program:14}{got['built']:10.2f}{got['answered']:18.3f}"
                f"{got['recall']:9.4f}{got['peak']:11.0f}",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", nargs="+", default=["mnist"], choices=["mnist", "fashion", "pca", "clusters"]
    )
    parser.add_argument("--k", type=int, default=90)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--programs",
        nargs="+",
        choices=list(PROGRAMS),
        default=[name for name in PROGRAMS if name not in SLOW],
    )
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--order", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.order:
        folder, program, k, n_jobs = json.loads(options.order)
        work(Path(folder), program, k, n_jobs)
        return
    for name in options.data:
        compare(name, options)


if __name__ == "__main__":
    main()
