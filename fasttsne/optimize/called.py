"""Optimizers that are called as openTSNE calls them."""

import copy
import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from fasttsne.callbacks.base import as_callbacks
from fasttsne.objective.callable import BH_PARAMS, FFT_PARAMS, FunctionObjective
from fasttsne.objective.functions import NAMES
from fasttsne.optimize import schedule
from fasttsne.optimize.descent import DescentSettings, DescentState, GradientDescent
from fasttsne.repulsion import METHODS
from fasttsne.runtime.validation import resolve_n_jobs


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
