"""A user's function as the objective::

    function(embedding, P, dof=, bh_params=, fft_params=, reference_embedding=, n_jobs=,
             should_eval_error=) -> (error, gradient)

``embedding`` is an (n, d) array and P an (n, n) CSR matrix, already multiplied by the
exaggeration; both are copies, which the function may change.  ``gradient``, (n, d), is a quarter
of the objective's; for the KL divergence that is
sum_j (p_ij - w_ij / Z) q_ij (y_i - y_j), with q = 1 / (1 + r^2 / dof), w = q^dof and Z the sum of w
over all pairs.  ``error``, a number, is wanted where ``should_eval_error`` is true, and for P as it
is given.  ``bh_params`` has ``theta``, ``fft_params`` has ``n_interpolation_points``,
``min_num_intervals`` and ``ints_in_interval``, as for :class:`fasttsne.TSNE`;
``reference_embedding`` is None.

The KL divergence as such functions, with openTSNE's names, is in :mod:`fasttsne.functions`.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.objective.base import Objective
from fasttsne.objective.kl import KLDivergence
from fasttsne.repulsion import ExactRepulsion, MeshRepulsion, TreeRepulsion
from fasttsne.repulsion.barnes_hut import curve_order
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Params
from fasttsne.runtime.validation import check_coordinates

__all__ = ["BH_PARAMS", "FFT_PARAMS", "FunctionObjective", "ObjectiveFunction"]

ObjectiveFunction: TypeAlias = Callable[..., tuple[float, np.ndarray]]

BH_PARAMS = ("theta",)
FFT_PARAMS = ("n_interpolation_points", "min_num_intervals", "ints_in_interval")


class FunctionObjective(Objective):
    """A function as an objective.

    Parameters
    ----------
    function : see the module.
    P : (n, n) CSR matrix of affinities.
    n_components : dimensions of the map.
    dof : degrees of freedom of the kernel.
    accuracy : mapping with ``BH_PARAMS`` and ``FFT_PARAMS``, as for ``TSNEEmbedding.optimize``.
    n_threads : how many threads the function may use.
    """

    def __init__(
        self,
        function: ObjectiveFunction,
        P: sp.csr_matrix,
        n_components: int,
        dof: float,
        accuracy: Params,
        n_threads: int,
    ):
        super().__init__((P.shape[0], n_components), n_threads)
        self.function = function
        self._rounded = np.empty(self.shape, np.float32)
        self._order = np.arange(self.shape[0], dtype=np.int32)
        self._P = P
        self._arguments = {
            "dof": dof,
            "bh_params": {name: accuracy[name] for name in BH_PARAMS},
            "fft_params": {name: accuracy[name] for name in FFT_PARAMS},
            "reference_embedding": None,
            "n_jobs": n_threads,
        }
        _check_signature(function, self._arguments)

    def reorder(self, order: np.ndarray) -> None:
        """The function gets the caller's order all the same."""
        self._order = order

    def gradient(
        self, y: np.ndarray, exaggeration: float = 1.0, with_error: bool = False
    ) -> tuple[np.ndarray, float | None]:
        embedding = np.empty(y.shape)
        embedding[self._order] = y if self._origin is None else y - self._origin
        P = self._P.copy() if exaggeration == 1 else self._P * exaggeration
        result = self.function(embedding, P, should_eval_error=bool(with_error), **self._arguments)
        if not (isinstance(result, (tuple, list)) and len(result) == 2):
            raise TypeError(
                f"negative_gradient_method must return an error and a gradient; got {result!r}"
            )
        error, gradient = result
        gradient = np.asarray(gradient)
        if gradient.shape != y.shape:
            raise ValueError(
                f"negative_gradient_method must return an error and a gradient of shape "
                f"{y.shape}; got {gradient.shape}"
            )
        np.copyto(self._rounded, gradient[self._order], casting="same_kind")
        self._gradient[...] = self._rounded
        if not with_error:
            return self._gradient, None
        try:
            number = float(error)
        except TypeError:
            raise TypeError(
                "negative_gradient_method must return an error, a number, where should_eval_error "
                f"is True; got {error!r}"
            ) from None
        # The error for P without exaggeration.
        return self._gradient, number / exaggeration - float(np.log(exaggeration))

    @property
    def source(self) -> str:
        name = getattr(self.function, "__qualname__", repr(self.function))
        return f"negative_gradient_method, {name},"


def _check_signature(function: ObjectiveFunction, arguments: Mapping[str, object]) -> None:
    """Raise TypeError where a function does not take what it will be called with."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # some compiled functions have none
        return
    try:
        signature.bind(None, None, should_eval_error=True, **arguments)
    except TypeError as error:
        raise TypeError(
            f"negative_gradient_method must take the arguments of an objective function "
            f"(fasttsne.objective.callable); for {function!r}: {error}"
        ) from None


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


def check_no_reference(reference_embedding: object) -> None:
    """Raise NotImplementedError for an argument of openTSNE's that has no counterpart here."""
    if reference_embedding is not None:
        raise NotImplementedError(
            "reference_embedding must be None; TSNEEmbedding.transform places new points"
        )


def _evaluate(
    embedding: ArrayLike,
    P: sp.csr_matrix,
    repulsion: ExactRepulsion | MeshRepulsion | TreeRepulsion,
    reference_embedding: object,
    should_eval_error: bool,
) -> tuple[float, np.ndarray]:
    check_no_reference(reference_embedding)
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
