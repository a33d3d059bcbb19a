"""Neighbours of data that breaks searches: each case against SciPy on a sample of rows.

    python benchmarks/hostile.py

Prints, for the built-in search as "auto" takes it: seconds, the share of the sample's
neighbours that are as near as the true ones, and the largest relative error of a distance.
"""

import argparse
import time

import numpy as np
import scipy.sparse
from scipy.spatial.distance import cdist

from fasttsne.nearest_neighbors import make_index

SAMPLE = 200


def cases(rng):
    """Name, data and k of each case."""
    yield "all rows equal", np.ones((20_000, 50), np.float32), 90
    half = rng.normal(size=(20_000, 50)).astype(np.float32)
    half[::2] = half[0]
    yield "half of the rows equal", half, 90
    yield "10 rows and k = 9", rng.normal(size=(10, 5)), 9
    yield "one column", rng.normal(size=(50_000, 1)), 90
    constant = rng.normal(size=(20_000, 60)).astype(np.float32)
    constant[:, 5:] = 1e6
    yield "constant columns far out", constant, 90
    yield "uniform noise, 1,000 columns", rng.random((20_000, 1000)).astype(np.float32), 90
    rows = np.repeat(np.arange(100_000), 50)
    columns = rng.integers(30_000, size=len(rows))
    values = rng.gamma(2, 1, len(rows)).astype(np.float32)
    sparse = scipy.sparse.coo_matrix((values, (rows, columns)), shape=(100_000, 30_000))
    yield "sparse 100,000 x 30,000, 50 non-zeros a row", sparse.tocsr(), 90


def true_distances(data, rows, k):
    """Distances of the k nearest others of some rows, in double precision."""
    if scipy.sparse.issparse(data):
        chosen, data = data[rows].astype(float), data.astype(float)
        square = np.asarray(data.multiply(data).sum(1)).ravel()
        found = np.sqrt(
            np.maximum(square[rows][:, None] + square - 2 * (chosen @ data.T).toarray(), 0)
        )
    else:
        found = cdist(data[rows].astype(float), data.astype(float))
    found[np.arange(len(rows)), rows] = np.inf
    return np.sort(np.partition(found, k - 1, axis=1)[:, :k], axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-jobs", type=int, default=2)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"{'case':46}{'seconds':>9}{'recall':>9}{'error':>10}")
    for name, data, k in cases(rng):
        start = time.perf_counter()
        index = make_index("auto", data, k, n_jobs=options.n_jobs, random_state=0)
        indices, distances = index.build()
        seconds = time.perf_counter() - start
        n = data.shape[0]
        rows = np.sort(rng.permutation(n)[:SAMPLE])
        true = true_distances(data, rows, k)
        found = distances[rows].astype(float)
        recall = (found <= true[:, -1:] * (1 + 1e-5) + 1e-6).mean()
        right = np.linalg.norm(_dense(data[rows[0]]) - _dense(data[indices[rows[0]]]), axis=1)
        error = (np.abs(found[0] - right) / np.maximum(right, 1e-6)).max()
        assert not (indices == np.arange(n)[:, None]).any()
        assert (np.sort(indices[rows]) != np.roll(np.sort(indices[rows]), 1, 1)).all()
        print(f"{name:46}{seconds:9.2f}{recall:9.4f}{error:10.1e}", flush=True)


def _dense(rows):
    return rows.toarray() if scipy.sparse.issparse(rows) else np.atleast_2d(rows).astype(float)


if __name__ == "__main__":
    main()
