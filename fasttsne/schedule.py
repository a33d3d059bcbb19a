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

import bisect
from dataclasses import dataclass

import numpy as np

# Small, middle and large maps have more and less time for each stage.
SIZES = 5_000, 30_000
# Automatic early exaggeration: so many iterations at least and at most, and the fall of the
# exaggerated objective that ends them; then so many for each step down.
EARLY_LEAST = 20, 40, 40
EARLY_MOST = 250
EARLY_TOL = 5e-5, 5e-3, 5e-3
FADING_STEPS = 5
FADING = 16, 8, 6
# Points of smaller maps then take this long to find their neighbours before they are hurried.
SETTLING = 25, 25, 0
# Automatic main phase: the learning rate in units of n, the momentum (the larger throws the
# points of small maps about), the fewest and most iterations.
FAST_LEARNING_RATE = 2.0
FAST_MOMENTUM = 0.95, 0.96, 0.97
LEAST_ITERATIONS = 75
MOST_ITERATIONS = 1000
# Its end: large maps go on expanding for long, and stop at a rate that small ones pass early.
TOL = 1.75e-4, 1.3e-3, 2.5e-3
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
    size = _size(n_samples)
    least, tol, fading = EARLY_LEAST[size], EARLY_TOL[size], FADING[size]
    rate = _rate(learning_rate, n_samples, exaggeration)
    parting = Stage(EARLY_MOST, float(exaggeration), rate, momentum, "parted", tol, least)
    return parting, *(
        Stage(fading, float(factor), _rate(learning_rate, n_samples, factor), momentum)
        for factor in np.geomspace(exaggeration, final_exaggeration, FADING_STEPS + 2)[1:-1]
    )


def until_it_settles(n_samples, exaggeration, learning_rate, momentum, tol):
    """The stages of the automatic main phase; "auto" is the schedule's own choice."""
    if momentum == "auto":
        momentum = FAST_MOMENTUM[_size(n_samples)]
    fast = _rate(learning_rate, n_samples, exaggeration / FAST_LEARNING_RATE)
    slow = _rate(learning_rate, n_samples, exaggeration)
    tol = default_tol(n_samples) if tol == "auto" else tol
    settling = SETTLING[_size(n_samples)]
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
    """The ``tol`` of the main phase where it is "auto"."""
    return TOL[_size(n_samples)]


def _size(n_samples):
    """0, 1 or 2 for small, middle and large maps."""
    return bisect.bisect(SIZES, n_samples)


def _rate(learning_rate, n_samples, exaggeration):
    if learning_rate == "auto":
        learning_rate = n_samples / exaggeration
    return float(learning_rate)
