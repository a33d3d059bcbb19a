"""How good a map is, by measures that no program of those compared was made for alone."""

import os

import numpy as np
from common import exact_kl
from scipy.spatial import cKDTree

from fasttsne.affinity import PerplexityBasedNN
from fasttsne.metrics import neighbor_recall, trustworthiness
from fasttsne.objective.kl import kl_divergence
from fasttsne.repulsion import MeshRepulsion

# Up to so many rows neighbours are exact, and Z is that of all pairs.
ALL_PAIRS = 100_000


def affinities(X, perplexity: float = 30):
    """The P that all maps of these rows are measured against, CSR."""
    method = "exact" if len(X) <= ALL_PAIRS else "auto"
    return PerplexityBasedNN(X, perplexity, method=method, n_jobs=-1, random_state=0).P


def scores(X, labels, P, points) -> dict[str, float]:
    """The KL divergence of a map, (n, 2), and what it keeps of labels and neighbours."""
    points = np.asarray(points, float)
    return {
        "KL": _kl(P, points),
        "labels": label_accuracy(points, labels),
        "recall": neighbor_recall(X, points, k=10),
        "trust": trustworthiness(X, points, k=10),
    }


def _kl(P, points):
    if len(points) <= ALL_PAIRS:
        return exact_kl(P, points)
    n_threads = os.cpu_count() or 1
    single = np.ascontiguousarray(points, np.float32)
    return kl_divergence(P, single, MeshRepulsion(n_threads=n_threads), n_threads=n_threads)


def label_accuracy(points, labels, k: int = 10, sample: int = 10_000, seed: int = 0) -> float:
    """The share of sampled points whose label most of their k nearest others have."""
    rows = np.random.default_rng(seed).permutation(len(points))[:sample]
    _, nearest = cKDTree(points).query(points[rows], k + 1, workers=-1)
    itself = nearest == rows[:, None]
    itself[~itself.any(1), -1] = True  # among more than k that coincide
    others = labels[nearest[~itself].reshape(-1, k)]
    votes = np.apply_along_axis(np.bincount, 1, others, minlength=labels.max() + 1)
    return float((votes.argmax(1) == labels[rows]).mean())
