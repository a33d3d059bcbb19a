"""The KL divergence as plain functions of an embedding, with openTSNE's names and arguments.

They can stand where ``negative_gradient_method`` takes a function, and be called from one of a
user's own: see :mod:`fasttsne.objective.callable` for the arguments.
"""

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.objective.kl import KLDivergence
from fasttsne.repulsion import ExactRepulsion, MeshRepulsion, TreeRepulsion
from fasttsne.repulsion.barnes_hut import curve_order
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Params
from fasttsne.runtime.validation import check_coordinates


def kl_divergence_bh(
    embedding: ArrayLike,
    P: sp.csr_matrix,
    dof: float,
    bh_params: Mapping[str, float],
    reference_embedding: object = None,
    should_eval_error: bool = False,
    n_jobs: int | None = -1,
    **_: object,
) -> tuple[float, np.ndarray]:
    """Return the KL divergence and a quarter of its gradient, by the Barnes-Hut tree.

    Parameters
    ----------
    embedding : (n, d) array.
    P : (n, n) CSR matrix of affinities.  Multiplied by an exaggeration, it gives the gradient with
        that exaggeration.
    dof : degrees of freedom of the kernel.
    bh_params : ``{"theta": ...}``.
    should_eval_error : compute the KL divergence, too; otherwise it is 0.
    n_jobs : threads; -1 all cores.

    Returns
    -------
    error : float.
    gradient : (n, d) float64 array.

    Raises
    ------
    NotImplementedError
        With a ``reference_embedding``: new points are placed by ``TSNEEmbedding.transform``.
    ValueError
        Where the embedding is not finite.
    """
    n_threads = resolve_n_jobs(n_jobs)
    repulsion = TreeRepulsion(dof, bh_params["theta"], n_threads)
    return _evaluate(embedding, P, repulsion, reference_embedding, should_eval_error)


def kl_divergence_fft(
    embedding: ArrayLike,
    P: sp.csr_matrix,
    dof: float,
    fft_params: Params,
    reference_embedding: object = None,
    should_eval_error: bool = False,
    n_jobs: int | None = -1,
    **_: object,
) -> tuple[float, np.ndarray]:
    """Return the KL divergence and a quarter of its gradient, by the particle mesh (FFT).

    For other parameters, the result and errors see ``kl_divergence_bh``.

    Parameters
    ----------
    fft_params : ``n_interpolation_points``, ``min_num_intervals`` and ``ints_in_interval``, as for
        :class:`fasttsne.TSNE`; a missing one has its default.
    """
    repulsion = MeshRepulsion(dof, **fft_params, n_threads=resolve_n_jobs(n_jobs))
    return _evaluate(embedding, P, repulsion, reference_embedding, should_eval_error)


def kl_divergence_exact(
    embedding: ArrayLike,
    P: sp.csr_matrix,
    dof: float,
    reference_embedding: object = None,
    should_eval_error: bool = False,
    n_jobs: int | None = -1,
    **_: object,
) -> tuple[float, np.ndarray]:
    """Return the KL divergence and a quarter of its gradient, by the sum over all pairs: O(n^2).

    For parameters, the result and errors see ``kl_divergence_bh``.
    """
    repulsion = ExactRepulsion(dof, resolve_n_jobs(n_jobs))
    return _evaluate(embedding, P, repulsion, reference_embedding, should_eval_error)


# Functions that are methods by another name, which costs less.
NAMES: dict[ObjectiveFunction, str] = {
    kl_divergence_bh: "bh",
    kl_divergence_fft: "fft",
    kl_divergence_exact: "exact",
}


def _evaluate(
    embedding: ArrayLike,
    P: sp.csr_matrix,
    repulsion: ExactRepulsion | MeshRepulsion | TreeRepulsion,
    reference_embedding: object,
    should_eval_error: bool,
) -> tuple[float, np.ndarray]:
    if reference_embedding is not None:
        raise NotImplementedError(
            "reference_embedding must be None; TSNEEmbedding.transform places new points"
        )
    embedding = np.asarray(embedding, float)
    points = embedding.reshape(len(embedding), -1)
    check_coordinates(points, "embedding")
    objective = KLDivergence(P, repulsion, points.shape[1], repulsion.dof, repulsion.n_threads)
    order = curve_order(points)
    objective.reorder(order)
    error = objective.compute_forces(points[order], bool(should_eval_error))
    gradient = np.empty(points.shape)
    gradient[order] = objective.attractive - objective.repulsive / objective.z
    return error or 0.0, gradient.reshape(embedding.shape)
