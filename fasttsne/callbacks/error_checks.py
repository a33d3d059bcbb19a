"""Callbacks that judge the KL divergence: early stopping, and checks of approximations."""

import logging
import math
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from fasttsne.affinity import Affinities
from fasttsne.objective.kl import kl_divergence
from fasttsne.optimize import Callback
from fasttsne.optimize.plan import Phase, resolve_fixed_method, resolve_phase
from fasttsne.repulsion import make_repulsion
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Params
from fasttsne.runtime.validation import check_number

log = logging.getLogger("fasttsne.callbacks")
# Of the KL divergence: the accuracy parameters of a run may differ from the embedding's.
TOLERANCE = 1e-2


class WatchedEmbedding(Protocol):
    """What the checks read of a :class:`fasttsne.TSNEEmbedding`."""

    affinities: Affinities
    dof: float

    def all_params(self) -> Params: ...
    def __len__(self) -> int: ...
    def __array__(self) -> np.ndarray: ...


class EarlyStopping(Callback):
    """Stop a run when its KL divergence has not improved by ``min_delta`` for ``patience`` calls.

    Each run, such as early exaggeration and main phase, is considered separately.

    Parameters
    ----------
    min_delta : the minimum improvement of the KL divergence.
    patience : number of consecutive calls without improvement before the run stops.  A call
        happens every ``callbacks_every_iters`` iterations.
    exaggerated : stop runs with exaggeration, too.  A stop in early exaggeration ends the whole
        fit.

    Attributes
    ----------
    stopped_at : the iteration at which the last run was stopped, or None.
    """

    _is_active = True

    def __init__(self, min_delta: float = 1e-3, patience: int = 3, exaggerated: bool = False):
        self.min_delta = check_number(min_delta, "min_delta", low=0)
        self.patience = check_number(patience, "patience", low=1, integer=True)
        self.exaggerated = exaggerated
        self.optimization_about_to_start()

    def receive_settings(self, settings: Phase) -> None:
        self._is_active = self.exaggerated or settings.exaggeration <= 1

    def optimization_about_to_start(self) -> None:
        self.stopped_at: int | None = None
        self._best = math.inf
        self._n_without_improvement = 0

    def __call__(self, iteration: int, error: float, embedding: object) -> bool:
        if not self._is_active:
            return False
        if error < self._best - self.min_delta or self._best == math.inf:
            self._best, self._n_without_improvement = error, 0
            return False
        self._n_without_improvement += 1
        if self._n_without_improvement < self.patience:
            return False
        self.stopped_at = iteration
        log.info(
            "stopped at iteration %d: the KL divergence, %.4f, has improved by less than %g "
            "in %d calls",
            iteration,
            error,
            self.min_delta,
            self.patience,
        )
        return True


class ErrorApproximations(Callback):
    """Compare the KL divergences by Barnes-Hut and FFT with the exact one: O(n^2) per call.

    Parameters
    ----------
    P : (n, n) SciPy sparse matrix of affinities; it is copied.

    Attributes
    ----------
    exact_errors, bh_errors, fft_errors : the KL divergence at each call.
    """

    def __init__(self, P: sp.spmatrix):
        self.P = P.tocsr(copy=True)
        self.exact_errors: list[float] = []
        self.bh_errors: list[float] = []
        self.fft_errors: list[float] = []

    def __call__(self, iteration: int, error: float, embedding: WatchedEmbedding) -> None:
        params = embedding.all_params()
        n_threads = resolve_n_jobs(params["n_jobs"])
        for method, errors in (
            ("exact", self.exact_errors),
            ("bh", self.bh_errors),
            ("fft", self.fft_errors),
        ):
            repulsion = make_repulsion(method, embedding.dof, n_threads, params)
            points = np.asarray(embedding)
            errors.append(kl_divergence(self.P, points, repulsion, embedding.dof, n_threads))

    def report(self) -> None:
        """Print the mean and the standard deviation of the errors of each approximation."""
        for name, errors in (("Barnes-Hut", self.bh_errors), ("Interpolation", self.fft_errors)):
            differences = np.subtract(errors, self.exact_errors)
            print(
                f"{name}: mean difference {differences.mean():.2e} (±{differences.std():.2e}) "
                f"in {len(differences)} calls"
            )


class VerifyExaggerationError(Callback):
    """Check that the error under exaggeration is that of the affinities without it.

    Parameters
    ----------
    embedding : :class:`fasttsne.TSNEEmbedding` to be optimized; its affinities are copied.

    Raises
    ------
    RuntimeError
        If the error of a call differs from it.
    """

    _phase: Phase | None = None

    def __init__(self, embedding: WatchedEmbedding):
        self.embedding = embedding
        self.P = embedding.affinities.P_float32.copy()

    def receive_settings(self, settings: Phase) -> None:
        self._phase = settings
        if settings.exaggeration == 1:
            log.warning("VerifyExaggerationError: this run has no exaggeration to verify")

    def __call__(self, iteration: int, error: float, embedding: WatchedEmbedding) -> None:
        phase = self._phase
        if phase is None:  # called by something other than a run
            phase = resolve_phase("verification", 0, embedding.all_params(), len(embedding))
        method = resolve_fixed_method(phase.method, len(embedding))
        repulsion = make_repulsion(method, phase.dof, phase.n_threads, dict(phase.accuracy))
        expected = kl_divergence(
            self.P, np.asarray(embedding), repulsion, phase.dof, phase.n_threads
        )
        if not abs(error - expected) <= TOLERANCE * max(1, abs(expected)):
            raise RuntimeError(
                f"iteration {iteration} reported a KL divergence of {error:.6f}, but without "
                f"exaggeration it is {expected:.6f}"
            )
        log.info("iteration %d: reported %.6f, is %.6f", iteration, error, expected)
