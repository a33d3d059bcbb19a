"""Rows that break approximate searches, and the share of their neighbours that one has found.

For the tests, and ``benchmarks/hostile.py``: each kind makes n rows, about, of a generator.
"""

import numpy as np
import scipy.sparse as sp

# By how much images are moved, down and to the right.
SHIFTS = (
    (0, 0),
    *((i, j) for i in (-2, 0, 2) for j in (-2, 0, 2) if i or j),
    *((i, j) for i in (-1, 0, 1) for j in (-1, 1)),
)[:14]
# The share of noise, which comes first, and what recall is measured by.
NOISE_SHARE, TAIL_RECALL, TAIL_QUANTILE = 0.02, 0.8, 0.01


def text(rng, n):
    """Sparse rows: 30 words each, most of them from one of 40 topics."""
    topic = np.repeat(rng.integers(40, size=n), 30)
    words = rng.integers(0, 3000, (40, 150))
    own = words[topic, (150 * rng.random(30 * n) ** 2).astype(int)]
    any_word = (3000 * rng.random(30 * n) ** 3).astype(int)
    columns = np.where(rng.random(30 * n) < 0.7, own, any_word)
    rows = np.repeat(np.arange(n), 30)
    return sp.csr_matrix((np.ones(30 * n, np.float32), (rows, columns)), shape=(n, 3000))


def lattice(rng, n):
    side = int(np.ceil(n ** (1 / 3)))
    return np.stack(np.unravel_index(np.arange(n), (side, side, side)), 1)


def two_scales(rng, n):
    X = rng.normal(size=(n, 8))
    X[n // 2 :] = np.r_[12, np.zeros(7)] + X[n // 2 :] * 1e-3
    return X


def noise_between_clusters(rng, n):
    X = rng.normal(0, 6, (30, 20))[rng.integers(30, size=n)] + rng.normal(size=(n, 20))
    n_noise = int(NOISE_SHARE * n)
    X[:n_noise] = rng.uniform(-15, 15, (n_noise, 20))
    return X


def half_duplicates(rng, n):
    X = rng.normal(size=(n, 10))
    X[: n // 2] = X[0]
    return X


def unequal_clusters(rng, n):
    weights = rng.pareto(1, 200) + 0.01
    clusters = rng.choice(200, n, p=weights / weights.sum())
    return rng.normal(0, 5, (200, 30))[clusters] + rng.normal(size=(n, 30))


def hub(rng, n):
    """A sphere, and its center, which is nearest to all."""
    X = rng.normal(size=(n, 30))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    X[0] = 0
    return X


def moved(images):
    """Square images, (n, side, side), as they are and moved by up to two pixels: rows."""
    parts = [np.roll(images, shift, (1, 2)).reshape(len(images), -1) for shift in SHIFTS]
    return np.concatenate(parts).astype(np.float32)


def moved_spots(rng, n):
    """Images of three blurred spots, and the same ones moved."""
    pixels = np.arange(16)
    spots = rng.uniform(3, 12, (n // len(SHIFTS), 3, 2))
    down, right = (np.exp(-((spots[..., i, None] - pixels) ** 2) / 4) for i in (0, 1))
    return moved(np.einsum("nsi,nsj->nij", down, right))


DATA = {
    "plane": lambda rng, n: rng.random((n, 2)),
    "cauchy": lambda rng, n: rng.standard_cauchy((n, 8)),
    "noisy line": lambda rng, n: np.linspace(0, 1000, n)[:, None] / 3 + rng.normal(0, 0.5, (n, 10)),
    "lattice": lattice,
    "two scales": two_scales,
    "noise between clusters": noise_between_clusters,
    "half duplicates": half_duplicates,
    "unequal clusters": unequal_clusters,
    "hub": hub,
    "text": text,
    "moved spots": moved_spots,
}


def metric_of(kind):
    return "cosine" if kind == "text" else "euclidean"


def true_recalls(index, found, rows):
    """The recall of some rows, by distances in float64."""
    true, _ = index.rows.kneighbors_of_rows(rows, index.k, 2)
    queries = index.rows.points[rows]
    farthest = index.rows.distances_to(queries, true[:, -1:], 2)
    return (index.rows.distances_to(queries, found[rows], 2) <= farthest * (1 + 1e-12)).mean(1)
