"""Stop an optimization that no longer improves."""

import logging
import math
from typing import Any

from fasttsne.callbacks.base import Callback
from fasttsne.optimize.plan import Phase
from fasttsne.runtime.validation import check_number

log = logging.getLogger("fasttsne.callbacks")


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

    def __call__(self, iteration: int, error: float, embedding: Any) -> bool:
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
