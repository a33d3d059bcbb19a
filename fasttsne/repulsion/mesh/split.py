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
import operator
from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn

from fasttsne import _kernels
from fasttsne.repulsion.mesh.grid import Shape, padded_size
from fasttsne.repulsion.mesh.influence import far_kernel, outer, squares

# In units of the map, in which the kernel's width is one.
CUTOFFS = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 32.0, 48.0)
# Of splines.
ORDER = 5
# Spacings are tried in steps of an eighth of an octave.
STEPS = 8
# No grid is as wide as the cutoff, or narrower by so many octaves: that is no good split.
FINEST = {1: 4, 2: 4, 3: 3}
# From here on the kernel is a power of the distance, and the error another one.
POWER_LAW = 8.0
# In maps up to this span forces are linear, if that keeps the accuracy.
LINEAR_SPAN = 0.02
# Grids without a cutoff have at least so many intervals across the map.
MIN_INTERVALS = 36
# And get finer by these steps of an octave, by dimensions.
STEPS_OF_FINER = {1: 1, 2: 1, 3: 2}

# Sides of the cells in which pairs are counted, and how many points are drawn for it.
SIDES = (0.5, 2.0, 8.0, 32.0)
SMALLEST_SAMPLE, LARGEST_SAMPLE, SAMPLED_SHARE = 1024, 4096, 32

# Vector instructions, counted in the kernels: for a point and for a row of its spline, for a vector
# of eight pairs, by dimensions for a cell and each octave of their number, and what the tree takes
# for a point and each octave.
POINT_COST, ROW_COST, PAIRS_COST = 110, 6, 32
# By timings on one processor, as the costs of the tree and of exact pairs are: of a change of the
# grid, on average over the iterations of a growing map.
GRID_COST = 4e6
CELL_COST = {1: 0.5, 2: 0.5, 3: 1.3}
TREE_COST = {1: 25, 2: 100, 3: 400}
# theta of a tree, the worst error on the maps of benchmarks/forces.py, and its power of theta.
TREE_ERROR = {1: (0.3, 6e-3, 2.5), 2: (0.3, 4.6e-3, 2.6), 3: (0.3, 4.5e-3, 2.6)}
# Lanes of vectors that the runs of near points leave empty, and the volume of the cells that are
# looked through for a point's pairs, each counted once, in cutoffs.
EMPTY_LANES = {1: 4, 2: 14, 3: 60}
SEARCHED = {1: 1.25, 2: 3.125, 3: 7.8125}

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

    def within(self, side: float, d: int) -> float:
        """Return the number for a cell of any side, by a power law between two that are known."""
        others = self.others
        if side <= SIDES[0]:
            return others[0] * (side / SIDES[0]) ** d
        at = 1 if side <= SIDES[1] else 2 if side <= SIDES[2] else 3
        slope = math.log(others[at] / others[at - 1]) / math.log(SIDES[at] / SIDES[at - 1])
        return others[at] * math.pow(side / SIDES[at], slope)

    def gain(self, d: int) -> float:
        """Return by what the grid's error is smaller than for points at random, at least 1."""
        fine, coarse = self.others[0] / SIDES[0] ** d, self.others[1] / SIDES[1] ** d
        if d == 1 or fine > EVEN_RATIO * coarse:
            return 1.0
        return min(math.sqrt(1 + coarse / DENSE), LARGEST_GAIN)

    def squared_force(self, d: int, dof: float) -> float:
        """Return the mean squared force, for directions at random, over the integral of a point's.

        That is what the density would be for points at random.
        """
        shells, before, volume = [], 0.0, 0.0
        for side, others in zip(SIDES, self.others, strict=True):
            shells.append(max(others - before, 0.0) / (side**d - volume))
            before, volume = others, side**d
        # Of pairs that are closer there may be no forces at all.
        shells[0] = min(shells[:2])
        parts = _squared_forces(d, dof)
        squares = map(operator.mul, [*shells, shells[-1]], parts)
        return float(sum(squares) / sum(parts))

    def densest(self, scale: float, d: int) -> float:
        """Return the largest density in cells up to ``scale``, from SIDES[1] on."""
        sides = [side for side in SIDES[1:] if side < scale] + [max(scale, SIDES[1])]
        return max(self.within(side, d) / side**d for side in sides)


class SplitChooser:
    """Chooses the split for a map, from a sample of its points.

    Parameters
    ----------
    dof : degrees of freedom of the kernel.
    accuracy : the error of the forces that is accepted, as a share of their root mean square.
    """

    def __init__(self, dof: float, accuracy: float):
        self.dof, self.accuracy = dof, accuracy
        self._drawn, self._table = np.empty((0, 1), np.float32), np.empty(0, np.uint8)

    def choose(
        self,
        y: np.ndarray,
        low: np.ndarray,
        extent: list[float],
        max_cells: float,
        limit: float = math.inf,
        n_places: int | None = None,
    ) -> Split | None:
        """Return the cheapest split for the points y, or None where all cost more than a limit.

        Parameters
        ----------
        y : (n, d) float32 array.
        low, extent : the lowest corner and the sides of the points' box.
        max_cells : of a padded grid.
        limit : vector instructions.
        n_places : how many other places will ask for forces; None for the points themselves.
        """
        n, d = y.shape
        if limit <= GRID_COST:
            return None
        density = self.density(y, low)
        gain, squared_force = density.gain(d), density.squared_force(d, self.dof)
        n_pairs, n_gathers = (n, n) if n_places is None else (2 * n_places, n_places)
        best, least = None, limit
        for cutoff in CUTOFFS:
            pairs = n_pairs * _pairs_cost(density, cutoff, d)
            if pairs + GRID_COST >= least:
                break
            # Where points keep a distance from each other, forces of the closest are missing, but
            # the errors of a grid are not.  Copies of points are like that, if they are few.
            share = min(math.sqrt(squared_force / density.densest(cutoff, d)), 1.0)
            share = share if max(extent) > SIDES[1] else 1.0  # one cell says nothing of distances
            accuracy = self.accuracy * quantized(share * (gain if cutoff <= DENSE_CUTOFF else 1.0))
            spacing = coarsest_spacing(cutoff, ORDER, d, self.dof, accuracy)
            if not spacing:
                continue
            # Until the map is wide its grid is small, and finer than it has to be.
            if not cutoff:
                spacing = finer(spacing, extent, MIN_INTERVALS, STEPS_OF_FINER[d])
            cost = pairs + _grid_cost(spacing, (n, n_gathers), extent)
            if cost < least and padded_cells(extent, spacing) <= max_cells:
                best, least = Split(cutoff, spacing, ORDER), cost
        return best

    def density(self, y: np.ndarray, low: np.ndarray) -> Density:
        """Return the density of the points y, whose box has the corner ``low``."""
        n, d = y.shape
        m = max(SMALLEST_SAMPLE, min(n // SAMPLED_SHARE, LARGEST_SAMPLE))
        m = m if m < n else n
        if self._drawn.shape != (m, d):
            self._drawn = np.empty((m, d), np.float32)
            self._table = np.empty(
                (2 << m.bit_length()) * _kernels.pair_counts.SLOT_BYTES, np.uint8
            )
        counts = np.empty(len(SIDES))
        _kernels.pair_counts.count_pairs(y, low, _SIDES, self._drawn, self._table, counts)
        # Of points that are drawn with repetition some are drawn twice, and are no pairs.
        share = 1 / n if m == n else n / (m * (m - 1.0))
        repeated = 0 if m == n else m
        return Density([max((count - repeated) * share - 1, 1e-9) for count in counts.tolist()])


def quantized(factor: float) -> float:
    """Return a factor rounded down to quarters of octaves, so that grids recur."""
    return math.pow(2.0, math.floor(4 * math.log2(max(factor, 1e-6))) / 4)


def linear_span(dof: float, accuracy: float) -> float:
    """Return the span below which forces are proportional to distances, with this error.

    Those that differ by r differ by a share of r^2 (1 + 1 / dof) from linear ones.
    """
    return min(LINEAR_SPAN, math.sqrt(0.3 * accuracy / (1 + 1 / dof)))


def exact_cost(n: int, d: int) -> float:
    """Return what the sum over all pairs of n points costs, in vector instructions."""
    return EXACT_PAIR_COST[d] * n * n


def theta_of(accuracy: float, d: int) -> float:
    """Return theta of a tree with this error."""
    theta, error, power = TREE_ERROR[d]
    return min(theta * math.pow(accuracy / error, 1 / power), LARGEST_THETA)


def tree_cost(n: int, d: int, accuracy: float, n_places: int | None = None) -> float:
    """Return what the tree of n points costs for so many places, in vector instructions."""
    finer = math.pow(TREE_ERROR[d][0] / theta_of(accuracy, d), d / 2)
    place = min(TREE_COST[d] * finer * math.log2(n + 1), EXACT_PAIR_COST[d] * n)
    return place * (n if n_places is None else n_places)


def _pairs_cost(density: Density, cutoff: float, d: int) -> float:
    """Return the instructions that a point's near pairs take."""
    if not cutoff:
        return 0.0
    candidates = density.within(cutoff * SEARCHED[d] ** (1 / d), d)
    empty = min(EMPTY_LANES[d], 8 * candidates)
    return PAIRS_COST * (candidates + empty) / 8


def _grid_cost(spacing: float, points: tuple[int, int], extent: list[float]) -> float:
    """Return the instructions of spreading and gathering so many points, and of transforms."""
    d = len(extent)
    cells = 2.0**d
    for side in extent:
        cells *= side / spacing + 1 + ORDER
    point = POINT_COST + ROW_COST * float(ORDER) ** (d - 1) + 4 * d * ORDER
    return float(sum(points) / 2 * point + CELL_COST[d] * cells * math.log2(cells) + GRID_COST)


def grid_shape(extent: list[float], split: Split) -> Shape:
    """Return the padded shape of a grid for a box with these sides."""
    columns, rows, layers = [*_padded_sides(extent, split.spacing, split.order), 1, 1][:3]
    return layers, rows, columns


def padded_cells(extent: list[float], spacing: float) -> int:
    """Return how many cells the padded grid has."""
    return math.prod(_padded_sides(extent, spacing, ORDER))


def _padded_sides(extent: list[float], spacing: float, order: int) -> list[int]:
    ends = [2 * (int(side / spacing) + 1 + order) for side in extent]
    return [padded_size(end, len(ends) == 3) for end in ends]


def finer(spacing: float, extent: list[float], min_num_intervals: int, steps: int) -> float:
    """Return the spacing, less if the box would have fewer intervals, by steps of an octave."""
    octaves = math.log2(spacing * min_num_intervals / max(*extent, LINEAR_SPAN))
    return spacing * 2.0 ** (-math.ceil(steps * octaves) / steps) if octaves > 0 else spacing


@functools.lru_cache(maxsize=1024)
def coarsest_spacing(cutoff: float, order: int, d: int, dof: float, error: float) -> float:
    """Return the largest spacing of a grid whose expected error is no more than ``error``.

    Or 0 where it would have to be finer than FINEST.
    """
    scale = 1.0
    if cutoff > POWER_LAW * dof**0.5:
        scale = cutoff / (POWER_LAW * dof**0.5)
        error *= scale ** (2 * dof + 1 - d / 2)
        cutoff /= scale
    width = cutoff or min(dof, 1.0) ** 0.5

    def spacing(step: int) -> float:
        return width * math.pow(2.0, step / STEPS)

    fine, coarse = -FINEST[d] * STEPS, 0
    while coarse - fine > 1:
        step = (fine + coarse) // 2
        if expected_error(cutoff, spacing(step), order, d, dof) <= error:
            fine = step
        else:
            coarse = step
    return spacing(fine) * scale if fine > -FINEST[d] * STEPS else 0.0


@functools.lru_cache(maxsize=4096)
@np.errstate(under="ignore")
def expected_error(cutoff: float, spacing: float, order: int, d: int, dof: float) -> float:
    """Return E of this module's formula, the error of the grid's forces on points at random."""
    reach = max(4 * cutoff, 10 * min(dof, 1.0) ** 0.5)
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


@functools.lru_cache(maxsize=32)
def _squared_force(d: int, dof: float) -> float:
    """Return the integral of the squared force of a point."""
    return sum(_squared_forces(d, dof))


@functools.lru_cache(maxsize=32)
@np.errstate(under="ignore")
def _squared_forces(d: int, dof: float) -> tuple[float, ...]:
    """Return that integral over the shells between balls as large as cells of the SIDES."""
    ball = {1: 2.0, 2: np.pi, 3: 4 / 3 * np.pi}[d]
    # In r = sqrt(dof) tan(a) the integrand has no tail.
    radii = np.array([0.0, *SIDES, np.inf]) / ball ** (1 / d)
    parts = []
    for first, last in itertools.pairwise(np.arctan(radii / dof**0.5).tolist()):
        angle = first + (np.arange(500) + 0.5) * ((last - first) / 500)
        r = dof**0.5 * np.tan(angle)
        step = dof**0.5 * (last - first) / 500 / np.cos(angle) ** 2
        squared = r**2 * (1 + r**2 / dof) ** (-2 * dof - 2)
        parts.append(float((d * ball * r ** (d - 1) * squared * step).sum()))
    return tuple(parts)
