"""Which repulsion, and which optimizer, "auto" stands for."""

from collections.abc import Mapping
from typing import Any

from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.objective.functions import NAMES
from fasttsne.repulsion import METHODS

# Up to so many points the sum over all pairs is the fastest: measured by
# benchmarks/crossover.py.
EXACT_MAX_POINTS = 700
# From so many points on an optimizer that is called gets the FFT function for "auto".
FFT_MIN_POINTS = 10_000


def resolve_method(method: str | ObjectiveFunction, n_samples: int) -> str | ObjectiveFunction:
    """The method of repulsion for a name: "exact", "bh", "fft", or "auto".

    The last is either of the two before, whichever is faster for the map in each iteration.
    A function, and the name of a registered objective, is what it is.
    """
    if callable(method) or method not in METHODS:
        return method
    return _fastest(METHODS[method], n_samples)


def resolve_fixed_method(method: str | ObjectiveFunction | None, n_samples: int) -> str:
    """The method for the repulsion of a fixed map: a function has only forces on its own points."""
    name = method if isinstance(method, str) and method in METHODS else "auto"
    return _fastest(METHODS[name], n_samples)


def resolve_function_method(method: str, n_samples: int) -> str:
    """The method whose function an optimizer that is called gets."""
    method = METHODS[method]
    return ("fft" if n_samples >= FFT_MIN_POINTS else "bh") if is_auto(method) else method


def _fastest(method: str, n_samples: int) -> str:
    return "exact" if is_auto(method) and n_samples <= EXACT_MAX_POINTS else method


def resolve_optimizer(params: Mapping[str, Any]) -> str:
    """The optimizer of phases without a number of iterations: "preconditioned" or "momentum".

    The curvature that the first needs is known of the KL divergence alone, and with an exaggeration
    below 1 there is no minimum to converge to: the map grows without end.

    Raises
    ------
    ValueError
        Where "preconditioned" is asked for with another objective.
    """
    optimizer, method = params["optimizer"], params["negative_gradient_method"]
    has_curvature = NAMES.get(method, method) in METHODS
    if optimizer == "preconditioned" and not has_curvature:
        raise ValueError(
            'optimizer="preconditioned" needs the curvature of the KL divergence, which is not '
            f"that of negative_gradient_method={method!r}; use "
            '"auto" or "momentum"'
        )
    if is_auto(optimizer):
        has_minimum = (params["exaggeration"] or 1) >= 1
        return "preconditioned" if has_curvature and has_minimum else "momentum"
    return str(optimizer)


def is_auto(value: object) -> bool:
    return isinstance(value, str) and value == "auto"
