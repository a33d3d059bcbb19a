"""Principal components: of small data exactly, of large data by random subspaces.

Source: Halko, Martinsson & Tropp 2011.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse

from fasttsne.linalg.chunks import chunks, divided, mean_and_largest, safe_unit
from fasttsne.linalg.products import (
    product,
    products_of_columns,
    products_of_few_columns,
    wake_blas,
)
from fasttsne.runtime.validation import check_random_state

# The power iterations and extra directions of the randomized solver (Halko et al. 2011).
POWER_ITERATIONS = 7
OVERSAMPLES = 10
# Up to this many columns (or rows) the exact decomposition costs as little; up to so many
# their products are computed once, on which iterations cost nothing.
EXACT_UP_TO = 200
PRODUCTS_UP_TO = 1000
# Rows that approximate components are taken from.
SAMPLE_ROWS = 10_000


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
