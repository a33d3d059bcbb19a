"""How points move in an iteration: by momentum and gains, or by preconditioned steps.

The preconditioner is nearly the inverse of the curvature of the attraction, on two levels.  Let
B = L + W + shift, with L the Laplacian of the graph whose edges weigh p_ij q_ij, and W the diagonal
of what draws points to targets of their own, if anything does.  Then

    M = 2 D^-1 + R (F^-1 + C G^-1 C^T) R^T

approximates B^-1: D is the diagonal of B, R are hat functions on a grid over the map, F the
diagonal of their stiffness matrix, C interpolates from a grid twice as wide and G is the
stiffness matrix of the hats there.  See "The preconditioner" in ``docs/math.rst``.
"""

import math
from abc import ABC, abstractmethod

import numpy as np

from fasttsne import _kernels
from fasttsne.objective.base import JointObjective, Objective, RowTasks
from fasttsne.optimize.plan import Phase
from fasttsne.optimize.row_descent import RowDescent
from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.state import RunState, WorkingPoints
from fasttsne.optimize.target_term import TargetTerm, TieTerm
from fasttsne.runtime.validation import MAX_COORDINATE

# Iterations from one preconditioner to the next: in the first ones of a stage the map changes most.
REBUILD_EVERY, REBUILD_EVERY_AT_FIRST, N_AT_FIRST = 10, 5, 20
# The coarse grid has so many nodes, unless the map has fewer points to each than this.
MAX_COARSE_NODES = 400
MIN_POINTS_PER_NODE = 25
MIN_COARSE_NODES = 4
# Factor on the inverse of the degrees.
JACOBI = 2.0
# Smaller degrees, relative to the mean, count as this: where a point with few neighbours near it
# comes upon others, its degree is many times larger before the next rebuild.
MIN_DEGREE = 0.2
# Added to B, as a share of the mean degree: what holds a map together that attraction does not.
SHIFT = 1e-3
# A hat with fewer points in its cells may be apart from all others: of the edges that leave it
# the tensors say nothing, and so it is left to the local parts.
MIN_POINTS_NEAR_NODE = 6
LEFT_OUT = 1e6
# The pull on a point that does not move, relative to the mean degree.
HELD = 1e6
# An estimate is from below; with Jacobi alone the largest eigenvalue is about 2.6.
MIN_LARGEST = 3.0
# Products with M B for the estimate of the first map; later ones start from the last vector.
N_FIRST_PRODUCTS = 8
POINTS_PER_THREAD = 4000
# Smaller pivots and diagonals, relative to the mean and the largest, are rounding.
MIN_PIVOT = 1e-9
MIN_DIAGONAL = 1e-12
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


class StepRule(ABC):
    """One kind of steps, in all stages of a run that have it.

    Parameters
    ----------
    objective, phase, target : of the run; target is what draws points to targets, or None.
    recenters : whether a step keeps the embedding centered.

    Attributes
    ----------
    rate : learning rate of the stage, after its halvings.
    is_preconditioned : whether gains are left alone, and targets are part of the direction.
    """

    is_preconditioned = False

    def __init__(
        self, objective: Objective, phase: Phase, target: TargetTerm | None, recenters: bool
    ):
        self.rate = 0.0
        self._objective, self._phase, self._target = objective, phase, target
        self._recenters = recenters
        n, d = objective.shape
        n_blocks = _kernels.gradient_step.count_blocks(n)
        self._scratch = np.empty((n_blocks + 1, d)), np.empty(n_blocks, np.int64)

    @abstractmethod
    def start(self, stage: Stage) -> None:
        """Begin a stage."""

    def resume(self, state: RunState, order: np.ndarray) -> None:
        """Continue in the middle of a run, with points in an order."""
        self.rate = state.rate

    def halve(self) -> None:
        """Halve the steps of the stage."""
        self.rate /= 2

    @abstractmethod
    def direction(
        self, points: WorkingPoints, gradient: np.ndarray, number: int, stage: Stage
    ) -> tuple[np.ndarray, float]:
        """Return the direction of iteration ``number`` of a stage, and the length of its steps."""

    def is_resumable(self, number: int) -> bool:
        """Return whether a run can be resumed from iteration ``number`` of a stage."""
        return True

    def row_descent(self, points: WorkingPoints, stage: Stage, n_iter: int) -> RowDescent | None:
        """Return iterations of independent rows that need not wait for each other, or None."""
        return None

    def take(self, points: WorkingPoints, gradient: np.ndarray, number: int, stage: Stage) -> None:
        """Move points by iteration ``number`` of a stage.

        Raises
        ------
        OverflowError
            Where points would leave all bounds.
        ValueError
            Where the gradient has another shape, or is not finite.
        """
        if gradient.shape != points.y.shape:
            raise ValueError(f"gradient must have the shape {points.y.shape}; got {gradient.shape}")
        direction, rate = self.direction(points, gradient, number, stage)
        target, phase = self._target, self._phase
        weights = targets = None
        if target is not None:
            weights, targets = target.weights, target.targets
            if self.is_preconditioned:
                weights = target.pins
        n_stuck = _kernels.gradient_step.gradient_step(
            points.y,
            points.update,
            points.gains,
            direction,
            *self._scratch,
            rate,
            stage.momentum,
            phase.max_grad_norm,
            phase.max_step_norm,
            self._objective.n_threads,
            recenter=self._recenters,
            adapt_gains=not self.is_preconditioned,
            weights=weights,
            targets=targets,
        )
        if n_stuck:
            self._raise_stuck(n_stuck, direction, rate)

    def _raise_stuck(self, n_stuck: int, direction: np.ndarray, rate: float) -> None:
        n = len(direction)
        n_wrong = np.count_nonzero(~np.isfinite(direction).all(axis=1))
        if n_wrong:
            raise ValueError(
                f"the gradient of {self._objective.source} is not finite for {n_wrong} of "
                f"{n} points; it must be"
            )
        raise OverflowError(
            f"the optimization diverged: {n_stuck} of {n} points would move beyond "
            f"{MAX_COORDINATE:g}.  Give a smaller learning_rate (it is {rate:g}), max_step_norm "
            f"(it is {self._phase.max_step_norm}) or density_weight, or another "
            "early_exaggeration or exaggeration"
        )


class MomentumSteps(StepRule):
    """Plain steps against the gradient, with momentum and gains."""

    def start(self, stage: Stage) -> None:
        self.rate = stage.learning_rate

    def direction(
        self, points: WorkingPoints, gradient: np.ndarray, number: int, stage: Stage
    ) -> tuple[np.ndarray, float]:
        if self._target is not None and self._target.looks_ahead:
            step = stage.momentum * points.update - self.rate * points.gains * gradient
            self._target.look_ahead(points.y, step)
        return gradient, self.rate

    def row_descent(self, points: WorkingPoints, stage: Stage, n_iter: int) -> RowDescent | None:
        rate, phase = self.rate, self._phase

        def step(gradient: np.ndarray, rows: RowTasks) -> object:
            return _kernels.gradient_step.row_task(
                points.y,
                points.update,
                points.gains,
                gradient,
                *rows[2:],
                stage.exaggeration,
                rate,
                stage.momentum,
                phase.max_grad_norm,
                phase.max_step_norm,
            )

        return RowDescent(points, self._objective, step, n_iter)


class PreconditionedSteps(StepRule):
    """Steps along the preconditioned gradient; the preconditioner follows the embedding.

    Attributes
    ----------
    shortening : product of all halvings: what was too long is so in later stages.
    """

    is_preconditioned = True

    def __init__(
        self, objective: Objective, phase: Phase, target: TargetTerm | None, recenters: bool
    ):
        super().__init__(objective, phase, target, recenters)
        self.shortening = 1.0
        self._preconditioner: Preconditioner | None = None
        self._is_invalid = True

    def start(self, stage: Stage) -> None:
        """Begin a stage.

        Raises
        ------
        ValueError
            Where the curvature of the objective is not known.
        """
        self.rate = stage.learning_rate * self.shortening
        self._make_preconditioner()

    def resume(self, state: RunState, order: np.ndarray) -> None:
        super().resume(state, order)
        self.shortening = state.shortening
        if state.spacing is not None:
            vector = None if state.vector is None else state.vector[order]
            self._make_preconditioner().resume(vector, state.spacing)

    def vector_and_spacing(self, order: np.ndarray) -> tuple[np.ndarray | None, float | None]:
        """Return what :meth:`resume` needs of the preconditioner, from points in an order."""
        if self._preconditioner is None:
            return None, None
        vector, spacing = self._preconditioner.vector_and_spacing()
        if vector is None:
            return None, spacing
        ordered = np.empty_like(vector)
        ordered[order] = vector
        return ordered, spacing

    def halve(self) -> None:
        super().halve()
        self.shortening /= 2

    def reorder(self, change: np.ndarray) -> None:
        """Take over another order of points: row r is what row ``change[r]`` was."""
        if self._preconditioner is not None:
            self._preconditioner.reorder(change)
        self.invalidate()

    def invalidate(self) -> None:
        """Rebuild the preconditioner in the next iteration: points have moved otherwise."""
        self._is_invalid = True

    def is_resumable(self, number: int) -> bool:
        return rebuild_is_due(number)

    def direction(
        self, points: WorkingPoints, gradient: np.ndarray, number: int, stage: Stage
    ) -> tuple[np.ndarray, float]:
        preconditioner, pulls = self._make_preconditioner(), None
        if self._target is not None:
            self._target.pull(points.y, gradient)
            pulls = self._target.curvature(stage.exaggeration)
        if self._is_invalid or rebuild_is_due(number):
            preconditioner.rebuild(points.y, pulls)
            self._is_invalid = False
        direction, _ = preconditioner.apply(gradient)
        unit = 1 / preconditioner.largest
        return direction, self.rate * unit / stage.exaggeration

    def _make_preconditioner(self) -> "Preconditioner":
        if self._preconditioner is None:
            objective = self._objective
            if not objective.has_curvature:
                raise ValueError(
                    "a preconditioned stage needs an objective whose curvature is known; "
                    f"{type(objective).__name__} has none"
                )
            self._preconditioner = (
                JointPreconditioner(objective, self._target)
                if isinstance(objective, JointObjective)
                else Preconditioner(objective)
            )
        return self._preconditioner


def rebuild_is_due(number: int) -> bool:
    """Return whether the preconditioner is rebuilt in iteration ``number`` of a stage."""
    every = REBUILD_EVERY_AT_FIRST if number < N_AT_FIRST else REBUILD_EVERY
    return number % every == 0


class Preconditioner:
    """An approximate inverse of the curvature of the attraction at a map.

    Parameters
    ----------
    objective : with ``has_curvature``; y and gradients are in its order of points.

    Attributes
    ----------
    largest : estimate of the largest eigenvalue of M B, by which steps are divided; at least 3.
    shift : what B has on its diagonal besides the Laplacian.
    """

    _jacobi = JACOBI

    def __init__(self, objective: Objective):
        n, d = objective.shape
        self.largest, self.shift = MIN_LARGEST, 0.0
        self._objective = objective
        # Fewer points are done before another thread has started.
        self._n_threads = min(objective.n_threads, 1 + n // POINTS_PER_THREAD)
        self._grid = HatGrid(
            (n, d), max(min(MAX_COARSE_NODES, n / MIN_POINTS_PER_NODE), MIN_COARSE_NODES)
        )
        self._degree, self._local = np.empty((2, n), np.float32)
        self._moments = np.empty((n, d * (d + 1) // 2), np.float32)
        self._product, self._vector = np.empty((2, n, d), np.float32)
        self._direction, self._curvature_product = np.empty((2, n, d))
        self._pulls: np.ndarray | None = None
        self._has_vector = False

    def reorder(self, change: np.ndarray) -> None:
        """Take over another order of points: row r is what row ``change[r]`` was."""
        self._vector = self._vector[change]

    def vector_and_spacing(self) -> tuple[np.ndarray | None, float]:
        """Return what :meth:`resume` takes.

        It is the vector of the power iteration, None where that begins anew, and the spacing of
        the grid as a share of the map's width.
        """
        return self._vector if self._has_vector else None, self._grid.relative_spacing

    def resume(self, vector: np.ndarray | None, spacing: float) -> None:
        """Begin the next :meth:`rebuild` with these."""
        self._has_vector = vector is not None
        if vector is not None:
            self._vector[...] = vector
        self._grid.set_relative_spacing(spacing)

    def rebuild(self, y: np.ndarray, pulls: np.ndarray | None = None) -> None:
        """Compute the preconditioner of the map y, (n, d) float64.

        pulls : (n,) float32, the diagonal of W, in units of L; infinite where points do not move.
        """
        n_products = 1
        if not self._has_vector:
            n_products = N_FIRST_PRODUCTS
            self._vector[...] = np.random.default_rng(0).standard_normal(y.shape, np.float32)
            self._has_vector = True
        self._multiply(y)
        mean = float(self._degree.mean(dtype=np.float64))
        self.shift = max(SHIFT * mean, float(np.finfo(np.float32).tiny))
        self._pulls = None
        if pulls is not None:
            self._pulls = np.where(np.isinf(pulls), np.float32(HELD * mean), pulls)
        np.maximum(self._degree, np.float32(MIN_DEGREE * mean), out=self._local)
        self._local += np.float32(self.shift)
        if self._pulls is not None:
            self._local += self._pulls
        np.divide(np.float32(self._jacobi), self._local, out=self._local)
        self._grid.lay(y)
        self._assemble()
        for number in range(n_products):
            if number:
                self._multiply(y)
            largest = self._improve_vector()
        self.largest = max(largest, MIN_LARGEST)

    def apply(self, gradient: np.ndarray) -> tuple[np.ndarray, float]:
        """Return M times a gradient, (n, d) float64, and the product of the two.

        The next call overwrites the direction.
        """
        grid = self._grid
        lattice = *grid.cells, grid.corners, grid.parents
        factors = self._inverse_diagonal, self._band, self._local
        product: float = _kernels.hat_grid.apply(
            *lattice, *factors, gradient, *self._scratch, self._direction, self._n_threads
        )
        return self._direction, product

    def _multiply(self, y: np.ndarray) -> None:
        """Compute degrees and moments of the map, and L times the vector."""
        self._objective.edge_moments(y, self._vector, self._degree, self._moments, self._product)

    def _assemble(self) -> None:
        """Compute the stiffness matrices, factor the coarse one, and allocate scratch arrays."""
        grid, kernels = self._grid, _kernels.hat_grid
        n_cells, n_corners = grid.corners.shape
        band = np.empty((grid.n_coarse_nodes, grid.bandwidth + 1))
        diagonal = np.empty(len(grid.parents))
        n_near = np.empty(len(band), np.int32)
        nodes = grid.halves, grid.corners, grid.coarse_corners
        curvature = self._moments, self.shift, grid.spacing
        results = np.empty((n_cells, n_corners**2 + n_corners)), band, diagonal, n_near
        kernels.stiffness(*grid.cells, *nodes, *curvature, *results, self._n_threads, self._pulls)
        band[:, 0] += MIN_PIVOT * band[:, 0].mean()
        band[n_near < MIN_POINTS_NEAR_NODE, 0] *= LEFT_OUT
        kernels.factor(band)
        self._band = band
        self._inverse_diagonal = 1 / np.maximum(diagonal, MIN_DIAGONAL * diagonal.max())
        d = self._direction.shape[1]
        shapes = (n_cells, n_corners, d), (len(diagonal), d), (len(band), d)
        self._scratch = [np.empty(shape) for shape in shapes]

    def _improve_vector(self) -> float:
        """Take a step of the power iteration: the vector becomes M B times itself, of length one.

        Return the Rayleigh quotient of B v, which is at most the largest eigenvalue.
        """
        product = self._curvature_product
        np.multiply(self._vector, self.shift, out=product, dtype=np.float64)
        product += self._product
        self._add_pulls(product)
        norm = _inner_product(self._vector, product)
        direction, energy = self.apply(product)
        length = np.sqrt(_inner_product(direction, direction))
        np.divide(direction, length, out=self._vector, casting="same_kind")
        return energy / norm

    def _add_pulls(self, product: np.ndarray) -> None:
        """Add W times the vector."""
        if self._pulls is not None:
            product += self._pulls[:, None] * self._vector


def _inner_product(a: np.ndarray, b: np.ndarray) -> float:
    """Return it in float64; not by BLAS, whose sums depend on how many threads it has."""
    return float(np.einsum("ij,ij->", a, b, dtype=np.float64))


class JointPreconditioner(Preconditioner):
    """A preconditioner of several embeddings whose points are tied to each other.

    Ties hold partners together, but not embeddings that move together.  The preconditioner of each
    one alone, which has the weights of ties on its diagonal, would hold back both.  So there is one
    more, of all points, without the ties and without a local part, whose hat functions have the
    same value for all embeddings at a place: it moves what is common to them.

    Parameters
    ----------
    objective : of which each part has a curvature; y and gradients are in its order of points.
    target : what ties its points to each other, or None.
    """

    _jacobi = 0.0

    def __init__(self, objective: JointObjective, target: TargetTerm | None):
        super().__init__(objective)
        self._target = target
        self._blocks = [(part, Preconditioner(part.objective)) for part in objective.parts]

    def reorder(self, change: np.ndarray) -> None:
        super().reorder(change)
        for part, block in self._blocks:
            block.reorder(change[part.rows] - np.int32(part.rows.start))

    def rebuild(self, y: np.ndarray, pulls: np.ndarray | None = None) -> None:
        for part, block in self._blocks:
            own = None if pulls is None else pulls[part.rows] / np.float32(part.share)
            block.rebuild(y[part.rows], own)
        self._weights = pulls
        super().rebuild(y)

    def apply(self, gradient: np.ndarray) -> tuple[np.ndarray, float]:
        direction, total = super().apply(gradient)
        for part, block in self._blocks:
            own, product = block.apply(gradient[part.rows])
            direction[part.rows] += own / part.share
            total += product / part.share
        return direction, total

    def _add_pulls(self, product: np.ndarray) -> None:
        if self._weights is None:
            return
        change = self._vector.astype(np.float64)
        if isinstance(self._target, TieTerm):
            change -= self._target.average(change)
        product += self._weights[:, None] * change


class HatGrid:
    """A grid of hat functions: nodes a spacing apart, coarse ones two, where the map has points.

    Parameters
    ----------
    shape : (n, d) of the map.
    n_coarse : how many coarse nodes are wanted; there may be a fifth fewer, or a third more.

    Attributes
    ----------
    cells : the points of each cell, where they start, and where in the cell each is.
    halves, corners, coarse_corners, parents : which nodes each cell has; as ``cells`` as
        ``_kernels.hat_grid`` takes them.
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
        self._cell_of, self._points = np.empty((2, n), np.int32)
        self._fractions = np.empty(shape, np.float32)

    def set_relative_spacing(self, spacing: float) -> None:
        """Take over the spacing of another grid for as many points."""
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
            y, self.low, spacing, cells_along, self._cell_of, ends, self._points, self._fractions
        )
        n_node_places = math.prod(m + 1 for m in shape)
        n_coarse_places = math.prod(m // 2 + 1 for m in shape)
        n_corners = 2 ** len(shape)
        starts, halves = np.empty(n_places + 1, np.int32), np.empty(n_places, np.uint8)
        corners, coarse_corners = np.empty((2, n_places, n_corners), np.int32)
        parents = np.empty((n_node_places, n_corners), np.int32)
        scratch = np.empty(n_node_places, np.int32), np.empty(n_coarse_places, np.int32)
        n_cells, n_nodes, self.n_coarse_nodes, self.bandwidth = _kernels.hat_grid.number_nodes(
            ends, cells_along, *scratch, starts, halves, corners, coarse_corners, parents
        )
        self.cells = self._points, starts[: n_cells + 1], self._fractions
        self.halves = halves[:n_cells]
        self.corners, self.coarse_corners = corners[:n_cells], coarse_corners[:n_cells]
        self.parents = parents[:n_nodes]


def _box(y: np.ndarray) -> tuple[list[float], list[float]]:
    """Return two corners of a box around almost all points."""
    sample = np.sort(y[:: max(1, len(y) // N_SAMPLED)], axis=0)
    n_outside = int(OUTSIDE * len(sample))
    low, high = sample[n_outside], sample[len(sample) - 1 - n_outside]
    farthest = np.maximum(np.abs(low), np.abs(high))
    margin = np.maximum(MARGIN * (high - low), MIN_MARGIN_SHARE * farthest + MIN_MARGIN)
    return (low - margin).tolist(), (high + margin).tolist()
