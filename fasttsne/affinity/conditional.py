"""Conditional affinities of each row's neighbours, from Gaussians around the row.

Distances are float32.  Each row of distances in double precision is first divided by its largest,
so that they do not overflow: no affinity depends on the unit of the data, and no row on another.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne import _kernels
from fasttsne.affinity.base import check_symmetrize
from fasttsne.affinity.csr import joint_affinities, neighbors_to_csr
from fasttsne.linalg.rows import iter_chunks
from fasttsne.nearest_neighbors.graph import to_scaled_float32
from fasttsne.runtime import memory
from fasttsne.runtime.progress import iter_rows
from fasttsne.runtime.threads import resolve_n_jobs

Dtype: TypeAlias = type[np.float32] | type[np.float64]
# Newton steps, in double precision, from an entropy that is right to 1e-5.
N_REFINEMENTS = 3


def from_perplexity(
    distances: np.ndarray,
    perplexity: float,
    n_threads: int,
    precision: np.ndarray | None = None,
    dtype: Dtype = np.float32,
) -> np.ndarray:
    """Return the affinities of a given perplexity for each row, (n, k).

    ``precision``, (n,) float64, receives beta of exp(-beta d^2).  In float32, which runs read, the
    entropy is right to 1e-5.
    """
    out = memory.allocate(distances.shape, np.float32, "the table of conditional affinities")
    if precision is None and dtype == np.float64:
        precision = np.empty(len(distances))
    for rows in iter_rows("conditional affinities", len(distances), distances.shape[1]):
        _kernels.perplexity.conditional_affinities(
            distances[rows],
            out[rows],
            float(perplexity),
            n_threads,
            None if precision is None else precision[rows],
        )
    if precision is None or dtype == np.float32:
        return out
    return _refine(distances, perplexity, precision)


@np.errstate(under="ignore")
def _refine(distances: np.ndarray, perplexity: float, beta: np.ndarray) -> np.ndarray:
    """Return affinities in double precision; ``beta``, near its solution, is replaced by it."""
    out = np.empty(distances.shape)
    for a, rows in iter_chunks(distances):
        squares, chunk = _relative_squares(rows), beta[a : a + len(rows), None]
        for _ in range(N_REFINEMENTS):
            p, total = _normalized_exp(squares, chunk)
            mean = (p * squares).sum(1, keepdims=True)
            error = np.log(total) + chunk * mean - np.log(perplexity)
            rate = chunk**2 * (p * (squares - mean) ** 2).sum(1, keepdims=True)
            # Rows whose nearest ties outnumber the perplexity have no solution, and no rate.
            step = np.divide(error, rate, out=np.zeros_like(rate), where=rate > abs(error))
            chunk *= np.exp(step)
        out[a : a + len(rows)] = _normalized_exp(squares, chunk)[0]
    return out


def _relative_squares(distances: np.ndarray) -> np.ndarray:
    """Return d_j^2 - min d^2 in double precision, as products, which do not cancel."""
    distances = distances.astype(np.float64)
    nearest = distances.min(axis=1, keepdims=True)
    squares: np.ndarray = (distances - nearest) * (distances + nearest)
    return squares


def _normalized_exp(squares: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return p_j ~ exp(-beta d_j^2) and what they were divided by."""
    p = np.exp(-beta * squares)
    total = p.sum(axis=1, keepdims=True)
    return p / total, total


def from_sigma(
    distances: np.ndarray,
    scales: np.ndarray,
    sigma: float,
    n_threads: int,
    dtype: Dtype = np.float32,
) -> np.ndarray:
    """Return the same for one standard deviation; ``scales`` as from ``to_scaled_float32``."""
    if dtype == np.float64:
        with np.errstate(under="ignore", over="ignore"):
            beta = np.minimum(0.5 * (scales / sigma) ** 2, np.finfo(float).max)
            return _normalized_exp(_relative_squares(distances), beta[:, None])[0]
    out = np.empty(distances.shape, np.float32)
    for rows in iter_rows("conditional affinities", len(distances), distances.shape[1]):
        _kernels.perplexity.gaussian_affinities(
            distances[rows], sigma / scales[rows], out[rows], n_threads
        )
    return out


def from_uniform(distances: np.ndarray, dtype: Dtype = np.float32) -> np.ndarray:
    """Return equal affinities of all neighbours."""
    return np.full(distances.shape, 1 / distances.shape[1], dtype)


@np.errstate(under="ignore")  # weights of far perplexities vanish
def from_mixture(
    distances: np.ndarray,
    perplexities: Sequence[float] | np.ndarray,
    n_threads: int,
    dtype: Dtype = np.float32,
) -> np.ndarray:
    """Return the same for a sum of normal densities, one for each perplexity.

    p_j ~ sum_h sqrt(beta_h) exp(-beta_h d_j^2), where beta_h gives perplexity h.
    With p_hj the affinities for that perplexity alone, this is their mean weighted with

        w_h ~ sqrt(beta_h) sum_j exp(-beta_h d_j^2)
            = sqrt(beta_h) exp(-beta_h d_min^2) / max_j p_hj.
    """
    if len(perplexities) == 1:
        return from_perplexity(distances, perplexities[0], n_threads, dtype=dtype)
    nearest = distances.min(axis=1).astype(np.float64)
    terms, logs = [], []
    for perplexity in perplexities:
        beta = np.empty(len(distances))
        terms.append(from_perplexity(distances, perplexity, n_threads, beta, dtype))
        root = np.log(np.where(beta > 0, beta, 1)) / 2
        logs.append(root - beta * nearest**2 - np.log(terms[-1].max(axis=1)))
    weights = np.exp(np.array(logs) - np.max(logs, axis=0))
    weights /= weights.sum(axis=0)
    return _weighted_sum(terms, weights.astype(dtype))


@np.errstate(under="ignore")
def from_average(
    distances: np.ndarray,
    perplexities: Sequence[float] | np.ndarray,
    n_threads: int,
    dtype: Dtype = np.float32,
) -> np.ndarray:
    """Return the mean of the affinities for each perplexity."""
    terms = [from_perplexity(distances, each, n_threads, dtype=dtype) for each in perplexities]
    weights = np.full((len(terms), len(distances)), 1 / len(terms), dtype)
    return _weighted_sum(terms, weights)


def row_normalized_csr(
    indices: np.ndarray, conditional: np.ndarray, n_columns: int
) -> sp.csr_matrix:
    """Return conditional affinities as a CSR matrix, float64, each row of which sums to one."""
    values = conditional.astype(np.float64)
    values /= values.sum(axis=1, keepdims=True)
    return neighbors_to_csr(indices, values, n_columns)


def joint_probabilities_nn(
    neighbors: ArrayLike,
    distances: ArrayLike,
    perplexities: float | Sequence[float],
    symmetrize: bool | str = True,
    normalization: str = "pair-wise",
    n_reference_samples: int | None = None,
    n_jobs: int | None = -1,
) -> sp.csr_matrix:
    """Return affinities for lists of neighbours.

    Parameters
    ----------
    neighbors, distances : (n, k) arrays.
    perplexities : one or several, whose densities are then added (as in ``MultiscaleMixture``).
    symmetrize : True or "mean", "max", False or "none".
    normalization : "pair-wise": all sum to one; "point-wise": each row does.
    n_reference_samples : number of rows among which the neighbours are, if not the n.
    n_jobs : threads; -1 is all cores.  The result does not depend on it.

    Returns
    -------
    (n, n_reference_samples) csr_matrix, float64.
    """
    if normalization not in ("pair-wise", "point-wise"):
        raise ValueError(
            f"normalization must be 'pair-wise' or 'point-wise'; got {normalization!r}"
        )
    mode = check_symmetrize(symmetrize)
    indices = np.ascontiguousarray(neighbors, np.int32)
    n_columns = len(indices) if n_reference_samples is None else n_reference_samples
    if mode != "none" and n_columns != len(indices):
        raise ValueError(
            f"symmetrize={symmetrize!r} needs as many rows as columns; there are "
            f"{len(indices)} and {n_columns}"
        )
    if indices.size and not 0 <= indices.min() <= indices.max() < n_columns:
        raise ValueError(f"neighbors must be row indices from 0 to {n_columns - 1}")
    n_threads = resolve_n_jobs(n_jobs)
    conditional = from_mixture(
        to_scaled_float32(distances)[0], np.atleast_1d(perplexities), n_threads, np.float64
    )
    if mode == "none":
        P = row_normalized_csr(indices, conditional, n_columns)
        if normalization == "pair-wise":
            P.data /= len(indices)
        return P
    P = joint_affinities(indices, conditional, mode, n_threads)
    if normalization == "pair-wise":
        return P
    P.data /= np.repeat(np.add.reduceat(P.data, P.indptr[:-1]), np.diff(P.indptr))
    return P


def _weighted_sum(terms: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Return sum_h w_h p_h, row by row; the terms are overwritten."""
    total = terms[0]
    total *= weights[0][:, None]
    for term, weight in zip(terms[1:], weights[1:], strict=True):
        term *= weight[:, None]
        total += term
    return total
