"""Principal components: exact for small data, by random subspaces for large data.

Source: Halko, Martinsson & Tropp 2011.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.linalg
import scipy.sparse

from fasttsne.linalg import products
from fasttsne.linalg.products import matmul
from fasttsne.linalg.robust import (
    AnyRows,
    RobustFrame,
    divide_sparse,
    float32_scale,
    mean_and_max_deviation,
    robust_frame,
    rows_within,
)
from fasttsne.linalg.rows import (
    CHUNK_SIZE,
    Blocks,
    LocalBlocks,
    RowSource,
    RowTable,
    as_rows,
    iter_chunks,
)
from fasttsne.runtime.progress import stage
from fasttsne.runtime.rows import is_sparse
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Matrix, RandomState
from fasttsne.runtime.validation import check_random_state

# Power iterations and extra directions of the randomized solver (Halko et al. 2011).
N_POWER_ITERATIONS = 7
N_OVERSAMPLES = 10
# The exact solver is used up to so many columns or rows.  At 200 it costs as much as the
# randomized one, which "auto" uses beyond.
AUTO_EXACT_MAX_SIZE = 200
EXACT_MAX_SIZE = {"auto": AUTO_EXACT_MAX_SIZE, "full": math.inf, "randomized": 0, "arpack": 0}
# Up to so many columns their products are computed once, after which iterations cost nothing.
GRAM_MAX_COLUMNS = 1000
# Numbers of a chunk that is centered.
CENTERED_SIZE = 2**20
# Rows from which approximate components are computed.
SAMPLE_SIZE = 10_000
# Of rows in a block: scores, and squared lengths of rows or of what they lose.
Reduced: TypeAlias = tuple[np.ndarray, np.ndarray]


def estimate_bytes(n_columns: int) -> int:
    """Return what the components of rows of so many columns take: three products of columns."""
    return 24 * min(n_columns, GRAM_MAX_COLUMNS) ** 2


@np.errstate(under="ignore")  # loadings of float64 may be too small for float32
def principal_components(
    X: AnyRows,
    rank: int,
    random_state: RandomState = None,
    svd_solver: str = "auto",
    n_jobs: int | None = -1,
) -> np.ndarray:
    """Return the scores of the first ``rank`` principal components, (n, rank), in X's dtype.

    Far rows (see ``fasttsne.linalg.robust``) do not count for the components, and get
    scores no larger than those of the others.

    Parameters
    ----------
    X : (n, columns) array or SciPy sparse matrix; integers are computed with as floats.
    rank : number of components, at most the number of rows or columns.
    random_state : seeds the randomized solver.
    svd_solver : as for ``pca``.
    n_jobs : threads; -1 is all cores.  The result does not depend on it.
    """
    products.preallocate_blas_buffers()
    data = _CenteredData(_as_floats(X), resolve_n_jobs(n_jobs))
    return data.scores(data.loadings(rank, check_random_state(random_state), svd_solver))


class Projection(NamedTuple):
    """A linear projection of rows: (row - origin) @ directions.

    Attributes
    ----------
    origin : (columns,) float32.
    directions : (columns, rank) float32.
    scale : the directions are orthonormal vectors divided by it.
    max_residual : largest length, divided by the scale, of what a row loses by the projection,
        far rows not counted; 0 where it is not known.
    """

    origin: np.ndarray
    directions: np.ndarray
    scale: float = 1.0
    max_residual: float = 0.0

    def residuals(self, squares: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the length of what each row loses, (n,) float32, at most ``max_residual``.

        squares : (n,) squared lengths of the rows less the origin; scores : (n, rank).
        """
        lost = squares / self.scale**2 - np.einsum("ij,ij->i", scores, scores)
        lengths: np.ndarray = np.sqrt(np.clip(lost, 0, self.max_residual**2))
        return lengths.astype(np.float32)


@np.errstate(under="ignore")
def approximate_components(
    X: Matrix, rank: int, random_state: RandomState, n_jobs: int | None = -1
) -> tuple[np.ndarray, Projection]:
    """Return scores of about the first ``rank`` components, computed from a sample of the rows.

    They are good enough to find candidates for neighbours, and much faster.  Far rows (see
    ``fasttsne.linalg.robust``) do not count for the directions.

    Parameters
    ----------
    X, rank, n_jobs : as for ``principal_components``.
    random_state : seeds the sample and the directions.

    Returns
    -------
    scores : (n, rank) float32.
    projection : from other rows to their scores.
    """
    blocks, projection = reduced_blocks(_as_floats(X), rank, random_state, n_jobs)
    return blocks.results()[0][0], projection


def _as_floats(X: Matrix) -> Matrix:
    """Return rows of integers as floats that hold them; others as they are."""
    return X.astype(np.result_type(X.dtype, np.float32)) if X.dtype.kind in "iub" else X


@np.errstate(under="ignore")
def reduced_blocks(
    X: AnyRows, rank: int, random_state: RandomState, n_jobs: int | None = -1
) -> tuple[Blocks[Reduced], Projection]:
    """Return scores as ``approximate_components``, and what each row loses, where the rows are.

    Returns
    -------
    blocks : of (scores, residuals): (m, rank) float32, and (m,) float32, the length of what each
        row loses.
    projection : from other rows to their scores.
    """
    data = sample = _CenteredData(X, resolve_n_jobs(n_jobs), "reducing rows")
    if X.shape[0] > SAMPLE_SIZE:
        rows = check_random_state(random_state).permutation(X.shape[0])[:SAMPLE_SIZE]
        sample = _CenteredData(X[np.setdiff1d(rows, data.far)], data.n_threads, data.purpose)
    loadings = sample.loadings(rank, random_state, n_iterations=2)
    projected, far = data.scores_and_squares(loadings.astype(X.dtype)), data.far
    if len(far):
        lows, highs = zip(*projected.apply(_score_range, far).results(), strict=True)
        projected = projected.apply(_clip_far, far, np.min(lows, axis=0), np.max(highs, axis=0))
    lost = projected.apply(_lost_squares)
    max_residual = float(np.sqrt(max(lost.apply(_largest_loss, far).results())))
    projection = data.projection(loadings, max_residual)
    return lost.apply(_residuals, max_residual), projection


def _project(
    first: int, block: np.ndarray, centering: "Centering", loadings: np.ndarray, n_threads: int
) -> Reduced:
    scores = np.empty((len(block), loadings.shape[1]), np.float32)
    squares = np.empty(len(block))
    with stage("reducing rows", len(block)) as progress:
        for a, chunk in iter_chunks(block, CENTERED_SIZE):
            rows = centering(first + a, chunk, with_far=True)
            scores[a : a + len(rows)] = matmul(rows, loadings, n_threads)
            squares[a : a + len(rows)] = np.einsum("ij,ij->i", rows, rows)
            progress.advance(len(rows))
    return scores, squares


def _score_range(first: int, block: Reduced, far: np.ndarray) -> Reduced:
    ordinary = np.delete(block[0], rows_within(far, first, len(block[0])), 0)
    return ordinary.min(0, initial=np.inf), ordinary.max(0, initial=-np.inf)


def _clip_far(
    first: int, block: Reduced, far: np.ndarray, low: np.ndarray, high: np.ndarray
) -> Reduced:
    """Return the scores of far rows moved to within the range of the others."""
    scores, own = block[0].copy(), rows_within(far, first, len(block[0]))
    scores[own] = np.clip(scores[own], low, high)
    return scores, block[1]


def _lost_squares(first: int, block: Reduced) -> Reduced:
    scores, squares = block
    return scores, np.maximum(squares - np.einsum("ij,ij->i", scores, scores), 0)


def _largest_loss(first: int, block: Reduced, far: np.ndarray) -> float:
    lost = np.delete(block[1], rows_within(far, first, len(block[1])))
    return float(lost.max(initial=0))


def _residuals(first: int, block: Reduced, max_residual: float) -> Reduced:
    scores, lost = block
    return scores, np.minimum(np.sqrt(lost), max_residual).astype(np.float32)


def leading_scores(scores: RowTable, directions: np.ndarray, rank: int) -> np.ndarray:
    """Return the scores of the first principal components within given directions, (n, rank).

    The components of all rows are nearly those within the span of many directions of a sample.

    Parameters
    ----------
    scores : (n, m) float32, of all rows.
    directions : (columns, m) float32, orthonormal up to a scale.
    """
    rows = as_rows(scores)
    n, m = rows.shape
    mean = (rows.fold(CHUNK_SIZE, _add_rows, np.zeros(m)) / n).astype(np.float32)
    gram = rows.fold(CHUNK_SIZE, _add_gram_around, np.zeros((m, m)), mean)
    rotation = _leading_eigenvectors(gram, rank)
    loadings = matmul(directions.astype(np.float64), rotation)
    rotation *= np.sign(loadings[np.abs(loadings).argmax(0), np.arange(rank)])
    return rows.map(CHUNK_SIZE, _rotated, mean, rotation)


def _add_rows(total: np.ndarray, first: int, chunk: np.ndarray) -> np.ndarray:
    """Return the sum of rows one after the other, as NumPy adds up an axis that is not the last."""
    sums: np.ndarray = np.concatenate([total[None], chunk.astype(np.float64)]).sum(0)
    return sums


def _add_gram_around(
    out: np.ndarray, first: int, chunk: np.ndarray, mean: np.ndarray
) -> np.ndarray:
    return products.add_gram_float64(out, chunk - mean)


def _rotated(first: int, chunk: np.ndarray, mean: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    return matmul((chunk - mean).astype(np.float64), rotation).astype(np.float32)


class _CenteredData:
    """A data set less the mean of each column, never copied as a whole.

    Entries are divided by a scale with which squares neither overflow nor vanish.  Far rows count
    neither for mean and scale nor for the loadings.

    purpose : of the passes over the rows, which are stages of that name.
    """

    def __init__(self, X: AnyRows, n_threads: int, purpose: str = "principal components"):
        self.X, self.n_threads, self.purpose = X, n_threads, purpose
        self.mean, largest = mean_and_max_deviation(X)
        self.frame = robust_frame(X, reach=2 * largest)
        self.far = self.frame.far
        if len(self.far):
            self.mean, largest = mean_and_max_deviation(X, self.far)
            if is_sparse(self.X):
                self.X = self.frame.clip_sparse(X)
        self.scale = float32_scale(largest)
        if is_sparse(self.X) and self.scale != 1:
            self.X = divide_sparse(self.X, self.scale)
            self.mean, self.scale = self.mean / self.scale, 1.0

    def loadings(
        self,
        rank: int,
        random_state: RandomState,
        svd_solver: str = "auto",
        n_iterations: int = N_POWER_ITERATIONS,
    ) -> np.ndarray:
        """Return orthonormal directions, (columns, rank); the largest entry of each is positive."""
        if is_sparse(self.X) and len(self.far):
            ordinary = self.X[np.delete(np.arange(self.X.shape[0]), self.far)]
            data = _CenteredData(ordinary, self.n_threads)
            return data.loadings(rank, random_state, svd_solver, n_iterations)
        n, d = self.X.shape
        exact = min(n, d) <= EXACT_MAX_SIZE[svd_solver]
        if exact and d <= (GRAM_MAX_COLUMNS if is_sparse(self.X) else n):
            loadings = _leading_eigenvectors(self._gram_matrix(), rank)
        elif exact and not is_sparse(self.X):
            loadings = self._loadings_from_rows(rank)
        elif d <= GRAM_MAX_COLUMNS:
            multiply = partial(matmul, self._gram_matrix())
            loadings = _leading_subspace(multiply, d, rank, random_state, n_iterations)
        else:
            loadings = _leading_subspace(self._multiply_gram, d, rank, random_state, n_iterations)
        largest = np.abs(loadings).argmax(0)
        signed: np.ndarray = loadings * np.sign(loadings[largest, np.arange(loadings.shape[1])])
        return signed

    def scores(self, loadings: np.ndarray) -> np.ndarray:
        """Return the data in these directions, (n, directions)."""
        loadings = loadings.astype(self.X.dtype)
        if is_sparse(self.X):
            out = self._sparse_product(loadings)
        else:
            how = self.centering, loadings, self.n_threads
            out = self._rows.map(CENTERED_SIZE, _scores_of_chunk, *how)
        if len(self.far):
            ordinary = np.delete(out, self.far, 0)
            out[self.far] = np.clip(out[self.far], ordinary.min(0), ordinary.max(0))
        return out

    def scores_and_squares(self, loadings: np.ndarray) -> Blocks[Reduced]:
        """Return blocks of float32 scores, and of the centered rows' squared lengths."""
        if is_sparse(self.X):
            scores = self._sparse_product(loadings).astype(np.float32, copy=False)
            return LocalBlocks((scores, squared_lengths(self.X, self.mean)))
        rows = self._rows
        n_threads = 1 if rows.is_spread else self.n_threads
        return rows.in_blocks(self.purpose).apply(_project, self.centering, loadings, n_threads)

    def projection(self, loadings: np.ndarray, max_residual: float) -> Projection:
        """Return the projection of other rows to their scores."""
        directions = (loadings / self.scale).astype(np.float32, order="C")
        return Projection(self.mean.astype(np.float32), directions, self.scale, max_residual)

    @property
    def centering(self) -> "Centering":
        """What turns a chunk of rows into a centered one."""
        return Centering(self.mean, self.scale, self.frame, self.X.dtype)

    def _fold_centered(
        self, function: Callable[..., np.ndarray], state: np.ndarray, *arguments: object
    ) -> np.ndarray:
        """Return the last of ``state = function(state, centered chunk, *arguments)``."""
        how = self.centering, function, *arguments
        last: np.ndarray = self._rows.fold(CENTERED_SIZE, _fold_centered_chunk, state, *how)
        return last

    @property
    def _rows(self) -> RowSource:
        return as_rows(self.X, self.purpose)

    def _gram_matrix(self) -> np.ndarray:
        """Return Y^T Y for the centered data Y, (columns, columns)."""
        n, d = self.X.shape
        if is_sparse(self.X):
            X = self.X.astype(np.float64)
            gram: np.ndarray = (X.T @ X).toarray() - n * np.outer(self.mean, self.mean)
            return gram
        if d < 64:
            return self._fold_centered(products.add_gram_float64, np.zeros((d, d)))
        out = self._fold_centered(products.add_gram, products.empty_gram(d), self.n_threads)
        return products.finished_gram(out, d)

    def _loadings_from_rows(self, rank: int) -> np.ndarray:
        """Return loadings from the eigenvectors of Y Y^T, for few rows of many columns."""
        centered = self._rows.map(CENTERED_SIZE, self.centering)
        gram = products.gram_matrix([centered.T], len(centered), self.n_threads)
        directions = matmul(centered.T, _leading_eigenvectors(gram, rank), self.n_threads)
        norms = np.linalg.norm(directions, axis=0)
        return directions / np.where(norms > 0, norms, 1)

    def _multiply_gram(self, basis: np.ndarray) -> np.ndarray:
        """Return Y^T Y basis for the centered data Y."""
        if is_sparse(self.X):
            scores = self._sparse_product(basis)
            mean = np.outer(self.mean.astype(self.X.dtype), scores.sum(0))
            return np.asarray(self.X.T @ scores - mean)
        return self._fold_centered(
            _add_gram_product, np.zeros(basis.shape), basis.astype(self.X.dtype), self.n_threads
        )

    def _sparse_product(self, directions: np.ndarray) -> np.ndarray:
        mean = self.mean.astype(self.X.dtype)
        return np.asarray(self.X @ directions - matmul(mean[None], directions, self.n_threads))


@dataclass(frozen=True)
class Centering:
    """How rows are centered: see :class:`_CenteredData`, of which it has what all rows decide."""

    mean: np.ndarray
    scale: float
    frame: RobustFrame
    dtype: np.dtype

    def __call__(self, first: int, chunk: np.ndarray, with_far: bool = False) -> np.ndarray:
        """Return the chunk of rows that begins with a row, centered.

        Far rows are clipped, or zeros, which add nothing to sums.
        """
        mean = (self.mean / self.scale if self.scale > 1 else self.mean).astype(self.dtype)
        far = rows_within(self.frame.far, first, len(chunk))
        if len(far):
            chunk = self.frame.clip(chunk)
        if self.scale > 1:  # differences of the largest numbers would overflow
            chunk = chunk / self.dtype.type(self.scale) - mean
        else:
            chunk = chunk - mean
            if self.scale != 1:
                chunk /= self.scale
        if not with_far:
            chunk[far] = 0
        return chunk


def _fold_centered_chunk(
    state: np.ndarray,
    first: int,
    chunk: np.ndarray,
    centering: Centering,
    function: Callable[..., np.ndarray],
    *arguments: object,
) -> np.ndarray:
    return function(state, centering(first, chunk), *arguments)


def _scores_of_chunk(
    first: int, chunk: np.ndarray, centering: Centering, loadings: np.ndarray, n_threads: int
) -> np.ndarray:
    scores = matmul(centering(first, chunk, with_far=True), loadings, n_threads)
    return scores.astype(loadings.dtype, copy=False)


def _add_gram_product(
    out: np.ndarray, chunk: np.ndarray, basis: np.ndarray, n_threads: int
) -> np.ndarray:
    """Add chunk.T @ (chunk @ basis), in place; return it."""
    out += matmul(chunk.T, matmul(chunk, basis, n_threads), n_threads)
    return out


def squared_lengths(X: scipy.sparse.csr_matrix, origin: np.ndarray) -> np.ndarray:
    """Return the squared lengths of sparse rows less an origin, (n,) float64."""
    own = np.asarray(X.multiply(X).sum(1)).ravel()
    squares: np.ndarray = own - 2 * (X @ origin) + origin @ origin
    return squares


def _leading_eigenvectors(matrix: np.ndarray, rank: int) -> np.ndarray:
    """Return the eigenvectors of the largest eigenvalues of a symmetric matrix, largest first."""
    n = len(matrix)
    vectors: np.ndarray = scipy.linalg.eigh(matrix, subset_by_index=(n - rank, n - 1))[1]
    return vectors[:, ::-1]


def _leading_subspace(
    multiply: Callable[[np.ndarray], np.ndarray],
    size: int,
    rank: int,
    random_state: RandomState,
    n_iterations: int,
) -> np.ndarray:
    """Return those eigenvectors by power iterations on a random subspace (Halko et al. 2011).

    ``multiply(basis)`` multiplies the matrix, (size, size), with vectors.
    """
    width = min(rank + N_OVERSAMPLES, size)
    basis = check_random_state(random_state).normal(size=(size, width))
    for _ in range(n_iterations):
        basis = np.linalg.qr(multiply(basis))[0]
    _, rotation = np.linalg.eigh(matmul(basis.T, multiply(basis)))
    return matmul(basis, rotation[:, ::-1][:, :rank])
