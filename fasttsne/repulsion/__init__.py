"""The repulsive half of the gradient, by methods that share one signature.

Each is an object that owns what can be reused from one iteration to the next.
"""

from typing import Protocol

import numpy as np

from fasttsne import _kernels
from fasttsne.repulsion.barnes_hut import TreeRepulsion, bounding_box
from fasttsne.repulsion.mesh import MeshRepulsion, max_fast_cells
from fasttsne.runtime.typing import Params

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
        self.mesh, self.tree = mesh, tree
        self.last_method: str | None = None
        self._last: MeshRepulsion | TreeRepulsion | None = None

    def __call__(self, y: np.ndarray, out: np.ndarray) -> float:
        box = bounding_box(y)
        n_cells = max_fast_cells(*y.shape)
        # Few points need no layout: an iteration of 2,000 takes a third of a millisecond.
        is_dense = n_cells > 0 and self.mesh.padded_cells(box) <= n_cells
        method = self.mesh if is_dense else self.tree
        if self._last is not None and self._last is not method:
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
    mesh = MeshRepulsion.from_params(dof, n_threads, params)
    if method == "fft":
        return mesh
    return AutoRepulsion(mesh, TreeRepulsion(dof, params["theta"], n_threads))
