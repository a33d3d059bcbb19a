"""Repulsion by a particle mesh: O(n) for the points, O(M log M) for the M grid cells."""

import itertools
import logging
import math
from functools import lru_cache

import numpy as np

from fasttsne import _kernels
from fasttsne._curve import bounding_box
from fasttsne.repulsion import fft
from fasttsne.repulsion.influence import student_influence
from fasttsne.repulsion.splines import polynomials
from fasttsne.repulsion.tree import TreeRepulsion

log = logging.getLogger(__name__)

# Grid points for each unit of the map, where the kernel has its width: see
# docs/performance.rst for the table of spacing, spline order and error.
SPACING = 0.4
COLUMNS = _kernels.grid.COLUMN_WIDTH
# Transforms up to this length cost less than preparing them.
SMALL = 512
# Rows of the grid are transformed in this many pieces, whatever the threads.
ROW_PIECES = 16
# Above this many padded cells to a point, plus a constant, the grid is not worth its memory.
CELLS_PER_POINT = 32
CELLS_AT_LEAST = 2048**2
# Below this span w differs from 1, and the forces from linear ones, by less than 1e-6.
LINEAR_SPAN = 1e-3
# theta at which the tree is as accurate as the mesh that it stands in for.
FALLBACK_THETA = 0.3


class MeshRepulsion:
    """Repulsive forces of Student's kernel by spline interpolation on a grid, in 1-D and 2-D.

    Parameters
    ----------
    dof : degrees of freedom of the kernel.
    n_interpolation_points : 1 to 6; the splines are of order p = n_interpolation_points + 2.
    min_num_intervals : the least number of grid cells across the map, whatever its span.
    ints_in_interval : scales the grid spacing, which is 0.4 for 1.
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
        self.spacing = SPACING * ints_in_interval
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
        if math.prod(shape) > CELLS_PER_POINT * n + CELLS_AT_LEAST:
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
        _kernels.grid.spread(
            y, grid.cells, box[0], spacing, self.polynomials, self._scratch_for(len(y), shape[0]),
            self.n_threads,
        )  # fmt: skip
        grid.convolve(self.n_threads)
        return grid.cells, spacing, influence.constant

    def padded_cells(self, box) -> int:
        """How many cells the grid for points in this box has, which is what it costs."""
        return math.prod(self._layout(*box)[1])

    def _layout(self, low, high):
        """The grid's spacing and padded shape, functions of the bounding box alone."""
        extent = (high - low).astype(float)
        spacing = self._spacing_for(max(extent.max(), LINEAR_SPAN))
        sizes = [padded_size(2 * (int(e / spacing) + 1 + self.order)) for e in extent]
        return spacing, (sizes[1] if len(sizes) == 2 else 1, sizes[0])

    def _on_grid(self, y, out, low, spacing, shape):
        n = len(y)
        grid = self._grid(shape)
        influence = self._influence(shape, spacing)
        grid.set_influence(influence)
        _kernels.grid.spread(
            y, grid.cells, low, spacing, self.polynomials, self._scratch_for(n, shape[0]),
            self.n_threads,
        )  # fmt: skip
        energy = grid.convolve(self.n_threads)
        _kernels.grid.gather(
            y, grid.cells, low, spacing, self.polynomials, influence.self_force, out,
            self.n_threads,
        )  # fmt: skip
        return energy + n * n * influence.constant - n * influence.self_term

    def _spacing_for(self, span):
        """The grid spacing: a function of the span alone, and in steps, so that grids recur."""
        octaves = math.log2(self.spacing * self.min_num_intervals / span)
        return self.spacing * 2 ** (-math.ceil(2 * octaves) / 2) if octaves > 0 else self.spacing

    def _make_grid(self, shape):
        return Grid(shape, self.n_threads)

    def _make_influence(self, shape, spacing):
        return student_influence(shape, spacing, self.order, self.dof)

    def _scratch_for(self, n, rows):
        size = max(n, rows) + 2
        if self._scratch.shape[1] < size:
            self._scratch = np.empty((3, size), np.int32)
        return self._scratch

    def _fall_back(self, y, out, shape):
        if self._tree is None:
            log.warning(
                "the map would take a grid of %d x %d cells for %d points: some lie very far "
                "out; using the Barnes-Hut tree until they come back",
                *shape, len(y),
            )  # fmt: skip
            self._tree = TreeRepulsion(self.dof, FALLBACK_THETA, self.n_threads)
        return self._tree(y, out)


class Grid:
    """The arrays and transform plans of one padded size (rows, columns).

    Points live in a corner of half the rows and half the columns; the other
    half is there so that the convolution does not wrap round.  Of that half,
    rows are never stored: ``convolve_columns`` has them only in its buffers.
    """

    def __init__(self, shape: tuple[int, int], n_threads: int):
        rows, columns = shape
        used = max(rows // 2, 1)
        modes = columns // 2 + 1
        blocks = -(-modes // COLUMNS)
        storage = fft.empty((used, _padded_stride(columns)))
        self.cells = storage
        self.spectrum = fft.empty((used, 2 * COLUMNS * blocks))
        self.influence = np.zeros((rows // 2 + 1, COLUMNS * blocks), np.float32)
        self.counted = np.zeros(COLUMNS * blocks, np.float32)
        self.counted[:modes] = 2
        self.counted[[0, modes - 1]] = 1
        self.buffers = fft.empty((n_threads, rows, 2 * COLUMNS))
        columns_plans = [fft.complex_columns(b.view(np.complex64)) for b in self.buffers]
        self.column_forward, self.column_backward = map(list, zip(*columns_plans, strict=True))
        spectrum = self.spectrum.view(np.complex64)[:, :modes]
        edges = np.unique(np.linspace(0, used, ROW_PIECES + 1).astype(int))
        row_plans = [
            fft.real_rows(storage[a:b, :columns], spectrum[a:b])
            for a, b in itertools.pairwise(edges)
        ]
        self.row_forward, self.row_backward = map(list, zip(*row_plans, strict=True))
        self._current = None

    def set_influence(self, influence) -> None:
        """Take over the modes of an influence function, unless they are there already."""
        if self._current is not influence:
            self.influence[:, : influence.modes.shape[1]] = influence.modes
            self._current = influence

    def convolve(self, n_threads: int) -> float:
        """Turn the spread points in ``cells`` into the potential; return sum |rho_k|^2 G_k."""
        _kernels.grid.execute_all(self.row_forward, n_threads)
        energy = _kernels.grid.convolve_columns(
            self.spectrum, self.influence, self.counted, self.buffers,
            self.column_forward, self.column_backward, n_threads,
        )  # fmt: skip
        _kernels.grid.execute_all(self.row_backward, n_threads)
        return energy


def _padded_stride(columns):
    """Floats from row to row: whole cache lines, and not a power of two of them."""
    stride = -(-columns // 16) * 16
    return stride + 16 if stride % 512 == 0 else stride


@lru_cache(maxsize=1)
def _sizes() -> list[int]:
    """Even lengths with the factors 2, 3, 5 that FFTs like.

    Each is at least 4 % above the last, and small ones 12 %: a growing map then needs
    fewer of them, whose plans and influence functions cost more than the cells do.
    """
    smooth = sorted(
        2**a * 3**b * 5**c
        for a in range(2, 24) for b in range(4) for c in range(3)
        if 2**a * 3**b * 5**c < 2**24
    )  # fmt: skip
    sizes = [16]
    for size in smooth:
        if size >= (1.12 if size <= SMALL else 1.04) * sizes[-1]:
            sizes.append(size)
    return sizes


def padded_size(least: int) -> int:
    """The smallest of the good transform lengths that is not below ``least``."""
    return next(size for size in _sizes() if size >= least)
