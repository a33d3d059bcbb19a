"""Stages of gradient descent, for ``TSNEEmbedding.optimize`` in place of a number of iterations.

``automatic_early_exaggeration`` and ``automatic_main_phase`` make them as a fit does; None as
learning rate, momentum or tolerance is the schedule's own choice.  The other names, and "auto"
for None, are those of version 0.1.0, and make its schedule.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from typing import Any, TypeAlias

from fasttsne.optimize import momentum_schedule as of_momentum
from fasttsne.optimize import schedule
from fasttsne.optimize.schedule import automatic_early_exaggeration, automatic_main_phase
from fasttsne.optimize.stopping import (
    Collapsed,
    ExaggeratedLossConverged,
    LossConverged,
    StoppingRule,
)
from fasttsne.runtime.validation import check_choice

__all__ = [
    "LARGE",
    "MIDDLE",
    "SMALL",
    "Stage",
    "Times",
    "automatic_early_exaggeration",
    "automatic_main_phase",
    "classical",
    "early_exaggeration",
    "split_for_density",
    "times",
    "until_it_settles",
]

NumberOrAuto: TypeAlias = float | str | None

EARLY_MOST = of_momentum.MAX_EARLY_ITER
FADING_STEPS = of_momentum.N_ANNEALING_STAGES
FADING_OF_A_POINT = of_momentum.COLLAPSED_ANNEALING_ITER
FAST_LEARNING_RATE, FAST_MOMENTUM = of_momentum.FAST_LEARNING_RATE, of_momentum.FAST_MOMENTUM
MOST_ITERATIONS = of_momentum.MAX_ITER
COOLING_LEAST, COOLING_MOST = of_momentum.FINAL_MIN_ITER, of_momentum.FINAL_MAX_ITER
COOLING_MOMENTUM, COOLING_CHECK = of_momentum.FINAL_MOMENTUM, of_momentum.FINAL_CHECK_EVERY
CLASSICAL_MOMENTUM, DENSITY_SHARE = schedule.CLASSICAL_MOMENTUM, schedule.DENSITY_SHARE


@dataclass(frozen=True)
class Times:
    """Settings of the automatic schedule for data sets of one size.

    Attributes are those of ``SizeSettings`` in ``fasttsne.optimize.momentum_schedule``, by
    other names.
    """

    early: int
    early_tol: float
    fading: int
    settling: int
    least: int
    check_every: int
    patience: int
    tol: float
    cooling_tol: float


SMALL, MIDDLE, LARGE = (
    Times(*astuple(settings))
    for settings in (of_momentum.SMALL, of_momentum.MEDIUM, of_momentum.LARGE)
)


def times(n_samples: int) -> Times:
    """The settings for so many samples."""
    if n_samples < of_momentum.MEDIUM_FROM:
        return SMALL
    return MIDDLE if n_samples < of_momentum.LARGE_FROM else LARGE


@dataclass(frozen=True)
class Stage:
    """Iterations with the same settings.

    Attributes
    ----------
    n_iter : number of iterations; the maximum where ``until`` ends them.
    exaggeration : factor on the attractive forces.
    learning_rate, momentum : of each step.
    until : "settled" (the loss has converged), "parted" (the exaggerated loss has), "faded" (the
        map is collapsed), or None.  :class:`fasttsne.optimize.schedule.Stage` takes the rules
        of :mod:`fasttsne.optimize.stopping`.
    tol : decrease of the loss below which it has converged.
    least : minimum number of iterations.
    check_every, patience : iterations between two checks of the loss, and how many in a row
        have to find it converged.
    """

    n_iter: int
    exaggeration: float
    learning_rate: float
    momentum: float
    until: str | None = None
    tol: float = 0.0
    least: int = 0
    check_every: int = 25
    patience: int = 1

    name = "stage"

    def __post_init__(self) -> None:
        if self.until is not None:
            check_choice(self.until, "until", ("settled", "parted", "faded"))

    @property
    def stopping(self) -> StoppingRule | None:
        """The rule that ``until`` names."""
        if self.until == "settled" and self.check_every:
            return LossConverged(self.tol, self.least, self.check_every, self.patience)
        if self.until == "parted":
            return ExaggeratedLossConverged(self.tol, self.least, self.exaggeration)
        return Collapsed(self.least) if self.until == "faded" and self.least < self.n_iter else None


schedule.Stage.register(Stage)


def _with_old_names(stages: Iterable[schedule.Stage]) -> tuple[Stage, ...]:
    """The stages as version 0.1.0 had them."""
    old = []
    for stage in stages:
        until, rule = _UNTIL.get(stage.name), stage.stopping
        settings: dict[str, Any] = {}
        if until == "faded":
            settings = {"least": FADING_OF_A_POINT}
        elif isinstance(rule, LossConverged | ExaggeratedLossConverged):
            settings = {"tol": rule.tol, "least": rule.min_iter}
        if isinstance(rule, LossConverged):
            settings |= {"check_every": rule.check_every, "patience": rule.patience}
        old.append(
            Stage(
                stage.n_iter,
                stage.exaggeration,
                stage.learning_rate,
                stage.momentum,
                until,
                **settings,
            )
        )
    return tuple(old)


_UNTIL = {"exaggerated": "parted", "annealing": "faded", "fast": "settled", "final": "settled"}


def early_exaggeration(
    n_samples: int,
    exaggeration: float,
    final_exaggeration: float,
    learning_rate: NumberOrAuto,
    momentum: NumberOrAuto,
) -> tuple[Stage, ...]:
    """Early exaggeration until it has converged, and its annealing."""
    return _with_old_names(
        of_momentum.automatic_early_exaggeration(
            n_samples, exaggeration, final_exaggeration, _number(learning_rate), _number(momentum)
        )
    )


def until_it_settles(
    n_samples: int,
    exaggeration: float,
    learning_rate: NumberOrAuto,
    momentum: NumberOrAuto,
    tol: NumberOrAuto,
) -> tuple[Stage, ...]:
    """The main phase until the loss falls by less than ``tol`` of itself in an iteration."""
    settling, fast, final = _with_old_names(
        of_momentum.automatic_main_phase(
            n_samples, exaggeration, _number(learning_rate), _number(momentum)
        )
    )
    tol = _number(tol)
    return settling, fast if tol is None else replace(fast, tol=tol), final


def classical(
    n_iter: int,
    n_samples: int,
    exaggeration: float,
    learning_rate: NumberOrAuto,
    momentum: NumberOrAuto,
) -> tuple[Stage, ...]:
    """A given number of iterations, one stage."""
    return _with_old_names(
        schedule.classical(
            n_iter, n_samples, exaggeration, _number(learning_rate), _number(momentum)
        )
    )


def split_for_density(n_iter: int | str) -> tuple[int | str, int | str]:
    """Iterations of the main phase without and with the density term; "auto" for both."""
    return (n_iter, n_iter) if isinstance(n_iter, str) else schedule.split_for_density(n_iter)


def _number(value: NumberOrAuto) -> float | None:
    return None if isinstance(value, str) else value
