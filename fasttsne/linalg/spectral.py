"""A map from the slowest modes of a random walk on the graph of affinities.

The walk goes from i to j with probability a_ij / d_i, where d_i = sum_j a_ij.  Its slowest
modes v, walk v = eigenvalue v, vary least along the edges.  They are D^(-1/2) u for
the leading eigenvectors u of the symmetric S = D^(-1/2) A D^(-1/2), of which the first,
sqrt(d), is known and taken out.  Times their eigenvalues they are a diffusion map (Coifman
& Lafon 2006).

Modes of eigenvalues that are not positive are not slow: neighbours have opposite signs
there, or nothing to do with each other.  A graph without enough others is flat in
some coordinates.

In a graph of several parts the slowest modes only tell the parts apart, and each
would be one point.  So each part gets a map of its own, and parts lie side by side.
"""

import logging

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from fasttsne.linalg.products import wake_blas

log = logging.getLogger("fasttsne.initialization")

# Up to so many nodes the dense decomposition is the faster one, and cannot fail.
DENSE_UP_TO = 400
# Taken from the eigenvalue 1 of what is known, which is then below all others.
BELOW = 3.0
# Of the fallback; each costs two products with the graph.
POWER_ITERATIONS = 100
OVERSAMPLES = 6
# An eigenvalue up to here is 0 but for rounding.
FLAT = 1e-8
# How much wider than the first mode another may be: some live on a few nodes of low degree.
WIDER = 10.0
# Of one turn of the spiral on which parts lie.
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def spectral_map(A, n_components: int, tol: float, max_iter, generator) -> np.ndarray:
    """The map of a symmetric graph, (n, n_components), of no particular scale.

    Parameters
    ----------
    A : (n, n) CSR matrix, float64, with entries from 0 to 1.
    tol, max_iter : of the eigenvectors, as for ``scipy.sparse.linalg.eigsh``.
    generator : seeds the search for them.
    """
    wake_blas()
    count, part = connected_components(A, directed=False)
    if count == 1:
        return _map_of_part(A, n_components, tol, max_iter, generator)
    log.info("the graph has %d parts, which start side by side", count)
    sizes = np.bincount(part)
    centres, radii = _side_by_side(sizes, n_components)
    rows = np.argsort(part, kind="stable")
    result = np.empty((A.shape[0], n_components))
    for number, members in enumerate(np.split(rows, np.cumsum(sizes)[:-1])):
        own = _map_of_part(A[members][:, members], n_components, tol, max_iter, generator)
        own -= own.mean(0)
        radius = np.sqrt((own**2).sum(1).mean())
        if radius > 0:
            own *= radii[number] / (2 * radius)
        result[members] = centres[number] + own
    return result


def _map_of_part(A, n_components, tol, max_iter, generator):
    """The slowest modes of a connected graph; those that it does not have are zero."""
    n = A.shape[0]
    rank = min(n_components, n - 1)
    if rank == 0:
        return np.zeros((n, n_components))
    degrees = np.asarray(A.sum(axis=1), float).ravel()
    degrees[degrees == 0] = 1  # a node without edges
    scale = 1 / np.sqrt(degrees)
    S = sp.diags_array(scale) @ A @ sp.diags_array(scale)
    first = np.sqrt(degrees / degrees.sum())
    values, vectors = _leading(S, first, rank, tol, max_iter, generator)
    modes = vectors * scale[:, None]
    modes *= np.sign(modes[np.abs(modes).argmax(0), np.arange(rank)])
    modes /= np.abs(modes).max()
    result = np.zeros((n, n_components))
    result[:, :rank] = modes * np.where(values > FLAT, values, 0)
    widths = np.std(result, axis=0)
    result *= np.minimum(1, WIDER * widths[0] / np.where(widths > 0, widths, 1))
    return result


def _leading(S, first, rank, tol, max_iter, generator):
    """The largest eigenvalues of S but the first, and their vectors, largest first."""
    n = S.shape[0]
    start = generator.uniform(-1, 1, n)
    try:
        if n <= DENSE_UP_TO or rank >= n // 2:
            values, vectors = _by_decomposition(S, first, rank)
        else:
            values, vectors = _by_lanczos(S, first, rank, tol, max_iter, start)
        # LAPACK, too, may find fewer where many are equal, and says nothing.
        if vectors.shape[1] < rank:
            raise np.linalg.LinAlgError(f"only {vectors.shape[1]} of {rank} modes were found")
        return values, vectors
    except (ArpackError, np.linalg.LinAlgError) as error:
        log.info("%s; going on by power iterations", error)
        return _by_power_iterations(S, first, rank, generator)


def _by_decomposition(S, first, rank):
    n = S.shape[0]
    products = S.toarray() - BELOW * np.outer(first, first)
    values, vectors = scipy.linalg.eigh(products, subset_by_index=(n - rank, n - 1))
    return values[::-1], vectors[:, ::-1]


def _by_lanczos(S, first, rank, tol, max_iter, start):
    deflated = LinearOperator(
        S.shape,
        matvec=lambda x: S @ x - first * (BELOW * (first @ np.ravel(x))),
        dtype=np.float64,
    )
    values, vectors = eigsh(
        deflated, k=rank, which="LA", tol=tol, maxiter=max_iter, v0=start - first
    )
    order = np.argsort(values)[::-1]
    return values[order], vectors[:, order]


def _by_power_iterations(S, first, rank, generator):
    """The same from a random subspace: rougher, but there is always an answer.

    S + I has the same order of eigenvalues by magnitude as S by value.
    """
    basis = generator.normal(size=(S.shape[0], rank + OVERSAMPLES))
    for _ in range(POWER_ITERATIONS):
        basis -= np.outer(first, first @ basis)
        basis = np.linalg.qr(S @ (S @ basis + basis) + S @ basis + basis)[0]
    values, rotation = np.linalg.eigh(basis.T @ (S @ basis))
    leading = np.argsort(values)[::-1][:rank]
    return values[leading], basis @ rotation[:, leading]


def _side_by_side(sizes, n_components):
    """Centres and radii of parts that take room by their sizes, the largest inmost."""
    order = np.argsort(-sizes, kind="stable")
    radii = sizes ** (1 / n_components)
    centres = np.zeros((len(sizes), n_components))
    if n_components == 1:
        ends = np.cumsum(2 * radii[order])
        centres[order, 0] = ends - radii[order]
        return centres, radii
    # Each part lies outside a disc that would hold the parts before it.
    taken = np.sqrt(2 * np.cumsum(radii[order] ** 2))
    distance = taken + radii[order]
    distance[0] = 0
    angle = GOLDEN_ANGLE * np.arange(len(sizes))
    centres[order, 0], centres[order, 1] = distance * np.cos(angle), distance * np.sin(angle)
    return centres, radii
