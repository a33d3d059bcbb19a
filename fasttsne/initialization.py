"""Initial positions: principal components, a spectral embedding of the affinities, or random.

An embedding should start small: all pairs then repel each other about equally, and attraction
alone decides who goes where.  Starting from the principal components keeps the arrangement of
the clusters (Kobak & Berens 2019).
"""

import logging
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.anchors import Anchors, check_anchors, check_movable
from fasttsne.linalg.pca import (
    EXACT_MAX_SIZE,
    Projection,
    approximate_components,
    principal_components,
)
from fasttsne.linalg.rows import RowSource, iter_chunks
from fasttsne.linalg.spectral import spectral_embedding
from fasttsne.runtime.progress import progress_shown
from fasttsne.runtime.typing import RandomGenerator, RandomState, Rows
from fasttsne.runtime.validation import (
    check_choice,
    check_coordinates,
    check_data,
    check_number,
    check_random_state,
    check_sparse_indices,
    refuse_masked,
)
from fasttsne.utils import Timer, warn_user

__all__ = [
    "Projection",
    "approximate_components",
    "initial_positions",
    "jitter",
    "median",
    "pca",
    "principal_components",
    "random",
    "rescale",
    "spectral",
    "weighted_mean",
]

INITIALIZATIONS = "pca", "spectral", "random"
# An affine map is fitted to so many targets, or more, and used where it flattens no direction to
# less than this share of another, as targets on a line would.
MIN_TARGETS_PER_DIMENSION = 5
MIN_FLATNESS = 0.01
# It takes points so many times as far as the farthest target, at most: a map starts small.
MAX_REACH = 3.0
# A start that is far from 0, or whose targets are far from each other, is so many steps of float64,
# or float32, wide.
MIN_STEPS, MIN_FLOAT32_STEPS = 1000, 16
# Points are on a line where they leave it by less than this, or this share of its length.
MAX_FLATNESS = 1e-7
# Of a reference: squares of smaller numbers are no doubles.
MIN_SIZE = 1e-150

log = logging.getLogger("fasttsne.initialization")


@dataclass(frozen=True)
class StartSpec:
    """What the start of a fit is made of; ``has_reference`` says whether there is to be one."""

    initialization: str | ArrayLike
    anchors: Anchors | None
    reference: str | ArrayLike
    has_reference: bool
    n_components: int
    n_jobs: int | None
    verbose: bool

    def checked(self, n_samples: int | None, has_features: bool) -> "StartSpec":
        """Return the same, its arrays as float64; raise for what is not of a map of so many rows.

        n_samples : None where it is not known yet.
        """
        shape = n_samples, self.n_components
        initialization, reference = self.initialization, self.reference
        if not isinstance(initialization, str):
            initialization = check_positions(initialization, shape, methods=INITIALIZATIONS)
        if not isinstance(reference, str):
            reference = check_positions(reference, shape, "global_reference", ("pca",))
            if self.has_reference:
                _check_size(reference)
        else:
            check_choice(reference, "global_reference", ("pca",))
            if self.has_reference and not has_features:
                raise ValueError(
                    "there are no rows to take principal components of: with global_structure, "
                    "global_reference must be an (n_samples, n_components) array"
                )
        check_anchors(self.anchors, *shape)
        check_movable(self.anchors)
        return replace(self, initialization=initialization, reference=reference)

    def make(
        self,
        X: Rows | None,
        P: sp.csr_matrix,
        generator: RandomGenerator,
        components: np.ndarray | None = None,
        resumed: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return initial positions, and the reference, which a resumed fit has again.

        X, P, components : as for :func:`initial_positions`.
        """

        def positions(initialization: str | ArrayLike, random_state: RandomState) -> np.ndarray:
            settings = self.n_components, random_state, self.n_jobs, self.verbose, components
            return initial_positions(initialization, X, P, *settings)

        reference = None
        if self.has_reference:
            is_given = not isinstance(self.reference, str)
            reference = np.asarray(self.reference) if is_given else positions("pca", 0)
        if resumed is not None:
            return resumed, reference
        if reference is not None and is_given and isinstance(self.initialization, str):
            return _near(reference, generator), reference
        start = positions(self.initialization, generator)
        if self.anchors is not None and isinstance(self.initialization, str):
            start = near_anchors(start, self.anchors.targets, self.anchors.weights, P)
        return start, reference


def initial_positions(
    initialization: str | ArrayLike,
    X: Rows | None,
    P: sp.csr_matrix,
    n_components: int = 2,
    random_state: RandomState = None,
    n_jobs: int | None = -1,
    verbose: bool = False,
    components: np.ndarray | None = None,
) -> np.ndarray:
    """The positions that a fit starts from.

    Parameters
    ----------
    initialization : "pca", "spectral", "random", or an (n, n_components) array.
    X : (n, n_features) array or sparse matrix; None, for which "pca" falls back to "spectral".
    P : (n, n) matrix of affinities.
    n_components : dimensions of the map.
    random_state, n_jobs, verbose : as for :func:`pca`.
    components : (n, at least n_components) scores of the principal components of X, if something
        before has computed them.
    """
    if not isinstance(initialization, str):
        shape = P.shape[0], n_components
        positions = check_positions(initialization, shape, methods=INITIALIZATIONS)
        if len(positions) > 1 and (positions == positions[0]).all():
            warn_user("initialization has all points in one position: no force can separate them")
        return positions
    check_choice(initialization, "initialization", INITIALIZATIONS)
    if initialization == "random":
        return random(P.shape[0], n_components, random_state)
    if initialization == "pca" and X is not None:
        if components is None:
            return pca(X, n_components, "auto", random_state, verbose, n_jobs=n_jobs)
        scores = components[:, :n_components].astype(np.float64)
        return _as_positions(scores, check_random_state(random_state))
    if initialization == "pca":
        log.info("no rows to take principal components of: spectral initialization")
    return spectral(P, n_components, random_state=random_state, verbose=verbose)


def check_positions(
    positions: ArrayLike,
    shape: tuple[int | None, int | None],
    name: str = "initialization",
    methods: Sequence[str] = (),
) -> np.ndarray:
    """Return given positions, a float64 copy, if they are finite numbers of that shape.

    Parameters
    ----------
    shape : of the map; None where rows are not known yet, or there may be one to three columns.
    methods : the names that are accepted in place of an array, for the error.
    """
    refuse_masked(positions, name)
    places = np.asarray(positions)
    if places.dtype.kind not in "fiub":
        names = f"{'one of ' * (len(methods) > 1)}{', '.join(map(repr, methods))} or "
        raise TypeError(
            f"{name} must be {names if methods else ''}an array of numbers; got dtype "
            f"{places.dtype}"
        )
    n, d = shape
    if n is None and places.ndim == 2:
        n = len(places)
    has_columns = places.ndim == 2 and (
        1 <= places.shape[1] <= 3 if d is None else places.shape[1] == d
    )
    if not has_columns or len(places) != n:
        raise ValueError(
            f"{name} must have the shape ({'n_samples' if n is None else n}, "
            f"{'1 to 3' if d is None else d}); got {places.shape}"
        )
    places = np.array(places, dtype=np.float64, order="C")
    check_coordinates(places, name)
    return places


def _check_size(reference: np.ndarray) -> None:
    """Raise ValueError if all points are in one place, or too near to each other."""
    if len(reference) > 1 and (reference == reference[0]).all():
        raise ValueError("global_reference has all points in one place: it says nothing")
    size = spread(reference)
    if len(reference) > 1 and size < MIN_SIZE:
        raise ValueError(
            f"global_reference must not be so small: its points are up to {size:.3g} from their "
            f"mean, and at least {MIN_SIZE:g} is needed.  Only its shape matters: scale it"
        )


def spread(points: np.ndarray) -> float:
    """Return the largest difference of a coordinate from the mean."""
    return float(np.abs(points - points.mean(axis=0)).max(initial=0))


def _near(reference: np.ndarray, generator: RandomGenerator) -> np.ndarray:
    """Return positions near given ones, but small, and no two at one point."""
    positions: np.ndarray = reference - reference.mean(axis=0)
    positions *= 1e-4 / np.sqrt((positions**2).mean())
    positions += generator.normal(0, 1e-6, positions.shape)
    return positions


def rescale(x: np.ndarray, inplace: bool = False, target_std: float = 1e-4) -> np.ndarray:
    """Scale an embedding so that its first coordinate has standard deviation ``target_std``.

    Parameters
    ----------
    x : (n, d) array.
    inplace : change ``x`` itself, which must then hold floating-point numbers.
    """
    x = np.asarray(x) if inplace else np.array(x, dtype=float)
    std = np.std(x[:, 0])
    if std > 0:
        x *= target_std / std
    return x


def jitter(
    x: np.ndarray, inplace: bool = False, scale: float = 0.01, random_state: RandomState = None
) -> np.ndarray:
    """Add normal noise of ``scale`` times the first coordinate's standard deviation.

    Rows that are equal in the data would otherwise start, and stay, at one point.

    Parameters
    ----------
    x : (n, d) array.
    inplace : change x, which must be of floats; otherwise a copy.
    random_state : None, an integer or a generator: seeds the noise.
    """
    x = np.asarray(x) if inplace else np.array(x, dtype=float)
    x += check_random_state(random_state).normal(0, np.std(x[:, 0]) * scale, x.shape)
    return x


def random(
    n_samples: int | ArrayLike | sp.spmatrix,
    n_components: int = 2,
    random_state: RandomState = None,
    verbose: bool = False,
) -> np.ndarray:
    """Return normal noise of standard deviation 1e-4.

    Parameters
    ----------
    n_samples : number of points, or an array with that many rows.
    random_state : None, an integer or a generator: seeds the noise.
    verbose : without effect.

    Returns
    -------
    (n_samples, n_components) float64 array.
    """
    if not isinstance(n_samples, (int, numbers.Integral)):
        n_samples = np.shape(n_samples)[0]
    n_components = check_number(n_components, "n_components", low=1, integer=True)
    shape = (int(n_samples), n_components)
    return check_random_state(random_state).normal(0, 1e-4, shape)


def pca(
    X: Rows,
    n_components: int = 2,
    svd_solver: str = "auto",
    random_state: RandomState = None,
    verbose: bool = False,
    add_jitter: bool = True,
    n_jobs: int | None = -1,
) -> np.ndarray:
    """Return the first principal components, scaled to a standard deviation of 1e-4.

    Parameters
    ----------
    X : (n, columns) array or sparse matrix, which is not made dense where that would be more
        than 2**24 numbers; or a ``RowSource``, as rows on workers are.
    svd_solver : "full" decomposes the covariance exactly; "randomized" (Halko et
        al. 2011) is much faster for many columns; "auto" takes the first up to
        200 rows or columns.  A component's sign is such that its largest loading
        is positive.
    random_state : seeds the randomized solver and the jitter.
    add_jitter : move each point by 1 % of the standard deviation at random, so
        that equal rows do not start at one point.
    n_jobs : threads; -1 is all cores.  The result does not depend on it.
    verbose : print how long it takes, to standard error.

    Returns
    -------
    (n, n_components) float64 array.  Components that the data does not have
    (one column, equal rows) hold noise only.
    """
    if not isinstance(X, RowSource):
        X = check_data(X, accept_sparse=True, dense_if_small=True)
    n_components = check_number(n_components, "n_components", low=1, integer=True)
    check_choice(svd_solver, "svd_solver", EXACT_MAX_SIZE)
    generator = check_random_state(random_state)
    rank = min(*X.shape, n_components)
    result = np.zeros((X.shape[0], n_components))
    with Timer("computing the principal components", verbose), progress_shown(verbose):
        result[:, :rank] = principal_components(X, rank, generator, svd_solver, n_jobs)
    return _as_positions(result, generator, add_jitter)


def _as_positions(
    scores: np.ndarray, generator: RandomGenerator, add_jitter: bool = True
) -> np.ndarray:
    """Scale scores of principal components, in place, and add the jitter of ``pca``."""
    rescale(scores, inplace=True)
    # A component this small next to the first is rounding noise.
    scores[:, np.std(scores, axis=0) < 1e-10] = 0
    if add_jitter:
        scores += generator.normal(0, 1e-6, scores.shape)
    return scores


def spectral(
    A: Rows,
    n_components: int = 2,
    tol: float = 1e-4,
    max_iter: int | None = None,
    random_state: RandomState = None,
    verbose: bool = False,
    add_jitter: bool = True,
) -> np.ndarray:
    """Return the spectral embedding of a graph, scaled to a standard deviation of 1e-4.

    The coordinates are the leading eigenvectors of a random walk on the graph (a diffusion map,
    Coifman & Lafon 2006); the data itself is not needed.  Connected components are embedded one
    by one and start side by side.

    Parameters
    ----------
    A : (n, n) matrix of affinities, sparse or dense, none negative; (A + A^T) / 2 is used.
    tol, max_iter : as for ``scipy.sparse.linalg.eigsh``; where that does not converge, power
        iterations take its place.
    random_state : seeds the search for the eigenvectors and the jitter.  An eigenvector's sign
        is such that its largest entry is positive.
    add_jitter : move each point by 1 % of the standard deviation at random.
    verbose : print how long it takes, to standard error.

    Returns
    -------
    (n, n_components) float64 array.  Coordinates for which the graph has no eigenvector hold
    noise only; if it has none at all, the result is that of :func:`random`.
    """
    A = _check_graph(A)
    n_components = check_number(n_components, "n_components", low=1, integer=True)
    tol = check_number(tol, "tol", low=0, finite=True)
    if max_iter is not None:
        max_iter = check_number(max_iter, "max_iter", low=1, integer=True)
    generator = check_random_state(random_state)
    with Timer("computing the spectral embedding", verbose), progress_shown(verbose):
        result = spectral_embedding(A, n_components, tol, max_iter, generator)
    if not result.any():
        return random(len(result), n_components, generator)
    rescale(result, inplace=True)
    if add_jitter:
        result += generator.normal(0, 1e-6, result.shape)
    return result


def _check_graph(A: Rows) -> sp.csr_array:
    if sp.issparse(A):
        check_sparse_indices(A, "A")
    A = sp.csr_array(A, dtype=np.float64, copy=True)
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"A must be a square matrix; got shape {A.shape}")
    if not np.isfinite(A.data).all() or (A.data < 0).any():
        raise ValueError("A must hold finite numbers that are not negative")
    # Only ratios matter, and sums of the largest numbers would overflow.
    A.data = np.ldexp(A.data, -np.frexp(A.data.max(initial=0))[1])
    symmetric = (A + A.T) / 2
    symmetric.eliminate_zeros()
    return symmetric


def near_anchors(
    positions: np.ndarray, targets: np.ndarray, weights: np.ndarray, P: sp.csr_matrix
) -> np.ndarray:
    """Return initial positions where some points have targets.

    Those start there, and their neighbours at the mean of their targets, weighted by affinity.
    Others start where the affine map does that takes the given positions nearest to the targets;
    where those are too few, or on a line, others are moved to the middle of the targets only.
    Points which no force would part start beside each other, unless they are pinned.
    """
    has_target = weights > 0
    if not has_target.any():
        return positions
    moved, given = _affine_start(positions, targets, has_target), targets[has_target]
    is_affine = moved is not None
    centered = _resolved(positions - positions[has_target].mean(axis=0), given)
    result: np.ndarray = moved if moved is not None else centered + given.mean(axis=0)
    mask = has_target.astype(np.float64)
    shares = P @ mask
    is_near = shares > 0
    result[is_near] = (P @ (targets * mask[:, None]))[is_near] / shares[is_near, None]
    if not is_affine:  # no force would part points that are all in one place, or on one line
        result[is_near] += centered[is_near]
    result[has_target] = given
    stays = _stays_together(result, P) & ~np.isinf(weights)
    result[stays] += centered[stays]
    return result


def _resolved(start: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return a start wide enough for float64, and forces in float32, at any of the targets."""
    reach = np.abs(targets - np.median(targets, axis=0)).max()
    least = max(
        MIN_STEPS * np.spacing(np.abs(targets).max()),
        MIN_FLOAT32_STEPS * float(np.spacing(np.float32(reach))),
    )
    size = float(np.abs(start).max())
    return start * (least / size) if 0 < size < least else start


def _stays_together(positions: np.ndarray, P: sp.csr_matrix) -> np.ndarray:
    """Return which points no force parts: at the place of all neighbours; all if on one line."""
    spreads = np.sqrt(np.maximum(np.linalg.eigvalsh(np.atleast_2d(np.cov(positions.T))), 0))
    if spreads[0] <= MAX_FLATNESS * max(spreads[-1], 1):
        return np.ones(len(positions), bool)
    order = np.lexsort(positions.T)
    is_another = (np.diff(positions[order], axis=0) != 0).any(axis=1)
    place = np.empty(len(positions), np.int64)
    place[order] = np.concatenate([[0], np.cumsum(is_another)])
    result = np.bincount(place)[place] > 1
    edges = P.tocoo()
    is_pulled = (place[edges.row] != place[edges.col]) & (edges.data > 0)
    result[edges.row[is_pulled]] = False
    return result


def _affine_start(
    positions: np.ndarray, targets: np.ndarray, has_target: np.ndarray
) -> np.ndarray | None:
    """Return the images of all points under the affine map fitted to those with targets.

    None where it is not known well enough, or would lay all points on a line.
    """
    d, given = positions.shape[1], targets[has_target]
    if len(given) < MIN_TARGETS_PER_DIMENSION * d or not np.ptp(given, axis=0).any():
        return None
    terms = np.column_stack([positions, np.ones(len(positions))])
    coefficients = np.linalg.lstsq(terms[has_target], given, rcond=None)[0]
    sizes = np.linalg.svd(coefficients[:d], compute_uv=False)
    if not sizes[-1] > MIN_FLATNESS * sizes[0]:
        return None
    result: np.ndarray = terms @ coefficients
    middle = given.mean(axis=0)
    reach, farthest = (np.linalg.norm(x - middle, axis=1).max() for x in (result, given))
    if reach > MAX_REACH * farthest:
        result = middle + (result - middle) * (MAX_REACH * farthest / reach)
    return result


def weighted_mean(
    X: ArrayLike | sp.spmatrix,
    embedding: ArrayLike,
    neighbors: ArrayLike,
    distances: ArrayLike,
    verbose: bool = False,
) -> np.ndarray:
    """Return the mean of the neighbours' coordinates, weighted by the inverse of their distances.

    If any neighbours are at distance 0, only those are used.

    Parameters
    ----------
    X : the new rows; only their number is used.
    embedding : (n, d) array, the coordinates of the rows to which ``neighbors`` refers.
    neighbors, distances : (m, k) arrays.
    verbose : print how long it takes, to standard error.

    Returns
    -------
    (m, d) float64 array; no row depends on another.
    """
    embedding, neighbors = np.asarray(embedding, float), np.asarray(neighbors)
    n_rows = np.shape(X)[0]
    if n_rows != len(neighbors):
        raise ValueError(f"neighbors must have {n_rows} rows, as X has; got {len(neighbors)}")
    distances = np.asarray(distances, float)
    nearest = distances.min(axis=1)
    with Timer("computing the weighted mean of the neighbours", verbose):
        total, points = np.zeros((n_rows, 1)), np.zeros((n_rows, embedding.shape[1]))
        for neighbor, distance in zip(neighbors.T, distances.T, strict=True):
            # Relative to the nearest, so that no weight overflows.
            weight = np.where(
                nearest > 0, nearest / np.where(nearest > 0, distance, 1), distance == 0
            )[:, None]
            points += weight * embedding[neighbor]
            total += weight
    return points / total


def median(embedding: ArrayLike, neighbors: ArrayLike, verbose: bool = False) -> np.ndarray:
    """Return the median of the neighbours' positions, coordinate by coordinate.

    Parameters
    ----------
    embedding : (n, d) array, the coordinates of the rows to which ``neighbors`` refers.
    neighbors : (m, k) integer array.
    verbose : print how long it takes, to standard error.

    Returns
    -------
    (m, d) float64 array; no row depends on another.
    """
    embedding, neighbors = np.asarray(embedding, float), np.asarray(neighbors)
    points = np.empty((len(neighbors), embedding.shape[1]))
    with Timer("computing the median of the neighbours", verbose):
        for a, rows in iter_chunks(neighbors):
            points[a : a + len(rows)] = np.median(embedding[rows], axis=1)
    return points
