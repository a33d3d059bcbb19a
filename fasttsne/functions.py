"""Objective functions and optimizers that are called as openTSNE calls them.

An objective function is what ``negative_gradient_method`` takes beside a name:

    function(embedding, P, dof=, bh_params=, fft_params=, reference_embedding=, n_jobs=,
             should_eval_error=) -> (error, gradient)

``embedding`` is an (n, d) array and P an (n, n) CSR matrix, already multiplied by the
exaggeration.  ``gradient``, (n, d), is a quarter of the objective's; for the KL divergence that is
sum_j (p_ij - w_ij / Z) q_ij (y_i - y_j).  ``error`` is wanted where ``should_eval_error``
is true, and for P as it is given.

An optimizer is an instance of :class:`gradient_descent`, or of a class derived from it, whose
``__call__`` may be another.
"""

import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterable

import numpy as np

from fasttsne import schedule
from fasttsne._curve import curve_order
from fasttsne._validation import resolve_n_jobs
from fasttsne.callbacks import as_callbacks
from fasttsne.objective import Objective
from fasttsne.optimizer import DescentSettings, DescentState, GradientDescent
from fasttsne.repulsion import METHODS, ExactRepulsion, MeshRepulsion, TreeRepulsion

BH_PARAMS = ("theta",)
FFT_PARAMS = ("n_interpolation_points", "min_num_intervals", "ints_in_interval")


def kl_divergence_bh(
    embedding, P, dof, bh_params, reference_embedding=None, should_eval_error=False, n_jobs=1, **_
):
    """The KL divergence and a quarter of its gradient, by the Barnes-Hut tree.

    Parameters
    ----------
    embedding : (n, d) array.
    P : (n, n) CSR matrix of affinities; where they do not sum to one, its gradient is that of
        exaggeration.
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
    """
    n_threads = resolve_n_jobs(n_jobs)
    repulsion = TreeRepulsion(dof, bh_params["theta"], n_threads)
    return _evaluate(embedding, P, repulsion, reference_embedding, should_eval_error)


def kl_divergence_fft(
    embedding, P, dof, fft_params, reference_embedding=None, should_eval_error=False, n_jobs=1, **_
):
    """The same by the particle mesh; ``fft_params`` are those of :class:`MeshRepulsion`."""
    repulsion = MeshRepulsion(dof, **fft_params, n_threads=resolve_n_jobs(n_jobs))
    return _evaluate(embedding, P, repulsion, reference_embedding, should_eval_error)


def kl_divergence_exact(
    embedding, P, dof, reference_embedding=None, should_eval_error=False, n_jobs=1, **_
):
    """The same by the sum over all pairs."""
    repulsion = ExactRepulsion(dof, resolve_n_jobs(n_jobs))
    return _evaluate(embedding, P, repulsion, reference_embedding, should_eval_error)


# Functions that are methods by another name, which costs less.
NAMES: dict[Callable, str] = {
    kl_divergence_bh: "bh", kl_divergence_fft: "fft", kl_divergence_exact: "exact",
}  # fmt: skip
# From so many points on an optimizer that is called gets the mesh for "auto".
FFT_FROM = 10_000


def as_function(method, n_samples: int) -> Callable:
    """The objective function of a method: an optimizer that is called asks for one."""
    if callable(method):
        return method
    name = METHODS[method]
    if name == "auto":
        name = "fft" if n_samples >= FFT_FROM else "bh"
    return next(function for function in NAMES if NAMES[function] == name)


def _evaluate(embedding, P, repulsion, reference_embedding, should_eval_error):
    if reference_embedding is not None:
        raise NotImplementedError(
            "reference_embedding must be None; TSNEEmbedding.transform places new points"
        )
    embedding = np.asarray(embedding, float)
    points = embedding.reshape(len(embedding), -1)
    objective = Objective(P, repulsion, points.shape[1], repulsion.dof, repulsion.n_threads)
    order = curve_order(points)
    objective.renumber(order)
    error = objective.evaluate(points[order], bool(should_eval_error))
    gradient = np.empty(points.shape)
    gradient[order] = objective.attractive - objective.repulsive / objective.z
    return error or 0.0, gradient.reshape(embedding.shape)


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


class gradient_descent(GradientDescent):
    """Gradient descent with momentum and gains, which may be called as openTSNE's is.

    Attributes
    ----------
    gains, update : (n, d) float32 arrays, the gain of each coordinate and its last step, in the
        order of the rows; None before the first call.
    """

    # Derived classes need not call this class's __init__.
    _state = _running = None

    @property
    def gains(self):
        return None if self.state is None else self.state.gains

    @gains.setter
    def gains(self, gains):
        self._replace("gains", gains)

    @property
    def update(self):
        return None if self.state is None else self.state.update

    @update.setter
    def update(self, update):
        self._replace("update", update)

    def _replace(self, name, value):
        if value is None:
            self.state = None
            return
        value = np.array(value, np.float32, order="C")
        state = self.state
        if state is None or state.update.shape != value.shape:
            order = np.arange(len(value), dtype=np.int32)
            state = DescentState(np.zeros_like(value), np.ones_like(value), order)
        self.state = dataclasses.replace(state, **{name: value})

    def copy(self):
        """A copy whose steps do not change this one."""
        return copy.deepcopy(self)

    def __call__(
        self, embedding, P, n_iter, objective_function, learning_rate="auto", momentum=0.8,
        exaggeration=None, dof=1, max_grad_norm=None, max_step_norm=5, theta=0.5,
        n_interpolation_points=3, min_num_intervals=50, ints_in_interval=1,
        reference_embedding=None, n_jobs=1, use_callbacks=True, callbacks=None,
        callbacks_every_iters=50, verbose=False,
    ):  # fmt: skip
        """Move an embedding, (n, d) float64, in place.

        Parameters
        ----------
        P : (n, n) CSR matrix of affinities, which is not changed.
        objective_function : see the module; ``kl_divergence_bh`` and ``kl_divergence_fft``
            are the two of this package.

        The others are those of ``TSNEEmbedding.optimize``.

        Returns
        -------
        error : float, of the embedding afterwards.
        embedding : the same array.

        Raises
        ------
        OptimizationInterrupt
            If a callback stops the run.
        NotImplementedError
            With a ``reference_embedding``.
        """
        if reference_embedding is not None:
            raise NotImplementedError(
                "reference_embedding must be None; TSNEEmbedding.transform places new points"
            )
        if not isinstance(embedding, np.ndarray) or embedding.dtype != np.float64:
            raise TypeError(f"embedding must be a float64 array; got {type(embedding).__name__}")
        params = {
            "theta": theta, "n_interpolation_points": n_interpolation_points,
            "min_num_intervals": min_num_intervals, "ints_in_interval": ints_in_interval,
        }  # fmt: skip
        factor = 1.0 if exaggeration is None else float(exaggeration)
        settings = DescentSettings(
            stages=schedule.classical(n_iter, len(embedding), factor, learning_rate, momentum),
            max_grad_norm=max_grad_norm,
            max_step_norm=max_step_norm,
            callbacks=as_callbacks(callbacks) if use_callbacks else (),
            callbacks_every_iters=callbacks_every_iters,
        )
        objective = FunctionObjective(
            objective_function, P, embedding.shape[1], dof, params, resolve_n_jobs(n_jobs)
        )
        return self.run(embedding, objective, settings), embedding


OWN_CALL = gradient_descent.__call__


def is_called(optimizer) -> bool:
    """Whether an optimizer's ``__call__`` is not that of this package."""
    return getattr(type(optimizer), "__call__", OWN_CALL) is not OWN_CALL  # noqa: B004


def call_optimizer(embedding, stages, function, params) -> float:
    """Let an optimizer that is called move an embedding in place; return the error.

    It gets one learning rate and momentum, those of the first stage, and a P of its own.
    """
    callbacks = params["callbacks"]
    error, result = embedding.optimizer(
        embedding=embedding,
        P=embedding.affinities.P.copy(),
        n_iter=sum(stage.n_iter for stage in stages),
        objective_function=function,
        learning_rate=stages[0].learning_rate,
        momentum=stages[0].momentum,
        use_callbacks=callbacks is not None,
        callbacks=callbacks if isinstance(callbacks, Iterable | None) else (callbacks,),
        n_jobs=resolve_n_jobs(params["n_jobs"]),
        **{name: params[name] for name in _PASSED_ON},
    )
    if isinstance(result, np.ndarray) and not np.shares_memory(result, embedding):
        np.asarray(embedding)[...] = result
    return error


_PASSED_ON = (
    "exaggeration", "dof", "max_grad_norm", "max_step_norm", *BH_PARAMS, *FFT_PARAMS,
    "callbacks_every_iters", "verbose",
)  # fmt: skip
