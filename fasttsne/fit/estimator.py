"""The parameters of t-SNE, which the local estimator and the one of a cluster have in common."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from fasttsne.embedding import TSNEEmbedding
from fasttsne.fit.request import check_all
from fasttsne.nearest_neighbors.index import Neighbors
from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.optimize import Callbacks
from fasttsne.optimize.parameters import TSNE as PARAMETERS
from fasttsne.optimize.plan import RunPlan, resolve
from fasttsne.optimize.schedule import Iterations
from fasttsne.runtime.typing import FilePath, Metric, Params, RandomState, Settings
from fasttsne.runtime.validation import check_choice, check_number

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


class Estimator:
    """The parameters of a fit, by name, and the embedding of the last one.

    Parameters and attributes are described by :class:`fasttsne.TSNE`.
    """

    embedding_: TSNEEmbedding

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
        accuracy: float | str = "auto",
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
        self.accuracy = accuracy

    def __repr__(self) -> str:
        changed = (
            f"{name}={value!r}"
            for name, value in self._params().items()
            if not _is_default(value, PARAMETERS[name].default)
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return all parameters by name, for scikit-learn's ``clone`` and pipelines.

        Parameters
        ----------
        deep : not used: no parameter is an estimator.
        """
        return dict(self._params())

    def set_params(self, **params: object) -> "Estimator":
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
        params = self._params()
        check_all(params)
        return resolve(params, n_samples)

    def _params(self) -> Params:
        """Return the parameters of a fit: classes that derive from this one may have others."""
        return {name: getattr(self, name) for name in PARAMETERS}

    def _keep(self, embedding: TSNEEmbedding) -> None:
        self.embedding_ = embedding

    def __setstate__(self, state: Params) -> None:
        """Restore a pickle, with defaults of parameters that its version did not have."""
        own = {name: parameter.default for name, parameter in PARAMETERS.items()}
        self.__dict__.update({**own, **state})

    if not TYPE_CHECKING:  # it would have every attribute

        def __getattr__(self, name):
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            if name in OF_ESTIMATORS:
                message += (
                    "; fasttsne.sklearn.TSNE has it, for pipelines and searches.  The embedding, "
                    "which fit returns, has transform, update and kl_divergence"
                )
            raise AttributeError(message, name=name, obj=self)

    def __sklearn_tags__(self) -> object:
        """What scikit-learn asks its estimators for; nothing else imports it."""
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))


# Errors name the class that programs use.
Estimator.__init__.__qualname__ = "TSNE.__init__"


def _is_default(value: object, default: object) -> bool:
    same = type(value) is type(default) and isinstance(value, (str, int, float))
    return value is default or (same and value == default)
