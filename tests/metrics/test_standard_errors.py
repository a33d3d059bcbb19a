"""Estimates, and whether their intervals hold: what samples say against what all rows say."""

import copy
import pickle

import numpy as np
import pytest

from fasttsne import metrics


@pytest.fixture(scope="module")
def pair():
    """Clusters in five dimensions and a noisy map of them."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 1500)
    X = rng.normal(0, 4, (4, 5))[labels] + rng.normal(0, rng.gamma(2, 0.5, (1500, 1)), (1500, 5))
    Y = X[:, :2] + rng.normal(0, 0.7, (1500, 2))
    return X.astype(np.float32), Y.astype(np.float32), labels


MEASURES = {
    "neighbor_recall": lambda X, Y, labels, **sample: metrics.neighbor_recall(X, Y, **sample),
    "trustworthiness": lambda X, Y, labels, **sample: metrics.trustworthiness(X, Y, **sample),
    "continuity": lambda X, Y, labels, **sample: metrics.continuity(X, Y, **sample),
    "spearman": lambda X, Y, labels, **sample: metrics.distance_correlation(X, Y, **sample),
    "pearson": lambda X, Y, labels, **sample: (
        metrics.distance_correlation(X, Y, "pearson", **sample)
    ),
    "density": lambda X, Y, labels, **sample: metrics.density_correlation(X, Y, **sample),
    "stress": lambda X, Y, labels, **sample: metrics.stress(X, Y, **sample).total,
    "auc": lambda X, Y, labels, **sample: metrics.rank_curves(X, Y, **sample).auc,
    "local": lambda X, Y, labels, **sample: metrics.rank_curves(X, Y, **sample).local,
    "accuracy": lambda X, Y, labels, **sample: (
        metrics.label_agreement(X, Y, labels, **sample).accuracy
    ),
    "silhouette": lambda X, Y, labels, **sample: (
        metrics.label_agreement(X, Y, labels, **sample).silhouette
    ),
}  # fmt: skip


def covered(measure, pair, seeds, sample_size=150):
    """For each seed, whether the interval of a sample holds what all rows have."""
    whole = measure(*pair, sample_size=None)
    assert whole.standard_error == 0
    found = [measure(*pair, sample_size=sample_size, random_state=seed) for seed in range(seeds)]
    return [each.interval[0] <= whole <= each.interval[1] for each in found]


@pytest.mark.parametrize("name", MEASURES)
def test_intervals_hold(pair, name):
    """95 % of them in the long run; of 40 seeds, fewer than 34 in one of 1,600 cases."""
    seeds = 12 if name in ("auc", "local") else 40
    assert np.mean(covered(MEASURES[name], pair, seeds)) >= 0.85


def test_intervals_of_silhouettes_hold_where_few_rows_are_in_a_wrong_place():
    """Two groups; one row in forty is in the other one's place."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000)
    place = np.where(rng.random(3000) < 1 / 40, 1 - labels, labels)
    points = rng.normal(0, 0.05, (3000, 2)) + place[:, None]

    def silhouette(X, Y, labels, **sample):
        return metrics.label_agreement(X, Y, labels, **sample).silhouette

    assert np.mean(covered(silhouette, (points, points, labels), 60, 100)) >= 0.9


def test_scales_of_stress(pair):
    X, Y, _ = pair
    whole = metrics.stress(X, Y, 5, sample_size=None)
    parts = [metrics.stress(X, Y, 5, sample_size=200, random_state=seed) for seed in range(20)]
    off = [np.abs(each.stress - whole.stress) / each.standard_error for each in parts]
    assert (np.array(off) < 3).mean() > 0.9


def test_an_estimate_is_a_float():
    estimate = metrics.Estimate(0.5, 0.1, [1, 3], [0.4, 0.6])
    assert estimate == 0.5
    assert type(estimate + 1) is float
    assert f"{estimate:.2f}" == "0.50"
    assert estimate.interval == pytest.approx((0.304, 0.696), abs=1e-3)
    for twin in (pickle.loads(pickle.dumps(estimate)), copy.deepcopy(estimate)):
        assert (twin, twin.standard_error) == (0.5, 0.1)
        np.testing.assert_array_equal(twin.rows, [1, 3])
        np.testing.assert_array_equal(twin.values, [0.4, 0.6])


def test_more_than_all_rows_is_all(pair):
    X, Y, labels = (each[:100] for each in pair)
    for measure in MEASURES.values():
        whole, more = (measure(X, Y, labels, sample_size=size) for size in (None, 10_000))
        assert whole == more
        assert more.standard_error == 0
