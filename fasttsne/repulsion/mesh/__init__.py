"""Repulsion by a particle mesh: O(n) for the points, O(M log M) for the M grid cells."""

import logging
import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from fasttsne import _kernels
from fasttsne.repulsion.barnes_hut import TreeRepulsion, bounding_box
from fasttsne.repulsion.mesh.grid import FFTWGrid, Grid
from fasttsne.repulsion.mesh.influence import polynomials, quick_influence, student_influence
from fasttsne.repulsion.mesh.layout import FALLBACK_THETA, LINEAR_SPAN, grid_layout, max_cells
from fasttsne.runtime.build_info import FFT_ENGINE

log = logging.getLogger(__name__)

GRIDS = {"builtin": Grid, "pyfftw": FFTWGrid}
# Two smaller grids are cached, for maps that change between two sizes; of larger ones, one.
MAX_CACHED_CELLS = 2**23


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
        dof=1.0,
        n_interpolation_points=3,
        min_num_intervals=50,
        ints_in_interval=1,
        n_threads=1,
        engine=FFT_ENGINE,
    ):
        self.dof = dof
        self.order = n_interpolation_points + 2
        self.polynomials = polynomials(self.order)
        self.min_num_intervals = min_num_intervals
        self.ints_in_interval = ints_in_interval
        self.n_threads = n_threads
        self.engine = engine
        self.last_method: str | None = None
        self._grid = lru_cache(maxsize=2)(self._make_grid)
        self._influence = lru_cache(maxsize=2)(self._make_influence)
        self._tree = None
        self._scratch = np.empty((3, 0), np.int32)

    @classmethod
    def from_params(cls, dof: float, n_threads: int, params: Mapping) -> "MeshRepulsion":
        """The mesh with the accuracy that the parameters of ``optimize`` ask for."""
        return cls(
            dof,
            params["n_interpolation_points"],
            params["min_num_intervals"],
            params["ints_in_interval"],
            n_threads,
        )

    def __call__(self, y: np.ndarray, out: np.ndarray, box=None) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z.

        ``box`` is the bounding box of the points, where the caller has it.
        """
        n, _ = y.shape
        self.last_method = "fft"
        low, high = bounding_box(y) if box is None else box
        span = float((high - low).max())
        if span == 0:
            out[:] = 0
            return n * (n - 1.0)
        if span < LINEAR_SPAN:
            # Forces are proportional to distances here; float32 modes would underflow.
            scale = np.float32(LINEAR_SPAN / span)
            z = self(y * scale, out)
            out /= scale
            return z
        spacing, shape = self.layout((low, high))
        if math.prod(shape) > max_cells(*y.shape):
            return self._use_tree(y, out, shape)
        self._tree = None
        return self._use_grid(y, out, low, spacing, shape)

    def potential(self, y: np.ndarray, box, is_quick: bool = False):
        """The potential of the points y on a grid that covers the box, which holds them.

        is_quick : by ``quick_influence``, for a box that is not small.

        Returns
        -------
        cells : the grid, to gather from; its mean is missing.
        spacing : of the grid.
        constant : what each point adds to the mean of the potential.
        """
        spacing, shape = self.layout(box)
        grid = self._make_grid(shape)
        if is_quick:
            influence = quick_influence(shape, spacing, self.order, self.dof)
        else:
            influence = self._make_influence(shape, spacing)
        grid.set_influence(influence)
        self.spread(y, grid, box[0], spacing)
        grid.convolve(self.n_threads)
        return grid.cells, spacing, influence.constant

    def layout(self, box):
        """The grid's spacing and padded shape for points in this box."""
        return grid_layout(box, self.order, self.min_num_intervals, self.ints_in_interval)

    def padded_cells(self, box) -> int:
        """How many cells the grid for points in this box has, which is what it costs."""
        return math.prod(self.layout(box)[1])

    def spread(self, y: np.ndarray, grid: Grid | FFTWGrid, low: np.ndarray, spacing: float) -> None:
        """Fill a grid whose corner is ``low`` with the points y, (n, d) float32."""
        size = max(len(y), 2 * math.prod(grid.cells.shape[:2])) + 64
        if self._scratch.shape[1] < size:
            self._scratch = np.empty((3, size), np.int32)
        _kernels.particle_mesh.spread(
            y, grid.cells, low, spacing, self.polynomials, self._scratch, self.n_threads
        )

    def _use_grid(self, y, out, low, spacing, shape):
        n = len(y)
        grid = self._grid(shape)
        influence = self._influence(shape, spacing)
        grid.set_influence(influence)
        self.spread(y, grid, low, spacing)
        energy = grid.convolve(self.n_threads)
        _kernels.particle_mesh.gather(
            y, grid.cells, low, spacing, self.polynomials, influence.self_force, out, self.n_threads
        )
        return energy + n * n * influence.constant - n * influence.self_term

    def _use_tree(self, y, out, shape):
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
        return self._tree(y, out)

    def release(self) -> None:
        """Free memory until the next call."""
        self._grid.cache_clear()
        self._influence.cache_clear()
        self._tree, self._scratch = None, np.empty((3, 0), np.int32)

    def _make_grid(self, shape):
        if math.prod(shape) > MAX_CACHED_CELLS:
            self._grid.cache_clear()
        return GRIDS[self.engine](shape, self.n_threads)

    def _make_influence(self, shape, spacing):
        if math.prod(shape) > MAX_CACHED_CELLS:
            self._influence.cache_clear()
        return student_influence(shape, spacing, self.order, self.dof)
