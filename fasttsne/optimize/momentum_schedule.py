"""The automatic schedule with momentum and gains alone: that of version 0.1.0, and of objectives
whose curvature is not known.

Early exaggeration runs until the exaggerated loss has converged, and is then annealed: reduced to
its final value in steps, with low momentum, so that clusters separate before it ends.
Then momentum is high and the learning rate doubled until the KL divergence has converged; a last
stage with low momentum lets each point settle among its neighbours.  When a stage ends:
:mod:`fasttsne.optimize.stopping`.
"""

from dataclasses import dataclass

import numpy as np

from fasttsne.optimize.schedule import (
    CLASSICAL_MOMENTUM,
    STRUCTURE_FACTOR,
    Stage,
    default_learning_rate,
)
from fasttsne.optimize.stopping import (
    Collapsed,
    ExaggeratedLossConverged,
    LossConverged,
    LossLeft,
    StoppingRule,
)

# Early exaggeration: the maximum of its iterations, how many annealing stages follow, and their
# iterations for a collapsed map.
MAX_EARLY_ITER = 250
N_ANNEALING_STAGES = 5
COLLAPSED_ANNEALING_ITER = 12
# Automatic main phase: the learning rate in units of n, momentum by number of samples (log-linear
# between; a larger one throws points of small maps about), the maximum of its iterations.
FAST_LEARNING_RATE = 2.0
FAST_MOMENTUM = (700, 0.93), (2_000, 0.95), (10_000, 0.96), (70_000, 0.97)
MAX_ITER = 1000
# Its last stage.
FINAL_MIN_ITER = 20
FINAL_MAX_ITER = 100
FINAL_MOMENTUM = 0.7
FINAL_CHECK_EVERY = 5


@dataclass(frozen=True)
class SizeSettings:
    """Settings of the automatic schedule for data sets of one size.

    Attributes
    ----------
    min_early_iter, early_tol : early exaggeration: minimum of iterations, and the decrease of the
        exaggerated loss that ends it.
    annealing_iter : iterations of each annealing stage.
    settling_iter : iterations with low momentum after them.
    min_iter, check_every, patience, tol : stopping rule of the fast stage.  Large maps expand for
        long, and stop at a rate that small ones pass early.
    final_tol : the decrease of the loss that ends the last stage.
    """

    min_early_iter: int
    early_tol: float
    annealing_iter: int
    settling_iter: int
    min_iter: int
    check_every: int
    patience: int
    tol: float
    final_tol: float


SMALL = SizeSettings(
    min_early_iter=125,
    early_tol=5e-5,
    annealing_iter=16,
    settling_iter=25,
    min_iter=60,
    check_every=15,
    patience=2,
    tol=1e-4,
    final_tol=1e-4,
)
MEDIUM = SizeSettings(
    min_early_iter=40,
    early_tol=5e-3,
    annealing_iter=8,
    settling_iter=25,
    min_iter=75,
    check_every=25,
    patience=1,
    tol=1.3e-3,
    final_tol=1e-4,
)
LARGE = SizeSettings(
    min_early_iter=40,
    early_tol=5e-3,
    annealing_iter=6,
    settling_iter=0,
    min_iter=75,
    check_every=25,
    patience=1,
    tol=2.5e-3,
    final_tol=2e-4,
)
MEDIUM_FROM, LARGE_FROM = 5_000, 30_000


def size_settings(n_samples: int) -> SizeSettings:
    """The settings for so many samples."""
    return SMALL if n_samples < MEDIUM_FROM else MEDIUM if n_samples < LARGE_FROM else LARGE


def fast_momentum(n_samples: int) -> float:
    """Momentum of the fast stage."""
    sizes, momentum = zip(*FAST_MOMENTUM, strict=True)
    return float(np.interp(np.log(n_samples), np.log(sizes), momentum))


def automatic_early_exaggeration(
    n_samples: int,
    exaggeration: float,
    final_exaggeration: float,
    learning_rate: float | None = None,
    momentum: float | None = None,
) -> tuple[Stage, ...]:
    """Early exaggeration until it has converged, and its annealing; None is the schedule's own."""
    settings = size_settings(n_samples)
    momentum = CLASSICAL_MOMENTUM if momentum is None else momentum

    def stage(n_iter: int, factor: float, stopping: StoppingRule | None, name: str) -> Stage:
        rate = default_learning_rate(n_samples, factor) if learning_rate is None else learning_rate
        return Stage(
            n_iter,
            float(factor),
            float(rate),
            momentum,
            stopping,
            name,
            structure_factor=STRUCTURE_FACTOR,
        )

    converged = ExaggeratedLossConverged(
        settings.early_tol, settings.min_early_iter, float(exaggeration)
    )
    n_iter = settings.annealing_iter
    collapsed = Collapsed(COLLAPSED_ANNEALING_ITER) if n_iter > COLLAPSED_ANNEALING_ITER else None
    factors = np.geomspace(exaggeration, final_exaggeration, N_ANNEALING_STAGES + 2)[1:-1]
    return (
        stage(MAX_EARLY_ITER, exaggeration, converged, "exaggerated"),
        *(stage(n_iter, factor, collapsed, "annealing") for factor in factors),
    )


def automatic_main_phase(
    n_samples: int,
    exaggeration: float,
    learning_rate: float | None = None,
    momentum: float | None = None,
    tol: float | None = None,
) -> tuple[Stage, ...]:
    """The main phase until the loss has converged; None is the schedule's own."""
    settings = size_settings(n_samples)
    momentum = fast_momentum(n_samples) if momentum is None else momentum
    slow = fast = learning_rate
    if slow is None or fast is None:
        slow = default_learning_rate(n_samples, exaggeration)
        fast = default_learning_rate(n_samples, exaggeration / FAST_LEARNING_RATE)
    slow, fast = float(slow), float(fast)
    converged: StoppingRule = LossConverged(
        settings.tol, settings.min_iter, settings.check_every, settings.patience
    )
    if tol is not None:
        converged = LossLeft(tol)
    final = LossConverged(settings.final_tol, FINAL_MIN_ITER, FINAL_CHECK_EVERY)
    return (
        Stage(
            settings.settling_iter,
            exaggeration,
            slow,
            CLASSICAL_MOMENTUM,
            None,
            "settling",
            structure_factor=STRUCTURE_FACTOR,
        ),
        Stage(MAX_ITER, exaggeration, fast, momentum, converged, "fast"),
        Stage(FINAL_MAX_ITER, exaggeration, slow, FINAL_MOMENTUM, final, "final"),
    )
