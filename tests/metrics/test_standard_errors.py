"""Estimates, and whether their intervals hold: what samples say against what all rows say."""

import copy
import pickle

import numpy as np
import pytest

from fasttsne import metrics
from fasttsne.datasets import load_digits
from fasttsne.metrics.estimate import estimate_penalized, estimate_share, estimate_share_beyond


@pytest.fixture(scope="module")
def pair():
    """Clusters in five dimensions and a noisy map of them."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 1000)
    X = rng.normal(0, 4, (4, 5))[labels] + rng.normal(0, rng.gamma(2, 0.5, (1000, 1)), (1000, 5))
    Y = X[:, :2] + rng.normal(0, 0.7, (1000, 2))
    return X.astype(np.float32), Y.astype(np.float32), labels


MEASURES = {
    "neighbor_recall": lambda X, Y, labels, **sample: metrics.neighbor_recall(X, Y, **sample),
    "trustworthiness": lambda X, Y, labels, **sample: metrics.trustworthiness(X, Y, 10, **sample),
    "continuity": lambda X, Y, labels, **sample: metrics.continuity(X, Y, 10, **sample),
    "spearman": lambda X, Y, labels, **sample: metrics.distance_correlation(X, Y, **sample),
    "pearson": lambda X, Y, labels, **sample: metrics.distance_correlation(
        X, Y, "pearson", **sample
    ),
    "density": lambda X, Y, labels, **sample: metrics.density_correlation(X, Y, **sample),
    "stress": lambda X, Y, labels, **sample: metrics.stress(X, Y, **sample).total,
    "rank_area": lambda X, Y, labels, **sample: metrics.rank_curves(X, Y, **sample).auc,
    "accuracy": lambda X, Y, labels, **sample: (
        metrics.label_agreement(X, Y, labels, **sample).accuracy
    ),
    "silhouette": lambda X, Y, labels, **sample: (
        metrics.label_agreement(X, Y, labels, **sample).silhouette
    ),
}
# Few rows decide these.
OF_RARE = "trustworthiness", "continuity", "stress"


def covered(measure, pair, seeds, sample_size):
    """For each seed, whether the interval of a sample holds what all rows have."""
    whole = measure(*pair, sample_size=None)
    assert whole.standard_error == 0
    found = [measure(*pair, sample_size=sample_size, random_state=seed) for seed in range(seeds)]
    return [each.interval[0] <= whole <= each.interval[1] for each in found]


# ``benchmarks/coverage.py`` has more data sets, sizes and seeds.
@pytest.mark.thin(3)
@pytest.mark.parametrize(
    ("name", "sample_size", "seeds"),
    [
        *((name, 40, 50) for name in MEASURES if name not in OF_RARE),
        *((name, 200, 30) for name in OF_RARE),
    ],
)
def test_intervals_hold(pair, name, sample_size, seeds):
    """95 % of them in the long run; less than the bound in one of 1,000 cases."""
    seeds = 30 if name.startswith("rank") else seeds
    bound = 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / seeds)
    assert np.mean(covered(MEASURES[name], pair, seeds, sample_size)) >= bound


@pytest.fixture(scope="module")
def values(pair):
    """What rows have: of the clusters, and penalties of few rows of digits."""
    X, Y, _ = pair
    pixels = load_digits()[0].astype(np.float32)
    flat = np.linalg.svd(pixels - pixels.mean(0), full_matrices=False)[0][:, :2]
    rng = np.random.default_rng(1)
    return {
        "neighbor_recall": metrics.neighbor_recall(X, Y, 10, sample_size=None).values,
        "trustworthiness": metrics.trustworthiness(X, Y, 10, sample_size=None).values,
        "continuity": metrics.continuity(X, Y, 10, sample_size=None).values,
        "continuity of digits": metrics.continuity(pixels, flat, 10, sample_size=None).values,
        "skewed": 1 - np.minimum(rng.lognormal(-6, 1.6, 1800), 1),
    }


VALUES = "neighbor_recall", "trustworthiness", "continuity", "continuity of digits", "skewed"


@pytest.mark.parametrize(("name", "m"), [*((name, 200) for name in VALUES), ("skewed", 600)])
def test_intervals_of_means_hold_and_are_not_too_wide(values, name, m):
    """Of the skewed values, those of a plain standard error hold in 83 % of samples of 200."""
    n, whole, rng = len(values[name]), values[name].mean(), np.random.default_rng(0)
    held = []
    for _ in range(1000):
        rows = rng.permutation(n)[:m]
        low, high = estimate_penalized(values[name][rows], rows, n, 10).interval
        held.append(low <= whole <= high)
    assert 0.91 <= np.mean(held) <= 0.985


@pytest.mark.parametrize("share", [0.006, 0.03, 0.5])
@pytest.mark.parametrize("m", [40, 200, 600])
def test_intervals_of_shares_hold(share, m):
    is_so, rng = np.arange(1200) < 1200 * share, np.random.default_rng(0)
    held = []
    for _ in range(500):
        rows = rng.permutation(1200)[:m]
        found = estimate_share(is_so[rows], rows, 1200)
        assert found.standard_error > 0
        held.append(found.interval[0] <= is_so.mean() <= found.interval[1])
    assert np.mean(held) >= 0.92


@pytest.mark.parametrize("m", [40, 200, 600])
def test_intervals_of_shares_beyond_a_multiple_of_the_median_hold(m):
    """Where many values are about the limit, the median of the sample decides over the share."""
    rng = np.random.default_rng(0)
    values = np.r_[rng.normal(1, 0.5, 1100), rng.normal(5, 0.5, 100)]
    whole = (values > 5 * np.median(values)).mean()
    held = []
    for _ in range(500):
        rows = rng.permutation(1200)[:m]
        found = estimate_share_beyond(values[rows], 5, rows, 1200)
        held.append(found.interval[0] <= whole <= found.interval[1])
    assert np.mean(held) >= 0.92


def test_the_parts_of_rank_curves_have_no_error(pair):
    X, Y, _ = pair
    sampled, whole = (metrics.rank_curves(X, Y, sample_size=size) for size in (300, None))
    for name in ("local", "global_"):
        assert np.isnan(getattr(sampled, name).standard_error)
        assert getattr(whole, name).standard_error == 0


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("sample_size", [2, 3, 29])
def test_errors_of_few_rows_are_not_known(pair, name, sample_size):
    error = MEASURES[name](*pair, sample_size=sample_size).standard_error
    assert error > 0 if name == "accuracy" else np.isnan(error)


def test_errors_that_few_rows_decide_are_not_known_of_fewer_than_two_hundred(pair):
    X, Y, _ = pair
    for name in OF_RARE:
        assert np.isnan(MEASURES[name](*pair, sample_size=199).standard_error)
        assert MEASURES[name](*pair, sample_size=200).standard_error > 0
    curves = metrics.rank_curves(X, Y, 5, sample_size=399)
    assert np.isnan(curves.trustworthiness.standard_error)
    assert curves.neighbor_recall.standard_error > 0
    assert metrics.trustworthiness(X, Y, 5, sample_size=400).standard_error > 0


def test_two_rows_have_no_correlation_and_no_stress(pair):
    X, Y, _ = pair
    assert np.isnan(metrics.density_correlation(X, Y, sample_size=2))
    assert np.isnan(metrics.stress(X, Y, sample_size=2).total)
    assert metrics.stress(X[:2], Y[:2]).total == pytest.approx(0, abs=1e-6)


def test_a_sample_in_which_all_rows_are_equal_has_an_error(pair):
    X = pair[0]
    found = metrics.neighbor_recall(X, X, sample_size=300)
    assert found == 1
    assert 0.001 < found.standard_error < 0.01
    assert metrics.neighbor_recall(X, X, sample_size=None).standard_error == 0


def test_intervals_of_silhouettes_hold_where_few_rows_are_in_a_wrong_place():
    """Two groups; one row in forty is in the other one's place."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 2000)
    place = np.where(rng.random(2000) < 1 / 40, 1 - labels, labels)
    points = rng.normal(0, 0.05, (2000, 2)) + place[:, None]

    def silhouette(X, Y, labels, **sample):
        return metrics.label_agreement(X, Y, labels, **sample).silhouette

    assert np.mean(covered(silhouette, (points, points, labels), 40, 100)) >= 0.9


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
