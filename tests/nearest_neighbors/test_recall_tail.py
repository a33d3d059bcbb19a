"""Nearly all rows find most of their neighbours, also where a mean would hide those that do not."""

import logging

import numpy as np
import pytest
from helpers.hostile_rows import DATA, NOISE_SHARE, TAIL_RECALL, metric_of, true_recalls

from fasttsne.nearest_neighbors import Approx, approx
from fasttsne.nearest_neighbors.builtin.search_plan import RecallSample


def check(kind, rng, n, k):
    X = DATA[kind](rng, n)
    index = Approx(X, k, metric=metric_of(kind), n_jobs=2, random_state=0)
    found, _ = index.build()
    recalls = true_recalls(index, found, np.sort(rng.permutation(len(found))[:2000]))
    assert index.recall_ >= 0.95
    assert recalls.mean() > 0.94
    # The search was planned on another sample: 1 %, and three standard errors of this one.
    assert np.mean(recalls < TAIL_RECALL) < 0.01 + 3 * (0.01 / len(recalls)) ** 0.5
    assert len(index.recall_quantiles_) == 3
    assert list(index.recall_quantiles_) == sorted(index.recall_quantiles_)
    return index, found


@pytest.mark.thin(1)
@pytest.mark.parametrize("kind", ["plane", "cauchy", "lattice", "moved spots"])
def test_tail_of_the_recall(kind, rng):
    check(kind, rng, 20_000, 30)


def test_rows_between_clusters_alone(rng):
    """A hundredth of all rows may find little: no tail of all would show what these find."""
    n = 30_000
    index, found = check("noise between clusters", rng, n, 30)
    recalls = true_recalls(index, found, np.arange(int(NOISE_SHARE * n)))
    assert recalls.mean() > 0.94
    assert np.mean(recalls < TAIL_RECALL) < 0.04


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
        index = Approx(rng.random((20_000, 2)), 30, random_state=0)
        index.build()
    assert index.recall_ >= 0.95
    assert "of the rows found less than 0.80 of their neighbours" in caplog.text


def test_exact_search_has_all(rng):
    index = Approx(rng.normal(size=(approx.EXACT_MAX_SAMPLES, 3)), 5, random_state=0)
    index.build()
    assert index.recall_quantiles_ == (1.0, 1.0, 1.0)
