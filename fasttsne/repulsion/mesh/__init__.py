"""Repulsion by a particle mesh: O(n) for the points, O(M log M) for the M grid cells."""

import logging
import math
from collections.abc import Callable
from functools import partial

import numpy as np

from fasttsne.repulsion.barnes_hut import Box, TreeRepulsion, bounding_box
from fasttsne.repulsion.mesh.grid import Shape
from fasttsne.repulsion.mesh.particle_mesh import ParticleMesh, Potential
from fasttsne.repulsion.mesh.split import Split, finer, grid_shape, linear_span
from fasttsne.runtime import FFT_ENGINE
from fasttsne.runtime.typing import Params

log = logging.getLogger(__name__)

# Distance of grid points in units of the map, in which the kernel's width is one, by
# dimensions: see docs/math.rst for spacing, spline order and error.
SPACING = {1: 0.4, 2: 0.4, 3: 0.6}
# By dimensions: with more padded cells than this, the grid is not worth its memory; in 3-D
# it is slower than the tree, and coarse for a map that is nearly empty.
MAX_CELLS_PER_POINT = {1: 32, 2: 32, 3: 60}
MIN_CELL_LIMIT = {1: 2048**2, 2: 2048**2, 3: 128**3}
# The longest transform that there is; a grid in 1-D is one.
MAX_LINE_CELLS = 14_155_776
# For few points not even so many, in 1-D and 2-D: the tree is ten times faster than a grid of
# 2048 x 2048 for 600 points.
FEW_POINTS_CELLS = 1500

# Of forces in maps so small that they are taken as linear.
LINEAR_ERROR = 4e-3

# theta at which the tree is as accurate as the mesh that it stands in for, by dimensions.
FALLBACK_THETA = {1: 0.3, 2: 0.3, 3: 0.5}


class MeshRepulsion:
    """Repulsive forces of Student's kernel by spline interpolation on a grid, in 1-D to 3-D.

    Parameters
    ----------
    dof : degrees of freedom of the kernel.
    n_interpolation_points : 1 to 6; the splines are of order p = n_interpolation_points + 2.
    min_num_intervals : the smallest number of grid cells across the map, whatever its span.
    ints_in_interval : scales the grid spacing, which is 0.4 for 1, in 3-D 0.6.
    n_threads : how many threads share the work.  The result does not depend on it.
    engine : of the Fourier transforms, "builtin" or "pyfftw", with which bits do depend on
        ``n_threads``; that of FASTTSNE_FFT by default.

    Attributes
    ----------
    last_method : "fft", or "bh" where the grid of the last call would have been too large;
        None before the first.
    """

    def __init__(
        self,
        dof: float = 1.0,
        n_interpolation_points: int = 3,
        min_num_intervals: int = 50,
        ints_in_interval: float = 1,
        n_threads: int = 1,
        engine: str = FFT_ENGINE,
    ):
        self.dof, self.n_threads = dof, n_threads
        self.order = n_interpolation_points + 2
        self.min_num_intervals, self.ints_in_interval = min_num_intervals, ints_in_interval
        self.last_method: str | None = None
        self._mesh = ParticleMesh(dof, n_threads, engine)
        self._tree: TreeRepulsion | None = None

    @classmethod
    def from_params(cls, dof: float, n_threads: int, params: Params) -> "MeshRepulsion":
        """Return the mesh with the accuracy that the parameters of ``optimize`` ask for."""
        names = "n_interpolation_points", "min_num_intervals", "ints_in_interval"
        return cls(dof, n_threads=n_threads, **{name: params[name] for name in names})

    def __call__(self, y: np.ndarray, out: np.ndarray, n_threads: int | None = None) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z."""
        self.last_method = "fft"
        repel = partial(self._repel, n_threads=n_threads or self.n_threads)
        return with_wide_maps(repel, y, out, linear_span(self.dof, LINEAR_ERROR))

    def _repel(self, y: np.ndarray, out: np.ndarray, box: Box, n_threads: int) -> float:
        split, shape = self.layout(box)
        if math.prod(shape) > max_cells(*y.shape):
            return self._use_tree(y, out, shape, n_threads)
        self._tree = None
        extent = (box[1] - box[0]).tolist()
        return self._mesh(y, out, box[0], extent, split, shape, n_threads)

    def potential(self, y: np.ndarray, box: Box) -> Potential | None:
        """Return the potential of the points y in a box that holds them; None if it is too wide."""
        split, shape = self.layout(box)
        if math.prod(shape) > max_cells(*y.shape):
            return None
        return self._mesh.potential(y, box, split, shape)

    def layout(self, box: Box) -> tuple[Split, Shape]:
        """Return the grid for points in this box, and its padded shape."""
        extent = (box[1] - box[0]).tolist()
        spacing = SPACING[len(extent)] * self.ints_in_interval
        split = Split(0.0, finer(spacing, extent, self.min_num_intervals, 2), self.order)
        return split, grid_shape(extent, split)

    def _use_tree(self, y: np.ndarray, out: np.ndarray, shape: Shape, n_threads: int) -> float:
        dimensions = y.shape[1]
        self.last_method = "bh"
        if self._tree is None:
            log.log(
                logging.INFO if dimensions == 3 else logging.WARNING,
                "the map would take a grid of %s cells for %d points: it is too wide, or some "
                "points lie very far out; using the Barnes-Hut tree until that changes",
                " x ".join(str(size) for size in shape if size > 1),
                len(y),
            )
            self._tree = TreeRepulsion(self.dof, FALLBACK_THETA[dimensions], self.n_threads)
        return self._tree(y, out, n_threads)

    def release(self) -> None:
        """Free memory until the next call."""
        self._mesh.release()
        self._tree = None


def with_wide_maps(
    repel: Callable[[np.ndarray, np.ndarray, Box], float],
    y: np.ndarray,
    out: np.ndarray,
    span: float,
) -> float:
    """Call ``repel`` with the map and its box; below ``span`` forces are linear."""
    low, high = bounding_box(y)
    if not float((high - low).max()) < span:
        return repel(y, out, (low, high))
    n = len(y)
    from_mean = y - y.mean(0, dtype=np.float64)
    np.multiply(from_mean, n, out=out, casting="same_kind")
    # Of w = 1 - r^2, the sum over all pairs.
    return n * (n - 1.0) - 2 * n * float((from_mean**2).sum())


def max_cells(n_samples: int, n_components: int) -> int:
    """Return how many padded cells a grid for so many points may have."""
    least = MIN_CELL_LIMIT[n_components]
    if n_components < 3:
        least = min(least, FEW_POINTS_CELLS * n_samples)
    limit = MAX_CELLS_PER_POINT[n_components] * n_samples + least
    return min(limit, MAX_LINE_CELLS) if n_components == 1 else limit
