"""The repulsive half of the gradient, by methods that share one signature.

Each is an object that is called with the points and an array for the forces and
returns Z, the sum of all pairs' similarities; it owns what can be reused from
one iteration to the next.  ``last_method`` is the name of what the last call used.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from fasttsne.repulsion.barnes_hut import TreeRepulsion, bounding_box
from fasttsne.repulsion.exact import ExactRepulsion
from fasttsne.repulsion.mesh import MeshRepulsion
from fasttsne.repulsion.mesh.layout import max_fast_cells

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


class AutoRepulsion:
    """The mesh while the map is dense enough for its grid to be cheap, else the tree.

    A map starts small: with 10,000 points the mesh does early exaggeration and a little
    more, the tree what follows; with 100,000 the mesh does all.  In 3-D,
    with 70,000, the mesh does early exaggeration, the tree what follows.  The choice
    depends on the map alone, so it is the same on every run.

    Attributes
    ----------
    last_method : "fft" or "bh", which the last call used; None before the first.  The errors of
        the two differ, so a loss from before a switch does not compare with one from after it.
    """

    def __init__(self, mesh: MeshRepulsion, tree: TreeRepulsion):
        self.mesh = mesh
        self.tree = tree
        self.last_method: str | None = None
        self._last: MeshRepulsion | TreeRepulsion | None = None

    def __call__(self, y: np.ndarray, out: np.ndarray) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z."""
        box = bounding_box(y)
        n_cells = max_fast_cells(*y.shape)
        # Few points need no layout: an iteration of 2,000 takes a third of a millisecond.
        is_dense = n_cells > 0 and self.mesh.padded_cells(box) <= n_cells
        method = self.mesh if is_dense else self.tree
        if self._last not in (None, method):
            self._last.release()
        self._last = method
        z = method(y, out, box)
        self.last_method = method.last_method  # the mesh hands very wide maps on to a tree
        return z


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
