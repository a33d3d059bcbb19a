"""Limits of size at which the tree takes over from the mesh, and why."""

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
