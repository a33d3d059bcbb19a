"""t-SNE: neighbours, affinities, an initialization, early exaggeration, and the main phase."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities
from fasttsne.affinity.select import check_perplexity, make_affinities
from fasttsne.anchors import Anchors, check_anchors, check_movable
from fasttsne.embedding import PartialTSNEEmbedding, TSNEEmbedding
from fasttsne.embedding.checks import check_kind_of_reference, check_reference, check_size
from fasttsne.initialization import (
    INITIALIZATIONS,
    as_start,
    check_positions,
    initial_positions,
    near_anchors,
)
from fasttsne.io.fingerprint import fingerprint
from fasttsne.io.fit_checkpoint import FitCheckpoint
from fasttsne.linalg.dominance import EUCLIDEAN, warn_of_dominating_column
from fasttsne.linalg.robust import warn_of_far_rows
from fasttsne.memory import MemoryPlan, plan_memory
from fasttsne.nearest_neighbors.index import Neighbors
from fasttsne.nearest_neighbors.known import found_by
from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.objective.functions import kl_divergence_bh, kl_divergence_fft
from fasttsne.optimize.callback import Callbacks, as_callbacks, progress_listeners
from fasttsne.optimize.descent import GradientDescent as gradient_descent
from fasttsne.optimize.descent import OptimizationInterrupt
from fasttsne.optimize.parameters import OPTIMIZE, WITHOUT_EFFECT, check_params, documented
from fasttsne.optimize.parameters import TSNE as PARAMETERS
from fasttsne.optimize.plan import RunPlan, resolve
from fasttsne.optimize.schedule import Iterations
from fasttsne.runtime.column_names import column_names
from fasttsne.runtime.large_arrays import large_arrays_within
from fasttsne.runtime.progress import listening
from fasttsne.runtime.progress_display import progress_shown
from fasttsne.runtime.typing import FilePath, Metric, RandomGenerator, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_choice, check_data, check_number, check_random_state
from fasttsne.utils import Timer

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

# What scikit-learn's estimators have and this class has not.
OF_ESTIMATORS = (
    "transform",
    "partial_fit",
    "predict",
    "fit_predict",
    "score",
    "set_output",
    "get_feature_names_out",
    "kl_divergence_",
    "n_iter_",
    "n_features_in_",
)


@documented(parameters=PARAMETERS.values())
class TSNE:
    """t-distributed stochastic neighbour embedding.

    Parameters
    ----------
    {parameters}

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
        self,
        n_components: int = 2,
        perplexity: float | Sequence[float] = 30,
        learning_rate: float | str = "auto",
        early_exaggeration_iter: Iterations = "auto",
        early_exaggeration: float | str = "auto",
        n_iter: Iterations = "auto",
        exaggeration: float | None = None,
        dof: float = 1,
        theta: float = 0.5,
        n_interpolation_points: int = 3,
        min_num_intervals: int = 50,
        ints_in_interval: float = 1,
        initialization: str | ArrayLike = "pca",
        metric: Metric = "euclidean",
        metric_params: Settings = None,
        initial_momentum: float | str = "auto",
        final_momentum: float | str = "auto",
        max_grad_norm: float | None = None,
        max_step_norm: float | None = 5,
        n_jobs: int | None = -1,
        neighbors: Neighbors = "auto",
        knn_kwargs: Settings = None,
        negative_gradient_method: str | ObjectiveFunction = "auto",
        callbacks: Callbacks = None,
        callbacks_every_iters: int = 50,
        random_state: RandomState = None,
        verbose: bool = False,
        tol: float | str = "auto",
        density_weight: float = 0,
        optimizer: str = "auto",
        memory_limit: float | str = "auto",
        temp_folder: FilePath | None = None,
        checkpoint: FilePath | None = None,
        global_structure: float = 0,
        global_reference: str | ArrayLike = "pca",
    ):
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
        self.optimizer = optimizer
        self.memory_limit = memory_limit
        self.temp_folder = temp_folder
        self.checkpoint = checkpoint
        self.global_structure = global_structure
        self.global_reference = global_reference

    def __repr__(self) -> str:
        changed = (
            f"{name}={getattr(self, name)!r}"
            for name, parameter in PARAMETERS.items()
            if not _is_default(getattr(self, name), parameter.default)
        )
        return f"TSNE({', '.join(changed)})"

    def fit(
        self,
        X: Rows | None = None,
        affinities: Affinities | Rows | None = None,
        initialization: str | ArrayLike | None = None,
        anchors: Anchors | None = None,
    ) -> TSNEEmbedding:
        """Embed a data set.

        Parameters
        ----------
        X : (n_samples, n_features) array of finite numbers, or anything with ``shape``,
            ``dtype`` and slices of rows, as ``h5py.Dataset``; never changed.  It is not
            needed where affinities, or a graph as ``neighbors``, are given.  Rows that look like
            codes for missing values, such as 1e20, are warned of, and do not disturb the others;
            and so is a column of a data frame that makes most of all Euclidean distances.
            An array is not copied where it can be used as it is: give a copy if you change it
            later, and place new rows after that.
        affinities : :class:`fasttsne.affinity.Affinities`, or a matrix of them, in
            place of those of the neighbours of X.
        initialization : in place of the one given to the constructor.
        anchors : targets of points of the map (:mod:`fasttsne.anchors`).  Unless initial positions
            are given, points start at their targets, and free ones between their neighbours'.

        Returns
        -------
        TSNEEmbedding
            (n_samples, n_components) float64.  If a callback stops the run, the
            embedding so far.

        Raises
        ------
        ValueError, TypeError
            With the name of the parameter, its value and what is accepted.
        OverflowError
            Where points would leave all bounds, 1e15: the learning rate is far too large.  Of a
            map that diverges less far, or cannot move, there is a warning.
        KeyboardInterrupt
            On Ctrl-C.  As after an OverflowError, ``embedding_`` is the embedding so far.
        """
        vars(self).pop("embedding_", None)  # until there is a new one there is none
        self._check()
        heard = progress_listeners(as_callbacks(self.callbacks))
        with listening(*heard), progress_shown(self.verbose):
            return self._fit(X, affinities, initialization, anchors)

    def _fit(
        self,
        X: Rows | None,
        affinities: Affinities | Rows | None,
        initialization: str | ArrayLike | None,
        anchors: Anchors | None,
    ) -> TSNEEmbedding:
        embedding, checkpoint = self._prepare(X, affinities, initialization, anchors)
        self.embedding_ = embedding
        phases = resolve(self._params(), len(embedding)).phases
        if not phases:
            embedding.optimize(0, inplace=True)  # its KL divergence
        done = 0 if checkpoint is None else checkpoint.phase
        for number, phase in enumerate(phases[done:], done):
            try:
                with Timer(phase.name, self.verbose):
                    embedding.run(
                        phase,
                        propagate_exception=True,
                        saver=None if checkpoint is None else checkpoint.saver(number),
                        resume_from=None if checkpoint is None else checkpoint.state_of(number),
                    )
            except OptimizationInterrupt:
                log.info("stopped by a callback")
                break
        else:
            if phases:
                embedding.warn_of_no_map(phases[-1])
        if checkpoint is not None:
            checkpoint.remove()
        return embedding

    def fit_transform(self, X: Rows, y: object = None) -> TSNEEmbedding:
        """Embed a data set, as :meth:`fit`: for the last step of a scikit-learn pipeline.

        :class:`fasttsne.sklearn.TSNE` follows all of scikit-learn's conventions.

        Parameters
        ----------
        X : as for :meth:`fit`.
        y : not used.
        """
        return self.fit(X)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return all parameters by name, for scikit-learn's ``clone`` and pipelines.

        Parameters
        ----------
        deep : not used: no parameter is an estimator.
        """
        return self._params()

    def set_params(self, **params: Any) -> "TSNE":
        """Set parameters by name, and return the object; values are checked by :meth:`fit`.

        Raises
        ------
        ValueError
            For names that are none; no parameter is set then.
        """
        for name in params:
            check_choice(name, "name of a parameter", self.get_params())
        vars(self).update(params)
        return self

    def plan(self, n_samples: int) -> RunPlan:
        """What a fit of so many rows will do: each stage, and who decided each parameter.

        Parameters
        ----------
        n_samples : number of rows, 1 or more.

        Returns
        -------
        fasttsne.optimize.plan.RunPlan
            Its ``str`` is a table.
        """
        n_samples = check_number(n_samples, "n_samples", low=1, integer=True)
        self._check()
        return resolve(self._params(), n_samples)

    def prepare_initial(
        self,
        X: Rows | None = None,
        affinities: Affinities | Rows | None = None,
        initialization: str | ArrayLike | None = None,
        anchors: Anchors | None = None,
    ) -> TSNEEmbedding:
        """The embedding before optimization: affinities and initial positions.

        Parameters and errors are those of :meth:`fit`.  It keeps no checkpoint.
        """
        self._check()
        with progress_shown(self.verbose):
            return self._prepare(X, affinities, initialization, anchors, use_checkpoint=False)[0]

    def _prepare(
        self,
        X: Rows | None,
        affinities: Affinities | Rows | None,
        initialization: str | ArrayLike | None,
        anchors: Anchors | None,
        use_checkpoint: bool = True,
    ) -> tuple[TSNEEmbedding, FitCheckpoint | None]:
        """The embedding that the descent begins with, and the checkpoint, where there is one."""
        generator = check_random_state(self.random_state)
        if initialization is None:
            initialization = self.initialization
        if isinstance(initialization, str):
            check_choice(initialization, "initialization", INITIALIZATIONS)
        is_precomputed = isinstance(self.metric, str) and self.metric == "precomputed"
        if X is None and affinities is None and isinstance(self.neighbors, str):
            raise ValueError("X is needed where no affinities or neighbours are given")
        memory = self._plan_memory(None if is_precomputed else X)
        if X is not None and not is_precomputed:
            names = column_names(X)
            X = self._read(X, memory)
            warn_of_far_rows(X)
            warn_of_dominating_column(X, names, self.metric)
        if X is not None and not isinstance(initialization, str):  # before the long search
            check_positions(initialization, (np.shape(X)[0], int(self.n_components)))
        check_kind_of_reference(
            self.global_reference,
            bool(self.global_structure),
            None if is_precomputed or X is None else np.shape(X)[0],
            int(self.n_components),
        )
        check_anchors(anchors, None if X is None else np.shape(X)[0], int(self.n_components))
        check_movable(anchors)
        checkpoint = None
        if use_checkpoint and self.checkpoint is not None:
            data = {"X": X, "affinities": affinities, "initialization": initialization}
            if anchors is not None:
                data["anchors"] = anchors.targets, anchors.weights
            checkpoint = self._open_checkpoint(self._fingerprint(data), generator)
        with large_arrays_within(memory.tables, self.temp_folder):
            with found_by(None if checkpoint is None else checkpoint.find_neighbors):
                found = self._make_affinities(
                    X,
                    affinities,
                    self.perplexity,
                    method=self.neighbors,
                    metric=self.metric,
                    metric_params=self.metric_params,
                    n_jobs=self.n_jobs,
                    random_state=generator,
                    verbose=self.verbose,
                    knn_kwargs=self.knn_kwargs,
                )
            if self.density_weight:
                found.log_radii()  # raises where they are not known, before time is spent
            shape = found.n_samples, int(self.n_components)
            if checkpoint is not None:
                checkpoint.read_run(shape, resolve(self._params(), shape[0]).phases)
            known = self._components_of(found) if affinities is None else None
            reference = self._reference(None if is_precomputed else X, found, shape, known)
            if checkpoint is not None and checkpoint.state is not None:
                positions = checkpoint.state.embedding
            else:
                is_given = not isinstance(self.global_reference, str)
                if reference is not None and is_given and isinstance(initialization, str):
                    initialization = as_start(reference, generator)
                positions = self._initial_positions(
                    initialization,
                    None if is_precomputed else X,
                    found.P_float32,
                    shape[1],
                    generator,
                    self.n_jobs,
                    self.verbose,
                    known,
                )
                if anchors is not None:
                    check_anchors(anchors, *shape)
                    if isinstance(initialization, str):
                        positions = near_anchors(
                            positions, anchors.targets, anchors.weights, found.P_float32
                        )
        params = {name: getattr(self, name) for name in OPTIMIZE if name != "momentum"}
        embedding = TSNEEmbedding(
            positions,
            found,
            dof=self.dof,
            random_state=self.random_state,
            negative_gradient_method=self.negative_gradient_method,
            momentum=self.final_momentum,
            anchors=anchors,
            global_reference=reference,
            **params,
        )
        return embedding, checkpoint

    def _reference(
        self, X: Rows | None, found: Affinities, shape: tuple[int, int], known: np.ndarray | None
    ) -> np.ndarray | None:
        """What the map is drawn to; the same when a fit goes on from a checkpoint.

        known : the principal components, where the search for neighbours had them.
        """
        if not self.global_structure:
            return None
        if not isinstance(self.global_reference, str):
            reference = check_reference(self.global_reference, shape)
            assert reference is not None
            check_size(reference)
            return reference
        components: np.ndarray = self._initial_positions(
            "pca", X, found.P_float32, shape[1], 0, self.n_jobs, self.verbose, known
        )
        return components

    # What another kind of fit does in its own way.
    _make_affinities: Any = staticmethod(make_affinities)
    _initial_positions: Any = staticmethod(initial_positions)

    def _plan_memory(self, X: Rows | None) -> MemoryPlan:
        return plan_memory(
            X, self.memory_limit, self.temp_folder, self.perplexity, int(self.n_components)
        )

    def _read(self, X: Rows, memory: MemoryPlan) -> Any:
        """Return rows in their canonical form."""
        return check_data(
            X, accept_sparse=True, memory_limit=memory.rows, temp_folder=self.temp_folder
        )

    def _components_of(self, affinities: Affinities) -> np.ndarray | None:
        """The principal components of the rows, where the search for neighbours had them."""
        is_euclidean = self.metric in EUCLIDEAN if isinstance(self.metric, str) else False
        return getattr(affinities.knn_index, "components_", None) if is_euclidean else None

    def _open_checkpoint(
        self, fingerprint: Mapping[str, str], generator: RandomGenerator
    ) -> FitCheckpoint:
        assert self.checkpoint is not None
        return FitCheckpoint(self.checkpoint, fingerprint, generator)

    def _fingerprint(self, data: Mapping[str, Any]) -> dict[str, str]:
        """Fingerprints of the data and of all parameters on which the map depends."""
        names = [name for name in PARAMETERS if name not in WITHOUT_EFFECT]
        values = {**{name: getattr(self, name) for name in names}, **data}
        return {name: fingerprint(value, name) for name, value in values.items()}

    def _check(self) -> None:
        """Check all parameters before anything is computed."""
        check_perplexity(self.perplexity)
        check_params(self._params(), PARAMETERS)
        resolve(self._params(), 1)  # what no plan can be made of

    def _params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in PARAMETERS}

    if not TYPE_CHECKING:  # it would have every attribute

        def __getattr__(self, name):
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            if name in OF_ESTIMATORS:
                message += (
                    "; fasttsne.sklearn.TSNE has it, for pipelines and searches.  The embedding, "
                    "which fit returns, has transform, update and kl_divergence"
                )
            raise AttributeError(message, name=name, obj=self)

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks its estimators for; nothing else imports it."""
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))


def _is_default(value: object, default: object) -> bool:
    same = type(value) is type(default) and isinstance(value, (str, int, float))
    return value is default or (same and value == default)
