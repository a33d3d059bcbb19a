"""The repulsive half of the gradient, by methods that share one signature.

Each is an object that owns what can be reused from one iteration to the next.
"""

from typing import Protocol

import numpy as np

from fasttsne.repulsion.auto import FORCE_ERROR, AutoRepulsion
from fasttsne.repulsion.barnes_hut import TreeRepulsion
from fasttsne.repulsion.exact import ExactRepulsion
from fasttsne.repulsion.mesh import MeshRepulsion
from fasttsne.runtime.typing import Params

__all__ = [
    "FORCE_ERROR",
    "METHODS",
    "AutoRepulsion",
    "ExactRepulsion",
    "MeshRepulsion",
    "Repulsion",
    "TreeRepulsion",
    "make_repulsion",
]


class Repulsion(Protocol):
    """A method.

    Attributes
    ----------
    last_method : name of what its last call used, None before the first one.
    """

    @property
    def last_method(self) -> str | None: ...

    def __call__(self, y: np.ndarray, out: np.ndarray, n_threads: int | None = None, /) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z.

        Z is the sum of the similarities of all pairs.

        n_threads : how many threads share this call; None: as many as share any.
        """


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


def make_repulsion(method: str, dof: float, n_threads: int, params: Params) -> Repulsion:
    """Return the repulsion of a resolved method name, a value of ``METHODS``.

    params : how accurate it is, as parameters of ``optimize``.
    """
    if method == "exact":
        return ExactRepulsion(dof, n_threads)
    if method == "bh":
        return TreeRepulsion(dof, params["theta"], n_threads)
    if method not in METHODS.values():
        raise ValueError(f"no repulsion is called {method!r}")
    if method == "fft":
        return MeshRepulsion.from_params(dof, n_threads, params)
    return AutoRepulsion.from_params(dof, n_threads, params)
