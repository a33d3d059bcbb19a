"""How fine and how large a grid is: functions of the map's bounding box alone."""

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
