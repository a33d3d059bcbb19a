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

from fasttsne.objective.base import Objective

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
        accuracy: Mapping[str, float],
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
