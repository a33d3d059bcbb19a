import itertools

import numpy as np
import pytest

from fasttsne import TSNE, TSNEEmbedding, initialization
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.optimize import schedule
from fasttsne.optimize.stopping import LossLeft


@pytest.fixture(scope="module")
def affinities(digits):
    return PerplexityBasedNN(digits, 20, n_jobs=2)


def embed(affinities, digits, **params):
    start = initialization.pca(digits, random_state=0)
    return TSNEEmbedding(start, affinities, n_jobs=2, random_state=0, **params)


def test_fewer_iterations_to_no_higher_divergence(digits, affinities):
    classical = TSNE(early_exaggeration_iter=250, n_iter=500, n_jobs=2, random_state=0)
    automatic = TSNE(n_jobs=2, random_state=0)
    expected = classical.fit(digits, affinities=affinities)
    embedding = automatic.fit(digits, affinities=affinities)
    assert expected.optimizer.state.iteration == 750
    assert embedding.optimizer.state.iteration < 300
    assert embedding.kl_divergence < expected.kl_divergence


def test_numbers_give_exactly_the_classical_schedule(digits, affinities):
    fitted = TSNE(early_exaggeration_iter=30, n_iter=40, n_jobs=2, random_state=0).fit(
        digits, affinities=affinities
    )
    by_hand = embed(affinities, digits)
    n = len(digits)
    by_hand.optimize(30, inplace=True, exaggeration=12, momentum=0.8, learning_rate=n / 12)
    by_hand.optimize(40, inplace=True, momentum=0.8, learning_rate=n)
    np.testing.assert_array_equal(fitted, by_hand)
    stages = (schedule.Stage(30, 12.0, n / 12, 0.8), schedule.Stage(40, 1.0, float(n), 0.8))
    np.testing.assert_array_equal(fitted, embed(affinities, digits).optimize(stages))


def test_smaller_tolerance_goes_on_toward_the_minimum(digits, affinities):
    loose, tight = (
        TSNE(tol=tol, n_jobs=2, random_state=0).fit(digits, affinities=affinities)
        for tol in (0.05, 1e-5)
    )
    assert loose.optimizer.state.iteration < tight.optimizer.state.iteration
    assert tight.kl_divergence < loose.kl_divergence


def test_optimizing_again_goes_on_with_the_state(affinities, digits):
    embedding = embed(affinities, digits).optimize("auto")
    before = embedding.optimizer.state.iteration
    again = embedding.optimize("auto")
    assert again.optimizer.state.iteration > before
    assert again.kl_divergence <= embedding.kl_divergence + 1e-3


def test_threads_do_not_change_bits(affinities, digits):
    maps = {TSNE(n_jobs=n, random_state=0).fit(digits, affinities).tobytes() for n in (1, 2, 3)}
    assert len(maps) == 1


@pytest.mark.parametrize("rows", [5, 30])
def test_few_rows(rng, rows):
    embedding = TSNE(perplexity=1.5, random_state=0).fit(rng.normal(0, 1, (rows, 3)))
    assert np.isfinite(embedding).all()


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"tol": -1}, ValueError, "tol must be at least 0; got -1"),
        ({"tol": "small"}, ValueError, "tol must be a number or 'auto'; got 'small'"),
        (
            {"n_iter": "many"},
            ValueError,
            "n_iter must be an integer or 'auto' or a tuple of stages",
        ),
        (
            {"final_momentum": "high"},
            ValueError,
            "final_momentum must be a number or 'auto'; got 'high'",
        ),
    ],
)
def test_bad_parameters(digits, params, error, message):
    with pytest.raises(error, match=message):
        TSNE(**params).fit(digits)


def test_tolerance_of_zero_has_a_cap(affinities, digits, monkeypatch):
    monkeypatch.setattr(schedule, "MAX_ITER_FOR_TOL", 130)
    embedding = embed(affinities, digits).optimize("auto", tol=0)
    others = schedule.INERT_ITER + schedule.SETTLING_ITER
    assert embedding.optimizer.state.iteration <= 130 + others


def test_early_exaggeration_is_annealed():
    arranging, *annealing = schedule.automatic_early_exaggeration(1000, 12.0, 1.0)
    assert arranging.is_preconditioned
    factors = [stage.exaggeration for stage in annealing]
    assert factors[0] == arranging.exaggeration == 12
    assert all(1 < low < high for high, low in itertools.pairwise(factors))
    for stage in annealing:
        assert stage.learning_rate == pytest.approx(1000 / stage.exaggeration)
        assert stage.momentum == 0.8


def test_explicit_settings_are_kept():
    inert, converging, settling = schedule.automatic_main_phase(1000, 1.0, 77.0, 0.6, 1e-5)
    assert (inert.learning_rate, inert.momentum) == (77.0, 0.6)
    assert converging.stopping == LossLeft(1e-5)
    assert converging.is_preconditioned
    assert settling.is_preconditioned
    inert, *_ = schedule.automatic_main_phase(1000, 4.0)
    assert inert.learning_rate == 500


@pytest.mark.parametrize("n", [10, 4_999, 5_000, 29_999, 30_000, 10**7])
def test_no_size_has_a_schedule_of_its_own(n):
    shapes = {
        tuple((stage.n_iter, stage.momentum, stage.stopping) for stage in phase.stages)
        for phase in TSNE().plan(n).phases
    }
    expected = {
        tuple((stage.n_iter, stage.momentum, stage.stopping) for stage in phase.stages)
        for phase in TSNE().plan(1_000).phases
    }
    assert shapes == expected


@pytest.mark.parametrize("start", ["pca", "random", "spectral"])
def test_a_sheet_unfolds_from_any_start(start):
    """A rolled sheet: what is far apart on it is far apart in the map."""
    rng = np.random.default_rng(0)
    t = 1.5 * np.pi * (1 + 2 * rng.random(1500))
    roll = np.c_[t * np.cos(t), 21 * rng.random(1500), t * np.sin(t)]
    embedding = TSNE(initialization=start, n_jobs=2, random_state=0).fit(roll)
    assert embedding.kl_divergence < 0.6
    if start != "random":
        a, b = rng.integers(1500, size=(2, 5000))
        distance = np.linalg.norm(embedding[a] - embedding[b], axis=1)
        assert np.corrcoef(abs(t[a] - t[b]), distance)[0, 1] > 0.8
