"""A user's function as the objective.

    function(embedding, P, dof=, bh_params=, fft_params=, reference_embedding=, n_jobs=,
             should_eval_error=) -> (error, gradient)

``embedding`` is an (n, d) array and P an (n, n) CSR matrix, already multiplied by the
exaggeration.  ``gradient``, (n, d), is a quarter of the objective's; for the KL divergence that is
sum_j (p_ij - w_ij / Z) q_ij (y_i - y_j).  ``error`` is wanted where ``should_eval_error``
is true, and for P as it is given.
"""

import inspect

import numpy as np

BH_PARAMS = ("theta",)
FFT_PARAMS = ("n_interpolation_points", "min_num_intervals", "ints_in_interval")


class FunctionObjective:
    """An objective function in the place of :class:`fasttsne.objective.Objective`.

    Parameters
    ----------
    function : see the module.
    P : (n, n) CSR matrix of affinities.
    dof : degrees of freedom of the kernel.
    params : accuracy, as for ``TSNEEmbedding.optimize``.
    n_threads : how many threads the function may use.

    Attributes
    ----------
    exaggeration : what P is multiplied by.
    """

    def __init__(self, function, P, n_components, dof, params, n_threads):
        self.function = function
        self.n_threads = n_threads
        self.exaggeration = 1.0
        shape = (P.shape[0], n_components)
        self.attractive = np.zeros(shape, np.float32)
        self.repulsive = np.empty(shape, np.float32)
        self.z = 1.0
        self._order = np.arange(shape[0], dtype=np.int32)
        self._P = self._exaggerated = P
        self._factor = 1.0
        self._arguments = {
            "dof": dof,
            "bh_params": {name: params[name] for name in BH_PARAMS},
            "fft_params": {name: params[name] for name in FFT_PARAMS},
            "reference_embedding": None,
            "n_jobs": n_threads,
        }
        _check_signature(function, self._arguments)

    def renumber(self, order) -> None:
        """Let place r belong to point ``order[r]``; the function sees the caller's order."""
        self._order = order

    def evaluate(self, y, with_error: bool = False) -> float | None:
        """Call the function at y, (n, d) float64; return the error for P without exaggeration."""
        embedding = np.empty(y.shape)
        embedding[self._order] = y
        result = self.function(
            embedding, self._affinities(), should_eval_error=bool(with_error), **self._arguments
        )
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
        np.negative(gradient[self._order], out=self.repulsive, casting="same_kind")
        if not with_error:
            return None
        return float(error) / self._factor - float(np.log(self._factor))

    def gradient_norm(self) -> float:
        """The norm of the objective's gradient, as the function gave it last."""
        return 4 * float(np.linalg.norm(self.repulsive.astype(np.float64)))

    def _affinities(self):
        if self._factor != self.exaggeration:
            self._factor = self.exaggeration
            self._exaggerated = self._P if self._factor == 1 else self._P * self._factor
        return self._exaggerated


def _check_signature(function, arguments):
    """Raise TypeError where a function does not take what it will be called with."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # some compiled functions do not tell
        return
    try:
        signature.bind(None, None, should_eval_error=True, **arguments)
    except TypeError as error:
        raise TypeError(
            f"negative_gradient_method must take the arguments of an objective function "
            f"(fasttsne.functions); for {function!r}: {error}"
        ) from None
