import dataclasses
import itertools
import logging
import pickle

import numpy as np
import pytest

from fasttsne import TSNE, TSNEEmbedding, initialization
from fasttsne import schedule as public
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.optimize import momentum_schedule as schedule
from fasttsne.optimize.stopping import Collapsed, LossLeft


@pytest.fixture(scope="module")
def affinities(digits):
    return PerplexityBasedNN(digits, 20, n_jobs=2)


def embed(affinities, digits, **params):
    start = initialization.pca(digits, random_state=0)
    return TSNEEmbedding(
        start, affinities, n_jobs=2, random_state=0, optimizer="momentum", **params
    )


@pytest.mark.parametrize("limit", [schedule.MEDIUM_FROM, schedule.LARGE_FROM])
def test_settings_change_at_their_limits_only(limit):
    tsne = TSNE(optimizer="momentum")
    stages = [tsne.plan(n).phases[0].stages[1] for n in (limit - 2, limit - 1, limit, limit + 1)]
    iterations = [stage.n_iter for stage in stages]
    assert iterations[0] == iterations[1] != iterations[2] == iterations[3]


def test_fewer_iterations_to_no_higher_divergence(digits, affinities):
    classical = TSNE(early_exaggeration_iter=250, n_iter=500, n_jobs=2, random_state=0)
    automatic = TSNE(optimizer="momentum", n_jobs=2, random_state=0)
    expected = classical.fit(digits, affinities=affinities)
    embedding = automatic.fit(digits, affinities=affinities)
    assert expected.optimizer.state.iteration == 750
    assert embedding.optimizer.state.iteration < 500
    assert embedding.kl_divergence <= 1.02 * expected.kl_divergence


def test_tolerance_of_zero_has_a_cap(affinities, digits, monkeypatch):
    monkeypatch.setattr(schedule, "MAX_ITER", 130)
    embedding = embed(affinities, digits).optimize("auto", tol=0)
    slow = schedule.SMALL.settling_iter + schedule.FINAL_MAX_ITER
    assert embedding.optimizer.state.iteration <= 130 + slow


def test_rising_divergence_slows_the_steps_down(affinities, digits, caplog):
    settled = embed(affinities, digits).optimize("auto")
    reckless = settled.copy()
    with caplog.at_level(logging.INFO, logger="fasttsne.optimizer"):
        reckless.optimize("auto", inplace=True, learning_rate=300.0 * len(digits), momentum=0.99)
    assert "slowing down" in caplog.text
    assert np.isfinite(reckless).all()


def test_early_exaggeration_is_annealed():
    stages = schedule.automatic_early_exaggeration(1000, 12.0, 1.0)
    factors = [stage.exaggeration for stage in stages]
    assert factors[0] == 12
    assert all(1 < low < high for high, low in itertools.pairwise(factors))
    for stage in stages:
        assert stage.learning_rate == pytest.approx(1000 / stage.exaggeration)
        assert stage.momentum == 0.8
    assert stages[0].stopping.min_iter == schedule.SMALL.min_early_iter
    assert all(isinstance(stage.stopping, Collapsed) for stage in stages[1:])


def test_explicit_settings_are_kept():
    *_, main, _final = schedule.automatic_main_phase(1000, 1.0, 77.0, 0.6, 1e-5)
    assert (main.learning_rate, main.momentum, main.stopping) == (77.0, 0.6, LossLeft(1e-5))
    *_, main, _final = schedule.automatic_main_phase(100_000, 4.0)
    assert (main.learning_rate, main.momentum) == (50_000.0, 0.97)
    assert main.stopping.tol == schedule.LARGE.tol


def test_callbacks_count_within_each_phase(affinities, digits):
    seen = []
    TSNE(
        optimizer="momentum",
        n_jobs=2,
        random_state=0,
        callbacks=lambda it, error, y: seen.append(it),
        callbacks_every_iters=10,
    ).fit(digits, affinities=affinities)
    second = seen.index(10, 1)
    assert seen[:second] == list(range(10, 10 * second + 1, 10))
    low, high = schedule.SMALL.min_early_iter, schedule.MAX_EARLY_ITER
    annealing = schedule.SMALL.annealing_iter * schedule.N_ANNEALING_STAGES
    assert low + annealing - 10 < seen[second - 1] <= high + annealing
    assert seen[second:] == list(range(10, 10 * (len(seen) - second) + 1, 10))


def test_early_exaggeration_waits_for_a_random_start_and_for_sheets(rng, affinities, digits):
    """A random start grows from nothing first, a line unfolds slowly, digits separate at once."""
    line = np.linspace(0, 1, 500)[:, None]
    first, *_ = schedule.automatic_early_exaggeration(500, 12.0, 1.0)
    iterations = []
    for P, start in (
        (affinities, initialization.pca(digits, random_state=0)),
        (affinities, initialization.random(500, random_state=0)),
        (PerplexityBasedNN(line, 20, n_jobs=2), initialization.pca(line, random_state=0)),
    ):
        rule = dataclasses.replace(first.stopping, min_iter=20)
        stages = (dataclasses.replace(first, stopping=rule),)
        embedding = TSNEEmbedding(start, P, n_jobs=2).optimize(stages)
        iterations.append(embedding.optimizer.state.iteration)
    assert 20 < iterations[0] < min(iterations[1:])
    assert max(iterations) <= schedule.MAX_EARLY_ITER


def test_a_collapsed_map_is_not_exaggerated_for_long(rng):
    """Noise has no clusters: its map grows only when exaggeration is over."""
    noise = rng.random((1000, 20))
    embedding = TSNEEmbedding(
        initialization.pca(noise, random_state=0), PerplexityBasedNN(noise, 30, n_jobs=2), n_jobs=2
    ).optimize(schedule.automatic_early_exaggeration(1000, 12.0, 1.0))
    annealing = schedule.N_ANNEALING_STAGES * schedule.COLLAPSED_ANNEALING_ITER
    assert embedding.optimizer.state.iteration <= 40 + annealing


def test_stages_and_settings_of_version_0_1_0_are_dataclasses():
    """As programs change them: ``dataclasses.replace``, ``asdict``, pickle."""
    first, *_ = public.early_exaggeration(500, 12.0, 1.0, "auto", "auto")
    longer = dataclasses.replace(first, least=200)
    assert (longer.until, longer.stopping.min_iter) == ("parted", 200)
    assert pickle.loads(pickle.dumps(longer)) == longer
    assert public.times(10) is public.SMALL
    assert dataclasses.asdict(public.SMALL)["fading"] == schedule.SMALL.annealing_iter
    *_, fast, _ = public.until_it_settles(500, 1.0, "auto", "auto", 1e-5)
    assert (fast.until, fast.tol, fast.patience) == ("settled", 1e-5, 2)
