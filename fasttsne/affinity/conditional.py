"""Conditional affinities from Gaussians around each row: the formulas that families share.

Distances are float32.  Where they come in double precision, each row is divided
by its largest first: no affinity depends on the unit, and no row on another.
"""

import numpy as np

from fasttsne import _kernels
from fasttsne.affinity.base import as_csr, check_symmetrize, joint, rows_as_csr
from fasttsne.runtime.validation import resolve_n_jobs


def in_safe_unit(distances) -> tuple[np.ndarray, np.ndarray]:
    """Distances as float32, and the unit of each row, (n,) float64."""
    distances = np.asarray(distances)
    units = np.ones(len(distances))
    if distances.dtype != np.float32:
        largest = distances.max(axis=1).astype(np.float64)
        units[largest > 0] = largest[largest > 0]
        distances = distances / units[:, None]
    return np.ascontiguousarray(distances, np.float32), units


def of_perplexity(distances, perplexity: float, n_threads: int, precision=None) -> np.ndarray:
    """Affinities of each row's neighbours, (n, k) float32, with a Gaussian as wide as needed.

    Parameters
    ----------
    distances : (n, k) float32 array.
    perplexity : exp of the entropy of each row.
    precision : (n,) float64 array that gets beta in exp(-beta d^2), or None.
    """
    out = np.empty(distances.shape, np.float32)
    _kernels.perplexity.conditional_affinities(
        distances, out, float(perplexity), n_threads, precision
    )
    return out


def of_width(distances, units, sigma: float, n_threads: int) -> np.ndarray:
    """The same for Gaussians of one standard deviation; ``units`` as from ``in_safe_unit``."""
    out = np.empty(distances.shape, np.float32)
    _kernels.perplexity.gaussian_affinities(distances, sigma / units, out, n_threads)
    return out


def of_mixture(distances, perplexities, n_threads: int) -> np.ndarray:
    """The same for a sum of normal densities, one for each perplexity.

    p_j ~ sum_h sqrt(beta_h) exp(-beta_h d_j^2), where beta_h gives perplexity h.
    With p_hj the affinities for that perplexity alone, this is their mean weighted with

        w_h ~ sqrt(beta_h) sum_j exp(-beta_h d_j^2)
            = sqrt(beta_h) exp(-beta_h d_min^2) / max_j p_hj.
    """
    if len(perplexities) == 1:
        return of_perplexity(distances, perplexities[0], n_threads)
    nearest = distances.min(axis=1).astype(np.float64)
    parts, logs = [], []
    for perplexity in perplexities:
        beta = np.empty(len(distances))
        parts.append(of_perplexity(distances, perplexity, n_threads, beta))
        root = np.log(np.where(beta > 0, beta, 1)) / 2
        logs.append(root - beta * nearest**2 - np.log(parts[-1].max(axis=1)))
    weights = np.exp(np.array(logs) - np.max(logs, axis=0))
    weights /= weights.sum(axis=0)
    return _weighted_sum(parts, weights.astype(np.float32))


def of_average(distances, perplexities, n_threads: int) -> np.ndarray:
    """The mean of the affinities for each perplexity."""
    parts = [of_perplexity(distances, perplexity, n_threads) for perplexity in perplexities]
    weights = np.full((len(parts), len(distances)), 1 / len(parts), np.float32)
    return _weighted_sum(parts, weights)


def row_distributions(indices, conditional, n_columns: int):
    """Rows of conditional affinities as a CSR matrix, float64, each of which sums to one."""
    values = conditional.astype(np.float64)
    values /= values.sum(axis=1, keepdims=True)
    return rows_as_csr(indices, values, n_columns)


def joint_probabilities_nn(
    neighbors, distances, perplexities, symmetrize=True, normalization="pair-wise",
    n_reference_samples=None, n_jobs=1,
):  # fmt: skip
    """Affinities from lists of neighbours.

    Parameters
    ----------
    neighbors, distances : (n, k) arrays.
    perplexities : one or several, whose densities are then added (as in ``MultiscaleMixture``).
    symmetrize : True or "mean", "max", False or "none".
    normalization : "pair-wise": all sum to one; "point-wise": each row does.
    n_reference_samples : how many rows the neighbours are among, if they are not the n.

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
        raise ValueError(f"neighbors must be row numbers from 0 to {n_columns - 1}")
    n_threads = resolve_n_jobs(n_jobs)
    conditional = of_mixture(in_safe_unit(distances)[0], np.atleast_1d(perplexities), n_threads)
    if mode == "none":
        P = row_distributions(indices, conditional, n_columns)
        if normalization == "pair-wise":
            P.data /= len(indices)
            P.data = P.data.astype(np.float32)
        return P
    P = joint(indices, conditional, mode, n_threads)
    if normalization == "pair-wise":
        return P
    values = P.data.astype(np.float64)
    values /= np.repeat(np.add.reduceat(values, P.indptr[:-1]), np.diff(P.indptr))
    return as_csr(P.indptr, P.indices, values, n_columns)


def _weighted_sum(parts, weights):
    """sum_h w_h p_h, row by row; the first part is overwritten."""
    total = parts[0]
    total *= weights[0][:, None]
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        part *= weight[:, None]
        total += part
    return total
