"""How many iterations, how long their steps, and how exaggeration ends: the two schedules.

The classical schedule has explicit numbers of iterations, momentum 0.8 and a sudden
end of early exaggeration (van der Maaten & Hinton 2008; Belkina et al. 2019).

The automatic one takes about a third of the iterations to the same KL
divergence.  Exaggeration is kept until the exaggerated map has come to rest, and then fades
in steps, with slow momentum, so that clusters part before they are let go; then momentum is
high and the learning rate doubled, until the KL divergence falls by less than ``tol`` of
itself in an iteration; at last iterations with less momentum let each point come to rest among
its neighbours.  Where the KL divergence rises, momentum is dropped and the
learning rate halved.  :mod:`fasttsne.pace` tells when a stage is over.  Measured by
benchmarks/schedule.py.
"""

from dataclasses import dataclass

import numpy as np

# Automatic early exaggeration: the most iterations, how many steps down follow, and iterations
# of each where the map is still a point.
EARLY_MOST = 250
FADING_STEPS = 5
FADING_OF_A_POINT = 12
# Automatic main phase: the learning rate in units of n, the momentum for so many points and
# between (the larger throws the points of small maps about), the most iterations.
FAST_LEARNING_RATE = 2.0
FAST_MOMENTUM = (700, 0.93), (2_000, 0.95), (10_000, 0.96), (70_000, 0.97)
MOST_ITERATIONS = 1000
# Its end: how long at least and at most, with which momentum, looked at how often.
COOLING_LEAST = 20
COOLING_MOST = 100
COOLING_MOMENTUM = 0.7
COOLING_CHECK = 5

CLASSICAL_MOMENTUM = 0.8
# The share of the main phase, at its end, in which density counts (Narayan et al. 2021).
DENSITY_SHARE = 0.3


@dataclass(frozen=True)
class Stage:
    """Iterations with the same settings.

    Attributes
    ----------
    n_iter : how many; the most, if it says ``until`` when.
    exaggeration : factor on the attractive forces.
    learning_rate, momentum : of each step.
    until : "parted", "faded", "settled", or None: see :mod:`fasttsne.pace`.
    tol : how little progress is none.
    least : iterations before it can be over.
    check_every, patience : after how many iterations, and how often one after the other,
        "settled" has to find no progress.
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


@dataclass(frozen=True)
class Times:
    """How long the automatic schedule takes for maps of one size.

    Attributes
    ----------
    early, early_tol : iterations of early exaggeration at least; the fall of its objective that
        ends it.
    fading : iterations of each step down.
    settling : slow iterations after them, in which points find their neighbours.
    least, check_every, patience, tol : of the fast stage.  Large maps go on expanding for long,
        and stop at a rate that small ones pass early.
    cooling_tol : the fall of the KL divergence that ends the last stage.
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


SMALL = Times(
    early=125, early_tol=5e-5, fading=16, settling=25,
    least=60, check_every=15, patience=2, tol=1e-4, cooling_tol=1e-4,
)  # fmt: skip
MIDDLE = Times(
    early=40, early_tol=5e-3, fading=8, settling=25,
    least=75, check_every=25, patience=1, tol=1.3e-3, cooling_tol=1e-4,
)  # fmt: skip
LARGE = Times(
    early=40, early_tol=5e-3, fading=6, settling=0,
    least=75, check_every=25, patience=1, tol=2.5e-3, cooling_tol=2e-4,
)  # fmt: skip


def times(n_samples):
    """What holds for maps of so many points."""
    return SMALL if n_samples < 5_000 else MIDDLE if n_samples < 30_000 else LARGE


def early_exaggeration(n_samples, exaggeration, final_exaggeration, learning_rate, momentum):
    """The stages of automatic early exaggeration; "auto" is the schedule's own choice."""
    if momentum == "auto":
        momentum = CLASSICAL_MOMENTUM
    its = times(n_samples)
    rate = _rate(learning_rate, n_samples, exaggeration)
    parting = Stage(
        EARLY_MOST, float(exaggeration), rate, momentum, "parted", its.early_tol, its.early
    )
    return parting, *(
        Stage(
            its.fading, float(factor), _rate(learning_rate, n_samples, factor), momentum, "faded",
            least=FADING_OF_A_POINT,
        )
        for factor in np.geomspace(exaggeration, final_exaggeration, FADING_STEPS + 2)[1:-1]
    )  # fmt: skip


def until_it_settles(n_samples, exaggeration, learning_rate, momentum, tol):
    """The stages of the automatic main phase; "auto" is the schedule's own choice."""
    if momentum == "auto":
        momentum = _fast_momentum(n_samples)
    its = times(n_samples)
    fast = _rate(learning_rate, n_samples, exaggeration / FAST_LEARNING_RATE)
    slow = _rate(learning_rate, n_samples, exaggeration)
    return (
        Stage(its.settling, exaggeration, slow, CLASSICAL_MOMENTUM),
        Stage(
            MOST_ITERATIONS, exaggeration, fast, momentum, "settled",
            its.tol if tol == "auto" else tol, its.least, its.check_every, its.patience,
        ),
        Stage(
            COOLING_MOST, exaggeration, slow, COOLING_MOMENTUM, "settled",
            its.cooling_tol, COOLING_LEAST, COOLING_CHECK,
        ),
    )  # fmt: skip


def classical(n_iter, n_samples, exaggeration, learning_rate, momentum):
    """A given number of iterations, one stage."""
    if momentum == "auto":
        momentum = CLASSICAL_MOMENTUM
    rate = _rate(learning_rate, n_samples, exaggeration)
    return (Stage(n_iter, exaggeration, rate, momentum),)


def split_for_density(n_iter):
    """Iterations of the main phase without and with a weight of density; "auto" for both."""
    if isinstance(n_iter, str):
        return n_iter, n_iter
    after = round(DENSITY_SHARE * n_iter)
    return n_iter - after, after


def _fast_momentum(n_samples):
    rows, momentum = zip(*FAST_MOMENTUM, strict=True)
    return float(np.interp(np.log(n_samples), np.log(rows), momentum))


def _rate(learning_rate, n_samples, exaggeration):
    if learning_rate == "auto":
        learning_rate = n_samples / exaggeration
    return float(learning_rate)
