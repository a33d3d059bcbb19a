"""Neighbours of data that breaks searches: the share that is found, of all rows and of the worst.

    python benchmarks/hostile.py [--rows 50000] [--k 90] [--data plane text ...]

Prints, for the built-in search as "auto" takes it, of ``tests/helpers/hostile_rows.py`` and

moved digits   14 shifts of MNIST's images (FASTTSNE_DATA)
one row        all rows equal
one column     Gaussian
far columns    five columns, and others that are 1e6
wide noise     a filled cube in 1,000 dimensions; of 20,000 rows at most

seconds     of the processor, with one thread
mean        share of the true neighbours that are found, of a sample of rows: by distance
1 %         what all but a hundredth of them find at least
below .8    percent of the rows that find less
error       the largest relative error of a distance

"noise rows" are those among "noise between clusters" that are in no cluster.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse
from common import mnist
from scipy.spatial.distance import cdist

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from helpers.hostile_rows import (
    DATA,
    NOISE_SHARE,
    SHIFTS,
    TAIL_QUANTILE,
    TAIL_RECALL,
    metric_of,
    moved,
    true_recalls,
)

from fasttsne.nearest_neighbors import make_index

SAMPLE = 3000
MAX_WIDE_ROWS = 20_000


def moved_digits(rng, n):
    images = mnist()[0].reshape(-1, 28, 28)
    return moved(images[np.sort(rng.permutation(len(images))[: n // len(SHIFTS)])])


def far_columns(rng, n):
    X = rng.normal(size=(n, 60))
    X[:, 5:] = 1e6
    return X


KINDS = DATA | {
    "moved digits": moved_digits,
    "one row": lambda rng, n: np.ones((n, 50)),
    "one column": lambda rng, n: rng.normal(size=(n, 1)),
    "far columns": far_columns,
    "wide noise": lambda rng, n: rng.random((min(n, MAX_WIDE_ROWS), 1000)),
}


def measure(kind, n, k):
    """Seconds, and the recall of a sample of rows and of the noise rows; the largest error."""
    rng = np.random.default_rng(0)
    X = KINDS[kind](rng, n).astype(np.float32)
    start = time.process_time()
    index = make_index("auto", X, k, metric=metric_of(kind), n_jobs=1, random_state=0)
    indices, distances = index.build()
    seconds = time.process_time() - start
    n = X.shape[0]
    recalls = {kind: true_recalls(index, indices, np.sort(rng.permutation(n)[:SAMPLE]))}
    if kind == "noise between clusters":
        noise = np.arange(int(NOISE_SHARE * n))[:SAMPLE]
        recalls["noise rows"] = true_recalls(index, indices, noise)
    return seconds, recalls, largest_error(X, indices[0], distances[0], metric_of(kind))


def largest_error(X, indices, distances, metric):
    """The largest relative error of the first row's distances, by SciPy."""
    rows = X[np.r_[0, indices]]
    rows = (rows.toarray() if scipy.sparse.issparse(rows) else rows).astype(float)
    right = cdist(rows[:1], rows[1:], metric)[0]
    return (np.abs(distances - right) / np.maximum(right, 1e-6)).max()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--k", type=int, default=90)
    parser.add_argument("--data", nargs="+", default=list(KINDS), choices=list(KINDS))
    options = parser.parse_args()
    print(f"{'data':26}{'seconds':>8}{'mean':>8}{'1 %':>7}{'below .8':>10}{'error':>9}")
    for kind in options.data:
        seconds, recalls, error = measure(kind, options.rows, options.k)
        for name, shares in recalls.items():
            tail = np.quantile(shares, TAIL_QUANTILE)
            below = 100 * (shares < TAIL_RECALL).mean()
            print(
                f"{name:26}{seconds:8.2f}{shares.mean():8.3f}{tail:7.2f}{below:9.2f} %{error:9.0e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
