"""Repulsion by a particle mesh: O(n) for the points, O(M log M) for the M grid cells."""

import bisect
import logging
import math
from functools import lru_cache

import numpy as np

from fasttsne import _kernels
from fasttsne.repulsion.barnes_hut import Box, TreeRepulsion, bounding_box
from fasttsne.repulsion.mesh.grid import FFTWGrid, Grid, Shape
from fasttsne.repulsion.mesh.influence import (
    Influence,
    polynomials,
    quick_influence,
    student_influence,
)
from fasttsne.runtime import FFT_ENGINE
from fasttsne.runtime.typing import Params

log = logging.getLogger(__name__)

GRIDS: dict[str, type[Grid] | type[FFTWGrid]] = {"builtin": Grid, "pyfftw": FFTWGrid}
# Two smaller grids are cached, for maps that change between two sizes; of larger ones, one.
MAX_CACHED_CELLS = 2**23

# Distance of grid points in units of the map, in which the kernel's width is one, by
# dimensions: see docs/math.rst for spacing, spline order and error.
SPACING = {1: 0.4, 2: 0.4, 3: 0.6}
# Below this span w differs from 1, and the forces from linear ones, by less than 1e-6.
LINEAR_SPAN = 1e-3
# Transforms up to this length cost less than preparing them.
SMALL_SIZE = 512
# In 3-D they do not, and plans made by estimate are fast for these lengths.
SIZES_3D = (16, 32, 48, 64, 80, 108, 128, 144, 160, 192, 240, 320)

# By dimensions: the mesh costs about as much for so many padded grid cells as the tree does
# for one point, beyond what a call of it costs whatever its size, and its share of the new
# grids that a growing map needs: measured over whole runs by benchmarks/crossover.py.
FAST_CELLS_PER_POINT = {1: 30, 2: 17, 3: 75}
CALL_OVERHEAD_IN_CELLS = {1: 45_000, 2: 160_000, 3: 1_000_000}

# By dimensions: with more padded cells than this, the grid is not worth its memory; in 3-D
# it is slower than the tree, and coarse for a map that is nearly empty.
MAX_CELLS_PER_POINT = {1: 32, 2: 32, 3: 60}
MIN_CELL_LIMIT = {1: 2048**2, 2: 2048**2, 3: 128**3}
# The longest transform that there is; a grid in 1-D is one.
MAX_LINE_CELLS = 15_728_640
# For few points not even so many, in 1-D and 2-D: the tree is ten times faster than a grid of
# 2048 x 2048 for 600 points.
FEW_POINTS_CELLS = 1500

# In 2-D, a grid that is made once and asked many times: for MNIST, 63,000 points, a cell costs 6 ns
# to make, and a place 1.9 us by the tree, .07 us by the grid (n_evaluations of ``make_field``).
FIELD_CELLS_PER_EVALUATION = 250
# Making a cell takes up to 20 bytes, of which 4 stay.
MAX_FIELD_CELLS = 48 * 2**20

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
        self.dof, self.n_threads, self.engine = dof, n_threads, engine
        self.order = n_interpolation_points + 2
        self.polynomials = polynomials(self.order)
        self.min_num_intervals, self.ints_in_interval = min_num_intervals, ints_in_interval
        self.last_method: str | None = None
        self._grid = lru_cache(maxsize=2)(self._make_grid)
        self._influence = lru_cache(maxsize=2)(self._make_influence)
        self._tree: TreeRepulsion | None = None
        self._scratch = np.empty((3, 0), np.int32)

    @classmethod
    def from_params(cls, dof: float, n_threads: int, params: Params) -> "MeshRepulsion":
        """Return the mesh with the accuracy that the parameters of ``optimize`` ask for."""
        names = "n_interpolation_points", "min_num_intervals", "ints_in_interval"
        return cls(dof, n_threads=n_threads, **{name: params[name] for name in names})

    def __call__(self, y: np.ndarray, out: np.ndarray, box: Box | None = None) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z.

        ``box`` is the bounding box of the points, where the caller has it.
        """
        n = len(y)
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

    def potential(
        self, y: np.ndarray, box: Box, is_quick: bool = False
    ) -> tuple[np.ndarray, float, float]:
        """Return the potential of the points y on a grid that covers the box, which holds them.

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

    def layout(self, box: Box) -> tuple[float, Shape]:
        """Return the grid's spacing and padded shape for points in this box."""
        extent = (box[1] - box[0]).tolist()
        spacing = SPACING[len(extent)] * self.ints_in_interval
        octaves = math.log2(spacing * self.min_num_intervals / max(*extent, LINEAR_SPAN))
        if octaves > 0:
            spacing *= 2 ** (-math.ceil(2 * octaves) / 2)  # half octaves, so that grids recur
        ends = [2 * (int(side / spacing) + 1 + self.order) for side in extent]
        columns, rows, layers = [*[padded_size(end, len(ends) == 3) for end in ends], 1, 1][:3]
        return spacing, (layers, rows, columns)

    def padded_cells(self, box: Box) -> int:
        """Return how many cells the grid for points in this box has, which is what it costs."""
        return math.prod(self.layout(box)[1])

    def spread(self, y: np.ndarray, grid: Grid | FFTWGrid, low: np.ndarray, spacing: float) -> None:
        """Fill a grid whose corner is ``low`` with the points y, (n, d) float32."""
        size = max(len(y), 2 * math.prod(grid.cells.shape[:2])) + 64
        if self._scratch.shape[1] < size:
            self._scratch = np.empty((3, size), np.int32)
        _kernels.particle_mesh.spread(
            y, grid.cells, low, spacing, self.polynomials, self._scratch, self.n_threads
        )

    def _use_grid(
        self, y: np.ndarray, out: np.ndarray, low: np.ndarray, spacing: float, shape: Shape
    ) -> float:
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

    def _use_tree(self, y: np.ndarray, out: np.ndarray, shape: Shape) -> float:
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

    def _make_grid(self, shape: Shape) -> Grid | FFTWGrid:
        if math.prod(shape) > MAX_CACHED_CELLS:
            self._grid.cache_clear()
        return GRIDS[self.engine](shape, self.n_threads)

    def _make_influence(self, shape: Shape, spacing: float) -> Influence:
        if math.prod(shape) > MAX_CACHED_CELLS:
            self._influence.cache_clear()
        return student_influence(shape, spacing, self.order, self.dof)


@lru_cache(maxsize=2)
def transform_sizes(is_3d: bool) -> list[int]:
    """Return even lengths with the factors 2, 3, 5 that FFTs like.

    Each is at least 4 % above the last, and small ones 12 %: a growing map then needs
    fewer of them, whose arrays and influence functions cost more than the cells do.
    """
    smooth = {2**a * 3**b * 5**c for a in range(2, 24) for b in range(4) for c in range(3)}
    sizes = list(SIZES_3D) if is_3d else [16]
    for size in sorted(size for size in smooth if size < 2**24):
        if size >= (1.12 if size <= SMALL_SIZE else 1.04) * sizes[-1]:
            sizes.append(size)
    return sizes


def padded_size(min_size: int, is_3d: bool = False) -> int:
    """Return the smallest good transform length that is not below ``min_size``.

    Beyond the largest that is ``min_size`` itself: no grid is made so large.
    """
    # Not by a generator that is left half-way, as every iteration comes here: Ctrl-C while it is
    # closed would be lost.
    sizes = transform_sizes(is_3d)
    at = bisect.bisect_left(sizes, min_size)
    return sizes[at] if at < len(sizes) else min_size


def max_fast_cells(n_samples: int, n_components: int) -> int:
    """Return up to how many padded cells a mesh costs less than the tree; below 1: none."""
    return FAST_CELLS_PER_POINT[n_components] * n_samples - CALL_OVERHEAD_IN_CELLS[n_components]


def max_cells(n_samples: int, n_components: int) -> int:
    """Return how many padded cells a grid for so many points may have."""
    least = MIN_CELL_LIMIT[n_components]
    if n_components < 3:
        least = min(least, FEW_POINTS_CELLS * n_samples)
    limit = MAX_CELLS_PER_POINT[n_components] * n_samples + least
    return min(limit, MAX_LINE_CELLS) if n_components == 1 else limit


def max_field_cells(n_evaluations: int, n_components: int) -> int:
    """Return how many padded cells the grid of a fixed map may have, asked for so many places."""
    if n_components != 2:
        return 0
    return min(FIELD_CELLS_PER_EVALUATION * n_evaluations, MAX_FIELD_CELLS)
