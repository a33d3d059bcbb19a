"""Forces of a split kernel: points to a grid, convolved, gathered again, and near pairs by sums."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from fasttsne import _kernels
from fasttsne.repulsion.barnes_hut import Box
from fasttsne.repulsion.mesh.grid import FFTWGrid, Grid, Shape
from fasttsne.repulsion.mesh.influence import (
    Influence,
    make_influence,
    polynomials,
    taylor_coefficients,
)
from fasttsne.repulsion.mesh.split import Split

GRIDS: dict[str, type[Grid] | type[FFTWGrid]] = {"builtin": Grid, "pyfftw": FFTWGrid}
# Two smaller grids are cached, for maps that change between two sizes; of larger ones, one.
MAX_CACHED_CELLS = 2**23
# Without near pairs, points are sorted by strips of so many grid cells.
STRIP_WIDTH = 8
# Or not at all, where grids of parts of them have so few floats together: to add them is less work
# than to sort, and takes no more than 64 MB.
FLOATS_PER_POINT, FEW_FLOATS, MOST_FLOATS = 16, 2**16, 2**24


class SortedPoints(NamedTuple):
    """Points by strips of cells (``_kernels/repulsion/strips.pxd``), as kernels take them."""

    origin: np.ndarray
    side: float
    shape: np.ndarray
    starts: np.ndarray
    columns: np.ndarray
    order: np.ndarray


@dataclass(frozen=True)
class Arrays:
    """What a sort of the points writes, and its scratch arrays, for one number of strips.

    shape : number of points, dimensions, cells along a strip, strips.
    near : (d, places) float32, near forces by places.
    z : (strips,) near parts of Z.
    """

    shape: tuple[int, int, int, int]
    numbers: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    columns: np.ndarray
    order: np.ndarray
    near: np.ndarray
    z: np.ndarray

    @classmethod
    def make(cls, n: int, d: int, n_cells: int, n_strips: int) -> "Arrays":
        """Return arrays for so many points, cells along a strip, and strips."""
        places = n + n_strips * _kernels.particle_mesh.STRIP_PADDING
        return cls(
            (n, d, n_cells, n_strips),
            np.empty((3, n), np.int32),
            np.empty((_kernels.particle_mesh.COUNTS, n_strips + 1), np.int32),
            np.empty((n_strips, n_cells + 1), np.int32),
            np.empty((d, places), np.float32),
            np.empty(places, np.int32),
            np.empty((d, places), np.float32),
            np.empty(n_strips),
        )


@dataclass(frozen=True)
class Potential:
    """The potential of points that stay: the far part on a grid, and the points for the near one.

    Attributes
    ----------
    points : sorted.
    cells : the grid; its mean is missing.
    split, dof : of the kernel.
    constant : what each point adds to the mean of the grid.
    """

    points: SortedPoints
    cells: np.ndarray
    split: Split
    dof: float
    constant: float

    def gather(self, y: np.ndarray, out: np.ndarray, potential: np.ndarray, n_threads: int) -> None:
        """Write forces and potentials, without the mean, of places y, (m, d) float32, in the box.

        A point of the map does not push itself, and counts in its own potential.
        """
        _kernels.particle_mesh.gather_at(y, *self._arguments(), out, potential, n_threads)

    def row_task(
        self,
        y: np.ndarray,
        out: np.ndarray,
        z: np.ndarray,
        high: np.ndarray,
        mean: float,
        min_z: float,
    ) -> object:
        """Return ``gather``, with the mean, as a task (``row_task.pxd``) while the arrays exist.

        high : upper corner of the box.
        min_z : a row with less is none that the task can serve.
        """
        limits = high, mean, min_z
        return _kernels.particle_mesh.row_task(y, *self._arguments(), out, z, *limits)

    def _arguments(self) -> tuple[object, ...]:
        cutoff = self.split.cutoff
        grid = self.cells, self.split.spacing, polynomials(self.split.order)
        return *self.points, *grid, self.dof, cutoff, taylor_coefficients(cutoff, self.dof)


class ParticleMesh:
    """The grids, influence functions and arrays that calls for one map after another share.

    Parameters
    ----------
    dof : degrees of freedom of the kernel.
    n_threads : how many threads share a call at most.  The result does not depend on it.
    engine : of the Fourier transforms, "builtin" or "pyfftw", with which bits do depend on
        ``n_threads``.
    """

    def __init__(self, dof: float, n_threads: int, engine: str):
        self.dof, self.n_threads, self.engine = dof, n_threads, engine
        self.grid = lru_cache(maxsize=2)(self._make_grid)
        self.influence = lru_cache(maxsize=2)(self._make_influence)
        self._arrays: Arrays | None = None
        self._parts = np.empty((0, 0, 0, 0), np.float32)

    def __call__(
        self,
        y: np.ndarray,
        out: np.ndarray,
        low: np.ndarray,
        extent: list[float],
        split: Split,
        shape: Shape,
        n_threads: int,
    ) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z.

        Parameters
        ----------
        low, extent : the lowest corner and the sides of the points' box.
        shape : padded, of a grid that covers the box (``grid_shape``).
        n_threads : how many threads share this call.
        """
        n = len(y)
        grid, influence = self.grid(shape), self.influence(shape, split)
        grid.set_influence(influence)
        constant = n * n * influence.constant - n * influence.self_term
        if not split.cutoff and _is_small(grid.cells, n):
            return constant + self._unsorted(y, out, low, grid, split, influence, n_threads)
        points, arrays = self.sort(y, low, extent, split, n_threads)
        self.spread(points, grid, split, n_threads)
        z = grid.convolve(n_threads)
        z += constant
        near = None
        if split.cutoff:
            z += self.sum_pairs(points, arrays, split, n_threads)
            near = arrays.near
        self.gather(points, grid, split, influence, out, near, n_threads)
        return z

    def potential(self, y: np.ndarray, box: Box, split: Split, shape: Shape) -> Potential:
        """Return the potential of the points y anywhere in a box that holds them."""
        grid, influence = self._make_grid(shape), self._make_influence(shape, split)
        grid.set_influence(influence)
        extent = (box[1] - box[0]).tolist()
        points, _ = self.sort(y, box[0], extent, split, self.n_threads)
        self.spread(points, grid, split, self.n_threads)
        grid.convolve(self.n_threads)
        self._arrays = None  # the potential has them
        return Potential(points, grid.cells, split, self.dof, influence.constant)

    def release(self) -> None:
        """Free memory until the next call."""
        self.grid.cache_clear()
        self.influence.cache_clear()
        self._arrays = None
        self._parts = np.empty((0, 0, 0, 0), np.float32)

    def _unsorted(
        self,
        y: np.ndarray,
        out: np.ndarray,
        low: np.ndarray,
        grid: Grid | FFTWGrid,
        split: Split,
        influence: Influence,
        n_threads: int,
    ) -> float:
        """Write the forces on points that need not be sorted; return Z without its constant."""
        mesh, cells = _kernels.particle_mesh, grid.cells
        if self._parts.shape[1:] != cells.shape:
            self._parts = np.empty((mesh.PARTS, *cells.shape), np.float32)
        splines = cells, split.spacing, polynomials(split.order)
        mesh.spread_in_parts(y, low, self._parts, *splines, n_threads)
        z = grid.convolve(n_threads)
        mesh.gather_unsorted(y, low, *splines, influence.self_force, out, n_threads)
        return z

    def sort(
        self, y: np.ndarray, low: np.ndarray, extent: list[float], split: Split, n_threads: int
    ) -> tuple[SortedPoints, Arrays]:
        """Return the points by strips of cells, and the arrays that hold them."""
        n, d = y.shape
        side = split.cutoff / _kernels.particle_mesh.CELLS_PER_CUTOFF
        side = side or STRIP_WIDTH * split.spacing
        shape = (*[int(length / side) + 1 for length in extent], 1, 1)[:3]
        n_strips = shape[1] * shape[2]
        if self._arrays is None or self._arrays.shape != (n, d, shape[0], n_strips):
            self._arrays = Arrays.make(n, d, shape[0], n_strips)
        arrays = self._arrays
        points = SortedPoints(
            low, side, np.array(shape, np.int32), arrays.starts, arrays.columns, arrays.order
        )
        _kernels.particle_mesh.sort_points(
            y, *points[:3], arrays.numbers, arrays.counts, *points[3:], n_threads
        )
        return points, arrays

    def spread(
        self, points: SortedPoints, grid: Grid | FFTWGrid, split: Split, n_threads: int
    ) -> None:
        """Fill the grid with the spline weights of the points."""
        band, table = strips_of_band(split, points.side), polynomials(split.order)
        spacing = split.spacing
        _kernels.particle_mesh.spread(*points, grid.cells, spacing, table, band, n_threads)

    def sum_pairs(
        self, points: SortedPoints, arrays: Arrays, split: Split, n_threads: int
    ) -> float:
        """Write near forces to ``arrays.near``; return the near part of Z."""
        kernel = self.dof, split.cutoff, taylor_coefficients(split.cutoff, self.dof)
        band = strips_of_band(split, points.side)
        z: float = _kernels.particle_mesh.sum_pairs(
            *points, *kernel, arrays.near, band, arrays.z, n_threads
        )
        return z

    def gather(
        self,
        points: SortedPoints,
        grid: Grid | FFTWGrid,
        split: Split,
        influence: Influence,
        out: np.ndarray,
        near: np.ndarray | None,
        n_threads: int,
    ) -> None:
        """Write the forces from the grid, and near ones, to ``out``."""
        potential = grid.cells, split.spacing, polynomials(split.order), influence.self_force
        _kernels.particle_mesh.gather(*points, *potential, out, n_threads, near)

    def _make_grid(self, shape: Shape) -> Grid | FFTWGrid:
        if math.prod(shape) > MAX_CACHED_CELLS:
            self.grid.cache_clear()
        return GRIDS[self.engine](shape, self.n_threads)

    def _make_influence(self, shape: Shape, split: Split) -> Influence:
        if math.prod(shape) > MAX_CACHED_CELLS:
            self.influence.cache_clear()
        return make_influence(shape, split.spacing, split.order, self.dof, split.cutoff)


def _is_small(cells: np.ndarray, n: int) -> bool:
    """Return whether parts of n points may have such a grid each."""
    n_floats: int = cells.size * _kernels.particle_mesh.PARTS
    return n_floats <= max(min(FLOATS_PER_POINT * n, MOST_FLOATS), FEW_FLOATS)


def strips_of_band(split: Split, side: float) -> int:
    """Return how many strips are wider than a spline, and than near pairs reach to both sides."""
    width = math.ceil((split.order + 1) * split.spacing / side)
    return max(width, 2 * _kernels.particle_mesh.CELLS_PER_CUTOFF if split.cutoff else 1)
