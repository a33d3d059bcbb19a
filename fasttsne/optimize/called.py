"""Optimizers of a user's own: instances of a class derived from ``GradientDescent``, which
differ from it in their ``__call__`` and are called as openTSNE calls its optimizers.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.objective.functions import NAMES
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.methods import resolve_function_method
from fasttsne.optimize.plan import Phase

_OWN_CALL = GradientDescent.__call__


def is_called(optimizer: GradientDescent) -> bool:
    """Whether an optimizer's ``__call__`` is not that of this package."""
    return getattr(type(optimizer), "__call__", _OWN_CALL) is not _OWN_CALL  # noqa: B004


def call_optimizer(embedding: Any, phase: Phase, params: Mapping[str, Any]) -> float:
    """Let an optimizer that is called move an embedding in place; return the error.

    It gets the learning rate, momentum and exaggeration of the first plain stage, and a P of its
    own.

    Parameters
    ----------
    params : those of ``optimize`` as the user gave them.
    """
    if phase.anchors is not None or phase.reference is not None:
        raise ValueError(
            "anchors and global_structure cannot be used with an optimizer of a user's own"
        )
    callbacks = params["callbacks"]
    first = next(s for s in phase.stages if not getattr(s, "is_preconditioned", False))
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
    """The objective function of a method."""
    if callable(method):
        return method
    name = resolve_function_method(method, n_samples)
    return next(function for function in NAMES if NAMES[function] == name)
