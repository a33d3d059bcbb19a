"""Repulsion by a particle mesh: O(n) for the points, O(M log M) for the M grid cells."""

import logging
import math
from functools import lru_cache

import numpy as np

from fasttsne import _kernels
from fasttsne.repulsion.barnes_hut import TreeRepulsion
from fasttsne.repulsion.mesh.fft_plan import passes
from fasttsne.repulsion.mesh.influence import student_influence
from fasttsne.repulsion.mesh.splines import polynomials
from fasttsne.repulsion.morton import bounding_box

log = logging.getLogger(__name__)

# Distance of grid points in units of the map, in which the kernel's width is one, by
# dimensions: see docs/math.rst for spacing, spline order and error.
SPACING = {1: 0.4, 2: 0.4, 3: 0.6}
COLUMNS = _kernels.fft_convolve.COLUMNS
# Transforms up to this length cost less than preparing them.
SMALL = 512
# In 3-D they do not, and plans made by estimate are fast for these lengths.
DEEP_SIZES = (16, 32, 48, 64, 80, 108, 128, 144, 160, 192, 240, 320)
# Above this many padded cells to a point, plus a constant, the grid is not worth its memory;
# in 3-D it is slower than the tree, and coarse for a map that is nearly empty.
CELLS_PER_POINT = {1: 32, 2: 32, 3: 60}
CELLS_AT_LEAST = {1: 2048**2, 2: 2048**2, 3: 128**3}
# Below this span w differs from 1, and the forces from linear ones, by less than 1e-6.
LINEAR_SPAN = 1e-3
# theta at which the tree is as accurate as the mesh that it stands in for.
FALLBACK_THETA = {1: 0.3, 2: 0.3, 3: 0.5}


class MeshRepulsion:
    """Repulsive forces of Student's kernel by spline interpolation on a grid, in 1-D to 3-D.

    Parameters
    ----------
    dof : degrees of freedom of the kernel.
    n_interpolation_points : 1 to 6; the splines are of order p = n_interpolation_points + 2.
    min_num_intervals : the least number of grid cells across the map, whatever its span.
    ints_in_interval : scales the grid spacing, which is 0.4 for 1, in 3-D 0.6.
    n_threads : how many threads share the work.  The result does not depend on it.
    """

    def __init__(
        self, dof=1.0, n_interpolation_points=3, min_num_intervals=50, ints_in_interval=1,
        n_threads=1,
    ):  # fmt: skip
        self.dof = dof
        self.order = n_interpolation_points + 2
        self.polynomials = polynomials(self.order)
        self.min_num_intervals = min_num_intervals
        self.ints_in_interval = ints_in_interval
        self.n_threads = n_threads
        self._grid = lru_cache(maxsize=2)(self._make_grid)
        self._influence = lru_cache(maxsize=2)(self._make_influence)
        self._tree = None
        self._scratch = np.empty((3, 0), np.int32)

    def __call__(self, y: np.ndarray, out: np.ndarray, box=None) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z.

        ``box`` is the bounding box of the points, where the caller has it.
        """
        n, _ = y.shape
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
        spacing, shape = self._layout(low, high)
        if math.prod(shape) > most_cells(*y.shape):
            return self._fall_back(y, out, shape)
        self._tree = None
        return self._on_grid(y, out, low, spacing, shape)

    def potential(self, y: np.ndarray, box):
        """The potential of the points y on a grid that covers the box, which holds them.

        Returns
        -------
        cells : the grid, to gather from; its mean is missing.
        spacing : of the grid.
        constant : what each point adds to the mean of the potential.
        """
        spacing, shape = self._layout(*box)
        grid = self._make_grid(shape)
        influence = self._make_influence(shape, spacing)
        grid.set_influence(influence)
        self.spread(y, grid, box[0], spacing)
        grid.convolve(self.n_threads)
        return grid.cells, spacing, influence.constant

    def padded_cells(self, box) -> int:
        """How many cells the grid for points in this box has, which is what it costs."""
        return math.prod(self._layout(*box)[1])

    def _layout(self, low, high):
        """The grid's spacing and padded shape, functions of the bounding box alone."""
        extent = (high - low).astype(float)
        spacing = self._spacing_for(max(extent.max(), LINEAR_SPAN), len(extent))
        deep = len(extent) == 3
        sizes = [padded_size(2 * (int(e / spacing) + 1 + self.order), deep) for e in extent]
        return spacing, (1,) * (3 - len(sizes)) + tuple(reversed(sizes))

    def _on_grid(self, y, out, low, spacing, shape):
        n = len(y)
        grid = self._grid(shape)
        influence = self._influence(shape, spacing)
        grid.set_influence(influence)
        self.spread(y, grid, low, spacing)
        energy = grid.convolve(self.n_threads)
        _kernels.particle_mesh.gather(
            y, grid.cells, low, spacing, self.polynomials, influence.self_force, out,
            self.n_threads,
        )  # fmt: skip
        return energy + n * n * influence.constant - n * influence.self_term

    def spread(self, y: np.ndarray, grid: "Grid", low: np.ndarray, spacing: float) -> None:
        """Fill a grid whose corner is ``low`` with the points y, (n, d) float32."""
        size = max(len(y), math.prod(grid.cells.shape[:2])) + 2
        if self._scratch.shape[1] < size:
            self._scratch = np.empty((3, size), np.int32)
        _kernels.particle_mesh.spread(
            y, grid.cells, low, spacing, self.polynomials, self._scratch, self.n_threads
        )

    def _spacing_for(self, span, dimensions):
        """The grid spacing: a function of the span alone, and in steps, so that grids recur."""
        widest = SPACING[dimensions] * self.ints_in_interval
        octaves = math.log2(widest * self.min_num_intervals / span)
        return widest * 2 ** (-math.ceil(2 * octaves) / 2) if octaves > 0 else widest

    def _make_grid(self, shape):
        return Grid(shape, self.n_threads)

    def _make_influence(self, shape, spacing):
        return student_influence(shape, spacing, self.order, self.dof)

    def _fall_back(self, y, out, shape):
        dimensions = y.shape[1]
        if self._tree is None:
            log.log(
                logging.INFO if dimensions == 3 else logging.WARNING,
                "the map would take a grid of %s cells for %d points: it is too wide, or some "
                "points lie very far out; using the Barnes-Hut tree until that changes",
                " x ".join(str(size) for size in shape if size > 1), len(y),
            )  # fmt: skip
            self._tree = TreeRepulsion(self.dof, FALLBACK_THETA[dimensions], self.n_threads)
        return self._tree(y, out)


def most_cells(n_samples: int, n_components: int) -> int:
    """Padded cells that a grid for so many points may have."""
    return CELLS_PER_POINT[n_components] * n_samples + CELLS_AT_LEAST[n_components]


class Grid:
    """The arrays and transform plans of one padded size (layers, rows, columns).

    Points live in a corner of half the layers, half the rows and half the columns;
    the rest is there so that the convolution does not wrap round.  Of that, layers
    and rows are never stored: ``convolve_columns`` has them only in its buffers.
    """

    def __init__(self, shape: tuple[int, int, int], n_threads: int):
        layers, rows, columns = shape
        used = max(layers // 2, 1), max(rows // 2, 1)
        modes = columns // 2 + 1
        width = COLUMNS * -(-modes // COLUMNS)
        self.cells = _zeros((*used, _stride(columns // 2)))
        self.spectrum = _zeros((*used, 2 * width))
        self.influence = _zeros((layers // 2 + 1, rows // 2 + 1, width))
        self.counted = np.zeros(width, np.float32)
        self.counted[:modes] = 2
        self.counted[[0, modes - 1]] = 1
        self._passes = passes(layers), passes(rows), passes(columns)
        self._work = _work(layers, rows, columns, n_threads)
        self._current = None

    def set_influence(self, influence) -> None:
        """Take over the modes of an influence function, unless they are there already."""
        if self._current is not influence:
            self.influence[:, :, : influence.modes.shape[2]] = influence.modes
            self._current = influence

    def convolve(self, n_threads: int) -> float:
        """Turn the spread points in ``cells`` into the potential; return sum |rho_k|^2 G_k."""
        layers, rows, columns = self._passes
        along_columns = self.cells, self.spectrum, columns, self._work
        _kernels.row_fft.transform_rows(*along_columns, False, n_threads)
        energy = _kernels.fft_convolve.convolve_columns(
            self.spectrum, self.influence, self.counted, rows, layers, self._work, n_threads
        )
        _kernels.row_fft.transform_rows(*along_columns, True, n_threads)
        return energy


def _stride(columns):
    """Floats from row to row: room for whole vectors, and not a power of two of cache lines."""
    stride = -(-(columns + COLUMNS) // 16) * 16
    return stride + 16 if stride % 512 == 0 else stride


def _work(layers, rows, columns, n_threads):
    size = max(_kernels.fft_convolve.work_size(layers, rows), _kernels.row_fft.work_size(columns))
    return _zeros((n_threads, size))


def _zeros(shape):
    """A float32 array that starts with a cache line, as its vectors then do."""
    line = 16
    array = np.zeros(math.prod(shape) + line, np.float32)
    skipped = -(array.ctypes.data // array.itemsize) % line
    return array[skipped : skipped + math.prod(shape)].reshape(shape)


@lru_cache(maxsize=2)
def _sizes(deep) -> list[int]:
    """Even lengths with the factors 2, 3, 5 that FFTs like.

    Each is at least 4 % above the last, and small ones 12 %: a growing map then needs
    fewer of them, whose arrays and influence functions cost more than the cells do.
    """
    smooth = sorted(
        2**a * 3**b * 5**c
        for a in range(2, 24) for b in range(4) for c in range(3)
        if 2**a * 3**b * 5**c < 2**24
    )  # fmt: skip
    sizes = list(DEEP_SIZES) if deep else [16]
    for size in smooth:
        if size >= (1.12 if size <= SMALL else 1.04) * sizes[-1]:
            sizes.append(size)
    return sizes


def padded_size(least: int, deep: bool = False) -> int:
    """The smallest good transform length that is not below ``least``; ``deep`` is in 3-D.

    Beyond the largest that is ``least`` itself: no grid is made so large.
    """
    return next((size for size in _sizes(deep) if size >= least), least)
