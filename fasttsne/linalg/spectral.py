"""Spectral embedding: leading eigenvectors of a random walk on the graph of affinities.

The walk goes from i to j with probability a_ij / d_i, where d_i = sum_j a_ij.  Its leading
eigenvectors v vary least along the edges.  They are D^(-1/2) u for the leading eigenvectors u of
the symmetric S = D^(-1/2) A D^(-1/2), of which the first, sqrt(d), is known (trivial) and
removed.  Times their eigenvalues they are a diffusion map (Coifman & Lafon 2006).

Eigenvectors of eigenvalues that are not positive are not used: neighbours have opposite signs
there, or unrelated values.  Coordinates for which a graph has no eigenvector are zero.

The leading eigenvectors of a graph of several connected components are constant on each of them,
so each component would be one point.  Instead each is embedded alone, and they are arranged side
by side.
"""

import logging
from typing import TypeAlias

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from fasttsne.linalg.products import preallocate_blas_buffers
from fasttsne.runtime.progress import stage
from fasttsne.runtime.typing import RandomGenerator

log = logging.getLogger("fasttsne.initialization")

# Up to so many nodes the dense decomposition is faster than Lanczos iterations, and cannot fail.
DENSE_MAX_NODES = 400
# Subtracted from the trivial eigenvalue 1, which is then below all others.
DEFLATION_SHIFT = 3.0
# Of the fallback; each iteration costs two products with the graph.
N_POWER_ITERATIONS = 100
N_OVERSAMPLES = 6
# An eigenvalue up to here is 0 but for rounding.
ZERO_EIGENVALUE = 1e-8
# Maximum width of a coordinate relative to the first: some eigenvectors are concentrated on a few
# nodes of low degree.
MAX_WIDTH_RATIO = 10.0
# Angle between neighbours on the spiral on which connected components are arranged.
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))

# Eigenvalues and their vectors.
Pairs: TypeAlias = tuple[np.ndarray, np.ndarray]


def spectral_embedding(
    A: sp.csr_matrix,
    n_components: int,
    tol: float,
    max_iter: int | None,
    generator: RandomGenerator,
) -> np.ndarray:
    """Return the embedding of a symmetric graph, (n, n_components), of no particular scale.

    Parameters
    ----------
    A : (n, n) CSR matrix, float64, with entries from 0 to 1.
    tol, max_iter : as for ``scipy.sparse.linalg.eigsh``.
    generator : of the start of the iterations.
    """
    preallocate_blas_buffers()
    count, component = connected_components(A, directed=False)
    if count == 1:
        return _embed_component(A, n_components, tol, max_iter, generator)
    log.info("the graph has %d connected components, which start side by side", count)
    sizes = np.bincount(component)
    centers, radii = _arrange_components(sizes, n_components)
    rows = np.argsort(component, kind="stable")
    result = np.empty((A.shape[0], n_components))
    for i, members in enumerate(np.split(rows, np.cumsum(sizes)[:-1])):
        points = _embed_component(A[members][:, members], n_components, tol, max_iter, generator)
        points -= points.mean(0)
        radius = np.sqrt((points**2).sum(1).mean())
        if radius > 0:
            points *= radii[i] / (2 * radius)
        result[members] = centers[i] + points
    return result


def _embed_component(
    A: sp.csr_matrix,
    n_components: int,
    tol: float,
    max_iter: int | None,
    generator: RandomGenerator,
) -> np.ndarray:
    """Return the embedding of a connected graph; coordinates that it does not have are zero."""
    n = A.shape[0]
    rank = min(n_components, n - 1)
    if rank == 0:
        return np.zeros((n, n_components))
    degrees = np.asarray(A.sum(axis=1), float).ravel()
    degrees[degrees == 0] = 1  # a node without edges
    scale = 1 / np.sqrt(degrees)
    S = sp.diags_array(scale) @ A @ sp.diags_array(scale)
    trivial = np.sqrt(degrees / degrees.sum())
    values, vectors = _leading_eigenpairs(S, trivial, rank, tol, max_iter, generator)
    coordinates = vectors * scale[:, None]
    coordinates *= np.sign(coordinates[np.abs(coordinates).argmax(0), np.arange(rank)])
    coordinates /= np.abs(coordinates).max()
    result = np.zeros((n, n_components))
    result[:, :rank] = coordinates * np.where(values > ZERO_EIGENVALUE, values, 0)
    widths = np.std(result, axis=0)
    result *= np.minimum(1, MAX_WIDTH_RATIO * widths[0] / np.where(widths > 0, widths, 1))
    return result


def _leading_eigenpairs(
    S: sp.csr_matrix,
    trivial: np.ndarray,
    rank: int,
    tol: float,
    max_iter: int | None,
    generator: RandomGenerator,
) -> Pairs:
    """Return the largest nontrivial eigenvalues of S and their vectors, largest first."""
    n = S.shape[0]
    start = generator.uniform(-1, 1, n)
    try:
        if n <= DENSE_MAX_NODES or rank >= n // 2:
            values, vectors = _dense_eigenpairs(S, trivial, rank)
        else:
            values, vectors = _lanczos_eigenpairs(S, trivial, rank, tol, max_iter, start)
        # Where many eigenvalues are equal, LAPACK may find fewer without an error.
        if vectors.shape[1] < rank:
            raise np.linalg.LinAlgError(f"found {vectors.shape[1]} of {rank} eigenvectors")
        return values, vectors
    except (ArpackError, np.linalg.LinAlgError) as error:
        log.info("%s; using power iterations", error)
        return _subspace_iteration(S, trivial, rank, generator)


def _dense_eigenpairs(S: sp.csr_matrix, trivial: np.ndarray, rank: int) -> Pairs:
    n = S.shape[0]
    products = S.toarray() - DEFLATION_SHIFT * np.outer(trivial, trivial)
    values, vectors = scipy.linalg.eigh(products, subset_by_index=(n - rank, n - 1))
    return values[::-1], vectors[:, ::-1]


def _lanczos_eigenpairs(
    S: sp.csr_matrix,
    trivial: np.ndarray,
    rank: int,
    tol: float,
    max_iter: int | None,
    start: np.ndarray,
) -> Pairs:
    def deflated(x: np.ndarray) -> np.ndarray:
        progress.advance()
        product: np.ndarray = S @ x - trivial * (DEFLATION_SHIFT * (trivial @ np.ravel(x)))
        return product

    operator = LinearOperator(S.shape, matvec=deflated, dtype=np.float64)
    options = {"tol": tol, "maxiter": max_iter, "v0": start - trivial}
    with stage("spectral embedding", None, "products with the graph") as progress:
        values, vectors = eigsh(operator, k=rank, which="LA", **options)
    order = np.argsort(values)[::-1]
    return values[order], vectors[:, order]


def _subspace_iteration(
    S: sp.csr_matrix, trivial: np.ndarray, rank: int, generator: RandomGenerator
) -> Pairs:
    """Return the same by power iterations on a random subspace: less exact, but never fails.

    S + I has the same order of eigenvalues by magnitude as S by value.
    """
    basis = generator.normal(size=(S.shape[0], rank + N_OVERSAMPLES))
    for _ in range(N_POWER_ITERATIONS):
        basis -= np.outer(trivial, trivial @ basis)
        basis = np.linalg.qr(S @ (S @ basis + basis) + S @ basis + basis)[0]
    values, rotation = np.linalg.eigh(basis.T @ (S @ basis))
    leading = np.argsort(values)[::-1][:rank]
    return values[leading], basis @ rotation[:, leading]


def _arrange_components(sizes: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Return centers and radii of components, in proportion to their sizes, largest innermost."""
    order = np.argsort(-sizes, kind="stable")
    radii = sizes ** (1 / n_components)
    centers = np.zeros((len(sizes), n_components))
    if n_components == 1:
        ends = np.cumsum(2 * radii[order])
        centers[order, 0] = ends - radii[order]
        return centers, radii
    # Each component lies outside a disc of the area of those before it.
    inner = np.sqrt(2 * np.cumsum(radii[order] ** 2))
    distance = inner + radii[order]
    distance[0] = 0
    angle = GOLDEN_ANGLE * np.arange(len(sizes))
    centers[order, 0], centers[order, 1] = distance * np.cos(angle), distance * np.sin(angle)
    return centers, radii
