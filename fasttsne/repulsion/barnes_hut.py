"""Repulsion by a Barnes-Hut tree: O(n log n), whatever the span of the map."""

from typing import TypeAlias

import numpy as np

from fasttsne import _kernels

# The lower and the upper corner of a box, (d,) float32 each.
Box: TypeAlias = tuple[np.ndarray, np.ndarray]


def bounding_box(y: np.ndarray) -> Box:
    """Return the corners of the box around the points y, (n, d) float32."""
    low, high = np.empty((2, y.shape[1]), np.float32)
    _kernels.coordinates.bounds(y, low, high)
    return low, high


def sort_along_curve(
    y: np.ndarray, codes: np.ndarray, order: np.ndarray, box: Box | None = None
) -> float:
    """Sort points along the Morton curve of the square around them; return the square's side.

    Parameters
    ----------
    y : (n, d) float32 array.
    codes, order : (2, n) arrays, uint64 and int32, whose first rows get the
        sorted codes and the point at each position; the second rows are scratch.
    box : the bounding box of y, where the caller has it.
    """
    low, high = (corner.astype(float) for corner in box or bounding_box(y))
    extent = max(float((high - low).max()), float(np.finfo(np.float32).tiny))
    _kernels.morton.morton_order(y, low, extent, codes, order)
    return extent


def curve_order(y: np.ndarray) -> np.ndarray:
    """Return the points of a map in the order of the curve, (n,) int32."""
    codes, order = np.empty((2, len(y)), np.uint64), np.empty((2, len(y)), np.int32)
    sort_along_curve(np.ascontiguousarray(y, np.float32), codes, order)
    first: np.ndarray = order[0]
    return first.copy()


class TreeRepulsion:
    """Repulsive forces of Student's kernel by a Barnes-Hut tree.

    Parameters
    ----------
    dof : degrees of freedom of the kernel.
    theta : a cell counts as one point where its width is below theta times its distance.
    n_threads : how many threads share the work.  The result does not depend on it.
    """

    last_method = "bh"

    def __init__(self, dof: float = 1.0, theta: float = 0.5, n_threads: int = 1):
        self.dof, self.theta, self.n_threads = dof, theta, n_threads
        self._shape: tuple[int, ...] | None = None

    def __call__(
        self,
        y: np.ndarray,
        out: np.ndarray,
        n_threads: int | None = None,
        box: Box | None = None,
    ) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z.

        ``box`` is the bounding box of the points, where the caller has it.
        """
        self.build(y, box)
        # The tree is built: its sums, at least 2 n numbers, serve as scratch.
        scratch = self._prefix.reshape(-1)
        tree = self._sorted, self._order, self._nodes, self._n_nodes
        z: float = _kernels.barnes_hut.tree_repulsion(
            *tree, out, self.dof, self.theta, scratch, n_threads or self.n_threads
        )
        return z

    def build(self, y: np.ndarray, box: Box | None = None) -> None:
        """Make the tree of the points y."""
        if self._shape != y.shape:
            self._allocate(y.shape)
        extent = sort_along_curve(y, self._codes, self._order, box)
        self._n_nodes = _kernels.barnes_hut.build_tree(
            y, self._order, self._codes, extent, self._prefix, self._sorted, self._nodes
        )

    def field(self, points: np.ndarray, out: np.ndarray, z: np.ndarray) -> None:
        """Write the forces of the tree that was built on other points, and the Z of each."""
        tree = self._sorted, self._nodes, self._n_nodes
        _kernels.barnes_hut.tree_repulsion_at(
            points, *tree, out, z, self.dof, self.theta, self.n_threads
        )

    def field_task(self, points: np.ndarray, out: np.ndarray, z: np.ndarray) -> object:
        """Return ``field`` as a task (``row_task.pxd``), while the arrays and the tree exist."""
        tree = self._sorted, self._nodes, self._n_nodes
        return _kernels.barnes_hut.row_task(points, *tree, out, z, self.dof, self.theta)

    def release(self) -> None:
        """Free memory until the next call."""
        self._shape = None
        for name in ("_codes", "_order", "_sorted", "_prefix", "_nodes"):
            vars(self).pop(name, None)

    def _allocate(self, shape: tuple[int, ...]) -> None:
        self._shape = n, d = shape
        self._codes = np.empty((2, n), np.uint64)
        self._order = np.empty((2, n), np.int32)
        self._sorted = np.empty((n, d), np.float32)
        self._prefix = np.empty((n + 1, d + 1))
        self._nodes = np.empty((2 * n, _kernels.barnes_hut.NODE_FLOATS), np.float32)
