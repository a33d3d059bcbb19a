"""Data of known shape and any number of rows, beside images: KIND-ROWS is a name.

digits, mnist, fashion   images; samples differ in the rows where there are more
roll, line               a Swiss roll, evenly filled, in 3 dimensions; a line in 2
branches                 6 random walks in 20 dimensions, with noise
clusters                 12 Gaussian clusters in 10 dimensions
uneven                   clusters of very unequal sizes in 50 dimensions: as in million.py
noise                    a filled cube in 20 dimensions
duplicates               a Gaussian in 10 dimensions; half of the rows are the same

Each kind makes rows, and labels (integers) or positions along them (floats), from a number of
rows and a seed.
"""

from functools import partial

import numpy as np
from common import fashion, labelled_clusters, mnist

from fasttsne.datasets import load_digits


def make(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, float32, and labels or positions."""
    kind, rows = name.split("-")
    X, labels = KINDS[kind](int(rows), seed)
    return np.ascontiguousarray(X, np.float32), labels


def images(load, rows, seed):
    X, labels = load()
    chosen = np.random.RandomState(seed).permutation(len(X))[:rows]
    return X[chosen], labels[chosen]


def roll(rows, seed):
    u, v = np.random.default_rng(seed).random((rows, 2)).T
    t = 1.5 * np.pi * (1 + 2 * u)
    return np.stack([t * np.cos(t), 21 * v, t * np.sin(t)], 1), t


def line(rows, seed):
    t = np.random.default_rng(seed).random(rows)
    return np.stack([t, np.zeros(rows)], 1), t


def branches(rows, seed, n_branches=6, steps=200):
    rng = np.random.default_rng(seed)
    paths = np.cumsum(0.3 * rng.normal(size=(n_branches, steps, 20)), 1)
    branch = rng.integers(n_branches, size=rows)
    centres = paths[branch, rng.integers(steps, size=rows)]
    return centres + 0.25 * rng.normal(size=(rows, 20)), branch


def clusters(rows, seed, n_clusters=12):
    rng = np.random.default_rng(seed)
    centres = 3 * rng.normal(size=(n_clusters, 10))
    label = rng.integers(n_clusters, size=rows)
    return centres[label] + rng.normal(size=(rows, 10)), label


def uneven(rows, seed):
    return labelled_clusters(rows, n_clusters=max(rows // 2000, 50), seed=seed)


def noise(rows, seed):
    return np.random.default_rng(seed).random((rows, 20)), np.zeros(rows, int)


def duplicates(rows, seed):
    X = np.random.default_rng(seed).normal(size=(rows, 10))
    X[::2] = X[0]
    return X, np.arange(rows) % 2


KINDS = {
    "digits": partial(images, load_digits),
    "mnist": partial(images, mnist),
    "fashion": partial(images, fashion),
    "roll": roll,
    "line": line,
    "branches": branches,
    "clusters": clusters,
    "uneven": uneven,
    "noise": noise,
    "duplicates": duplicates,
}
