"""The repulsion of a fixed map on new points.

    F_i = sum_j w_ij q_ij (y_i - r_j),    Z_i = sum_j w_ij,    over the points r of the map

A field is made once for a map and called in every iteration.  The force on one new
point does not depend, to the last bit, on the other new points.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from fasttsne import _kernels
from fasttsne.repulsion.barnes_hut import TreeRepulsion, bounding_box
from fasttsne.repulsion.exact import padded_columns
from fasttsne.repulsion.mesh import MeshRepulsion
from fasttsne.repulsion.mesh.layout import FALLBACK_THETA, LINEAR_SPAN, max_cells, max_field_cells

# The grid reaches so much of the map's extent beyond it: new points may land outside.
MARGIN, MARGIN_OF_LARGE = 0.1, 0.02
# A potential below this share of the largest drowns in the grid's errors.
MIN_SHARE = 1e-5
# Methods that use the grid where it is not too large.
WITH_GRID = ("fft", "auto")


class FixedRepulsion(Protocol):
    """A field: writes F, (m, d) float32, and Z, (m,) float64, of the points y, (m, d) float32."""

    def __call__(self, y: np.ndarray, out: np.ndarray, z: np.ndarray, /) -> None: ...

    def row_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray, /) -> Any:
        """The same as a task (``row_task.pxd``), while the arrays exist; or None."""


def make_field(
    points: np.ndarray,
    method: str,
    dof: float,
    n_threads: int,
    params: Mapping[str, Any],
    n_evaluations: int = 0,
) -> FixedRepulsion:
    """The field of a map.

    Parameters
    ----------
    points : (n, d) float32 array.
    method : as for ``make_repulsion``; "auto" is the mesh unless its grid would be too large.
    params : accuracy, as for ``make_repulsion``.
    n_evaluations : at how many places the field will be asked for, over all calls, if that is
        known: a 2-D grid may have more cells where it will be used more.  Up to
        ``MAX_FIELD_CELLS`` it takes 1 GB while it is made, and a quarter of that later.
    """
    if method == "exact":
        return ExactField(points, dof, n_threads)
    if method == "bh":
        return TreeField(points, dof, params["theta"], n_threads)
    if method not in WITH_GRID:
        raise ValueError(f"no repulsion of a fixed map is called {method!r}")
    mesh = MeshRepulsion.from_params(dof, n_threads, params)
    box = _box(points, MARGIN)
    is_tiny = float(np.max(box[1] - box[0])) < LINEAR_SPAN
    if not is_tiny and mesh.padded_cells(box) <= max_cells(*points.shape):
        return MeshField(points, mesh, box)
    box = _box(points, MARGIN_OF_LARGE)
    if not is_tiny and mesh.padded_cells(box) <= max_field_cells(n_evaluations, points.shape[1]):
        return MeshField(points, mesh, box, is_quick=True)
    return TreeField(points, dof, _fallback_theta(dof, points.shape[1]), n_threads)


def _box(points: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """The points' bounding box, and so much of its extent around it."""
    low, high = bounding_box(points)
    more = np.float32(margin) * (high - low).max()
    return low - more, high + more


class ExactField:
    """The sum over all points of the map."""

    def __init__(self, points, dof, n_threads):
        self.dof, self.n_threads = dof, n_threads
        self._columns = padded_columns(points)

    def __call__(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        _kernels.exact_repulsion.exact_repulsion_at(
            y, self._columns, out, z, self.dof, self.n_threads
        )

    def row_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        return None


class TreeField:
    """The Barnes-Hut tree of the map, which each point traverses by itself."""

    def __init__(self, points, dof, theta, n_threads):
        self._tree = TreeRepulsion(dof, theta, n_threads)
        self._tree.build(points)

    def __call__(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        self._tree.field(y, out, z)

    def row_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> Any:
        return self._tree.field_task(y, out, z)


class MeshField:
    """The potential of the map on a grid; the tree serves points that are off it.

    So it does where the potential is so small that the grid's errors would
    matter: in the empty parts of a map whose kernel has light tails.  Calls share no scratch
    arrays, so threads may use one field at once.  With ``is_quick`` the grid is made in a third of
    the time, for maps that are not small (``quick_influence``).
    """

    def __init__(self, points, mesh, box, is_quick=False):
        self._points, self._mesh = points, mesh
        self._low, self._high = box
        self._cells, self._spacing, constant = mesh.potential(points, box, is_quick)
        self._mean = len(points) * constant
        self._min_potential = MIN_SHARE * (float(self._cells.max()) + self._mean)
        # A new point was not spread: it does not push itself.
        self._no_self_force = np.zeros(_kernels.particle_mesh.SELF_FORCE_TERMS, np.float32)
        self._tree = None

    def __call__(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        outside = (y < self._low) | (y > self._high)
        inside = np.clip(y, self._low, self._high) if outside.any() else y
        potential = np.empty(len(y), np.float32)
        _kernels.particle_mesh.gather(
            inside,
            self._cells,
            self._low,
            self._spacing,
            self._mesh.polynomials,
            self._no_self_force,
            out,
            self._mesh.n_threads,
            potential,
        )
        np.add(potential, self._mean, out=z)
        lost = z < self._min_potential
        if inside is not y:
            lost |= outside.any(axis=1)
        if lost.any():
            self._by_tree(y, np.flatnonzero(lost), out, z)

    def row_task(self, y: np.ndarray, out: np.ndarray, z: np.ndarray) -> Any:
        return _kernels.particle_mesh.row_task(
            y,
            self._cells,
            self._low,
            self._spacing,
            self._mesh.polynomials,
            self._no_self_force,
            out,
            z,
            self._high,
            self._mean,
            self._min_potential,
        )

    def _by_tree(self, y, lost, out, z):
        if self._tree is None:
            dof, n_threads = self._mesh.dof, self._mesh.n_threads
            theta = _fallback_theta(dof, y.shape[1])
            self._tree = TreeField(self._points, dof, theta, n_threads)
        forces, shares = np.empty((len(lost), y.shape[1]), np.float32), np.empty(len(lost))
        self._tree(y[lost], forces, shares)
        out[lost], z[lost] = forces, shares


def _fallback_theta(dof, dimensions):
    """Far out, w changes across a cell in proportion to dof."""
    return FALLBACK_THETA[dimensions] / max(dof, 1.0)
