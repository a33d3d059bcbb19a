"""What every measure of data and a map refuses, and what few rows do."""

import numpy as np
import pytest

from fasttsne import metrics

MEASURES = {
    "neighbor_recall": lambda X, Y: metrics.neighbor_recall(X, Y, 1),
    "trustworthiness": lambda X, Y: metrics.trustworthiness(X, Y, 1),
    "continuity": lambda X, Y: metrics.continuity(X, Y, 1),
    "distance_correlation": metrics.distance_correlation,
    "density_correlation": lambda X, Y: metrics.density_correlation(X, Y, 2),
    "rank_curves": lambda X, Y: metrics.rank_curves(X, Y).auc,
    "stress": lambda X, Y: metrics.stress(X, Y).total,
    "local_distortion": lambda X, Y: metrics.local_distortion(X, Y, 4).explained[0],
    "label_agreement": lambda X, Y: (
        metrics.label_agreement(X, Y, [0, 0, 1, 1, 1][: len(Y)], 2).accuracy
    ),
}


@pytest.fixture(params=MEASURES)
def measure(request):
    return MEASURES[request.param]


@pytest.mark.parametrize("d", [2, 3])
def test_five_rows(measure, d):
    X = np.random.default_rng(0).normal(size=(5, 4))
    assert -1 <= measure(X, X[:, :d]) <= 1


def test_rows_that_do_not_match(measure):
    X = np.random.default_rng(0).normal(size=(6, 4))
    with pytest.raises(ValueError, match="embedding must have as many rows as X, 6; got 5"):
        measure(X, X[:5, :2])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_maps_with_other_than_numbers(measure, bad):
    X = np.random.default_rng(0).normal(size=(5, 4))
    Y = X[:, :2].copy()
    Y[3, 1] = bad
    with pytest.raises(ValueError, match="embedding"):
        measure(X, Y)


@pytest.mark.filterwarnings("error")
def test_maps_that_are_one_point(measure):
    X = np.random.default_rng(0).normal(size=(5, 4))
    if measure is MEASURES["stress"]:
        with pytest.raises(ValueError, match="not all equal"):
            measure(X, np.zeros((5, 2)))
    else:
        value = measure(X, np.zeros((5, 2)))
        assert np.isnan(value) or -1 <= value <= 1
