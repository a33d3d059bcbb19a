"""The repulsive half of the gradient, by methods that share one signature.

Each is an object that is called with the points and an array for the forces and
returns Z, the sum of all pairs' similarities; it owns what can be reused from
one iteration to the next.  ``last_method`` is the name of what the last call used.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from fasttsne.repulsion.auto import AutoRepulsion
from fasttsne.repulsion.barnes_hut import TreeRepulsion
from fasttsne.repulsion.exact import ExactRepulsion
from fasttsne.repulsion.mesh.mesh import MeshRepulsion

__all__ = [
    "METHODS",
    "AutoRepulsion",
    "ExactRepulsion",
    "MeshRepulsion",
    "Repulsion",
    "TreeRepulsion",
    "make_repulsion",
]


class Repulsion(Protocol):
    """See the module; the name ``last_method`` is optional."""

    def __call__(self, y: np.ndarray, out: np.ndarray, /) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z."""


# What users may write, and what it means.
METHODS = {
    "auto": "auto",
    "bh": "bh",
    "barnes-hut": "bh",
    "barnes_hut": "bh",
    "BH": "bh",
    "fft": "fft",
    "interpolation": "fft",
    "FFT": "fft",
    "exact": "exact",
}


def make_repulsion(method: str, dof: float, n_threads: int, params: Mapping[str, Any]) -> Repulsion:
    """The repulsion of a resolved method name, with the accuracy that ``params`` ask for."""
    if method not in _MAKERS:
        raise ValueError(f"no repulsion is called {method!r}")
    return _MAKERS[method](dof, n_threads, params)


def _tree(dof: float, n_threads: int, params: Mapping[str, Any]) -> TreeRepulsion:
    return TreeRepulsion(dof, params["theta"], n_threads)


def _mesh_or_tree(dof: float, n_threads: int, params: Mapping[str, Any]) -> AutoRepulsion:
    mesh = MeshRepulsion.from_params(dof, n_threads, params)
    return AutoRepulsion(mesh, _tree(dof, n_threads, params))


# By the resolved names, the values of METHODS.
_MAKERS: dict[str, Callable[[float, int, Mapping[str, Any]], Repulsion]] = {
    "exact": lambda dof, n_threads, params: ExactRepulsion(dof, n_threads),
    "bh": _tree,
    "fft": MeshRepulsion.from_params,
    "auto": _mesh_or_tree,
}
