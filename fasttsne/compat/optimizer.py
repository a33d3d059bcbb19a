"""Names of ``fasttsne.optimizer`` in version 0.1.0 that have other arguments now."""

from typing import Any

from fasttsne.optimize.plan import Phase


class DescentSettings(Phase):
    """A :class:`Phase` without a name."""

    def __init__(
        self, stages, max_grad_norm=None, max_step_norm=5.0, callbacks=(), callbacks_every_iters=50
    ):
        super().__init__(
            "optimize",
            stages,
            max_grad_norm=max_grad_norm,
            max_step_norm=max_step_norm,
            callbacks=callbacks,
            callbacks_every_iters=callbacks_every_iters,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Pickles of version 0.1.0 have the arguments."""
        vars(self).update(vars(DescentSettings(**state)) if "name" not in state else state)
