"""Nearly all rows find most of their neighbours, also where a mean would hide those that do not."""

import logging

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne.nearest_neighbors import Approx, approx
from fasttsne.nearest_neighbors.builtin.search_plan import RecallSample


def text(rng, n):
    """Sparse rows: 30 words each, most of them from one of 40 topics."""
    topic = np.repeat(rng.integers(40, size=n), 30)
    words = rng.integers(0, 3000, (40, 150))
    own = words[topic, (150 * rng.random(30 * n) ** 2).astype(int)]
    any_word = (3000 * rng.random(30 * n) ** 3).astype(int)
    columns = np.where(rng.random(30 * n) < 0.7, own, any_word)
    rows = np.repeat(np.arange(n), 30)
    return sp.csr_matrix((np.ones(30 * n, np.float32), (rows, columns)), shape=(n, 3000))


def two_scales(rng, n):
    X = rng.normal(size=(n, 8))
    X[n // 2 :] = np.r_[12, np.zeros(7)] + X[n // 2 :] * 1e-3
    return X


def noise_between_clusters(rng, n):
    X = rng.normal(0, 6, (30, 20))[rng.integers(30, size=n)] + rng.normal(size=(n, 20))
    X[: n // 50] = rng.uniform(-15, 15, (n // 50, 20))
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


DATA = {
    "plane": lambda rng, n: rng.random((n, 2)),
    "cauchy": lambda rng, n: rng.standard_cauchy((n, 8)),
    "noisy line": lambda rng, n: np.linspace(0, 1000, n)[:, None] / 3 + rng.normal(0, 0.5, (n, 10)),
    "lattice": lambda rng, n: np.stack(np.unravel_index(np.arange(n), (32, 32, 32)), 1),
    "two scales": two_scales,
    "noise between clusters": noise_between_clusters,
    "half duplicates": half_duplicates,
    "unequal clusters": unequal_clusters,
    "hub": hub,
    "text": text,
}


def true_recalls(index, found, rows):
    """The recall of some rows, by distances in float64."""
    true, _ = index.rows.kneighbors_of_rows(rows, index.k, 2)
    queries = index.rows.points[rows]
    farthest = index.rows.distances_to(queries, true[:, -1:], 2)
    return (index.rows.distances_to(queries, found[rows], 2) <= farthest * (1 + 1e-12)).mean(1)


def check(kind, rng, n, k):
    X = DATA[kind](rng, n)
    metric = "cosine" if kind == "text" else "euclidean"
    index = Approx(X, k, metric=metric, n_jobs=2, random_state=0)
    found, _ = index.build()
    recalls = true_recalls(index, found, np.sort(rng.permutation(n)[:2000]))
    assert index.recall_ >= 0.95
    assert recalls.mean() > 0.94
    # The search was planned on another sample: 1 %, and three standard errors of this one.
    assert np.mean(recalls < 0.8) < 0.01 + 3 * (0.01 / len(recalls)) ** 0.5
    assert len(index.recall_quantiles_) == 3
    assert list(index.recall_quantiles_) == sorted(index.recall_quantiles_)


@pytest.mark.parametrize("kind", ["plane", "cauchy", "lattice"])
def test_tail_of_the_recall(kind, rng):
    check(kind, rng, 20_000, 30)


@pytest.mark.slow
@pytest.mark.parametrize("kind", DATA)
def test_tail_of_the_recall_at_the_default_perplexity(kind, rng):
    check(kind, rng, 30_000, 90)


def test_warning_where_the_tail_is_not_reached(rng, monkeypatch, caplog):
    """A plan without the tail: what it leaves is measured, and said."""
    plans = RecallSample._reaches_for

    def without_tail(self, needed, recall):
        return (plan for plan in plans(self, needed, recall) if not plan[1])

    monkeypatch.setattr(RecallSample, "_reaches_for", without_tail)
    with caplog.at_level(logging.WARNING, logger="fasttsne"):
        index = Approx(rng.standard_cauchy((20_000, 8)), 30, random_state=0)
        index.build()
    assert index.recall_ >= 0.95
    assert "of the rows found less than 0.80 of their neighbours" in caplog.text


def test_exact_search_has_all(rng):
    index = Approx(rng.normal(size=(approx.EXACT_MAX_SAMPLES, 3)), 5, random_state=0)
    index.build()
    assert index.recall_quantiles_ == (1.0, 1.0, 1.0)
