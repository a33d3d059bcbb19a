"""The rules, on made-up courses of a loss."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from fasttsne import TSNE
from fasttsne.datasets import load_digits
from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.stopping import (
    MAX_HALVINGS,
    Check,
    Decision,
    LossConverged,
    LossLeft,
)


def course(losses, every, std=1.0, method="exact", exaggeration=12):
    """Checks with these losses; stds and methods may be lists."""
    stds = std if isinstance(std, list) else [std] * len(losses)
    methods = method if isinstance(method, list) else [method] * len(losses)
    return [
        Check(every * i, loss, exaggeration * loss, stds[i], methods[i])
        for i, loss in enumerate(losses)
    ]


def decisions(rule, checks):
    """What the rule answers after each check."""
    return [rule.decide(checks[: i + 1]) for i in range(len(checks))]


GO, SLOW, STOP = Decision.CONTINUE, Decision.SLOW_DOWN, Decision.STOP


def test_loss_that_falls_goes_on_and_one_that_does_not_stops():
    rule = LossConverged(tol=1e-3, check_every=10)
    assert decisions(rule, course([4, 3, 2, 1.999], 10)) == [GO, GO, GO, STOP]


def test_minimum_of_iterations():
    rule = LossConverged(tol=1e-3, min_iter=30, check_every=10)
    assert decisions(rule, course([2, 2, 2, 2], 10)) == [GO, GO, GO, STOP]


def test_patience_counts_checks_in_a_row():
    rule = LossConverged(tol=1e-3, check_every=10, patience=2)
    assert decisions(rule, course([3, 3, 2, 2, 2], 10)) == [GO, GO, GO, GO, STOP]


def test_loss_that_rises_slows_the_steps_down_a_few_times():
    rule = LossConverged(tol=1e-3, check_every=10)
    rising = [1 + i for i in range(MAX_HALVINGS + 2)]
    assert decisions(rule, course(rising, 10)) == [GO, *[SLOW] * MAX_HALVINGS, STOP]


def test_a_halving_is_not_a_check_without_progress():
    rule = LossConverged(tol=1e-3, check_every=10, patience=2)
    assert decisions(rule, course([3, 3, 4, 4], 10)) == [GO, GO, SLOW, STOP]


def test_another_approximation_is_no_rise_of_the_loss():
    rule = LossConverged(tol=1e-3, check_every=10)
    switched = course([3, 3.1, 3.0, 2.0], 10, method=["fft", "bh", "bh", "bh"])
    assert decisions(rule, switched) == [GO, GO, GO, GO]
    assert decisions(rule, course([3, 3.1], 10))[-1] is SLOW


def test_what_is_left_follows_from_the_last_decrease():
    rule = LossLeft(tol=0.01)
    losses = [1 + 1 / max(t, 1) ** 2 for t in range(0, 300, 10)]  # L + c / t^2
    checks = course(losses, every=10, exaggeration=1)
    for number in range(3, 30):
        left = 1 / checks[number].iteration ** 2 / losses[number]
        assert rule.share_left(checks[: number + 1]) == pytest.approx(left)
    assert rule.share_left(checks[:2]) is None


def test_a_stage_on_trial_ends_where_it_gains_nothing():
    slow = [1 - 1e-5 * i for i in range(20)]
    fast = [1 - 1e-3 * i for i in range(20)]
    rule = LossLeft(tol=1e-6, min_iter=150, is_trial=True)
    for exaggeration in (1, 4):
        checks = course(slow, every=10, exaggeration=exaggeration)
        assert decisions(rule, checks)[:5] == [GO, GO, GO, GO, STOP]
        checks = course(fast, every=10, exaggeration=exaggeration)
        assert STOP not in decisions(rule, checks)
    usual = LossLeft(tol=1e-6, min_iter=150)
    assert STOP not in decisions(usual, course(slow, every=10, exaggeration=1))
    assert "40 iterations gain less than 0.1 %" in str(rule)
    assert "gain" not in str(usual)


def test_a_loss_that_falls_evenly_leaves_much():
    """By the law of c / t^2 it leaves little, and by that of a series several times as much."""
    rule = LossLeft(tol=0.01)
    even = course([1 - 0.004 * i for i in range(11)], every=10, exaggeration=1)
    assert rule.leaves_much(even)
    series = course([1 + 0.06 * 0.9**i for i in range(11)], every=10, exaggeration=1)
    assert rule.leaves_much(series)  # 0.021 is left
    assert not rule.leaves_much(
        course([1 + 0.03 * 0.9**i for i in range(11)], every=10, exaggeration=1)
    )
    assert not rule.leaves_much(
        course([1 + 1 / max(i, 1) ** 2 for i in range(11)], every=10, exaggeration=1)
    )
    assert not rule.leaves_much(course([1.0] * 11, every=10, exaggeration=1))
    assert not rule.leaves_much(
        course([1 + 0.01 * i for i in range(11)], every=10, exaggeration=1)
    )  # rises
    assert not rule.leaves_much(even[:4])
    methods = ["fft"] * 8 + ["bh"] * 3
    losses = [check.loss for check in even]
    assert not rule.leaves_much(course(losses, every=10, exaggeration=1, method=methods))


def test_little_left_stops_after_the_minimum():
    rule = LossLeft(tol=0.01, min_iter=30)
    flat, falling = [2, 1.999, 1.998, 1.997], [2, 1.9, 1.8, 1.7]
    assert decisions(rule, course(flat, every=10, exaggeration=1)) == [GO, GO, GO, STOP]
    assert decisions(rule, course(falling, every=10, exaggeration=1)) == [GO] * 4


def test_a_rise_of_the_loss_goes_back():
    rule = LossLeft(tol=0.05, min_iter=0)
    assert decisions(rule, course([2, 1.5, 1.51], every=10)) == [GO, GO, Decision.GO_BACK]
    assert decisions(rule, course([2, 1.5, 1.5001], every=10)) == [GO, GO, STOP]


def test_what_is_left_is_not_estimated_between_two_approximations():
    checks = course([2, 1.5, 1.55], every=10, method=["fft", "fft", "bh"], exaggeration=1)
    rule = LossLeft(tol=0.05, min_iter=0)
    assert rule.share_left(checks) is None
    assert decisions(rule, checks) == [GO] * 3
    checks = course([2, 1.5, 1.6], every=10, method=["fft", "fft", "bh"], exaggeration=1)
    assert decisions(rule, checks) == [GO, GO, Decision.GO_BACK]


@dataclass(frozen=True)
class BackOnce:
    """A rule of a user's own: at iteration 10 back to the map of iteration 5."""

    check_every: int = 5
    goes_back: ClassVar[bool] = True

    def share_left(self, checks):
        return 0.25

    def decide(self, checks):
        return Decision.GO_BACK if checks[-1].iteration == 10 else Decision.CONTINUE


def test_a_rule_of_a_users_own_goes_back():
    maps = []
    tsne = TSNE(
        early_exaggeration_iter=0,
        n_iter=(Stage(13, 1.0, 50.0, 0.8, BackOnce()),),
        random_state=0,
        callbacks=lambda iteration, error, embedding: maps.append(np.array(embedding)),
        callbacks_every_iters=1,
    )
    embedding = tsne.fit(load_digits()[0][:200])
    equal = {(i, j) for j in range(len(maps)) for i in range(j) if (maps[i] == maps[j]).all()}
    assert [j - i for i, j in equal] == [5]
    assert embedding.optimizer.loss_left == 0.25
