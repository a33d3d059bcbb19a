import itertools

import numpy as np
import pytest

from fasttsne import TSNE, TSNEEmbedding, initialization
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.optimize import schedule
from fasttsne.optimize.plan import resolve_phase
from fasttsne.optimize.stopping import LOSS_LEFT, LossLeft


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
    embedding = TSNE(perplexity=1.3, random_state=0).fit(rng.normal(0, 1, (rows, 3)))
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
    inert, converging, untangling, settling = schedule.automatic_main_phase(
        1000, 1.0, 77.0, 0.6, 1e-5
    )
    for plain in inert, untangling:
        assert (plain.learning_rate, plain.momentum) == (77.0, 0.6)
    assert converging.stopping == LossLeft(1e-5)
    assert converging.is_preconditioned
    assert settling.is_preconditioned
    inert, *_ = schedule.automatic_main_phase(1000, 4.0)
    assert inert.learning_rate == 500


def shapes(n):
    """What the stages of a fit are, without the one in reserve."""
    return {
        tuple((s.n_iter, s.momentum, s.stopping) for s in phase.stages if not s.is_reserve)
        for phase in TSNE().plan(n).phases
    }


@pytest.mark.parametrize("n", [10, 4_999, 5_000, 29_999, 30_000, 10**7])
def test_no_size_has_a_schedule_of_its_own(n):
    assert shapes(n) == shapes(1_000)


def test_the_plan_says_what_is_in_reserve():
    plan = TSNE().plan(100_000)
    assert plan.n_iter == TSNE().plan(100_001).n_iter == 276
    assert "at most 276 iterations, and 1,000 in reserve" in str(plan)
    assert "(only where more than 1.5 % of the loss is left)" in str(plan)
    assert "reserve" not in str(TSNE().plan(100_001))


def repeated_rows(n_copies, n_clusters=1, seed=0):
    rng = np.random.RandomState(seed)
    rows = rng.randn(160, 8) * 100
    rows += np.repeat(rng.randn(n_clusters, 8) * 2000, 160 // n_clusters, 0)
    return np.repeat(rows, n_copies, axis=0)


@pytest.mark.thin(1)
@pytest.mark.parametrize(("n_copies", "n_clusters"), [(5, 1), (5, 4), (3, 4)])
def test_rows_that_are_there_several_times(n_copies, n_clusters, caplog):
    """Their islands are in each other's way: the loss goes on falling, and so does the descent."""
    X = repeated_rows(n_copies, n_clusters)
    order = np.random.default_rng(0).permutation(len(X))
    embedding = TSNE(perplexity=5, random_state=0).fit(X[order])
    momentum = TSNE(perplexity=5, random_state=0, optimizer="momentum").fit(X[order])
    assert 276 < embedding.optimizer.iteration <= 1276
    assert embedding.kl_divergence < 1.15 * momentum.kl_divergence
    # The log says what a report does.
    says = [record for record in caplog.records if "ended at its limit" in record.getMessage()]
    assert bool(says) == (embedding.optimizer.loss_left > LOSS_LEFT)


@pytest.mark.parametrize("perplexity", [5, 30])
def test_nothing_is_untangled_where_the_loss_ends_as_it_should(digits, perplexity, caplog):
    embedding = TSNE(perplexity=perplexity, random_state=0).fit(digits)
    assert embedding.optimizer.iteration <= 276
    assert not caplog.records


@pytest.mark.slow
def test_a_state_in_the_reserve_is_continued_to_the_bit():
    """From the last iterations before it, within it and after it."""
    X = repeated_rows(5)[:400]
    affinities = PerplexityBasedNN(X, 5, random_state=0)
    start = TSNE(n_iter=0, random_state=0).fit(affinities=affinities)
    phase = resolve_phase("main phase", "auto", start.all_params(), len(start))

    class Every:
        def __init__(self):
            self.states = []

        def is_due(self):
            return True

        def save(self, state):
            self.states.append(state)

    whole, saver = start.copy(), Every()
    whole.run(phase, saver=saver)
    stages = [state.stage for state in saver.states]
    assert set(stages) == {0, 1, 2, 3}
    for stage in 1, 2, 3:
        first = stages.index(stage)
        for state in saver.states[first : first + 200 : 70]:
            again = start.copy().run(phase, resume_from=state)
            np.testing.assert_array_equal(np.asarray(again), np.asarray(whole))
            assert again.optimizer.iteration == whole.optimizer.iteration


@pytest.mark.thin(1)
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
