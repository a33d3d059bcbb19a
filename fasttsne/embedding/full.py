"""The map: an array that knows its affinities and can be optimized further."""

from collections.abc import Callable

import numpy as np

from fasttsne.affinity import Affinities, PrecomputedAffinities
from fasttsne.embedding.array import StatefulArray
from fasttsne.io import embedding_file
from fasttsne.objective.callable import FunctionObjective
from fasttsne.objective.density import DensityObjective
from fasttsne.objective.functions import NAMES
from fasttsne.objective.kl import Objective
from fasttsne.optimize.called import as_function, call_optimizer, gradient_descent, is_called
from fasttsne.optimize.descent import GradientDescent, OptimizationInterrupt
from fasttsne.optimize.parameters import (
    ACCURACY,
    DEFAULTS,
    check_n_iter,
    check_params,
    descent_settings,
    plain,
    stages_of,
)
from fasttsne.repulsion import check_method, choose_method, make_repulsion
from fasttsne.runtime.validation import check_places, resolve_n_jobs

_STATE = (
    "affinities", "dof", "negative_gradient_method", "random_state", "optimizer",
    "gradient_descent_params", "kl_divergence",
)  # fmt: skip


class TSNEEmbedding(StatefulArray):
    """A t-SNE map of a data set, (n_samples, n_components) float64.

    It is an array: slices, arithmetic and NumPy functions give plain arrays.
    Copies (``copy.copy``, ``copy.deepcopy``, ``.copy()``), pickle and joblib
    keep everything that is needed to go on optimizing.

    Parameters
    ----------
    embedding : (n_samples, n_components) array, where the points are; it is copied.
    affinities : :class:`fasttsne.affinity.Affinities`, or a matrix of them.
    dof : degrees of freedom of the kernel (1 + r^2 / dof)^-dof.
    negative_gradient_method : "auto", "fft" ("interpolation"), "bh" ("barnes-hut"), "exact",
        or an objective function (:mod:`fasttsne.functions`).
    random_state : kept for the caller.
    optimizer : the optimizer of an earlier embedding, to continue with its state.
    gradient_descent_params : defaults of :meth:`optimize`.

    Attributes
    ----------
    kl_divergence : of the map as the last ``optimize`` left it; None before, and where
        Ctrl-C or an exception ended it.
    optimizer : momentum and gains, kept from one call of ``optimize`` to the next.
    """

    _STATE = _STATE
    _KEPT = ("_kept_objective", "_kept_field")

    affinities: Affinities
    dof: float
    negative_gradient_method: str | Callable
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
        check_params({**gradient_descent_params, "dof": dof})
        self = points.view(cls)
        self.affinities = affinities
        self.dof = float(dof)
        self.negative_gradient_method = check_method(negative_gradient_method)
        self.random_state = random_state
        self.optimizer = gradient_descent() if optimizer is None else optimizer
        self.gradient_descent_params = gradient_descent_params
        self.kl_divergence = None
        return self

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
        embedding_file.save(self, path)

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
        return embedding_file.load(cls, path)

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
        density_weight : of the correlation of local radii (:mod:`fasttsne.density`); 0 is
            plain t-SNE, 0.1 was proposed.
        momentum : of each step; "auto" is 0.8, and 0.93 to 0.97, more for more points,
            where n_iter is "auto".
        tol : with n_iter="auto", stop when the KL divergence falls by less than this share
            of itself in an iteration; "auto" is 1e-4 to 2.5e-3, more for more points.
        max_grad_norm, max_step_norm : bounds on a point's gradient and step; None is no bound.
        theta : accuracy of the tree, smaller is finer.
        n_interpolation_points, min_num_intervals, ints_in_interval : accuracy of the
            grid: order of the splines less two, least number of cells, and factor of the
            spacing, which is 0.4 units of the map, in 3-D 0.6.
        n_jobs : threads; -1 all cores, -2 all but one.  The map does not depend on it.
        callbacks, callbacks_every_iters : see :mod:`fasttsne.callbacks`.
        dof, negative_gradient_method : in place of the embedding's own, in this call.

        Returns
        -------
        TSNEEmbedding
            This embedding or the copy.

        Raises
        ------
        OptimizationInterrupt
            If a callback stops the run and ``propagate_exception`` is true.
        OverflowError
            If the map flies apart; points that would be too far out stay where they were.
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
        stages = stages_of(n_iter, len(self), params)
        embedding.kl_divergence = None  # what was true of the map before
        try:
            embedding.kl_divergence = embedding._descend(stages, params)
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
        return plain({
            **DEFAULTS, "dof": self.dof, "negative_gradient_method": self.negative_gradient_method,
            **(self.gradient_descent_params or {}), **gradient_descent_params,
        })  # fmt: skip

    def _descend(self, stages, params):
        """Move the points; return their KL divergence."""
        method = params["negative_gradient_method"]
        if is_called(self.optimizer):
            function = as_function(method, len(self))
            return call_optimizer(self, stages, function, params)
        settings = descent_settings(stages, params)
        return self.optimizer.run(self, self._objective(params), settings)

    def prepare_partial(self, X, initialization="median", k=25, **affinity_params):
        """Put new rows where they may start to be placed in this map.

        Parameters
        ----------
        X : new rows, as those the affinities were made of; with precomputed distances,
            (m, n) distances to those.
        initialization : "median" or "weighted" (mean, by inverse distance) of the map's
            points for the nearest rows; "random", one place near the origin, for all the
            same; or an (m, n_components) array.
        k : how many nearest rows, of those that the affinities take, the start looks at.
        affinity_params : for :meth:`fasttsne.affinity.Affinities.to_new`, as perplexity.

        Returns
        -------
        PartialTSNEEmbedding
            Its parameters of gradient descent are those of this embedding.
        """
        from fasttsne.embedding.partial import prepare_partial

        return prepare_partial(self, X, initialization, k, affinity_params)

    def transform(
        self, X, perplexity=5, initialization="median", k=25, learning_rate=0.1,
        early_exaggeration=4, early_exaggeration_iter=0, exaggeration=1.5, n_iter=250,
        initial_momentum=0.8, final_momentum=0.8, max_grad_norm=0.25, max_step_norm=None,
    ):  # fmt: skip
        """Place new rows in this map, which does not move.

        Each row is attracted by its nearest rows in the data and repelled by all
        points of the map.  New rows do not see each other: what becomes of one
        does not depend, to the last bit, on the others of the call.

        Parameters
        ----------
        X, initialization, k : as for :meth:`prepare_partial`.
        perplexity : of the new rows; affinities without one (``FixedSigmaNN``, ``Uniform``)
            go by their own parameters.
        learning_rate : "auto" is 0.1, for any number of rows.
        early_exaggeration, early_exaggeration_iter, initial_momentum : of a first phase.
        exaggeration, n_iter, final_momentum : of the second.
        max_grad_norm, max_step_norm : bounds on a point's gradient and on its step; None
            is no bound.

        Returns
        -------
        PartialTSNEEmbedding
            (m, n_components) float64.  If a callback stops the run, the places so far.

        Raises
        ------
        NotImplementedError
            Where the neighbours of new rows cannot be found: with precomputed affinities
            or lists of neighbours.
        """
        from fasttsne.embedding.partial import transform

        common = {
            "learning_rate": learning_rate, "max_grad_norm": max_grad_norm,
            "max_step_norm": max_step_norm,
        }  # fmt: skip
        phases = (
            (early_exaggeration_iter, early_exaggeration, initial_momentum),
            (n_iter, exaggeration, final_momentum),
        )
        return transform(self, X, perplexity, initialization, k, phases, common)

    def plot(self, labels=None, ax=None, **params):
        """Draw the map: :func:`fasttsne.plotting.scatter`, whose parameters it takes.

        Returns
        -------
        matplotlib.axes.Axes
        """
        from fasttsne import plotting

        return plotting.scatter(self, labels, ax, **params)

    def _objective(self, params):
        """The forces by this method, kept while what they depend on is the same."""
        n_threads, dof = resolve_n_jobs(params["n_jobs"]), float(params["dof"])
        method = choose_method(params["negative_gradient_method"], len(self))
        method = NAMES.get(method, method)
        key = (id(self.affinities.P), method, dof, n_threads, params["density_weight"],
               *(params[name] for name in ACCURACY))  # fmt: skip
        if self._kept_objective is None or self._kept_objective[0] != key:
            self._kept_objective = key, self._make_objective(method, dof, n_threads, params)
        return self._kept_objective[1]

    def _make_objective(self, method, dof, n_threads, params):
        P, d, density_weight = self.affinities.P, self.shape[1], params["density_weight"]
        if callable(method):
            if density_weight:
                raise ValueError("density_weight needs a named negative_gradient_method")
            return FunctionObjective(method, P, d, dof, params, n_threads)
        repulsion = make_repulsion(method, dof, n_threads, params)
        if density_weight:
            radii = self.affinities.log_radii()
            return DensityObjective(P, repulsion, d, dof, n_threads, radii, density_weight)
        return Objective(P, repulsion, d, dof, n_threads)


def _check_points(embedding, n_samples):
    points = np.array(embedding, dtype=np.float64, order="C")
    if points.ndim != 2 or len(points) != n_samples or not 1 <= points.shape[1] <= 3:
        raise ValueError(f"embedding must have the shape ({n_samples}, 1 to 3); got {points.shape}")
    check_places(points, "embedding")
    return points
