"""The plan says what the run then does."""

import dataclasses
import pickle

import numpy as np
import pytest

from fasttsne import TSNE
from fasttsne.callbacks import Callback
from fasttsne.optimize.plan import EXACT_MAX_POINTS, resolve_method


def test_numbers_are_the_classical_schedule():
    plan = TSNE(early_exaggeration_iter=250, n_iter=500).plan(1200)
    early, main = plan.phases
    assert [phase.name for phase in plan.phases] == ["early exaggeration", "main phase"]
    (stage,) = early.stages
    assert (stage.n_iter, stage.exaggeration, stage.learning_rate) == (250, 12, 100)
    (stage,) = main.stages
    assert (stage.n_iter, stage.exaggeration, stage.learning_rate, stage.momentum) == (
        500,
        1,
        1200,
        0.8,
    )
    assert not plan.may_stop_early
    assert plan.n_iter == 750


def test_every_value_is_a_number():
    plan = TSNE(density_weight=0.1, perplexity=5).plan(10_000)
    assert len(plan.phases) == 3
    assert plan.may_stop_early
    for phase in plan.phases:
        for stage in phase.stages:
            for name in ("n_iter", "exaggeration", "learning_rate", "momentum"):
                assert isinstance(getattr(stage, name), (int, float))


def test_methods():
    assert resolve_method("auto", EXACT_MAX_POINTS) == "exact"
    assert resolve_method("auto", EXACT_MAX_POINTS + 1) == "auto"
    assert resolve_method("interpolation", 100) == "fft"
    assert resolve_method("barnes-hut", 100) == "bh"


def test_a_plan_is_frozen_and_says_who_decided():
    plan = TSNE(learning_rate=300, dof=0.5).plan(900)
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.n_samples = 1
    decided = {choice.parameter: choice.decided_by for choice in plan.choices}
    assert decided["learning_rate"] == decided["dof"] == "given"
    assert decided["max_step_norm"] == "default"
    assert decided["n_iter"] == "until little of the loss is left"
    assert decided["optimizer"] == "preconditioned"
    text = str(plan)
    for word in ("900 samples", "early exaggeration", "annealing", "learning rate", "given"):
        assert word in text
    assert str(pickle.loads(pickle.dumps(plan))) == text


@pytest.mark.parametrize("n_iter", ["auto", 40])
def test_the_run_follows_the_plan(digits, n_iter):
    seen = []

    class Watcher(Callback):
        def receive_settings(self, settings):
            seen.append((settings, []))

        def __call__(self, iteration, error, embedding):
            seen[-1][1].append(iteration)

    tsne = TSNE(n_iter=n_iter, callbacks=Watcher(), callbacks_every_iters=1, random_state=0)
    tsne.fit(digits[:200])
    plan = tsne.plan(200)
    assert [phase for phase, _ in seen] == list(plan.phases)
    for phase, iterations in seen:
        assert len(iterations) <= phase.n_iter
        assert phase.may_stop_early or len(iterations) == phase.n_iter


def test_who_steps():
    def optimizers(**params):
        return [
            {stage.is_preconditioned for stage in phase.stages}
            for phase in TSNE(**params).plan(1000).phases
        ]

    both = {True, False}
    assert optimizers() == optimizers(optimizer="preconditioned") == [both, both]
    assert optimizers(optimizer="momentum") == [{False}, {False}]
    assert optimizers(n_iter=500, early_exaggeration_iter=250) == [{False}, {False}]
    assert optimizers(n_iter=500) == [both, {False}]
    assert optimizers(negative_gradient_method=lambda *args, **kwargs: None) == [{False}, {False}]


def test_preconditioned_steps_need_a_curvature():
    with pytest.raises(ValueError, match="needs the curvature of the KL divergence"):
        TSNE(optimizer="preconditioned", negative_gradient_method=np.linalg.norm).plan(100)
    with pytest.raises(ValueError, match="optimizer must be one of 'auto', 'preconditioned'"):
        TSNE(optimizer="adam").plan(100)


def test_a_wrong_parameter_is_found_before_the_data_is_looked_at():
    with pytest.raises(ValueError, match="learning_rate must be greater than 0; got -1"):
        TSNE(learning_rate=-1).plan(100)
    with pytest.raises(TypeError, match="n_samples must be an integer"):
        TSNE().plan(np.ones((3, 2)))


def test_what_no_plan_can_be_made_of_is_refused_before_the_search():
    def distance(a, b):
        raise AssertionError("the search has begun")

    tsne = TSNE(n_iter=TSNE().plan(50).phases[1].stages, density_weight=0.1, metric=distance)
    with pytest.raises(ValueError, match="n_iter must be a number or 'auto' with density_weight"):
        tsne.fit(np.eye(50))
