"""How many iterations, how long their steps, and how exaggeration ends: the two schedules.

The classical schedule has explicit numbers of iterations, momentum 0.8 and a sudden
end of early exaggeration (van der Maaten & Hinton 2008; Belkina et al. 2019).

The automatic one takes about a third of the iterations to the same KL
divergence.  Exaggeration is kept until the exaggerated map has come to rest, and then fades
in steps, with slow momentum, so that clusters part before they are let go; then momentum is
high and the learning rate doubled, until the KL divergence falls by less than ``tol`` of
itself in an iteration; at last a few iterations with little momentum let each point come to
rest among its neighbours.  Where the KL divergence rises, momentum is dropped and the
learning rate halved.  :mod:`fasttsne.pace` tells when a stage is over.  Measured by
benchmarks/schedule.py.
"""

from dataclasses import dataclass

import numpy as np

# Automatic early exaggeration: so many iterations at least and at most, and the fall of the
# exaggerated objective that ends them in small and large maps; then so many for each step
# down.
EARLY = 40, 150
EARLY_TOL = 1e-4, 5e-3
FADING_STEPS = 5
FADING = 8
# Points of small maps then take this long to find their neighbours before they are hurried.
SETTLING = 25
# Automatic main phase: the learning rate in units of n, the momentum of small and large
# maps (the larger throws the points of small ones about), the fewest and most iterations.
FAST_LEARNING_RATE = 2.0
FAST_MOMENTUM = 0.95, 0.97
LARGE_MAP = 30_000
LEAST_ITERATIONS = 75
MOST_ITERATIONS = 1000
# Its end.
COOLING = 25
COOLING_MOMENTUM = 0.5

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
    until : "settled", "parted", or None: see :mod:`fasttsne.pace`.
    tol : how little progress is none.
    least : iterations before it can be over.
    """

    n_iter: int
    exaggeration: float
    learning_rate: float
    momentum: float
    until: str | None = None
    tol: float = 0.0
    least: int = 0


def early_exaggeration(n_samples, exaggeration, final_exaggeration, learning_rate, momentum):
    """The stages of automatic early exaggeration; "auto" is the schedule's own choice."""
    if momentum == "auto":
        momentum = CLASSICAL_MOMENTUM
    (least, most), tol = EARLY, EARLY_TOL[n_samples >= LARGE_MAP]
    rate = _rate(learning_rate, n_samples, exaggeration)
    parting = Stage(most, float(exaggeration), rate, momentum, "parted", tol, least)
    return parting, *(
        Stage(FADING, float(factor), _rate(learning_rate, n_samples, factor), momentum)
        for factor in np.geomspace(exaggeration, final_exaggeration, FADING_STEPS + 2)[1:-1]
    )


def until_it_settles(n_samples, exaggeration, learning_rate, momentum, tol):
    """The stages of the automatic main phase; "auto" is the schedule's own choice."""
    if momentum == "auto":
        momentum = FAST_MOMENTUM[n_samples >= LARGE_MAP]
    fast = _rate(learning_rate, n_samples, exaggeration / FAST_LEARNING_RATE)
    slow = _rate(learning_rate, n_samples, exaggeration)
    tol = default_tol(n_samples) if tol == "auto" else tol
    settling = 0 if n_samples >= LARGE_MAP else SETTLING
    return (
        Stage(settling, exaggeration, slow, CLASSICAL_MOMENTUM),
        Stage(MOST_ITERATIONS, exaggeration, fast, momentum, "settled", tol, LEAST_ITERATIONS),
        Stage(COOLING, exaggeration, slow, COOLING_MOMENTUM),
    )


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


def default_tol(n_samples):
    """Large maps go on expanding for long: they stop at a rate that small ones pass early."""
    return 3.5e-4 * float(np.clip(n_samples / 10_000, 0.5, 9))


def _rate(learning_rate, n_samples, exaggeration):
    if learning_rate == "auto":
        learning_rate = n_samples / exaggeration
    return float(learning_rate)
