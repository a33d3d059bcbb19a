"""Stopping when the map no longer gets better."""

import logging
import math

from fasttsne.callbacks.base import Callback
from fasttsne.runtime.validation import check_number

log = logging.getLogger("fasttsne.callbacks")


class EarlyStopping(Callback):
    """Stop a run when its KL divergence has improved by less than ``min_delta`` for a while.

    Every run is judged by itself.

    Parameters
    ----------
    min_delta : the least improvement that counts, since the last that did.
    patience : so many reports in a row without one stop the run.  How many iterations
        that is, ``callbacks_every_iters`` says.
    exaggerated : judge runs with exaggeration too; otherwise they go on to their end, as
        a stop in early exaggeration would be the end of the whole fit.

    Attributes
    ----------
    stopped_at : the iteration at which the last run was stopped, or None.
    """

    def __init__(self, min_delta: float = 1e-3, patience: int = 3, exaggerated: bool = False):
        self.min_delta = check_number(min_delta, "min_delta", low=0)
        self.patience = check_number(patience, "patience", low=1, integer=True)
        self.exaggerated = exaggerated
        self._judges = True
        self.optimization_about_to_start()

    def receive_settings(self, settings) -> None:
        self._judges = self.exaggerated or settings.exaggeration <= 1

    def optimization_about_to_start(self) -> None:
        self.stopped_at: int | None = None
        self._best = math.inf
        self._waited = 0

    def __call__(self, iteration: int, error: float, embedding) -> bool:
        if not self._judges:
            return False
        if error < self._best - self.min_delta or self._best == math.inf:
            self._best, self._waited = error, 0
            return False
        self._waited += 1
        if self._waited < self.patience:
            return False
        self.stopped_at = iteration
        log.info(
            "stopped at iteration %d: the KL divergence, %.4f, has improved by less than %g "
            "in %d reports", iteration, error, self.min_delta, self.patience,
        )  # fmt: skip
        return True
