"""Where the points start: principal components, slow modes of the affinities, or random places.

A map should start small: all pairs then repel each other about equally, and
attraction alone decides who goes where.  Starting from the principal components
keeps the arrangement of the clusters (Kobak & Berens 2019).
"""

import numbers
from functools import partial
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse

from fasttsne._columns import chunks, divided, mean_and_largest, safe_unit
from fasttsne._products import product, products_of_columns, products_of_few_columns, wake_blas
from fasttsne._spectral import spectral_map
from fasttsne._validation import check_choice, check_data, check_number, check_random_state
from fasttsne.utils import Timer

# The power iterations and extra directions of the randomized solver (Halko et al. 2011).
POWER_ITERATIONS = 7
OVERSAMPLES = 10
# Up to this many columns (or rows) the exact decomposition costs as little; up to so many
# their products are computed once, on which iterations cost nothing.
EXACT_UP_TO = 200
PRODUCTS_UP_TO = 1000
# Rows that approximate components are taken from.
SAMPLE_ROWS = 10_000


def rescale(x: np.ndarray, inplace: bool = False, target_std: float = 1e-4) -> np.ndarray:
    """Scale a map so that its first coordinate has the standard deviation ``target_std``.

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


def jitter(x: np.ndarray, inplace: bool = False, scale: float = 0.01, random_state=None):
    """Add normal noise of ``scale`` times the first coordinate's standard deviation.

    Rows that are equal in the data would otherwise start, and stay, in one place.
    """
    x = np.asarray(x) if inplace else np.array(x, dtype=float)
    x += check_random_state(random_state).normal(0, np.std(x[:, 0]) * scale, x.shape)
    return x


def random(n_samples, n_components: int = 2, random_state=None, verbose: bool = False):
    """Normal noise of standard deviation 1e-4.

    Parameters
    ----------
    n_samples : how many points, or anything with that many rows.

    Returns
    -------
    (n_samples, n_components) float64 array.
    """
    if not isinstance(n_samples, numbers.Integral):
        n_samples = n_samples.shape[0] if hasattr(n_samples, "shape") else len(n_samples)
    n_components = check_number(n_components, "n_components", low=1, integer=True)
    shape = (int(n_samples), n_components)
    return check_random_state(random_state).normal(0, 1e-4, shape)


def pca(
    X, n_components: int = 2, svd_solver: str = "auto", random_state=None,
    verbose: bool = False, add_jitter: bool = True,
) -> np.ndarray:  # fmt: skip
    """The first principal components, scaled down to a standard deviation of 1e-4.

    Parameters
    ----------
    X : (n, columns) array or sparse matrix, which is not made dense.
    svd_solver : "full" decomposes the covariance exactly; "randomized" (Halko et
        al. 2011) is much faster for many columns; "auto" takes the first up to
        200 rows or columns.  A component's sign is such that its largest loading
        is positive.
    random_state : seeds the randomized solver and the jitter.
    add_jitter : move each point by 1 % of the standard deviation at random, so
        that equal rows do not start in one place.

    Returns
    -------
    (n, n_components) float64 array.  Components that the data does not have
    (one column, equal rows) hold noise only.
    """
    X = check_data(X, accept_sparse=True)
    n_components = check_number(n_components, "n_components", low=1, integer=True)
    check_choice(svd_solver, "svd_solver", ("auto", "full", "randomized", "arpack"))
    generator = check_random_state(random_state)
    rank = min(*X.shape, n_components)
    result = np.zeros((X.shape[0], n_components))
    with Timer("computing the principal components", verbose):
        result[:, :rank] = principal_components(X, rank, generator, svd_solver)
    rescale(result, inplace=True)
    # A component that is rounding noise next to the first is not one.
    result[:, np.std(result, axis=0) < 1e-10] = 0
    if add_jitter:
        result += generator.normal(0, 1e-6, result.shape)
    return result


def spectral(
    A, n_components: int = 2, tol: float = 1e-4, max_iter: int | None = None, random_state=None,
    verbose: bool = False, add_jitter: bool = True,
) -> np.ndarray:  # fmt: skip
    """The slowest modes of a random walk on a graph, at a standard deviation of 1e-4.

    It is a diffusion map of the affinities (Coifman & Lafon 2006), and needs no rows.
    Parts of the graph that no edge joins start side by side.

    Parameters
    ----------
    A : (n, n) matrix of affinities, sparse or dense, none negative; its symmetric part counts.
    tol, max_iter : of the eigenvectors, as for ``scipy.sparse.linalg.eigsh``; where that does
        not converge, power iterations take its place.
    random_state : seeds the search for the eigenvectors and the jitter.  A mode's sign is such
        that its largest entry is positive.
    add_jitter : move each point by 1 % of the standard deviation at random.

    Returns
    -------
    (n, n_components) float64 array.  Modes that the graph does not have hold noise only;
    without any, the start is that of :func:`random`.
    """
    A = _check_graph(A)
    n_components = check_number(n_components, "n_components", low=1, integer=True)
    tol = check_number(tol, "tol", low=0, finite=True)
    if max_iter is not None:
        max_iter = check_number(max_iter, "max_iter", low=1, integer=True)
    generator = check_random_state(random_state)
    with Timer("computing the spectral map", verbose):
        result = spectral_map(A, n_components, tol, max_iter, generator)
    if not result.any():
        return random(len(result), n_components, generator)
    rescale(result, inplace=True)
    if add_jitter:
        result += generator.normal(0, 1e-6, result.shape)
    return result


def _check_graph(A):
    A = scipy.sparse.csr_array(A, dtype=np.float64, copy=True)
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"A must be a square matrix; got shape {A.shape}")
    if not np.isfinite(A.data).all() or (A.data < 0).any():
        raise ValueError("A must hold finite numbers that are not negative")
    # Only ratios count, and sums of the largest numbers would overflow.
    A.data = np.ldexp(A.data, -np.frexp(A.data.max(initial=0))[1])
    symmetric = (A + A.T) / 2
    symmetric.eliminate_zeros()
    return symmetric


def principal_components(X, rank, random_state=None, svd_solver="auto"):
    """Scores of the first ``rank`` principal components, (n, rank), in the dtype of X."""
    wake_blas()
    columns = _Centred(X)
    return columns.scores(columns.loadings(rank, check_random_state(random_state), svd_solver))


class Projection(NamedTuple):
    """Directions to project rows on: (row - origin) @ directions.

    origin : (columns,) float32.
    directions : (columns, rank) float32.
    """

    origin: np.ndarray
    directions: np.ndarray


def approximate_components(X, rank, random_state) -> tuple[np.ndarray, Projection]:
    """Scores of about the first ``rank`` components, as a sample of the rows has them.

    Good enough to tell who is near whom, and much faster.

    Returns
    -------
    scores : (n, rank) float32.
    projection : what gives those of other rows.
    """
    sample = X
    if X.shape[0] > SAMPLE_ROWS:
        rows = check_random_state(random_state).permutation(X.shape[0])[:SAMPLE_ROWS]
        sample = X[np.sort(rows)]
    loadings = _Centred(sample).loadings(rank, random_state, power_iterations=2)
    columns = _Centred(X)
    projection = Projection(
        columns.mean.astype(np.float32), (loadings / columns.unit).astype(np.float32)
    )
    return columns.scores(loadings).astype(np.float32, copy=False), projection


class _Centred:
    """A data set less the mean of each column, never copied as a whole.

    Entries are divided by a unit in which squares neither overflow nor vanish.
    """

    def __init__(self, X):
        self.X = X
        self.is_sparse = scipy.sparse.issparse(X)
        self.mean, largest = mean_and_largest(X)
        self.unit = safe_unit(largest)
        if self.is_sparse and self.unit != 1:
            self.X = divided(X, self.unit)
            self.mean, self.unit = self.mean / self.unit, 1.0

    def loadings(self, rank, random_state, svd_solver="auto", power_iterations=POWER_ITERATIONS):
        """Orthonormal directions, (columns, rank); the largest entry of each is positive."""
        n, d = self.X.shape
        exactly = svd_solver == "full" or (svd_solver == "auto" and min(n, d) <= EXACT_UP_TO)
        if exactly and d <= (PRODUCTS_UP_TO if self.is_sparse else n):
            loadings = _eigenvectors(self._products_of_columns(), rank)
        elif exactly and not self.is_sparse:
            loadings = self._eigenvectors_by_rows(rank)
        elif d <= PRODUCTS_UP_TO:
            # Once the columns' products are known, iterations cost nothing.
            products = self._products_of_columns()
            loadings = _leading_subspace(partial(product, products), d, rank, random_state)
        else:
            loadings = _leading_subspace(
                self._squared_product, d, rank, random_state, power_iterations
            )
        return loadings * np.sign(
            loadings[np.abs(loadings).argmax(0), np.arange(loadings.shape[1])]
        )

    def scores(self, loadings):
        """The data in these directions, (n, directions)."""
        loadings = loadings.astype(self.X.dtype)
        if self.is_sparse:
            return self._sparse_product(loadings)
        out = np.empty((self.X.shape[0], loadings.shape[1]), self.X.dtype)
        for a, chunk in self._chunks():
            out[a : a + len(chunk)] = product(chunk, loadings)
        return out

    def _chunks(self):
        mean = (self.mean / self.unit if self.unit > 1 else self.mean).astype(self.X.dtype)
        for a, chunk in chunks(self.X, 2**20):
            if self.unit > 1:  # differences of the largest numbers would overflow
                chunk = chunk / self.X.dtype.type(self.unit) - mean
            else:
                chunk = chunk - mean
                if self.unit != 1:
                    chunk /= self.unit
            yield a, chunk

    def _products_of_columns(self):
        """Centred^T Centred, (columns, columns)."""
        n, d = self.X.shape
        if self.is_sparse:
            X = self.X.astype(np.float64)
            return (X.T @ X).toarray() - n * np.outer(self.mean, self.mean)
        of_columns = products_of_few_columns if d < 64 else products_of_columns
        return of_columns((chunk for _, chunk in self._chunks()), d)

    def _eigenvectors_by_rows(self, rank):
        """Of the rows' products, turned into directions: for few rows of many columns."""
        centred = np.concatenate([chunk for _, chunk in self._chunks()])
        products = products_of_columns([centred.T], len(centred))
        directions = product(centred.T, _eigenvectors(products, rank))
        norms = np.linalg.norm(directions, axis=0)
        return directions / np.where(norms > 0, norms, 1)

    def _squared_product(self, basis):
        """Centred^T Centred basis."""
        if self.is_sparse:
            scores = self._sparse_product(basis)
            mean = self.mean.astype(self.X.dtype)
            return self.X.T @ scores - np.outer(mean, scores.sum(0))
        out = np.zeros(basis.shape)
        for _, chunk in self._chunks():
            out += product(chunk.T, product(chunk, basis.astype(chunk.dtype)))
        return out

    def _sparse_product(self, directions):
        mean = self.mean.astype(self.X.dtype)
        return self.X @ directions - product(mean[None], directions)


def _eigenvectors(products, rank):
    """Of the largest eigenvalues of a symmetric matrix, largest first."""
    n = len(products)
    return scipy.linalg.eigh(products, subset_by_index=(n - rank, n - 1))[1][:, ::-1]


def _leading_subspace(multiply, size, rank, random_state, power_iterations=POWER_ITERATIONS):
    """Those eigenvectors by power iterations on a random subspace (Halko et al. 2011).

    ``multiply`` multiplies the matrix, (size, size), with vectors.
    """
    width = min(rank + OVERSAMPLES, size)
    basis = check_random_state(random_state).normal(size=(size, width))
    for _ in range(power_iterations):
        basis = np.linalg.qr(multiply(basis))[0]
    _, rotation = np.linalg.eigh(product(basis.T, multiply(basis)))
    return product(basis, rotation[:, ::-1][:, :rank])


def weighted_mean(X, embedding, neighbors, distances, verbose: bool = False) -> np.ndarray:
    """The mean of the neighbours' places, each weighted by the inverse of its distance.

    Neighbours at distance 0, if there are any, count alone.

    Parameters
    ----------
    X : the new rows, of which only the number counts.
    embedding : (n, d) array, the places of the rows that neighbors are among.
    neighbors, distances : (m, k) arrays.

    Returns
    -------
    (m, d) float64 array; no row depends on another.
    """
    embedding, neighbors = np.asarray(embedding, float), np.asarray(neighbors)
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    if n_rows != len(neighbors):
        raise ValueError(f"neighbors must have {n_rows} rows, as X has; got {len(neighbors)}")
    distances = np.asarray(distances, float)
    nearest = distances.min(axis=1)
    with Timer("computing the weighted mean of the neighbours", verbose):
        total, places = np.zeros((n_rows, 1)), np.zeros((n_rows, embedding.shape[1]))
        for neighbor, distance in zip(neighbors.T, distances.T, strict=True):
            # Relative to the nearest, so that no weight overflows.
            weight = np.where(
                nearest > 0, nearest / np.where(nearest > 0, distance, 1), distance == 0
            )[:, None]
            places += weight * embedding[neighbor]
            total += weight
    return places / total


def median(embedding, neighbors, verbose: bool = False) -> np.ndarray:
    """The median of the neighbours' places, coordinate by coordinate.

    Parameters
    ----------
    embedding : (n, d) array, the places of the rows that neighbors are among.
    neighbors : (m, k) integer array.

    Returns
    -------
    (m, d) float64 array; no row depends on another.
    """
    embedding, neighbors = np.asarray(embedding, float), np.asarray(neighbors)
    places = np.empty((len(neighbors), embedding.shape[1]))
    with Timer("computing the median of the neighbours", verbose):
        for a in range(0, len(neighbors), SAMPLE_ROWS):
            rows = neighbors[a : a + SAMPLE_ROWS]
            places[a : a + SAMPLE_ROWS] = np.median(embedding[rows], axis=1)
    return places
