"""Fits with so many rows that threads share every parallel loop: for ``ci/sanitize.sh thread``.

    python ci/busy_threads.py

The loops of small tests are often done by one thread before the next has woken up; what the
threads then share is never seen.  Here each loop has hundreds of tasks.  What is printed is
which fit goes on, so that a report can be traced to it.
"""

import numpy as np
import scipy.sparse as sp

from fasttsne import TSNE
from fasttsne.metrics import trustworthiness

ROWS, NEW_ROWS, THREADS = 4500, 1000, 4
SHORT = {"n_jobs": THREADS, "early_exaggeration_iter": 3, "n_iter": 3, "random_state": 0}


def main():
    """Each method in one to three dimensions, each search, and what is done with maps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS + NEW_ROWS, 20)).astype(np.float32)
    X[: ROWS // 2] += 6
    for dimensions in (1, 2, 3):
        for method in ("fft", "bh", "exact"):
            print(method, "in", dimensions, "dimensions", flush=True)
            rows = X[: ROWS // 3 if method == "exact" else ROWS]
            embedding = TSNE(
                dimensions, negative_gradient_method=method, neighbors="exact", **SHORT
            ).fit(rows)
            embedding.transform(X[ROWS:])
    for neighbors, rows in (("approx", X), ("exact", sp.csr_array(X * (X > 1)))):
        print(neighbors, "neighbours of a", type(rows).__name__, flush=True)
        embedding = TSNE(neighbors=neighbors, **SHORT).fit(rows)
    print("densities", flush=True)
    TSNE(density_weight=0.1, **SHORT).fit(X)
    print("a measure of quality", flush=True)
    trustworthiness(X, embedding, n_jobs=THREADS)


if __name__ == "__main__":
    main()
