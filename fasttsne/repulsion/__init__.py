"""The repulsive half of the gradient, by methods that share one signature.

Each is an object that owns what can be reused from one iteration to the next.
"""

from typing import Protocol

import numpy as np

from fasttsne import _kernels
from fasttsne.repulsion.barnes_hut import TreeRepulsion
from fasttsne.repulsion.mesh import MeshRepulsion, SplitRepulsion
from fasttsne.runtime.typing import Params

__all__ = [
    "METHODS",
    "ExactRepulsion",
    "MeshRepulsion",
    "Repulsion",
    "SplitRepulsion",
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

    def __call__(self, y: np.ndarray, out: np.ndarray, /) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z.

        Z is the sum of the similarities of all pairs.
        """


class ExactRepulsion:
    """Repulsive forces of Student's kernel without approximation: O(n^2) time, O(n) memory.

    Parameters
    ----------
    dof : degrees of freedom of the kernel.
    n_threads : how many threads share the work.  The result does not depend on it.
    """

    last_method = "exact"

    def __init__(self, dof: float = 1.0, n_threads: int = 1):
        self.dof, self.n_threads = dof, n_threads
        self._shape: tuple[int, ...] | None = None

    def __call__(self, y: np.ndarray, out: np.ndarray) -> float:
        if self._shape != y.shape:
            self._shape = y.shape
            self._columns = padded_columns(y)
            self._z_sums = np.empty(_kernels.exact_repulsion.count_blocks(len(y)))
        self._columns[:, : len(y)] = y.T
        z: float = _kernels.exact_repulsion.exact_repulsion(
            y, self._columns, out, self.dof, self._z_sums, self.n_threads
        )
        return z


def padded_columns(y: np.ndarray) -> np.ndarray:
    """Return the points y, (n, d), as the kernel reads sources: (d, n rounded up to 8) float32."""
    n, d = y.shape
    padding = _kernels.exact_repulsion.PADDING_COORDINATE
    columns = np.full((d, -(-n // 8) * 8), padding, np.float32)
    columns[:, :n] = y.T
    return columns


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
    return SplitRepulsion(dof, n_threads=n_threads)
