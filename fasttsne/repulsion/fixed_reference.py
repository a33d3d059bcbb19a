"""The repulsion of a fixed map on new points.

    F_i = sum_j w_ij q_ij (y_i - r_j),    Z_i = sum_j w_ij,    over the points r of the map

A field is made once for a map and called in every iteration.  The force on one new
point does not depend, to the last bit, on the other new points.
"""

from typing import Protocol

import numpy as np

from fasttsne import _kernels
from fasttsne.repulsion import METHODS, AutoRepulsion
from fasttsne.repulsion.barnes_hut import Box, TreeRepulsion, bounding_box
from fasttsne.repulsion.exact import padded_columns
from fasttsne.repulsion.mesh import FALLBACK_THETA, MeshRepulsion
from fasttsne.repulsion.mesh.particle_mesh import Potential
from fasttsne.repulsion.mesh.split import LINEAR_SPAN, tree_cost
from fasttsne.runtime.typing import Params

# The grid reaches so much of the map's extent beyond it: new points may land outside.
MARGIN = 0.1
# A potential of less than so many times the grid's error, about, comes from the tree.
MIN_ERRORS = 50
# Points of the map whose forces say how large the grid's error is.
N_SAMPLED = 512


class FixedRepulsion(Protocol):
    """A field: writes F, (m, d) float32, and Z, (m,) float64, of the points y, (m, d) float32."""

    def __call__(self, y: np.ndarray, out: np.ndarray, z: np.ndarray, /) -> None: ...

    def row_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray, /) -> object:
        """Return the same as a task (``row_task.pxd``), while the arrays exist; or None."""

    def spare_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray, /) -> object:
        """Return a task for the points that :meth:`row_task` cannot serve; or None."""


def make_field(
    points: np.ndarray,
    method: str,
    dof: float,
    n_threads: int,
    params: Params,
    n_evaluations: int = 0,
) -> FixedRepulsion:
    """Return the field of a map.

    Parameters
    ----------
    points : (n, d) float32 array.
    method : as for ``make_repulsion``.  The tree stands in where a grid would cost more.
    params : accuracy, as for ``make_repulsion``.
    n_evaluations : at how many places the field will be asked for, over all calls, if that is
        known: near pairs pay where they are few.
    """
    if method == "exact":
        return ExactField(points, dof, n_threads)
    if method == "bh":
        return TreeField(points, dof, params["theta"], n_threads)
    if method not in METHODS.values():
        raise ValueError(f"no repulsion of a fixed map is called {method!r}")
    n, d = points.shape
    box = _box(points)
    potential = None
    if float(np.max(box[1] - box[0])) < LINEAR_SPAN:
        pass
    elif method == "fft":
        potential = MeshRepulsion.from_params(dof, n_threads, params).potential(points, box)
    else:
        n_places = n_evaluations or n
        tree = tree_cost(n, d, params["accuracy"], n_places)
        repulsion = AutoRepulsion.from_params(dof, n_threads, params)
        potential = repulsion.potential(points, box, n_places, tree)
    if potential is None:
        return TreeField(points, dof, _fallback_theta(dof, d), n_threads)
    return MeshField(points, potential, box, params["accuracy"], n_threads)


def _box(points: np.ndarray) -> Box:
    """Return the points' bounding box, and MARGIN of its extent around it."""
    low, high = bounding_box(points)
    more = np.float32(MARGIN) * (high - low).max()
    return low - more, high + more


class ExactField:
    """The sum over all points of the map."""

    def __init__(self, points: np.ndarray, dof: float, n_threads: int):
        self.dof, self.n_threads = dof, n_threads
        self._columns = padded_columns(points)

    def __call__(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        _kernels.exact_repulsion.exact_repulsion_at(
            y, self._columns, out, z, self.dof, self.n_threads
        )

    def row_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        return None

    def spare_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        return None


class TreeField:
    """The Barnes-Hut tree of the map, which each point traverses by itself."""

    def __init__(self, points: np.ndarray, dof: float, theta: float, n_threads: int):
        self._tree = TreeRepulsion(dof, theta, n_threads)
        self._tree.build(points)

    def __call__(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        self._tree.field(y, out, z)

    def row_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> object:
        return self._tree.field_task(y, out, z)

    def spare_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        return None


class MeshField:
    """The potential of the map, of near points and on a grid; a tree serves places that are off it.

    The tree serves also where the potential is so small that the grid's errors would matter: in
    the empty parts of a map whose kernel has light tails.  Calls share no scratch arrays, so
    threads may use one field at once.
    """

    def __init__(
        self, points: np.ndarray, potential: Potential, box: Box, accuracy: float, n_threads: int
    ):
        self._points, self.potential, self._n_threads = points, potential, n_threads
        self._low, self._high = box
        self._mean = len(points) * potential.constant
        # An error of the potential is one of the force, over a distance between grid points.
        error = accuracy * self._usual_force() * potential.split.spacing
        self._min_potential = MIN_ERRORS * error
        self._tree: TreeField | None = None

    def __call__(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        outside = (y < self._low) | (y > self._high)
        inside = np.clip(y, self._low, self._high) if outside.any() else y
        potential = np.empty(len(y), np.float32)
        self.potential.gather(inside, out, potential, self._n_threads)
        np.add(potential, self._mean, out=z)
        lost = z < self._min_potential
        if inside is not y:
            lost |= outside.any(axis=1)
        if lost.any():
            self._by_tree(y, np.flatnonzero(lost), out, z)

    def row_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> object:
        limits = self._high, self._mean, self._min_potential
        return self.potential.row_task(y, out, z, *limits)

    def spare_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> object:
        return self._tree_field(y.shape[1]).row_task(y, out, z)

    def _usual_force(self) -> float:
        """Return the root mean square of the forces on points of the map."""
        sample = np.ascontiguousarray(self._points[:: max(len(self._points) // N_SAMPLED, 1)])
        forces = np.empty_like(sample)
        self.potential.gather(sample, forces, np.empty(len(sample), np.float32), self._n_threads)
        return float(np.sqrt(np.mean((forces.astype(float) ** 2).sum(1))))

    def _by_tree(self, y: np.ndarray, lost: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        forces, shares = np.empty((len(lost), y.shape[1]), np.float32), np.empty(len(lost))
        self._tree_field(y.shape[1])(y[lost], forces, shares)
        out[lost], z[lost] = forces, shares

    def _tree_field(self, d: int) -> TreeField:
        if self._tree is None:
            theta = _fallback_theta(self.potential.dof, d)
            self._tree = TreeField(self._points, self.potential.dof, theta, self._n_threads)
        return self._tree


def _fallback_theta(dof: float, dimensions: int) -> float:
    """Return theta of a tree whose points are far: w changes across a cell as dof does."""
    return FALLBACK_THETA[dimensions] / max(dof, 1.0)
