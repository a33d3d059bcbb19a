"""t-SNE: neighbours, affinities, a start, early exaggeration, and the main phase."""

import logging

import numpy as np

from fasttsne import initialization as init
from fasttsne.affinity import (
    Affinities,
    MultiscaleMixture,
    PerplexityBasedNN,
    PrecomputedAffinities,
)
from fasttsne.embedding.full import TSNEEmbedding
from fasttsne.embedding.partial import PartialTSNEEmbedding
from fasttsne.objective.functions import kl_divergence_bh, kl_divergence_fft
from fasttsne.optimize import schedule
from fasttsne.optimize.called import gradient_descent
from fasttsne.optimize.descent import OptimizationInterrupt
from fasttsne.optimize.parameters import check_n_iter, check_params
from fasttsne.repulsion import check_method
from fasttsne.runtime.validation import (
    check_choice,
    check_data,
    check_number,
    check_places,
    check_random_state,
    resolve_n_jobs,
)
from fasttsne.utils import Timer, show_messages

__all__ = [
    "TSNE",
    "OptimizationInterrupt",
    "PartialTSNEEmbedding",
    "TSNEEmbedding",
    "gradient_descent",
    "kl_divergence_bh",
    "kl_divergence_fft",
    "log",
]

log = logging.getLogger("fasttsne.tsne")

INITIALIZATIONS = ("pca", "spectral", "random")

EARLY_EXAGGERATION = 12.0


class TSNE:
    """t-distributed stochastic neighbour embedding.

    Parameters
    ----------
    n_components : dimensions of the map: 2, 1, or 3.
    perplexity : effective number of neighbours of each row; or several numbers, for the
        affinities of :class:`fasttsne.affinity.MultiscaleMixture`.
    learning_rate : "auto" is n_samples / exaggeration in each phase (Belkina et al. 2019),
        and twice that where n_iter is "auto".
    early_exaggeration_iter, n_iter : iterations of the two phases.  "auto" is the schedule of
        :mod:`fasttsne.schedule`: exaggeration fades out in steps, then larger steps
        are taken until the KL divergence settles.  Numbers, 250 and 500 as a rule, give
        exactly the classical schedule.
    early_exaggeration, exaggeration : factors on the attractive forces in the two
        phases; "auto" is 12, None is 1.
    dof : degrees of freedom of the kernel (1 + r^2 / dof)^-dof; below 1 the tails are
        heavier and clusters split up (Kobak et al. 2020).
    theta : accuracy of the Barnes-Hut tree, smaller is finer.
    n_interpolation_points, min_num_intervals, ints_in_interval : accuracy of the grid:
        order of its splines less two, least number of cells across the map, and a factor
        of the spacing (for 1 it is 0.4 units of the map, in 3-D 0.6).
    initialization : "pca", "spectral" (of the affinities), "random", or an (n_samples,
        n_components) array.  Without rows to take components of, "pca" is "spectral".
    metric, metric_params : distance between rows; "precomputed" where X is a square matrix
        of distances, dense or sparse (the distances that are known).
    initial_momentum, final_momentum : in the two phases; "auto" is 0.8, and 0.93 to 0.97 in
        the second where n_iter is "auto".
    max_grad_norm, max_step_norm : bounds on a point's gradient and on its step; None
        is no bound.
    n_jobs : threads; -1 all cores, -2 all but one.  The map does not depend on it.
    neighbors : "auto", "exact", "approx" (built in), "annoy", "hnsw", "pynndescent", "faiss",
        "sklearn" (extras of these names); an index object; or a graph of neighbours: a pair
        (indices, distances), or a sparse matrix of distances, as scanpy's
        ``obsp["distances"]``.  With a graph, X serves the initialization only.
    knn_kwargs : settings of the neighbour search; ``{"recall": 0.99}`` asks the built-in
        one for more than 0.95 of the true neighbours.
    negative_gradient_method : "fft" ("interpolation"), "bh" ("barnes-hut"), "exact", or
        "auto": the one measured to be fastest for so many rows; or an objective function
        (:mod:`fasttsne.functions`).
    callbacks, callbacks_every_iters : see :mod:`fasttsne.callbacks`.
    random_state : None, an integer, or a NumPy generator.  The same integer and the
        same data give the same map, bit for bit.
    verbose : print what happens, and the KL divergence, to standard error.
    tol : with n_iter="auto", stop when the KL divergence falls by less than this share of
        itself in an iteration; "auto" is 1e-4 to 2.5e-3, more for more rows.  A smaller one
        goes on toward the minimum.
    density_weight : above 0, the last 30 % of n_iter, or as many more as "auto" finds, let
        points be as crowded in the map as rows are in the data (:mod:`fasttsne.density`; 0.1
        was proposed).  It needs affinities that know the distances of neighbours.

    Attributes
    ----------
    embedding_ : the embedding of the last ``fit``, from the moment it starts to move:
        after Ctrl-C it is the map so far.

    Examples
    --------
    >>> from fasttsne import TSNE
    >>> from fasttsne.datasets import load_digits
    >>> X, y = load_digits()
    >>> embedding = TSNE(random_state=0).fit(X[:300])
    >>> embedding.shape
    (300, 2)
    """

    def __init__(
        self, n_components=2, perplexity=30, learning_rate="auto", early_exaggeration_iter="auto",
        early_exaggeration="auto", n_iter="auto", exaggeration=None, dof=1, theta=0.5,
        n_interpolation_points=3, min_num_intervals=50, ints_in_interval=1,
        initialization="pca", metric="euclidean", metric_params=None, initial_momentum="auto",
        final_momentum="auto", max_grad_norm=None, max_step_norm=5, n_jobs=-1, neighbors="auto",
        knn_kwargs=None, negative_gradient_method="auto", callbacks=None,
        callbacks_every_iters=50, random_state=None, verbose=False, tol="auto",
        density_weight=0,
    ):  # fmt: skip
        self.n_components = n_components
        self.perplexity = perplexity
        self.learning_rate = learning_rate
        self.early_exaggeration_iter = early_exaggeration_iter
        self.early_exaggeration = early_exaggeration
        self.n_iter = n_iter
        self.exaggeration = exaggeration
        self.dof = dof
        self.theta = theta
        self.n_interpolation_points = n_interpolation_points
        self.min_num_intervals = min_num_intervals
        self.ints_in_interval = ints_in_interval
        self.initialization = initialization
        self.metric = metric
        self.metric_params = metric_params
        self.initial_momentum = initial_momentum
        self.final_momentum = final_momentum
        self.max_grad_norm = max_grad_norm
        self.max_step_norm = max_step_norm
        self.n_jobs = n_jobs
        self.neighbors = neighbors
        self.knn_kwargs = knn_kwargs
        self.negative_gradient_method = negative_gradient_method
        self.callbacks = callbacks
        self.callbacks_every_iters = callbacks_every_iters
        self.random_state = random_state
        self.verbose = verbose
        self.tol = tol
        self.density_weight = density_weight

    def __repr__(self):
        changed = {
            name: value for name, value in vars(self).items() if not name.endswith("_")
            and value is not _DEFAULTS[name] and not _equal(value, _DEFAULTS[name])
        }  # fmt: skip
        return f"TSNE({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def fit(self, X=None, affinities=None, initialization=None) -> TSNEEmbedding:
        """Embed a data set.

        Parameters
        ----------
        X : (n_samples, columns) array of finite numbers; never changed.  It is not
            needed where affinities, or a graph as ``neighbors``, are given.
        affinities : :class:`fasttsne.affinity.Affinities`, or a matrix of them, in
            place of those of the neighbours of X.
        initialization : in place of the one given to the constructor.

        Returns
        -------
        TSNEEmbedding
            (n_samples, n_components) float64.  If a callback stops the run, the
            embedding so far.

        Raises
        ------
        ValueError, TypeError
            Naming the parameter, its value and what is accepted.
        OverflowError
            Where the map flies apart: the learning rate is far too large.
        KeyboardInterrupt
            On Ctrl-C; ``embedding_`` is then the embedding so far, as after the former.
        """
        embedding = self.prepare_initial(X, affinities, initialization)
        self.embedding_ = embedding
        for name, n_iter, params in self._phases(len(embedding)):
            if n_iter == 0:
                continue
            try:
                with Timer(name, self.verbose):
                    embedding.optimize(n_iter, inplace=True, propagate_exception=True, **params)
            except OptimizationInterrupt:
                log.info("stopped by a callback")
                break
        return embedding

    def prepare_initial(self, X=None, affinities=None, initialization=None) -> TSNEEmbedding:
        """The embedding before optimization: affinities and starting places.

        Parameters and errors are those of :meth:`fit`.
        """
        self._check()
        if self.verbose:
            show_messages()
        generator = check_random_state(self.random_state)
        if initialization is None:
            initialization = self.initialization
        _check_initialization(initialization)
        data = X
        if X is None:
            if affinities is None and isinstance(self.neighbors, str):
                raise ValueError("X is needed where no affinities or neighbours are given")
        elif _is_precomputed(self.metric):
            X = None  # distances are no place to start from
        else:
            data = X = check_data(X, accept_sparse=True)
        affinities = self._affinities(data, affinities, generator)
        if self.density_weight:
            affinities.log_radii()  # raises where it cannot tell, before time is spent
        start = self._start(X, initialization, affinities, generator)
        return TSNEEmbedding(
            start, affinities, dof=self.dof, random_state=self.random_state,
            negative_gradient_method=self.negative_gradient_method,
            **self._descent_params(),
        )  # fmt: skip

    def _affinities(self, X, affinities, generator):
        if affinities is None:
            several = np.ndim(self.perplexity) > 0
            return (MultiscaleMixture if several else PerplexityBasedNN)(
                X, self.perplexity, method=self.neighbors, metric=self.metric,
                metric_params=self.metric_params, n_jobs=self.n_jobs, random_state=generator,
                verbose=self.verbose, knn_kwargs=self.knn_kwargs,
            )  # fmt: skip
        if not isinstance(affinities, Affinities):
            affinities = PrecomputedAffinities(affinities)
        if X is not None and np.shape(X)[0] != affinities.n_samples:
            raise ValueError(
                f"affinities are of {affinities.n_samples} rows, but X has {np.shape(X)[0]}"
            )
        return affinities

    def _start(self, X, initialization, affinities, generator):
        n, d = affinities.n_samples, int(self.n_components)
        if not isinstance(initialization, str):
            return _check_start(initialization, (n, d))
        if initialization == "random":
            return init.random(n, d, generator)
        if initialization == "pca" and X is not None:
            return init.pca(X, d, random_state=generator, verbose=self.verbose)
        if initialization == "pca":
            log.info("there are no rows to take principal components of: a spectral start")
        return init.spectral(affinities.P, d, random_state=generator, verbose=self.verbose)

    def _phases(self, n_samples=1):
        """The phases in order: (name, iterations, parameters of ``optimize``)."""
        early = EARLY_EXAGGERATION if _is_auto(self.early_exaggeration) else self.early_exaggeration
        early = check_number(early, "early_exaggeration", above=0, finite=True)
        final = 1.0 if self.exaggeration is None else self.exaggeration
        final = check_number(final, "exaggeration", above=0, finite=True)
        initial_momentum = _check_momentum(self.initial_momentum, "initial_momentum")
        final_momentum = _check_momentum(self.final_momentum, "final_momentum")
        early_iter = self.early_exaggeration_iter
        check_n_iter(early_iter, "early_exaggeration_iter")
        check_n_iter(self.n_iter, "n_iter")
        if _is_auto(early_iter):
            early_iter = schedule.early_exaggeration(
                n_samples, early, final, self.learning_rate, initial_momentum
            )
        main = {"momentum": final_momentum, "exaggeration": final}
        phases = [
            ("early exaggeration", early_iter,
             {"momentum": initial_momentum, "exaggeration": early, "density_weight": 0}),
            ("main phase", self.n_iter, main),
        ]  # fmt: skip
        if self.density_weight:
            before, after = schedule.split_for_density(self.n_iter)
            phases[1:] = [
                ("main phase", before, {**main, "density_weight": 0}),
                ("main phase, density", after, main),
            ]
        return phases

    def _descent_params(self):
        return {
            name: getattr(self, name)
            for name in (
                "learning_rate", "exaggeration", "max_grad_norm", "max_step_norm", "theta",
                "n_interpolation_points", "min_num_intervals", "ints_in_interval", "n_jobs",
                "callbacks", "callbacks_every_iters", "verbose", "tol", "density_weight",
            )
        } | {"momentum": self.final_momentum}  # fmt: skip

    def _check(self):
        """Check all parameters before anything is computed."""
        check_number(self.n_components, "n_components", low=1, high=3, integer=True)
        _check_perplexity(self.perplexity)
        check_params({"dof": self.dof})
        check_method(self.negative_gradient_method)
        for name in ("initial_momentum", "final_momentum"):
            _check_momentum(getattr(self, name), name)
        check_params(self._descent_params())
        resolve_n_jobs(self.n_jobs)
        self._phases()


_DEFAULTS = dict(vars(TSNE()))


def _equal(a, b):
    return type(a) is type(b) and isinstance(a, (str, int, float)) and a == b


def _is_precomputed(metric):
    return isinstance(metric, str) and metric == "precomputed"


def _is_auto(value):
    return isinstance(value, str) and value == "auto"


def _check_momentum(value, name):
    return value if _is_auto(value) else check_number(value, name, low=0, high=1)


def _check_perplexity(perplexity):
    several = np.ndim(perplexity) > 0
    if several and len(perplexity) == 0:
        raise ValueError(f"perplexity must be a number or several; got {perplexity!r}")
    for each in perplexity if several else [perplexity]:
        check_number(each, "perplexity", above=0, finite=True)


def _check_initialization(initialization):
    if isinstance(initialization, str):
        check_choice(initialization, "initialization", INITIALIZATIONS)


def _check_start(start, shape):
    start = np.asarray(start)
    if start.dtype.kind not in "fiub":
        raise TypeError(
            f"initialization must be one of {', '.join(map(repr, INITIALIZATIONS))} or an "
            f"array of numbers; got dtype {start.dtype}"
        )
    if start.shape != shape:
        raise ValueError(f"initialization must have the shape {shape}; got {start.shape}")
    check_places(start, "initialization")
    return start
