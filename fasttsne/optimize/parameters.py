"""The parameters of gradient descent: what `optimize` takes, their defaults and limits."""

import numpy as np

from fasttsne.callbacks.base import as_callbacks
from fasttsne.optimize import schedule
from fasttsne.optimize.descent import DescentSettings
from fasttsne.repulsion import check_method
from fasttsne.runtime.validation import check_choice, check_number, resolve_n_jobs

# What `optimize` takes, and its value where neither it nor the embedding has been told.
DEFAULTS = {
    "learning_rate": "auto",
    "exaggeration": None,
    "density_weight": 0,
    "momentum": "auto",
    "tol": "auto",
    "max_grad_norm": None,
    "max_step_norm": 5,
    "theta": 0.5,
    "n_interpolation_points": 3,
    "min_num_intervals": 50,
    "ints_in_interval": 1,
    "n_jobs": -1,
    "callbacks": None,
    "callbacks_every_iters": 50,
    "verbose": False,
}

# What `optimize` takes in place of the embedding's own.
OF_THE_EMBEDDING = ("dof", "negative_gradient_method")

ACCURACY = ("theta", "n_interpolation_points", "min_num_intervals", "ints_in_interval")

AUTO_WORDS = ("learning_rate", "momentum", "tol")

_LIMITS: dict[str, dict] = {
    # Beyond, float32 cannot tell w, or 1 + r^2 / dof, from 1.
    "dof": {"above": 0.001, "high": 1e6},
    "learning_rate": {"above": 0, "finite": True},
    "exaggeration": {"above": 0, "finite": True},
    "density_weight": {"low": 0, "high": 1e6},
    "momentum": {"low": 0, "high": 1},
    "tol": {"low": 0, "finite": True},
    "max_grad_norm": {"above": 0},
    "max_step_norm": {"above": 0},
    "theta": {"low": 0, "high": 10},
    "n_interpolation_points": {"low": 1, "high": 6, "integer": True},
    "min_num_intervals": {"low": 1, "high": 10**6, "integer": True},
    "ints_in_interval": {"above": 0.001, "high": 1000},
    "callbacks_every_iters": {"low": 1, "integer": True},
}


def descent_settings(stages, params: dict) -> DescentSettings:
    """The optimizer's settings for these stages."""
    return DescentSettings(
        stages=stages,
        max_grad_norm=params["max_grad_norm"],
        max_step_norm=params["max_step_norm"],
        callbacks=as_callbacks(params["callbacks"]),
        callbacks_every_iters=params["callbacks_every_iters"],
    )


def stages_of(n_iter, n_samples, params):
    """What is to be done, from what the user asked for."""
    if isinstance(n_iter, tuple):
        return n_iter
    exaggeration = 1.0 if params["exaggeration"] is None else float(params["exaggeration"])
    pace = params["learning_rate"], params["momentum"]
    if n_iter == "auto":
        return schedule.until_it_settles(n_samples, exaggeration, *pace, params["tol"])
    return schedule.classical(n_iter, n_samples, exaggeration, *pace)


def plain(params: dict) -> dict:
    """The same with Python's numbers for NumPy's, in whose few bits sums would overflow."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in params.items()
    }


def check_n_iter(n_iter, name: str) -> None:
    """Check a number of iterations, "auto", or stages."""
    if isinstance(n_iter, str):
        check_choice(n_iter, name, ("auto",))
    elif not (isinstance(n_iter, tuple) and all(isinstance(s, schedule.Stage) for s in n_iter)):
        check_number(n_iter, name, low=0, integer=True)


def check_params(params: dict) -> None:
    """Check the parameters of gradient descent that are there.

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, its value and what is accepted.
    """
    unknown = set(params) - set(DEFAULTS) - set(OF_THE_EMBEDDING)
    if unknown:
        raise TypeError(
            f"unknown parameter {sorted(unknown)[0]!r}; accepted are {', '.join(DEFAULTS)}"
        )
    for name, limits in _LIMITS.items():
        if name in params and not _is_default_word(name, params[name]):
            check_number(params[name], name, **limits)
    for name in AUTO_WORDS:
        if isinstance(params.get(name), str):
            check_choice(params[name], name, ("auto",))
    if "n_jobs" in params:
        resolve_n_jobs(params["n_jobs"])
    if "callbacks" in params:
        as_callbacks(params["callbacks"])
    if "negative_gradient_method" in params:
        check_method(params["negative_gradient_method"])


def _is_default_word(name, value):
    """None and "auto" stand where the default has such a word or None is no bound."""
    if value is None:
        return name in ("exaggeration", "max_grad_norm", "max_step_norm")
    return name in AUTO_WORDS and isinstance(value, str)
