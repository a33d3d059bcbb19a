"""A grid of hat functions over a map."""

import math

import numpy as np

from fasttsne import _kernels

# Positions that say where the map is, and which share of them may be outside on each side.
N_SAMPLED = 500
OUTSIDE = 0.005
# The box around the others is widened by this share of its width on each side.
MARGIN = 0.25
# Cells of the coarse grid, with and without points.
MAX_CELLS = 40_000
# How far the number of coarse nodes may be from what is wanted before the spacing is changed.
MIN_FOUND, MAX_FOUND = 0.8, 1.3
MAX_TRIES = 10
# Of the margin, where all points are in one place: as a share of its coordinates, and altogether.
MIN_MARGIN_SHARE, MIN_MARGIN = 1e-9, 1e-30


class HatGrid:
    """Nodes a spacing apart, and coarse nodes two spacings apart, where the map has points.

    Parameters
    ----------
    shape : (n, d) of the map.
    n_coarse : how many coarse nodes are wanted; there may be a fifth fewer, or a third more.

    Attributes
    ----------
    points, starts, fractions, halves, corners, coarse_corners, parents : which cell each point is
        in and which nodes each cell has, as ``_kernels.hat_grid`` takes them.
    relative_spacing : the width of its cells as a share of the map's, of the last :meth:`lay`.
    low, spacing, shape : the grid's first corner, the width of its cells, their number along each
        coordinate.
    n_coarse_nodes : how many there are.
    bandwidth : how far apart the numbers of two coarse nodes of one cell can be.
    """

    def __init__(self, shape: tuple[int, int], n_coarse: float):
        n, d = shape
        self._n_wanted = n_coarse
        # A share of the map's width: from one map to the next it hardly changes.
        self.relative_spacing = 0.5 * n_coarse ** (-1 / d)
        self._min_relative_spacing = 0.5 * MAX_CELLS ** (-1 / d)
        self._cell_of, self.points = np.empty((2, n), np.int32)
        self.fractions = np.empty(shape, np.float32)

    def set_relative_spacing(self, spacing: float) -> None:
        """Go on with the spacing of another grid for as many points."""
        if not self._min_relative_spacing <= spacing <= 0.5:
            raise ValueError(f"the spacing of the grid is {spacing!r} of the map's width")
        self.relative_spacing = spacing

    def lay(self, y: np.ndarray) -> None:
        """Lay the grid over the points y, (n, d) float64."""
        low, high = _box(y)
        for _ in range(MAX_TRIES):
            self._lay(y, low, high)
            found = self.n_coarse_nodes / self._n_wanted
            if MIN_FOUND <= found <= MAX_FOUND:
                return
            spacing = self.relative_spacing * found ** (1 / y.shape[1])
            spacing = min(max(spacing, self._min_relative_spacing), 0.5)
            if spacing == self.relative_spacing:
                return
            self.relative_spacing = spacing

    def _lay(self, y: np.ndarray, low: list[float], high: list[float]) -> None:
        sides = list(zip(low, high, strict=True))
        self.spacing = spacing = self.relative_spacing * max(b - a for a, b in sides)
        self.shape = shape = [2 * max(math.ceil((b - a) / (2 * spacing)), 1) for a, b in sides]
        self.low = np.array(
            [(a + b - m * spacing) / 2 for (a, b), m in zip(sides, shape, strict=True)]
        )
        n_places, cells_along = math.prod(shape), np.array(shape, np.int64)
        ends = np.empty(n_places, np.int32)
        _kernels.hat_grid.sort_points(
            y, self.low, spacing, cells_along, self._cell_of, ends, self.points, self.fractions
        )
        n_node_places = math.prod(m + 1 for m in shape)
        n_corners = 2 ** len(shape)
        starts, halves = np.empty(n_places + 1, np.int32), np.empty(n_places, np.uint8)
        corners, coarse_corners = np.empty((2, n_places, n_corners), np.int32)
        parents = np.empty((n_node_places, n_corners), np.int32)
        n_cells, n_nodes, self.n_coarse_nodes, self.bandwidth = _kernels.hat_grid.number_nodes(
            ends,
            cells_along,
            np.empty(n_node_places, np.int32),
            np.empty(math.prod(m // 2 + 1 for m in shape), np.int32),
            starts,
            halves,
            corners,
            coarse_corners,
            parents,
        )
        self.starts, self.halves = starts[: n_cells + 1], halves[:n_cells]
        self.corners, self.coarse_corners = corners[:n_cells], coarse_corners[:n_cells]
        self.parents = parents[:n_nodes]


def _box(y: np.ndarray) -> tuple[list[float], list[float]]:
    """Two corners of a box around almost all points."""
    sample = np.sort(y[:: max(1, len(y) // N_SAMPLED)], axis=0)
    n_outside = int(OUTSIDE * len(sample))
    low, high = sample[n_outside], sample[len(sample) - 1 - n_outside]
    farthest = np.maximum(np.abs(low), np.abs(high))
    margin = np.maximum(MARGIN * (high - low), MIN_MARGIN_SHARE * farthest + MIN_MARGIN)
    return (low - margin).tolist(), (high + margin).tolist()
