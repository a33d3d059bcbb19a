"""The stages of a run: how many iterations, how long their steps, how exaggeration ends.

The classical schedule has given numbers of iterations, momentum 0.8 and a sudden end of early
exaggeration (van der Maaten & Hinton 2008; Belkina et al. 2019).

The automatic one comes much closer to the minimum in fewer iterations.  Arrangement comes first,
convergence last: preconditioned steps move neighbourhoods as a whole, single points get past
others only while exaggeration falls slowly, or by the inertia of plain steps with much momentum,
and what is misplaced when convergence begins stays so.  Its stages:

- arranging: preconditioned steps with full exaggeration make the long waves of the map, which a
  start lacks;
- annealing: plain steps, while exaggeration falls from level to level;
- inert: plain steps with much momentum, in which points pass through each other;
- converging: preconditioned steps, until little of the loss is left (``LossLeft``);
- untangling: plain steps with momentum, only where much of the loss is left after that, as for rows
  that are there several times, whose islands are in each other's way;
- settling: the same with short steps, in which the last oscillations end.

Without preconditioned steps (``optimizer="momentum"``, and objectives whose curvature is not known)
it is annealing, inert, and plain steps with momentum in place of converging and settling.

All is the same for any number of points.  Measured by benchmarks/convergence.py.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from fasttsne.optimize.stopping import LossLeft, StoppingRule

# The factor of early exaggeration (Belkina et al. 2019).
EARLY_EXAGGERATION = 12.0
ARRANGING_ITER = 20
# Fewer levels, or iterations of each, leave more points among strangers.
ANNEALING_LEVELS, ANNEALING_ITER = 24, 4
# The same without preconditioned steps.
MOMENTUM_ANNEALING_LEVELS, MOMENTUM_ANNEALING_ITER = 18, 5
# A learning rate in units of n.
INERT_ITER, INERT_LEARNING_RATE, INERT_MOMENTUM = 50, 2.0, 0.96
# Converging iterations: large sheets at a small perplexity still unfold after 1,000, slowly.
MAX_ITER, MAX_ITER_FOR_TOL = 100, 5000
SETTLING_ITER = 10
# In reserve: with more momentum, or preconditioned, islands of equal rows come by each other later.
UNTANGLING_MIN_ITER, UNTANGLING_ITER = 150, 1000
UNTANGLING_LEARNING_RATE, UNTANGLING_MOMENTUM = 2.0, 0.9
# In larger maps the loss falls slowly because sheets unfold: preconditioned steps do that better.
UNTANGLING_MAX_POINTS = 100_000
# Preconditioned steps: with 0.9 a few of the islands of a map, between which only repulsion acts,
# begin to oscillate after a hundred steps; the loop halves it then.
STEP, STEP_MOMENTUM = 0.9, 0.9
SETTLING_STEP, SETTLING_MOMENTUM = 0.4, 0.5
# How many times stronger a global structure is before points converge: the arrangement that it
# asks for stays, most of it, under a weak one, which leaves neighbours where they are.
STRUCTURE_FACTOR = 10.0
# The share of the loss that may be left.
TOL = 0.01

CLASSICAL_MOMENTUM = 0.8
CLASSICAL_EARLY_ITER = 250
# The share of the main phase, at its end, that has the density term (Narayan et al. 2021).
DENSITY_SHARE = 0.3


@dataclass(frozen=True)
class Stage:
    """Iterations with the same settings.

    Attributes
    ----------
    n_iter : number of iterations; the maximum where there is a stopping rule.
    exaggeration : factor on the attractive forces.
    learning_rate, momentum : of each step.  In a preconditioned stage the former is divided by the
        largest eigenvalue of the preconditioned curvature.
    stopping : a rule of :mod:`fasttsne.optimize.stopping`, or None.
    name : what the stage is for.
    is_preconditioned : whether steps are preconditioned (``docs/math.rst``), without gains.
    starts_anew : whether the speed and the gains of the stage before are dropped.
    structure_factor : by which the weight ``global_structure`` is multiplied in this stage.
    is_reserve : whether it is run only where the stage before ends with much of the loss left.
    """

    n_iter: int
    exaggeration: float
    learning_rate: float
    momentum: float
    stopping: StoppingRule | None = None
    name: str = "constant"
    is_preconditioned: bool = False
    starts_anew: bool = False
    structure_factor: float = 1.0
    is_reserve: bool = False


# Iterations of a phase: a number, "auto", or stages.
Iterations: TypeAlias = int | str | tuple[Stage, ...]


def default_learning_rate(n_samples: int, exaggeration: float) -> float:
    """n / exaggeration (Belkina et al. 2019)."""
    return n_samples / exaggeration


def automatic_early_exaggeration(
    n_samples: int,
    exaggeration: float,
    final_exaggeration: float,
    learning_rate: float | None = None,
    momentum: float | None = None,
    is_preconditioned: bool = True,
) -> tuple[Stage, ...]:
    """Return early exaggeration and its annealing to ``final_exaggeration``.

    Parameters
    ----------
    n_samples : number of rows.
    learning_rate, momentum : of the plain steps; None is the schedule's own.
    is_preconditioned : whether preconditioned steps are taken before the plain ones.
    """
    levels, n_iter = MOMENTUM_ANNEALING_LEVELS, MOMENTUM_ANNEALING_ITER
    arranging: tuple[Stage, ...] = ()
    if is_preconditioned:
        levels, n_iter = ANNEALING_LEVELS, ANNEALING_ITER
        stage = _preconditioned(ARRANGING_ITER, exaggeration, "arranging")
        arranging = (replace(stage, structure_factor=STRUCTURE_FACTOR),)
    annealing = (
        Stage(
            n_iter,
            float(factor),
            float(learning_rate or default_learning_rate(n_samples, factor)),
            CLASSICAL_MOMENTUM if momentum is None else momentum,
            None,
            "annealing",
            structure_factor=STRUCTURE_FACTOR,
        )
        for factor in np.geomspace(exaggeration, final_exaggeration, levels + 1)[:-1]
    )
    return (*arranging, *annealing)


def automatic_main_phase(
    n_samples: int,
    exaggeration: float,
    learning_rate: float | None = None,
    momentum: float | None = None,
    tol: float | None = None,
    is_preconditioned: bool = True,
) -> tuple[Stage, ...]:
    """Return the main phase until little of the loss is left.

    Parameters
    ----------
    n_samples : number of rows.
    learning_rate, momentum : of the plain steps; None is the schedule's own.
    tol : the share of the loss that may be left, for which the converging stage may take 5,000
        iterations; None is 0.01, and 100 iterations, or 1,000 plain ones.
    is_preconditioned : whether converging and settling steps are preconditioned.
    """
    usual = default_learning_rate(n_samples, exaggeration)
    inert = Stage(
        INERT_ITER,
        exaggeration,
        float(INERT_LEARNING_RATE * usual if learning_rate is None else learning_rate),
        INERT_MOMENTUM if momentum is None else momentum,
        None,
        "inert",
        starts_anew=True,
        structure_factor=STRUCTURE_FACTOR,
    )
    max_iter = MAX_ITER if tol is None else MAX_ITER_FOR_TOL
    tol = TOL if tol is None else tol
    plain = Stage(
        UNTANGLING_ITER,
        exaggeration,
        float(UNTANGLING_LEARNING_RATE * usual if learning_rate is None else learning_rate),
        UNTANGLING_MOMENTUM if momentum is None else momentum,
        LossLeft(tol, UNTANGLING_MIN_ITER, is_trial=is_preconditioned),
        "untangling",
        starts_anew=True,
        is_reserve=True,
    )
    if not is_preconditioned:
        n_iter = max(max_iter, UNTANGLING_ITER)
        return inert, replace(plain, n_iter=n_iter, name="converging", is_reserve=False)
    return (
        inert,
        _preconditioned(max_iter, exaggeration, "converging", LossLeft(tol)),
        *([plain] if n_samples <= UNTANGLING_MAX_POINTS else []),
        _preconditioned(
            SETTLING_ITER, exaggeration, "settling", None, SETTLING_STEP, SETTLING_MOMENTUM
        ),
    )


def _preconditioned(
    n_iter: int,
    exaggeration: float,
    name: str,
    stopping: StoppingRule | None = None,
    step: float = STEP,
    momentum: float = STEP_MOMENTUM,
) -> Stage:
    return Stage(n_iter, float(exaggeration), step, momentum, stopping, name, True)


def classical(
    n_iter: int,
    n_samples: int,
    exaggeration: float,
    learning_rate: float | None = None,
    momentum: float | None = None,
) -> tuple[Stage, ...]:
    """A given number of iterations, for ``n_samples`` rows.

    ``learning_rate`` and ``momentum`` None are the published ones: n_samples / exaggeration, 0.8.
    """
    momentum = CLASSICAL_MOMENTUM if momentum is None else momentum
    if learning_rate is None:
        learning_rate = default_learning_rate(n_samples, exaggeration)
    return (Stage(n_iter, exaggeration, float(learning_rate), momentum),)


def split_for_density(n_iter: int) -> tuple[int, int]:
    """Iterations of the main phase before and with the density term."""
    with_density = round(DENSITY_SHARE * n_iter)
    return n_iter - with_density, with_density
