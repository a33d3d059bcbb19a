"""Custom optimizers: instances of a class derived from ``GradientDescent`` with its own
``__call__``, which is called as openTSNE calls its optimizers.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fasttsne.objective.callable import NAMES, ObjectiveFunction
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.plan import Phase, resolve_function_method

_OWN_CALL = GradientDescent.__call__


def is_custom(optimizer: GradientDescent) -> bool:
    """Return whether an optimizer has a ``__call__`` of its own."""
    return getattr(type(optimizer), "__call__", _OWN_CALL) is not _OWN_CALL  # noqa: B004


def run_custom_optimizer(embedding: Any, phase: Phase, params: Mapping[str, Any]) -> float:
    """Call the custom optimizer of an embedding, which moves it in place; return the error.

    It gets the learning rate, momentum and exaggeration of the first plain stage, and a copy of P.

    Parameters
    ----------
    params : of ``optimize``, as the user gave them.
    """
    if phase.anchors is not None or phase.reference is not None:
        raise ValueError(
            "anchors and global_structure cannot be used with an optimizer of a user's own"
        )
    callbacks = params["callbacks"]
    first = next(stage for stage in phase.stages if not stage.is_preconditioned)
    error: float
    error, result = embedding.optimizer(
        embedding=embedding,
        P=embedding.affinities.P_float32.copy(),
        n_iter=phase.n_iter,
        objective_function=_function(params["negative_gradient_method"], len(embedding)),
        learning_rate=first.learning_rate,
        momentum=first.momentum,
        exaggeration=first.exaggeration,
        dof=phase.dof,
        max_grad_norm=phase.max_grad_norm,
        max_step_norm=phase.max_step_norm,
        use_callbacks=callbacks is not None,
        callbacks=callbacks if isinstance(callbacks, Iterable | None) else (callbacks,),
        callbacks_every_iters=phase.callbacks_every_iters,
        n_jobs=phase.n_threads,
        verbose=params["verbose"],
        **dict(phase.accuracy),
    )
    if isinstance(result, np.ndarray) and not np.shares_memory(result, embedding):
        np.asarray(embedding)[...] = result
    return error


def _function(method: str | ObjectiveFunction, n_samples: int) -> ObjectiveFunction:
    """Return the objective function of a method."""
    if callable(method):
        return method
    name = resolve_function_method(method, n_samples)
    return next(function for function in NAMES if NAMES[function] == name)
