"""What gradient descent makes smaller: objectives, the protocol for your own, and their names."""

import builtins
from collections.abc import Callable

from fasttsne.affinity import Affinities
from fasttsne.objective.base import Objective
from fasttsne.objective.callable import NAMES, FunctionObjective, ObjectiveFunction
from fasttsne.objective.kl import DensityObjective, KLDivergence, kl_divergence
from fasttsne.repulsion import METHODS, make_repulsion
from fasttsne.runtime.typing import Params
from fasttsne.runtime.validation import check_choice

__all__ = [
    "KLDivergence",
    "Objective",
    "check_method",
    "kl_divergence",
    "make_objective",
    "register_objective",
]

_REGISTERED: dict[str, Callable[..., Objective]] = {}


def register_objective(name: str, factory: Callable[..., Objective]) -> None:
    """Give an objective a name that ``negative_gradient_method`` takes.

    Its runs report progress, call callbacks, and are saved and resumed as runs of the KL
    divergence are; a program that loads a saved map registers the objective first.

    Parameters
    ----------
    name : not one of the built-in methods.
    factory : called as ``factory(affinities, n_components, dof=, n_threads=)``; an
        :class:`Objective`'s class, as a rule.  Read ``affinities.P_float32``, which is what
        saved maps store, so that a loaded map resumes to the same bits.
    """
    if name in METHODS:
        raise ValueError(f"name must not be one of {', '.join(map(repr, METHODS))}; got {name!r}")
    _REGISTERED[name] = factory


def check_method(method: str | ObjectiveFunction) -> str | ObjectiveFunction:
    """Return a method that users may give: a name, or an objective function.

    Raises
    ------
    TypeError, ValueError
        With the name of the parameter, its value and what is accepted.
    """
    if builtins.callable(method):  # not the module of this package
        return method
    return check_choice(method, "negative_gradient_method", (*METHODS, *_REGISTERED))


def make_objective(
    method: str | ObjectiveFunction,
    affinities: Affinities,
    n_components: int,
    dof: float,
    n_threads: int,
    accuracy: Params,
    density_weight: float = 0,
) -> Objective:
    """Return the objective of a map.

    Parameters
    ----------
    method : a resolved method of repulsion, the name of a registered objective, or a function.
    accuracy : values of "accuracy" and ``parameters.ACCURACY``.
    density_weight : weight of the density term.
    """
    method = check_method(method)
    if not isinstance(method, str):
        method = NAMES.get(method, method)  # a function of ours costs less by its name
    if method not in METHODS and density_weight:
        raise ValueError("density_weight cannot be used with another objective function")
    if not isinstance(method, str):
        P = affinities.P_float32
        return FunctionObjective(method, P, n_components, dof, accuracy, n_threads)
    if method in _REGISTERED:
        return _REGISTERED[method](affinities, n_components, dof=dof, n_threads=n_threads)
    repulsion = make_repulsion(method, dof, n_threads, accuracy)
    if density_weight:
        P, radii = affinities.P_float32, affinities.log_radii()
        return DensityObjective(P, repulsion, n_components, dof, n_threads, radii, density_weight)
    return KLDivergence(affinities.graph, repulsion, n_components, dof, n_threads)
