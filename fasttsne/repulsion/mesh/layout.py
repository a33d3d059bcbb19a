"""How fine and how large a grid is, and where the tree takes over from it."""

import bisect
import math
from functools import lru_cache

# Distance of grid points in units of the map, in which the kernel's width is one, by
# dimensions: see docs/math.rst for spacing, spline order and error.
SPACING = {1: 0.4, 2: 0.4, 3: 0.6}
# Below this span w differs from 1, and the forces from linear ones, by less than 1e-6.
LINEAR_SPAN = 1e-3
# Transforms up to this length cost less than preparing them.
SMALL_SIZE = 512
# In 3-D they do not, and plans made by estimate are fast for these lengths.
SIZES_3D = (16, 32, 48, 64, 80, 108, 128, 144, 160, 192, 240, 320)


def grid_layout(box, order: int, min_num_intervals: int, ints_in_interval: float):
    """The grid for points in a box.

    Parameters
    ----------
    box : the lower and the upper corner, (d,) arrays.
    order : of the splines.
    min_num_intervals, ints_in_interval : as for ``MeshRepulsion``.

    Returns
    -------
    spacing : float, in units of the map.
    shape : (layers, rows, columns) of the padded grid, 1 for axes that the map does not have.
    """
    low, high = box
    extent = (high - low).tolist()
    n_components = len(extent)
    widest = SPACING[n_components] * ints_in_interval
    spacing = grid_spacing(max(*extent, LINEAR_SPAN), widest, min_num_intervals)
    sizes = [padded_size(2 * (int(e / spacing) + 1 + order), n_components == 3) for e in extent]
    return spacing, (1,) * (3 - n_components) + tuple(reversed(sizes))


def grid_spacing(span: float, widest: float, min_num_intervals: int) -> float:
    """The spacing for a span: in steps of half an octave, so that grids recur."""
    octaves = math.log2(widest * min_num_intervals / span)
    return widest * 2 ** (-math.ceil(2 * octaves) / 2) if octaves > 0 else widest


@lru_cache(maxsize=2)
def transform_sizes(is_3d: bool) -> list[int]:
    """Even lengths with the factors 2, 3, 5 that FFTs like.

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
    """The smallest good transform length that is not below ``min_size``.

    Beyond the largest that is ``min_size`` itself: no grid is made so large.
    """
    # Not by a generator that is left half-way, as every iteration comes here: Ctrl-C while it is
    # closed would be lost.
    sizes = transform_sizes(is_3d)
    at = bisect.bisect_left(sizes, min_size)
    return sizes[at] if at < len(sizes) else min_size


# By dimensions: the mesh costs about as much for so many padded grid cells as the tree does
# for one point, beyond what a call of it costs whatever its size, and its share of the new
# grids that a growing map needs: measured over whole runs by benchmarks/crossover.py.
FAST_CELLS_PER_POINT = {1: 30, 2: 17, 3: 75}
CALL_OVERHEAD_IN_CELLS = {1: 45_000, 2: 160_000, 3: 1_000_000}

# By dimensions: with more padded cells than this, the grid is not worth its memory; in 3-D
# it is slower than the tree, and coarse for a map that is nearly empty.
MAX_CELLS_PER_POINT = {1: 32, 2: 32, 3: 60}
MIN_CELL_LIMIT = {1: 2048**2, 2: 2048**2, 3: 128**3}
# The longest transform that there is (``mesh.layout``); a grid in 1-D is one.
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


def max_fast_cells(n_samples: int, n_components: int) -> int:
    """Padded cells up to which a mesh costs less than the tree; below 1 for few points."""
    return FAST_CELLS_PER_POINT[n_components] * n_samples - CALL_OVERHEAD_IN_CELLS[n_components]


def max_cells(n_samples: int, n_components: int) -> int:
    """Padded cells that a grid for so many points may have."""
    least = MIN_CELL_LIMIT[n_components]
    if n_components < 3:
        least = min(least, FEW_POINTS_CELLS * n_samples)
    limit = MAX_CELLS_PER_POINT[n_components] * n_samples + least
    return min(limit, MAX_LINE_CELLS) if n_components == 1 else limit


def max_field_cells(n_evaluations: int, n_components: int) -> int:
    """Padded cells that the grid of a fixed map may have, to be asked for so many places."""
    if n_components != 2:
        return 0
    return min(FIELD_CELLS_PER_EVALUATION * n_evaluations, MAX_FIELD_CELLS)
