"""The map: an array that knows its affinities and can be optimized further."""

import copy

import numpy as np

from fasttsne import _saving, schedule
from fasttsne._validation import check_choice, check_finite, check_number, resolve_n_jobs
from fasttsne.affinity import Affinities, PrecomputedAffinities
from fasttsne.callbacks import as_callbacks
from fasttsne.objective import Objective
from fasttsne.optimizer import DescentSettings, GradientDescent, OptimizationInterrupt
from fasttsne.repulsion import METHODS, choose_method, make_repulsion

# What `optimize` takes, and its value where neither it nor the embedding has been told.
DEFAULTS = {
    "learning_rate": "auto",
    "exaggeration": None,
    "momentum": "auto",
    "tol": "auto",
    "max_grad_norm": None,
    "max_step_norm": 5,
    "theta": 0.5,
    "n_interpolation_points": 3,
    "min_num_intervals": 50,
    "ints_in_interval": 1,
    "n_jobs": -1,
    "callbacks": None,
    "callbacks_every_iters": 50,
    "verbose": False,
}

ACCURACY = ("theta", "n_interpolation_points", "min_num_intervals", "ints_in_interval")

_STATE = (
    "affinities", "dof", "negative_gradient_method", "random_state", "optimizer",
    "gradient_descent_params", "kl_divergence",
)  # fmt: skip


class TSNEEmbedding(np.ndarray):
    """A t-SNE map of a data set, (n_samples, n_components) float64.

    It is an array: slices, arithmetic and NumPy functions give plain arrays.
    Copies (``copy.copy``, ``copy.deepcopy``, ``.copy()``), pickle and joblib
    keep everything that is needed to go on optimizing.

    Parameters
    ----------
    embedding : (n_samples, n_components) array, where the points are; it is copied.
    affinities : :class:`fasttsne.affinity.Affinities`, or a matrix of them.
    dof : degrees of freedom of the kernel (1 + r^2 / dof)^-dof.
    negative_gradient_method : "auto", "fft" ("interpolation"), "bh" ("barnes-hut") or "exact".
    random_state : kept for the caller.
    optimizer : the optimizer of an earlier embedding, to continue with its state.
    gradient_descent_params : defaults of :meth:`optimize`.

    Attributes
    ----------
    kl_divergence : of the map as the last ``optimize`` left it, or None before.
    optimizer : momentum and gains, kept from one call of ``optimize`` to the next.
    """

    affinities: Affinities
    dof: float
    negative_gradient_method: str
    random_state: object
    optimizer: GradientDescent
    gradient_descent_params: dict
    kl_divergence: float | None

    def __new__(
        cls, embedding, affinities, dof=1, negative_gradient_method="auto", random_state=None,
        optimizer=None, **gradient_descent_params,
    ):  # fmt: skip
        if not isinstance(affinities, Affinities):
            affinities = PrecomputedAffinities(affinities)
        points = _check_points(embedding, affinities.n_samples)
        check_params(gradient_descent_params)
        self = points.view(cls)
        self.affinities = affinities
        self.dof = check_number(dof, "dof", above=0)
        self.negative_gradient_method = check_choice(
            negative_gradient_method, "negative_gradient_method", METHODS
        )
        choose_method(negative_gradient_method, *self.shape)
        self.random_state = random_state
        self.optimizer = GradientDescent() if optimizer is None else optimizer
        self.gradient_descent_params = gradient_descent_params
        self.kl_divergence = None
        return self

    def __array_finalize__(self, source):
        # A view or copy that NumPy makes is not known to be of all rows: it
        # starts without state.  Those that are get it from `_with_state_of`.
        for name in _STATE:
            setattr(self, name, None)
        self._kept_objective = None

    def __array_wrap__(self, array, context=None, return_scalar=False):
        """Results of NumPy functions are plain arrays."""
        return array[()] if return_scalar else np.asarray(array)

    def __getitem__(self, key):
        return np.asarray(self)[key]

    def _with_state_of(self, other, duplicate):
        for name in _STATE:
            setattr(self, name, duplicate(getattr(other, name)))
        return self

    def __copy__(self):
        result = np.array(self).view(type(self))
        result._with_state_of(self, lambda value: value)
        result.optimizer = copy.deepcopy(self.optimizer)
        result.gradient_descent_params = dict(self.gradient_descent_params or {})
        return result

    def copy(self, order="C"):
        """A copy that can be optimized without changing this one."""
        return self.__copy__()

    def __deepcopy__(self, memo):
        result = np.array(self).view(type(self))
        memo[id(self)] = result
        return result._with_state_of(self, lambda value: copy.deepcopy(value, memo))

    def __reduce__(self):
        state = {name: getattr(self, name) for name in _STATE}
        return _rebuild, (type(self), np.array(self)), state

    def __setstate__(self, state):
        for name in _STATE:
            setattr(self, name, state.get(name))

    def save(self, path) -> None:
        """Write the embedding to one .npz file, without pickle, to go on another day or machine.

        It holds the map, P, the optimizer's momentum, gains and counts, the KL
        divergence, an integer random_state, and what of the parameters JSON can
        express: callbacks are not kept, nor is the data that P came from, which pickle keeps.
        The file is replaced as a whole: an interrupt leaves the old one.

        Parameters
        ----------
        path : the file, written under exactly this name.
        """
        _saving.save(self, path)

    @classmethod
    def load(cls, path) -> "TSNEEmbedding":
        """Read what :meth:`save` wrote; optimizing goes on bit for bit as it would have.

        Raises
        ------
        OSError
            Where the file cannot be opened.
        ValueError
            Where it is no such file, damaged, or written by a later version.
        """
        return _saving.load(cls, path)

    def optimize(
        self, n_iter: int | str | tuple, inplace: bool = False, propagate_exception: bool = False,
        **gradient_descent_params,
    ) -> "TSNEEmbedding":  # fmt: skip
        """Run gradient descent from where the map is.

        Parameters
        ----------
        n_iter : how many iterations; "auto" goes on until the KL divergence settles, with
            larger steps (:mod:`fasttsne.schedule`, whose stages are accepted, too).
        inplace : move the points of this embedding; otherwise those of a copy.
        propagate_exception : raise OptimizationInterrupt where a callback stops the run,
            instead of returning the embedding so far.
        learning_rate : "auto" is n_samples / exaggeration (Belkina et al. 2019), and twice
            that where n_iter is "auto".
        exaggeration : factor on the attractive forces; None is 1.
        momentum : of each step; "auto" is 0.8, and 0.95 or, for 30,000 points and more, 0.97
            where n_iter is "auto".
        tol : with n_iter="auto", stop when the KL divergence falls by less than this share
            of itself in an iteration; "auto" is 2e-4 to 3e-3, more for more points.
        max_grad_norm, max_step_norm : bounds on a point's gradient and step; None is no bound.
        theta : accuracy of the tree, smaller is finer.
        n_interpolation_points, min_num_intervals, ints_in_interval : accuracy of the
            grid: order of the splines less two, least number of cells, and factor of the
            spacing, which is 0.4 units of the map.
        n_jobs : threads; -1 all cores, -2 all but one.  The map does not depend on it.
        callbacks, callbacks_every_iters : see :mod:`fasttsne.callbacks`.

        Returns
        -------
        TSNEEmbedding
            This embedding or the copy.

        Raises
        ------
        OptimizationInterrupt
            If a callback stops the run and ``propagate_exception`` is true.
        KeyboardInterrupt
            On Ctrl-C; its attribute ``final_embedding`` is the embedding as of
            the last whole iteration.
        """
        check_n_iter(n_iter, "n_iter")
        check_params(gradient_descent_params)
        if self.affinities is None:
            raise ValueError("this array is a view of an embedding; optimize the embedding itself")
        embedding = self if inplace else self.copy()
        params = self.all_params(**gradient_descent_params)
        settings = descent_settings(_stages(n_iter, len(self), params), params)
        objective = embedding._objective(params)
        try:
            embedding.kl_divergence = embedding.optimizer.run(embedding, objective, settings)
        except OptimizationInterrupt as interrupt:
            embedding.kl_divergence = interrupt.error
            if propagate_exception:
                raise
        except KeyboardInterrupt as interrupt:
            interrupt.final_embedding = embedding  # type: ignore[attr-defined]
            raise
        return embedding

    def gradient_norm(self) -> float:
        """The norm of the KL divergence's gradient at the last report or end of ``optimize``."""
        if self._kept_objective is None:
            raise ValueError("the gradient is not known yet: optimize the embedding first")
        return self._kept_objective[1].gradient_norm()

    def all_params(self, **gradient_descent_params) -> dict:
        """Every parameter of :meth:`optimize`: those given here, the embedding's, the defaults."""
        return {**DEFAULTS, **(self.gradient_descent_params or {}), **gradient_descent_params}

    def plot(self, labels=None, ax=None, **params):
        """Draw the map: :func:`fasttsne.plotting.scatter`, whose parameters it takes.

        Returns
        -------
        matplotlib.axes.Axes
        """
        from fasttsne import plotting

        return plotting.scatter(self, labels, ax, **params)

    def _objective(self, params):
        """The forces for this embedding's method, kept while what they depend on is the same."""
        n_threads = resolve_n_jobs(params["n_jobs"])
        method = choose_method(self.negative_gradient_method, *self.shape)
        key = (id(self.affinities.P), method, self.dof, n_threads,
               *(params[name] for name in ACCURACY))  # fmt: skip
        if self._kept_objective is None or self._kept_objective[0] != key:
            repulsion = make_repulsion(method, self.dof, n_threads, params)
            objective = Objective(self.affinities.P, repulsion, self.shape[1], self.dof, n_threads)
            self._kept_objective = key, objective
        return self._kept_objective[1]


def descent_settings(stages, params: dict) -> DescentSettings:
    """The optimizer's settings for these stages."""
    return DescentSettings(
        stages=stages,
        max_grad_norm=params["max_grad_norm"],
        max_step_norm=params["max_step_norm"],
        callbacks=as_callbacks(params["callbacks"]),
        callbacks_every_iters=params["callbacks_every_iters"],
    )


def _stages(n_iter, n_samples, params):
    """What is to be done, from what the user asked for."""
    if isinstance(n_iter, tuple):
        return n_iter
    exaggeration = 1.0 if params["exaggeration"] is None else float(params["exaggeration"])
    pace = params["learning_rate"], params["momentum"]
    if n_iter == "auto":
        return schedule.until_it_settles(n_samples, exaggeration, *pace, params["tol"])
    return schedule.classical(n_iter, n_samples, exaggeration, *pace)


def check_n_iter(n_iter, name: str) -> None:
    """Check a number of iterations, "auto", or stages."""
    if isinstance(n_iter, str):
        check_choice(n_iter, name, ("auto",))
    elif not (isinstance(n_iter, tuple) and all(isinstance(s, schedule.Stage) for s in n_iter)):
        check_number(n_iter, name, low=0, integer=True)


def check_params(params: dict) -> None:
    """Check the parameters of gradient descent that are there.

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, its value and what is accepted.
    """
    unknown = set(params) - set(DEFAULTS)
    if unknown:
        raise TypeError(
            f"unknown parameter {sorted(unknown)[0]!r}; accepted are {', '.join(DEFAULTS)}"
        )
    for name, limits in _LIMITS.items():
        if name in params and not _is_default_word(name, params[name]):
            check_number(params[name], name, **limits)
    for name in AUTO_WORDS:
        if isinstance(params.get(name), str):
            check_choice(params[name], name, ("auto",))
    if "n_jobs" in params:
        resolve_n_jobs(params["n_jobs"])
    if "callbacks" in params:
        as_callbacks(params["callbacks"])


AUTO_WORDS = ("learning_rate", "momentum", "tol")

_LIMITS = {
    "learning_rate": {"above": 0},
    "exaggeration": {"above": 0},
    "momentum": {"low": 0, "high": 1},
    "tol": {"low": 0},
    "max_grad_norm": {"above": 0},
    "max_step_norm": {"above": 0},
    "theta": {"low": 0},
    "n_interpolation_points": {"low": 1, "high": 6, "integer": True},
    "min_num_intervals": {"low": 1, "integer": True},
    "ints_in_interval": {"above": 0},
    "callbacks_every_iters": {"low": 1, "integer": True},
}


def _is_default_word(name, value):
    """None and "auto" stand where the default has such a word or None is no bound."""
    if value is None:
        return name in ("exaggeration", "max_grad_norm", "max_step_norm")
    return name in AUTO_WORDS and isinstance(value, str)


def _check_points(embedding, n_samples):
    points = np.array(embedding, dtype=np.float64, order="C")
    if points.ndim != 2 or len(points) != n_samples or not 1 <= points.shape[1] <= 3:
        raise ValueError(f"embedding must have the shape ({n_samples}, 1 to 3); got {points.shape}")
    check_finite(points, "embedding")
    return points


def _rebuild(cls, points):
    return points.view(cls)
