"""How the kernel is split for a map: which pairs are summed one by one, and the grid for the rest.

    w = near + far,  near(r) = 0 from the cutoff on

A far cutoff makes the grid coarse and the pairs many.  The choice depends on the map alone: the
cheapest split, by counts of vector instructions, that keeps the error that is accepted.  Errors
are known beforehand, for points that lie at random:

    E^2 = sum_k [sum_m k_m^2 W_m^2 - (sum_m k_m^2 U_m W_m)^2 / (sum_m U_m sum_m k_m^2 U_m)] / N

with W the transform of far, U the squared window of the spline, m the aliases of a mode k of the
grid and N the integral of the squared force.  Source: Hockney & Eastwood 1981, chapter 8.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn

from fasttsne import _kernels
from fasttsne.repulsion.mesh.influence import far_kernel, outer, squares

# In units of the map, in which the kernel's width is one.
CUTOFFS = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 32.0, 48.0)
# Of splines, with and without a cutoff.
ORDERS = {True: (4, 5), False: (5, 6)}
# Spacings are tried in steps of an eighth of an octave.
STEPS = 8
# From here on the kernel is a power of the distance, and the error another one.
POWER_LAW = 8.0
# Below this span w differs from 1, and the forces from linear ones, by less than 1e-6.
LINEAR_SPAN = 1e-3
# Grids without a cutoff have so many intervals across the map.
MIN_INTERVALS = 50

# Sides of the cells in which pairs are counted, and how many points are drawn for it.
SIDES = (0.5, 2.0, 8.0, 32.0)
SMALLEST_SAMPLE, LARGEST_SAMPLE, SAMPLED_SHARE = 1024, 4096, 32

# Vector instructions, counted in the kernels: for a point and for a row of its spline, for a vector
# of eight pairs, by dimensions for a cell and each octave of their number, and what the tree takes
# for a point and each octave.
POINT_COST, ROW_COST, PAIRS_COST = 110, 6, 32
CELL_COST = {1: 0.5, 2: 0.5, 3: 1.3}
TREE_COST = {1: 25, 2: 100, 3: 400}
# theta of a tree, the worst error on the maps of benchmarks/forces.py, and its power of theta.
TREE_ERROR = {1: (0.3, 6e-3, 2.5), 2: (0.3, 4.6e-3, 2.6), 3: (0.3, 4.5e-3, 2.6)}
# Lanes of vectors that the runs of near points leave empty, and the volume of the cells that are
# looked through for a point's pairs, each counted once, in cutoffs.
EMPTY_LANES = {1: 4, 2: 14, 3: 60}
SEARCHED = {1: 1.25, 2: 3.125, 3: 7.8125}

# Up to so many pairs are no scale of a map: its forces are of points farther away.
FEW_PAIRS = 10
LARGEST_THETA = 0.7
# Of a pair, summed without approximation.
EXACT_PAIR_COST = {1: 0.7, 2: 1.0, 3: 1.9}
# Dense maps have forces of many points in one direction, and errors in all directions: the error
# that may be expected for points at random falls, but not where they cluster more narrowly than
# the kernel.
DENSE, LARGEST_GAIN, EVEN_RATIO, DENSE_CUTOFF = 3.0, 4.0, 2.0, 1.5

_SIDES = np.array(SIDES, np.float32)


@dataclass(frozen=True)
class Split:
    """A cutoff, 0 where the grid has all of the kernel, and the grid's spacing and splines."""

    cutoff: float
    spacing: float
    order: int


@dataclass(frozen=True)
class Density:
    """Expected numbers of other points in the cell of a point, for cells of the SIDES."""

    others: list[float]

    @classmethod
    def of(cls, y: np.ndarray, low: np.ndarray) -> "Density":
        """Return the density of the points y, (n, d) float32, whose box has the corner ``low``."""
        n, d = y.shape
        m = max(SMALLEST_SAMPLE, min(n // SAMPLED_SHARE, LARGEST_SAMPLE))
        m = m if m < n else n
        drawn, counts = np.empty((m, d), np.float32), np.empty(len(SIDES))
        table = np.empty((2 << m.bit_length()) * _kernels.pair_counts.SLOT_BYTES, np.uint8)
        _kernels.pair_counts.count_pairs(y, low, _SIDES, drawn, table, counts)
        # Of points that are drawn with repetition some are drawn twice, and are no pairs.
        share = 1 / n if m == n else n / (m * (m - 1.0))
        repeated = 0 if m == n else m
        return cls([max((count - repeated) * share - 1, 1e-3) for count in counts.tolist()])

    def within(self, side: float, d: int) -> float:
        """Return the number for a cell of any side, by a power law between two that are known."""
        others = self.others
        if side <= SIDES[0]:
            return others[0] * (side / SIDES[0]) ** d
        at = 1 if side <= SIDES[1] else 2 if side <= SIDES[2] else 3
        slope = math.log(others[at] / others[at - 1]) / math.log(SIDES[at] / SIDES[at - 1])
        return others[at] * (side / SIDES[at]) ** slope

    def gain(self, d: int) -> float:
        """Return by what the grid's error is smaller than for points at random, at least 1."""
        fine, coarse = self.others[0] / SIDES[0] ** d, self.others[1] / SIDES[1] ** d
        if d == 1 or fine > EVEN_RATIO * coarse:
            return 1.0
        gain = min(math.sqrt(1 + coarse / DENSE), LARGEST_GAIN)
        return 2 ** (math.floor(2 * math.log2(gain)) / 2)  # half octaves, so that grids recur

    def closest(self, n: int, d: int) -> float:
        """Return a distance, one of the CUTOFFS, within which hardly a pair of n points lies."""
        few = FEW_PAIRS / n
        closer = [cutoff for cutoff in CUTOFFS if cutoff and self.within(cutoff, d) < few]
        return closer[-1] if closer else 0.0


def choose_split(
    y: np.ndarray,
    low: np.ndarray,
    extent: list[float],
    dof: float,
    accuracy: float,
    n_places: int | None = None,
) -> tuple[Split, float]:
    """Return the cheapest split for the points y, and its cost in vector instructions.

    Parameters
    ----------
    y : (n, d) float32 array.
    low, extent : the lowest corner and the sides of the points' box.
    accuracy : the error of the forces that is accepted, as a share of their root mean square.
    n_places : how many other places will ask for forces; None for the points themselves.
    """
    d = y.shape[1]
    density = Density.of(y, low)
    gain = density.gain(d)
    accuracy *= share_of_force(density.closest(len(y), d), d, dof)
    n_pairs, n_gathers = (len(y), len(y)) if n_places is None else (2 * n_places, n_places)
    best, least = (0.0, 0.0, 0), math.inf
    for cutoff, order, spacing in candidates(dof, accuracy, gain, d):
        pairs = n_pairs * _pairs_cost(density, cutoff, d)
        if pairs >= least:
            break
        # Until the map is wide its grid is small, and finer than it has to be.
        spacing = spacing if cutoff else finer(spacing, extent, MIN_INTERVALS)
        cost = pairs + _grid_cost(spacing, order, (len(y), n_gathers), extent)
        if cost < least:
            best, least = (cutoff, spacing, order), cost
    return Split(*best), least


@functools.lru_cache(maxsize=64)
def candidates(dof: float, accuracy: float, gain: float, d: int) -> list[tuple[float, int, float]]:
    """Return cutoffs, smallest first, and for each some orders and their coarsest spacings."""
    return [
        (cutoff, order, coarsest_spacing(cutoff, order, d, dof, error))
        for cutoff in CUTOFFS
        for error in [accuracy * (gain if cutoff <= DENSE_CUTOFF else 1)]
        for order in ORDERS[cutoff > 0]
    ]


def exact_cost(n: int, d: int) -> float:
    """Return what the sum over all pairs of n points costs, in vector instructions."""
    return EXACT_PAIR_COST[d] * n * n


def theta_of(accuracy: float, d: int) -> float:
    """Return theta of a tree with this error."""
    theta, error, power = TREE_ERROR[d]
    return min(theta * (accuracy / error) ** (1 / power), LARGEST_THETA)


def tree_cost(n: int, d: int, accuracy: float, n_places: int | None = None) -> float:
    """Return what the tree of n points costs for so many places, in vector instructions."""
    finer = (TREE_ERROR[d][0] / theta_of(accuracy, d)) ** (d / 2)
    place = min(TREE_COST[d] * finer * math.log2(n + 1), EXACT_PAIR_COST[d] * n)
    return place * (n if n_places is None else n_places)


def _pairs_cost(density: Density, cutoff: float, d: int) -> float:
    """Return the instructions that a point's near pairs take."""
    if not cutoff:
        return 0.0
    candidates = density.within(cutoff * SEARCHED[d] ** (1 / d), d)
    empty = min(EMPTY_LANES[d], 8 * candidates)
    return PAIRS_COST * (candidates + empty) / 8


def _grid_cost(spacing: float, order: int, points: tuple[int, int], extent: list[float]) -> float:
    """Return the instructions of spreading and gathering so many points, and of transforms."""
    d = len(extent)
    cells = 2.0**d
    for side in extent:
        cells *= side / spacing + 1 + order
    point = POINT_COST + ROW_COST * order ** (d - 1) + 4 * d * order
    return sum(points) / 2 * point + CELL_COST[d] * cells * math.log2(cells)


def finer(spacing: float, extent: list[float], min_num_intervals: int) -> float:
    """Return the spacing, less if the box would have fewer intervals, in steps of half octaves."""
    octaves = math.log2(spacing * min_num_intervals / max(*extent, LINEAR_SPAN))
    return spacing * 2 ** (-math.ceil(2 * octaves) / 2) if octaves > 0 else spacing


def coarsest_spacing(cutoff: float, order: int, d: int, dof: float, error: float) -> float:
    """Return the largest spacing of a grid whose expected error is no more than ``error``."""
    scale = 1.0
    if cutoff > POWER_LAW * dof**0.5:
        scale = cutoff / (POWER_LAW * dof**0.5)
        error *= scale ** (2 * dof + 1 - d / 2)
        cutoff /= scale
    width = cutoff or dof**0.5

    def spacing(step: int) -> float:
        return width * 2.0 ** (step / STEPS)

    # A grid as wide as the cutoff is too coarse; one much finer is no good split.
    fine, coarse = -4 * STEPS if d < 3 else -3 * STEPS, 0
    while coarse - fine > 1:
        step = (fine + coarse) // 2
        if expected_error(cutoff, spacing(step), order, d, dof) <= error:
            fine = step
        else:
            coarse = step
    return spacing(fine) * scale


@functools.lru_cache(maxsize=4096)
def expected_error(cutoff: float, spacing: float, order: int, d: int, dof: float) -> float:
    """Return E of this module's formula, the error of the grid's forces on points at random."""
    reach = max(4 * cutoff, 10 * dof**0.5)
    size = 2 * math.ceil(reach / spacing)
    # Twice as fine a grid has the transform of the alias that matters, one band below.
    distances = spacing / 2 * np.arange(size + 1)
    samples = far_kernel(squares([distances] * d), cutoff, dof)
    # A period of the kernel would have an edge, which counts for more than what is asked for.
    samples *= outer([np.exp(-((3 / reach * distances) ** 2))] * d)
    transform = dctn(samples, type=1, overwrite_x=True)
    transform *= (spacing / 2) ** d
    k = 2 * np.pi * np.arange(size // 2 + 1) / size
    total = window = slope = product = np.zeros(())
    for shift in itertools.product((0, -1), repeat=d):
        aliases = [k + 2 * np.pi * m for m in shift]
        at = np.ix_(*[np.abs(np.arange(len(k)) + m * size) for m in shift])
        k2 = squares(aliases) / spacing**2
        u = outer([np.sinc(alias / (2 * np.pi)) ** (2 * order) for alias in aliases])
        w = transform[at]
        total = total + k2 * w**2
        window, slope, product = window + u, slope + k2 * u, product + k2 * u * w
    slope[(0,) * d] = 1  # 0 / 0: the constant mode moves no point
    counts = np.full(len(k), 2.0)
    counts[[0, -1]] = 1
    error = (outer([counts] * d) * (total - product**2 / (window * slope))).sum()
    return math.sqrt(max(error, 0) / (4 * (size * spacing) ** d * _squared_force(d, dof)))


@functools.lru_cache(maxsize=256)
def share_of_force(closest: float, d: int, dof: float) -> float:
    """Return the root mean square of forces of points that are not closer, as a share of all."""
    return math.sqrt(_squared_force(d, dof, closest) / _squared_force(d, dof))


@functools.lru_cache(maxsize=256)
def _squared_force(d: int, dof: float, closest: float = 0.0) -> float:
    """Return the integral of the squared force of a point, but for what is closer."""
    # In r = sqrt(dof) tan(a) the integrand has no tail.
    start = math.atan(closest / dof**0.5)
    width = (np.pi / 2 - start) / 2000
    angle = start + (np.arange(2000) + 0.5) * width
    r, step = np.sqrt(dof) * np.tan(angle), np.sqrt(dof) * width / np.cos(angle) ** 2
    area = {1: 2.0, 2: 2 * np.pi * r, 3: 4 * np.pi * r**2}[d]
    return float((area * r**2 * (1 + r**2 / dof) ** (-2 * dof - 2) * step).sum())
