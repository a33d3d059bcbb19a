"""Conditional affinities of each row's neighbours, from Gaussians around the row.

Distances are float32.  Each row of distances in double precision is first divided by its largest,
so that they do not overflow: no affinity depends on the unit of the data, and no row on another.
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne import _kernels
from fasttsne.affinity.base import check_symmetrize
from fasttsne.affinity.csr import csr_from_arrays, joint_affinities, neighbors_to_csr
from fasttsne.linalg.robust import SIZE_QUANTILE
from fasttsne.runtime.threads import resolve_n_jobs

# Distances so many times those of three quarters of a row's neighbours are shortened to so many.
FAR_RATIO = 1e4
SHORTENED_RATIO = 100


def to_scaled_float32(distances: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return distances as float32 and the scale by which each row was divided, (n,) float64."""
    distances = np.asarray(distances)
    if distances.size:
        distances = _shorten_far(distances)
    scales = np.ones(len(distances))
    if distances.dtype != np.float32:
        largest = distances.max(axis=1).astype(np.float64)
        scales[largest > 0] = largest[largest > 0]
        distances = distances / scales[:, None]
    return np.ascontiguousarray(distances, np.float32), scales


def _shorten_far(distances: np.ndarray) -> np.ndarray:
    """Return distances, those far beyond most of their row shortened.

    Their affinities vanish either way; the others, as fractions of them, would lose all digits.
    """
    position = int(SIZE_QUANTILE * (distances.shape[1] - 1))
    # Neighbours are nearly always sorted, and then this is the answer.
    rows = np.flatnonzero(distances.max(axis=1) / FAR_RATIO > distances[:, position])
    some = distances[rows]
    most = np.partition(some, position, axis=1)[:, position, None]
    is_far = (some / FAR_RATIO > most) & (most > 0)
    if is_far.any():
        distances = distances.copy()
        distances[rows] = np.where(is_far, most * SHORTENED_RATIO, some)
    return distances


def from_perplexity(
    distances: np.ndarray, perplexity: float, n_threads: int, precision: np.ndarray | None = None
) -> np.ndarray:
    """Return the affinities of a given perplexity for each row, (n, k) float32.

    Parameters
    ----------
    distances : (n, k) float32 array.
    perplexity : exp of the entropy of each row.
    precision : (n,) float64 array that receives beta of exp(-beta d^2), or None.
    """
    out = np.empty(distances.shape, np.float32)
    _kernels.perplexity.conditional_affinities(
        distances, out, float(perplexity), n_threads, precision
    )
    return out


def from_sigma(
    distances: np.ndarray, scales: np.ndarray, sigma: float, n_threads: int
) -> np.ndarray:
    """Return the same for one standard deviation; ``scales`` as from ``to_scaled_float32``."""
    out = np.empty(distances.shape, np.float32)
    _kernels.perplexity.gaussian_affinities(distances, sigma / scales, out, n_threads)
    return out


@np.errstate(under="ignore")  # weights of far perplexities vanish
def from_mixture(
    distances: np.ndarray, perplexities: Sequence[float] | np.ndarray, n_threads: int
) -> np.ndarray:
    """Return the same for a sum of normal densities, one for each perplexity.

    p_j ~ sum_h sqrt(beta_h) exp(-beta_h d_j^2), where beta_h gives perplexity h.
    With p_hj the affinities for that perplexity alone, this is their mean weighted with

        w_h ~ sqrt(beta_h) sum_j exp(-beta_h d_j^2)
            = sqrt(beta_h) exp(-beta_h d_min^2) / max_j p_hj.
    """
    if len(perplexities) == 1:
        return from_perplexity(distances, perplexities[0], n_threads)
    nearest = distances.min(axis=1).astype(np.float64)
    terms, logs = [], []
    for perplexity in perplexities:
        beta = np.empty(len(distances))
        terms.append(from_perplexity(distances, perplexity, n_threads, beta))
        root = np.log(np.where(beta > 0, beta, 1)) / 2
        logs.append(root - beta * nearest**2 - np.log(terms[-1].max(axis=1)))
    weights = np.exp(np.array(logs) - np.max(logs, axis=0))
    weights /= weights.sum(axis=0)
    return _weighted_sum(terms, weights.astype(np.float32))


@np.errstate(under="ignore")
def from_average(
    distances: np.ndarray, perplexities: Sequence[float] | np.ndarray, n_threads: int
) -> np.ndarray:
    """Return the mean of the affinities for each perplexity."""
    terms = [from_perplexity(distances, perplexity, n_threads) for perplexity in perplexities]
    weights = np.full((len(terms), len(distances)), 1 / len(terms), np.float32)
    return _weighted_sum(terms, weights)


def row_normalized_csr(
    indices: np.ndarray, conditional: np.ndarray, n_columns: int
) -> sp.csr_matrix:
    """Return conditional affinities as a CSR matrix, float64, each row of which sums to one."""
    values = conditional.astype(np.float64)
    values /= values.sum(axis=1, keepdims=True)
    return neighbors_to_csr(indices, values, n_columns)


def joint_probabilities_nn(
    neighbors: ArrayLike, distances: ArrayLike, perplexities: float | Sequence[float],
    symmetrize: bool | str = True, normalization: str = "pair-wise",
    n_reference_samples: int | None = None, n_jobs: int | None = -1,
) -> sp.csr_matrix:  # fmt: skip
    """Return affinities for lists of neighbours.

    Parameters
    ----------
    neighbors, distances : (n, k) arrays.
    perplexities : one or several, whose densities are then added (as in ``MultiscaleMixture``).
    symmetrize : True or "mean", "max", False or "none".
    normalization : "pair-wise": all sum to one; "point-wise": each row does.
    n_reference_samples : number of rows among which the neighbours are, if not the n.

    Returns
    -------
    (n, n_reference_samples) csr_matrix, float32; float64 if "point-wise".
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
        to_scaled_float32(distances)[0], np.atleast_1d(perplexities), n_threads
    )
    if mode == "none":
        P = row_normalized_csr(indices, conditional, n_columns)
        if normalization == "pair-wise":
            P.data /= len(indices)
            P.data = P.data.astype(np.float32)
        return P
    P = joint_affinities(indices, conditional, mode, n_threads)
    if normalization == "pair-wise":
        return P
    values = P.data.astype(np.float64)
    values /= np.repeat(np.add.reduceat(values, P.indptr[:-1]), np.diff(P.indptr))
    return csr_from_arrays(P.indptr, P.indices, values, n_columns)


def _weighted_sum(terms: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Return sum_h w_h p_h, row by row; the terms are overwritten."""
    total = terms[0]
    total *= weights[0][:, None]
    for term, weight in zip(terms[1:], weights[1:], strict=True):
        term *= weight[:, None]
        total += term
    return total
