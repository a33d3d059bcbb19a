"""A two-level preconditioner: nearly the inverse of the curvature of the attraction.

Let B = L + W + shift, with L the Laplacian of the graph whose edges weigh p_ij q_ij, and W the
diagonal of what draws points to targets of their own, if anything does.  Then

    M = 2 D^-1 + R (F^-1 + C G^-1 C^T) R^T

approximates B^-1: D is the diagonal of B, R are hat functions on a grid over the map, F the
diagonal of their stiffness matrix, C interpolates from a grid twice as wide and G is the
stiffness matrix of the hats there.  See "The preconditioner" in ``docs/math.rst``.
"""

import numpy as np

from fasttsne import _kernels
from fasttsne.objective import Objective
from fasttsne.optimize.hat_grid import HatGrid

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

    def reorder(self) -> None:
        """Forget what depends on the order of points, which is another from now on."""
        self._has_vector = False

    def vector_and_spacing(self) -> tuple[np.ndarray | None, float]:
        """Return what the next :meth:`rebuild` begins with: :meth:`go_on` takes it.

        It is the vector of the power iteration, None where that begins anew, and the spacing of
        the grid as a share of the map's width.
        """
        return self._vector if self._has_vector else None, self._grid.relative_spacing

    def go_on(self, vector: np.ndarray | None, spacing: float) -> None:
        """Begin the next :meth:`rebuild` with these."""
        self._has_vector = vector is not None
        if vector is not None:
            self._vector[...] = vector
        self._grid.set_relative_spacing(spacing)

    def rebuild(self, y: np.ndarray, pulls: np.ndarray | None = None) -> None:
        """Become the preconditioner of the map y, (n, d) float64.

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
        """M times a gradient, (n, d) float64, and the product of the two.

        The direction belongs to this object: the next call overwrites it.
        """
        grid = self._grid
        product: float = _kernels.hat_grid.apply(
            grid.points,
            grid.starts,
            grid.fractions,
            grid.corners,
            grid.parents,
            self._inverse_diagonal,
            self._band,
            self._local,
            gradient,
            *self._scratch,
            self._direction,
            self._n_threads,
        )
        return self._direction, product

    def _multiply(self, y: np.ndarray) -> None:
        """Degrees and moments of the map, and L times the vector."""
        self._objective.edge_moments(y, self._vector, self._degree, self._moments, self._product)

    def _assemble(self) -> None:
        """The stiffness matrices, the coarse one factored, and scratch arrays of their sizes."""
        grid, kernels = self._grid, _kernels.hat_grid
        n_cells, n_corners = grid.corners.shape
        band = np.empty((grid.n_coarse_nodes, grid.bandwidth + 1))
        diagonal = np.empty(len(grid.parents))
        n_near = np.empty(len(band), np.int32)
        kernels.stiffness(
            grid.points,
            grid.starts,
            grid.fractions,
            grid.halves,
            grid.corners,
            grid.coarse_corners,
            self._moments,
            self.shift,
            grid.spacing,
            np.empty((n_cells, n_corners**2 + n_corners)),
            band,
            diagonal,
            n_near,
            self._n_threads,
            self._pulls,
        )
        band[:, 0] += MIN_PIVOT * band[:, 0].mean()
        band[n_near < MIN_POINTS_NEAR_NODE, 0] *= LEFT_OUT
        kernels.factor(band)
        self._band = band
        self._inverse_diagonal = 1 / np.maximum(diagonal, MIN_DIAGONAL * diagonal.max())
        d = self._direction.shape[1]
        shapes = (n_cells, n_corners, d), (len(diagonal), d), (len(band), d)
        self._scratch = [np.empty(shape) for shape in shapes]

    def _improve_vector(self) -> float:
        """A step of the power iteration: the vector becomes M B times itself, of length one.

        Returns the Rayleigh quotient of B v, which is at most the largest eigenvalue.
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
    """In float64; not by BLAS, whose sums depend on how many threads it has."""
    return float(np.einsum("ij,ij->", a, b, dtype=np.float64))
