"""A grid of hat functions over a map: its cells, and the numbers of their nodes."""

import numpy as np

from fasttsne import _kernels

# Positions that say where the map is, and which share of them may be outside on each side.
N_SAMPLED = 1000
OUTLIERS = 0.005
# The box around the others is widened by this share of its width on each side.
MARGIN = 0.25
# Cells of the coarse grid, with and without points.
MAX_CELLS = 40_000
# How far the number of coarse nodes may be from what is wanted before the spacing is changed.
TOLERANCE = 0.8, 1.3
MAX_TRIES = 10
# Of all points in one place.
MIN_WIDTH = 1e-30


class HatGrid:
    """Nodes a spacing apart, and coarse nodes two spacings apart, where the map has points.

    Cells without points are left out, and so are the nodes of no cell.

    Parameters
    ----------
    shape : (n, d) of the map.
    n_coarse : how many coarse nodes are wanted; some tens of percent more or fewer will do.

    Attributes
    ----------
    spacing : of the fine nodes.
    points : (n,) int32, the points sorted by cell.
    starts : (cells + 1,) int32, where in ``points`` each cell starts.
    fractions : (n, d) float32, where in its cell each of ``points`` is, 0 to 1.
    halves : (cells,) uint8, the place of each cell in its coarse cell.
    corners, coarse_corners : (cells, 2^d) int32, the fine and the coarse nodes around each cell.
    parents : (nodes, 2^d) int32, the coarse nodes whose mean position each fine node has; the same
        one several times where it lies on one, or between two.
    n_coarse_nodes : how many there are.
    """

    def __init__(self, shape: tuple[int, int], n_coarse: float):
        n, d = shape
        self._target = n_coarse
        # The spacing as a share of the map's width: from one map to the next it stays the same.
        self._relative_spacing = 0.5 * n_coarse ** (-1 / d)
        self._min_relative_spacing = 0.5 * MAX_CELLS ** (-1 / d)
        self._bits = np.arange(2**d)[:, None] >> np.arange(d) & 1
        self._cell_of, self.points = np.empty((2, n), np.int32)
        self.fractions = np.empty(shape, np.float32)

    def lay(self, y: np.ndarray) -> None:
        """Lay the grid over the points y, (n, d) float64."""
        low, high = _bulk(y)
        for _ in range(MAX_TRIES):
            self._lay(y, low, high)
            found = self.n_coarse_nodes / self._target
            if TOLERANCE[0] <= found <= TOLERANCE[1]:
                return
            spacing = self._relative_spacing * found ** (1 / y.shape[1])
            spacing = min(max(spacing, self._min_relative_spacing), 1.0)
            if spacing == self._relative_spacing:
                return
            self._relative_spacing = spacing

    def _lay(self, y: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        width = high - low
        self.spacing = float(self._relative_spacing * width.max())
        n_coarse_cells = np.ceil(width / (2 * self.spacing)).astype(np.int64)
        n_cells = 2 * np.maximum(n_coarse_cells, 1)
        low = (low + high - self.spacing * n_cells) / 2
        strides = _strides(n_cells)
        ends = np.empty(n_cells.prod(), np.int32)
        _kernels.hat_grid.sort_points(
            y, low, self.spacing, n_cells, strides, self._cell_of, ends, self.points,
            self.fractions,
        )  # fmt: skip
        occupied = np.flatnonzero(np.diff(ends, prepend=np.int32(0)))
        self.starts = np.append(np.int32(0), ends[occupied])
        self._number_nodes(occupied[:, None] // strides % n_cells, n_cells)

    def _number_nodes(self, cells: np.ndarray, n_cells: np.ndarray) -> None:
        """Number the nodes of the cells with these coordinates, (cells, d)."""
        bits = self._bits
        strides, coarse_strides = _strides(n_cells + 1), _strides(n_cells // 2 + 1)
        self.halves = ((cells & 1) @ (1 << np.arange(cells.shape[1]))).astype(np.uint8)
        corners = (cells @ strides)[:, None] + bits @ strides
        coarse_corners = ((cells >> 1) @ coarse_strides)[:, None] + bits @ coarse_strides
        used, number = _numbers(corners, (n_cells + 1).prod())
        coarse_used, coarse_number = _numbers(coarse_corners, (n_cells // 2 + 1).prod())
        nodes = used[:, None] // strides % (n_cells + 1)
        self.corners, self.coarse_corners = number[corners], coarse_number[coarse_corners]
        self.parents = coarse_number[(nodes[:, None, :] + bits >> 1) @ coarse_strides]
        self.n_coarse_nodes = len(coarse_used)


def _bulk(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a box around almost all points; (d,) float64 each."""
    sample = np.sort(y[:: max(1, len(y) // N_SAMPLED)], axis=0)
    n_outside = int(OUTLIERS * len(sample))
    low, high = sample[n_outside], sample[len(sample) - 1 - n_outside]
    margin = np.maximum(MARGIN * (high - low), MIN_WIDTH)
    return low - margin, high + margin


def _strides(shape: np.ndarray) -> np.ndarray:
    """Of an array whose shortest side changes fastest: the band of the matrix is narrow so."""
    order = np.argsort(shape, kind="stable")
    strides = np.empty_like(shape)
    strides[order] = np.append(1, np.cumprod(shape[order])[:-1])
    return strides


def _numbers(places: np.ndarray, n_places: int) -> tuple[np.ndarray, np.ndarray]:
    """The places that occur, rising, and the number of each place among them."""
    is_used = np.zeros(n_places, bool)
    is_used[places] = True
    return np.flatnonzero(is_used), np.cumsum(is_used, dtype=np.int32) - np.int32(1)
