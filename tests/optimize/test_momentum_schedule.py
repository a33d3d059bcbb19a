"""The automatic schedule without preconditioned steps: ``optimizer="momentum"``."""

import itertools
import logging

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
    return TSNEEmbedding(
        start, affinities, n_jobs=2, random_state=0, optimizer="momentum", **params
    )


@pytest.mark.parametrize("n", [10, 1_000, 10**7])
def test_all_sizes_have_one_schedule(n):
    early, main = TSNE(optimizer="momentum").plan(n).phases
    assert {stage.name for stage in early.stages} == {"annealing"}
    assert early.n_iter == 90
    inert, converging = main.stages
    assert (inert.n_iter, inert.learning_rate, inert.momentum) == (50, 2 * n, 0.96)
    assert isinstance(converging.stopping, LossLeft)
    assert not any(stage.is_preconditioned or stage.is_reserve for stage in early.stages)


def test_fewer_iterations_to_no_higher_divergence(digits, affinities):
    classical = TSNE(early_exaggeration_iter=250, n_iter=500, n_jobs=2, random_state=0)
    automatic = TSNE(optimizer="momentum", n_jobs=2, random_state=0)
    expected = classical.fit(digits, affinities=affinities)
    embedding = automatic.fit(digits, affinities=affinities)
    assert embedding.optimizer.iteration < 500
    assert embedding.kl_divergence <= 1.02 * expected.kl_divergence


def test_tolerance_of_zero_has_a_cap(affinities, digits, monkeypatch):
    monkeypatch.setattr(schedule, "MAX_ITER_FOR_TOL", 130)
    monkeypatch.setattr(schedule, "UNTANGLING_ITER", 120)
    embedding = embed(affinities, digits).optimize("auto", tol=0)
    assert embedding.optimizer.iteration == 130 + schedule.INERT_ITER


def test_rising_divergence_slows_the_steps_down(affinities, digits, caplog):
    settled = embed(affinities, digits).optimize("auto")
    reckless = settled.copy()
    with caplog.at_level(logging.INFO, logger="fasttsne.optimizer"):
        reckless.optimize("auto", inplace=True, learning_rate=300.0 * len(digits), momentum=0.99)
    assert "slowing down" in caplog.text
    assert np.isfinite(reckless).all()


def test_early_exaggeration_is_annealed():
    stages = schedule.automatic_early_exaggeration(1000, 12.0, 1.0, is_preconditioned=False)
    factors = [stage.exaggeration for stage in stages]
    assert factors[0] == 12
    assert all(1 < low < high for high, low in itertools.pairwise(factors))
    for stage in stages:
        assert stage.learning_rate == pytest.approx(1000 / stage.exaggeration)
        assert stage.momentum == 0.8


def test_explicit_settings_are_kept():
    for stage in schedule.automatic_main_phase(1000, 1.0, 77.0, 0.6, 1e-5, is_preconditioned=False):
        assert (stage.learning_rate, stage.momentum) == (77.0, 0.6)
    assert stage.stopping.tol == 1e-5
    assert stage.n_iter == schedule.MAX_ITER_FOR_TOL


def test_callbacks_count_within_each_phase(affinities, digits):
    seen = []
    TSNE(
        optimizer="momentum",
        n_jobs=2,
        random_state=0,
        callbacks=lambda it, error, y: seen.append(it),
        callbacks_every_iters=10,
    ).fit(digits, affinities=affinities)
    assert seen[:9] == list(range(10, 91, 10))
    assert seen[9:] == list(range(10, 10 * (len(seen) - 9) + 1, 10))
