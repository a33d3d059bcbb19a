"""t-SNE as a scikit-learn estimator: the extra ``sklearn``.

>>> from fasttsne.sklearn import TSNE
>>> from fasttsne.datasets import load_digits
>>> X, y = load_digits()
>>> points = TSNE(random_state=0).fit_transform(X)
"""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "fasttsne.sklearn needs scikit-learn 1.6 or later: pip install 'fasttsne[sklearn]'"
    ) from error

from fasttsne import metrics, tsne
from fasttsne.callbacks import Callback, EarlyStopping, as_callbacks
from fasttsne.callbacks.recorder import MEASURES
from fasttsne.embedding.new_rows import as_new_rows, check_new_rows, iter_new_rows
from fasttsne.linalg.dominance import warn_of_dominating_column
from fasttsne.linalg.rows import RowHashIndex
from fasttsne.memory import plan_memory
from fasttsne.nearest_neighbors.index import Neighbors
from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.optimize import Callbacks
from fasttsne.optimize.parameters import SKLEARN, check_params, documented
from fasttsne.optimize.parameters import TSNE as PARAMETERS
from fasttsne.optimize.plan import Phase, split_iterations
from fasttsne.optimize.schedule import Iterations
from fasttsne.repulsion import METHODS
from fasttsne.runtime.progress import progress_shown, suppress_progress
from fasttsne.runtime.rows import is_elsewhere
from fasttsne.runtime.typing import FilePath, Metric, Params, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_choice, check_data, refuse_masked
from fasttsne.utils import Timer

__all__ = ["TSNE", "MapScorer"]

# scikit-learn's names, and what they are called here.
SYNONYMS = {
    "init": "initialization",
    "method": "negative_gradient_method",
    "angle": "theta",
    "max_iter": "n_iter",
}

# Scores of a map that take classes, and what they are called in metrics.LabelAgreement.
OF_LABELS = {"label_accuracy": "accuracy", "silhouette": "silhouette"}


@documented(parameters=PARAMETERS.values(), scikit_learn=SKLEARN.values())
class TSNE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """t-distributed stochastic neighbour embedding, with scikit-learn's conventions.

    The parameters of :class:`fasttsne.TSNE`, and those of ``sklearn.manifold.TSNE``, None where
    they are not used.  ``random_state=None`` takes NumPy's global generator, as everywhere in
    scikit-learn.  A number as ``learning_rate`` is four times one of scikit-learn's, whose
    gradient has a factor 4 more.  ``metric`` may also be one of scikit-learn's further metrics,
    which its own search then finds neighbours by; with "precomputed" the initialization "pca"
    is "spectral", where scikit-learn refuses it.

    Parameters
    ----------
    {parameters}
    {scikit_learn}

    Attributes
    ----------
    embedding_ : the :class:`fasttsne.TSNEEmbedding`, an (n_samples, n_components) array of float64
        with ``optimize``, ``transform``, ``affinities`` and ``kl_divergence``.  The methods of this
        class return plain arrays of float32.
    kl_divergence_ : of the map.
    n_iter_ : the number of the last iteration, counted from 0 over both phases, as
        scikit-learn counts; ``partial_fit`` with a finite ``hold`` counts anew.
    n_features_in_, feature_names_in_ : columns of X, and their names where it has any.
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
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
        max_iter: int | None = None,
        init: str | ArrayLike | None = None,
        method: str | None = None,
        angle: float | None = None,
        n_iter_without_progress: int | None = None,
        min_grad_norm: float | None = None,
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
        self.max_iter = max_iter
        self.init = init
        self.method = method
        self.angle = angle
        self.n_iter_without_progress = n_iter_without_progress
        self.min_grad_norm = min_grad_norm

    def fit(self, X: Rows, y: object = None) -> "TSNE":
        """Embed a data set; return the estimator.

        Parameters
        ----------
        X : (n_samples, n_features) array, data frame or sparse matrix of finite numbers, or rows
            in a file, as of :meth:`fasttsne.TSNE.fit`, which are read in blocks.
        y : not used.
        """
        params = self._own_params()
        X = self._validated(X, reset=True)
        names = vars(self).get("feature_names_in_")  # of a data frame
        warn_of_dominating_column(X, names, self.metric)
        self._take(tsne.TSNE(**params).fit(X), RowHashIndex(X))
        return self

    def partial_fit(self, X: Rows, y: object = None, hold: float = math.inf) -> "TSNE":
        """Let rows join the map, and return the estimator; the first call is ``fit``.

        Places of earlier rows stay, or are held.  Where it fails, the estimator is as it was.

        Parameters
        ----------
        X : (rows, n_features) array, data frame or sparse matrix of new rows.
        y : not used.
        hold : how strongly earlier rows stay where they are, as of
            :meth:`fasttsne.TSNEEmbedding.update`; infinity pins them.
        """
        if "embedding_" not in vars(self):
            return self.fit(X)
        X = self._validated(X, reset=False)
        grown = self.embedding_.update(X, hold=hold)
        self._take(grown, RowHashIndex(X, self._known_rows))
        return self

    def _take(self, embedding: tsne.TSNEEmbedding, known_rows: RowHashIndex) -> None:
        """Set the attributes that follow from a map, and from its rows."""
        self.embedding_ = embedding
        state = embedding.optimizer.state
        if state is not None or "n_iter_" not in vars(self):
            self.n_iter_ = max((0 if state is None else state.iteration) - 1, 0)
        self._known_rows = known_rows

    def fit_transform(self, X: Rows, y: object = None) -> np.ndarray:
        """Embed a data set; return the map, an (n_samples, n_components) float32 array."""
        return self.fit(X)._points

    def transform(self, X: Rows) -> np.ndarray:
        """Place rows in the map; each row's place does not depend on the others.

        A row that equals one of the data set gets that one's place.

        Parameters
        ----------
        X : (rows, n_features) array, data frame or sparse matrix; distances to the rows of
            the data set for ``metric="precomputed"``.  Rows in a file are read in blocks, floats
            twice, the first time to see that all are finite.

        Returns
        -------
        (rows, n_components) float32 array.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        if self._has_distances() or not is_elsewhere(X, "X"):
            return self._place(self._validated(X, reset=False))
        rows = as_new_rows(X)
        # A row of zeros stands for all of them: it has as many columns.
        self._validated(np.zeros((1, rows.shape[1])), reset=False)
        points = np.empty((rows.shape[0], self.embedding_.shape[1]), np.float32)
        with Timer(f"placing {len(points)} rows", self.verbose), progress_shown(self.verbose):
            check_new_rows(rows)
            for first, block in iter_new_rows(rows):
                with suppress_progress():
                    points[first : first + block.shape[0]] = self._place(block)
        return points

    def _place(self, X: np.ndarray | sp.csr_matrix) -> np.ndarray:
        known = self._known_rows.find(X)
        points: np.ndarray = self._points[known]
        new = np.flatnonzero(known < 0)
        if len(new):
            points[new] = np.asarray(self.embedding_.transform(X[new]))
        return points

    def _validated(self, X: Rows, reset: bool) -> np.ndarray | sp.csr_matrix:
        """Return rows in their canonical form; scikit-learn would read a file's rows at once."""
        refuse_masked(X, "X")
        is_read = is_elsewhere(X, "X")
        if is_read:
            limit, folder = self.memory_limit, self.temp_folder
            if not self._has_distances():
                limit = plan_memory(X, limit, folder, self.perplexity, int(self.n_components)).rows
            X = check_data(X, "X", 1, accept_sparse=True, memory_limit=limit, temp_folder=folder)
        rows: np.ndarray | sp.csr_matrix = validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            order="C",
            ensure_min_samples=2 if reset else 1,
            ensure_all_finite=not is_read,
        )
        if self._has_distances():
            if reset and rows.shape[0] != rows.shape[1]:
                raise ValueError(
                    f"X must be a square distance matrix for metric='precomputed'; got {rows.shape}"
                )
            if rows.size and rows.min() < 0:
                raise ValueError(f"X must hold distances, zero or positive; got {rows.min()}")
        return rows

    def _has_distances(self) -> bool:
        return isinstance(self.metric, str) and self.metric == "precomputed"

    def _own_params(self) -> Params:
        """Return the parameters of :class:`fasttsne.TSNE`."""
        given = self.get_params(deep=False)
        check_params({name: given[name] for name in SKLEARN}, SKLEARN)
        params = {name: given[name] for name in PARAMETERS}
        check_params(params, PARAMETERS)
        for theirs, ours in SYNONYMS.items():
            if given[theirs] is None:
                continue
            default = PARAMETERS[ours].default
            if not (isinstance(given[ours], type(default)) and given[ours] == default):
                raise ValueError(f"give either {theirs} or {ours}, not both")
            params[ours] = given[theirs]
        if self.method is not None:
            check_choice(self.method, "method", METHODS)
        if self.max_iter is not None:
            params["early_exaggeration_iter"], params["n_iter"] = split_iterations(
                self.max_iter, self.early_exaggeration_iter
            )
        params["callbacks"] = (*as_callbacks(self.callbacks), *self._stopping()) or None
        params["verbose"] = bool(self.verbose)
        return params

    def _stopping(self) -> Iterator[Callback]:
        if self.n_iter_without_progress is not None:
            patience = math.ceil(self.n_iter_without_progress / self.callbacks_every_iters)
            yield EarlyStopping(0, max(patience, 1))
        if self.min_grad_norm is not None:
            yield _StopWhereFlat(self.min_grad_norm)

    @property
    def kl_divergence_(self) -> float | None:
        """The KL divergence of the map; after ``partial_fit`` made when it is asked for."""
        return self.embedding_.kl_divergence

    @property
    def embedding_object_(self) -> tsne.TSNEEmbedding:
        """The first name of ``embedding_``, which pickles of version 0.2.0 have."""
        return self.embedding_

    @property
    def _points(self) -> np.ndarray:
        return np.asarray(self.embedding_, np.float32)

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def __setstate__(self, state: dict[str, object]) -> None:
        if "embedding_object_" in state:  # with the points beside it
            state = {**state, "embedding_": state["embedding_object_"]}
            del state["embedding_object_"]
        # With defaults of parameters that the version that wrote it did not have.
        super().__setstate__({**type(self)().get_params(), **state})

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.pairwise = self._has_distances()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class MapScorer:
    """A score of maps, for ``scoring`` of ``GridSearchCV`` and ``cross_validate``: high is good.

    It places rows by the estimator's ``transform``, and compares their places with the rows.

    Parameters
    ----------
    measure : "trustworthiness", "continuity", "neighbor_recall", "distance_correlation" or
        "density_correlation" of :mod:`fasttsne.metrics`; or "label_accuracy", "silhouette", which
        take ``y`` as classes.
    settings : for the function of :mod:`fasttsne.metrics`, as ``k=10``.  Where ``k`` is not given,
        it is that function's, and less for few rows.

    Examples
    --------
    >>> from fasttsne.sklearn import TSNE, MapScorer
    >>> from fasttsne.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> search = GridSearchCV(
    ...     TSNE(random_state=0), {"perplexity": [5, 20]}, cv=2,
    ...     scoring=MapScorer("neighbor_recall"),
    ... )
    >>> search.fit(load_digits()[0][:300]).best_params_["perplexity"] in (5, 20)
    True
    """

    def __init__(self, measure: str = "trustworthiness", **settings: object):
        self.measure = check_choice(measure, "measure", (*MEASURES, *OF_LABELS))
        self.settings = settings

    def __call__(self, estimator: TransformerMixin, X: Rows, y: ArrayLike | None = None) -> float:
        """The score of the places that a fitted estimator gives to rows."""
        points = np.asarray(estimator.transform(X))
        if self.measure in MEASURES:
            measure = MEASURES[self.measure]
            return float(measure(X, points, **self._settings_for(measure, len(points))))
        if y is None:
            raise ValueError(f"{self.measure} takes classes as y; got None")
        settings = self._settings_for(metrics.label_agreement, len(points))
        agreement = metrics.label_agreement(X, points, y, **settings)
        return float(getattr(agreement, OF_LABELS[self.measure]))

    def _settings_for(self, function: Callable[..., object], n: int) -> Params:
        """The settings, with a k that is not too large for n rows."""
        parameters = inspect.signature(function).parameters
        if "k" not in parameters or "k" in self.settings:
            return self.settings
        return {"k": min(parameters["k"].default, max((n - 1) // 2, 1)), **self.settings}

    def __repr__(self) -> str:
        settings = "".join(f", {name}={value!r}" for name, value in self.settings.items())
        return f"MapScorer({self.measure!r}{settings})"


class _StopWhereFlat(Callback):
    """Stop a run without exaggeration where the gradient is small."""

    def __init__(self, min_grad_norm: float):
        self.min_grad_norm = min_grad_norm
        self._judges = True

    def receive_settings(self, settings: Phase) -> None:
        self._judges = settings.exaggeration <= 1

    def __call__(self, iteration: int, error: float, embedding: tsne.TSNEEmbedding) -> bool:
        return self._judges and embedding.gradient_norm() <= self.min_grad_norm
