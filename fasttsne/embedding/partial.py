"""New points in a map that stands still.

    KL_i = sum_j p_ij log(p_ij / (w_ij / Z_i)),    Z_i = sum_j w_ij,    over the map's points j

Each new point has affinities p_i that sum to one, and a KL divergence of its own
to descend on: points that are placed together do not see each other.
"""

import inspect

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne import initialization as init
from fasttsne.embedding.array import StatefulArray
from fasttsne.embedding.full import TSNEEmbedding
from fasttsne.optimize import schedule
from fasttsne.optimize.descent import (
    DescentSettings,
    DescentState,
    GradientDescent,
    OptimizationInterrupt,
    check_written,
    raise_if_lost,
    scratch,
    tell,
)
from fasttsne.optimize.parameters import ACCURACY, DEFAULTS, check_params, descent_settings, plain
from fasttsne.repulsion import choose_method
from fasttsne.repulsion.fixed_reference import make_field
from fasttsne.runtime.validation import (
    check_choice,
    check_finite,
    check_number,
    check_places,
    resolve_n_jobs,
)
from fasttsne.utils import Timer

INITIALIZATIONS = ("median", "weighted", "weighted_mean", "random")
# Gradients of single rows do not shrink with the number of rows, so neither does the rate grow.
LEARNING_RATE = 0.1
# Of a point by itself: below it float32 forces are denormal, or 0.
LEAST_Z = 1e-30


class PartialTSNEEmbedding(StatefulArray):
    """Places of new rows in a map, (m, n_components) float64.

    It is an array, as :class:`fasttsne.TSNEEmbedding` is, and copied and pickled alike.

    Parameters
    ----------
    embedding : (m, n_components) array, where the new points are; it is copied.
    reference_embedding : the map, which does not move.
    P : (m, n) matrix of affinities to the map's n points; each row sums to one.
    optimizer : the optimizer of an earlier one, to continue with its state.
    gradient_descent_params : defaults of :meth:`optimize`.

    Attributes
    ----------
    kl_divergence : the mean of the points' KL divergences as the last ``optimize`` left
        them, or None before.
    optimizer : momentum and gains, kept from one call of ``optimize`` to the next.
    """

    _STATE = (
        "reference_embedding", "P", "optimizer", "gradient_descent_params", "kl_divergence",
    )  # fmt: skip

    reference_embedding: TSNEEmbedding
    P: sp.csr_matrix
    optimizer: GradientDescent
    kl_divergence: float | None

    def __new__(
        cls, embedding, reference_embedding, P, optimizer=None, **gradient_descent_params
    ):  # fmt: skip
        P = _check_affinities(P, len(reference_embedding))
        check_params(gradient_descent_params)
        self = _check_places(
            embedding, (P.shape[0], reference_embedding.shape[1]), "embedding"
        ).view(cls)
        self.reference_embedding = reference_embedding
        self.P = P
        self.optimizer = PointDescent() if optimizer is None else optimizer
        self.gradient_descent_params = gradient_descent_params
        self.kl_divergence = None
        return self

    def optimize(
        self, n_iter: int, inplace: bool = False, propagate_exception: bool = False,
        **gradient_descent_params,
    ) -> "PartialTSNEEmbedding":  # fmt: skip
        """Run gradient descent from where the points are.

        Parameters, errors and the result are those of
        :meth:`fasttsne.TSNEEmbedding.optimize`, except that learning_rate="auto" is 0.1
        for any number of points.
        """
        n_iter = check_number(n_iter, "n_iter", low=0, integer=True)
        check_params(gradient_descent_params)
        if self.P is None:
            raise ValueError("this array is a view of an embedding; optimize the embedding itself")
        embedding = self if inplace else self.copy()
        given = {**(self.gradient_descent_params or {}), **gradient_descent_params}
        params = plain({**DEFAULTS, **given})
        rate = LEARNING_RATE if params["learning_rate"] == "auto" else params["learning_rate"]
        exaggeration = 1.0 if params["exaggeration"] is None else float(params["exaggeration"])
        stages = schedule.classical(n_iter, len(self), exaggeration, rate, params["momentum"])
        settings = descent_settings(stages, params)
        objective = PointObjective(self.P, self.reference_embedding, params)
        embedding.kl_divergence = None  # what was true of the map before
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


class PointObjective:
    """Forces of a map on new points, and the mean of their KL divergences.

    Parameters
    ----------
    P : (m, n) CSR matrix, each row of which sums to one.
    reference : the map, (n, d); a :class:`TSNEEmbedding` keeps its field for the next call.
    params : accuracy and ``n_jobs``, as for ``optimize``.

    Attributes
    ----------
    attractive, repulsive : (m, d) float32 arrays; ``repulsive`` is divided by each point's Z.
    """

    def __init__(self, P, reference, params):
        self.n_threads = resolve_n_jobs(params["n_jobs"])
        self.dof = getattr(reference, "dof", None) or 1.0
        self._map = np.ascontiguousarray(np.asarray(reference), np.float32)
        self._field = _field_of(reference, self._map, self.dof, self.n_threads, params)
        self._P = P
        self._edges = self._packed(P)
        shape = (P.shape[0], self._map.shape[1])
        self._points, self.attractive, self.repulsive = np.empty((3, *shape), np.float32)
        self._z = np.empty(shape[0])

    def evaluate(self, y, with_error: bool = False) -> float | None:
        """Compute the forces at y, (m, d) float64; return the mean KL divergence if wanted."""
        np.copyto(self._points, y, casting="same_kind")
        cross = _kernels.attraction.attraction_to(
            *self._edges, self._points, self._map, self.attractive, self.dof, with_error,
            self.n_threads,
        )  # fmt: skip
        self._field(self._points, self.repulsive, self._z)
        # The map's kernel may have tails too light for a point so far out.
        np.maximum(self._z, LEAST_Z, out=self._z)
        self.repulsive /= self._z[:, None]
        if not with_error:
            return None
        p = self._P.data[self._P.data > 0]
        totals = np.asarray(self._P.sum(axis=1)).ravel()
        log_z = (totals * np.log(self._z)).sum()
        return float(((p * np.log(p)).sum() + cross + log_z) / len(y))

    def _packed(self, P):
        m, n = P.shape
        indptr = np.zeros(m + 1, np.int64)
        np.cumsum((np.diff(P.indptr) + 7) // 8 * 8, out=indptr[1:])
        columns, values = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
        _kernels.csr.pack_edges(
            P.indptr.astype(np.int64), P.indices.astype(np.int32, copy=False),
            P.data.astype(np.float32), np.arange(m, dtype=np.int32),
            np.arange(n, dtype=np.int32), indptr, columns, values, self.n_threads,
        )  # fmt: skip
        # Padding names the row's own number, which need not be one of the map's.
        np.minimum(columns, n - 1, out=columns)
        return indptr, columns, values


class PointDescent(GradientDescent):
    """The optimizer of new points: each moves by itself, and their mean stays free.

    The state is that of :class:`GradientDescent`; points keep the caller's order.
    """

    def run(self, embedding: np.ndarray, objective, settings: DescentSettings) -> float:
        """Optimize ``embedding``, (m, d) float64, in place; return its KL divergence.

        Raises
        ------
        OptimizationInterrupt
            Where a callback's answer is true.
        """
        tell(settings.callbacks, "receive_settings", settings)
        tell(settings.callbacks, "optimization_about_to_start")
        if self.state is None or self.state.update.shape != embedding.shape:
            self.state = DescentState(
                update=np.zeros(embedding.shape, np.float32),
                gains=np.ones(embedding.shape, np.float32),
                order=np.arange(len(embedding), dtype=np.int32),
            )
        state = self.state
        y = np.array(embedding)
        step = 0
        try:
            for stage in settings.stages:
                for _ in range(stage.n_iter):
                    step += 1
                    report = settings.callbacks and step % settings.callbacks_every_iters == 0
                    error = objective.evaluate(y, with_error=report)
                    if report:
                        embedding[:] = y
                        if any([bool(c(step, error, embedding)) for c in settings.callbacks]):
                            raise OptimizationInterrupt(error, embedding)
                        check_written(embedding)
                        y[:] = embedding
                    gradient = np.empty(y.shape)
                    _kernels.gradient_step.combine_forces(
                        objective.attractive, objective.repulsive, 1.0, stage.exaggeration,
                        gradient, objective.n_threads,
                    )  # fmt: skip
                    lost = _kernels.gradient_step.gradient_step(
                        y, state.update, state.gains, gradient, *scratch(y), stage.learning_rate, stage.momentum,
                        settings.max_grad_norm, settings.max_step_norm, objective.n_threads,
                        recenter=False,
                    )  # fmt: skip
                    state.iteration += 1
                    raise_if_lost(lost, len(y), stage.learning_rate, settings.max_step_norm)
        finally:
            # Whatever ended the loop, the caller finds the points as of the last step.
            embedding[:] = y
            tell(settings.callbacks, "optimization_ended")
        return objective.evaluate(y, with_error=True)


def prepare_partial(reference, X, initialization, k, affinity_params) -> PartialTSNEEmbedding:
    """See :meth:`TSNEEmbedding.prepare_partial`."""
    if reference.affinities is None:
        raise ValueError("this array is a view of an embedding; use the embedding itself")
    if isinstance(initialization, str):
        check_choice(initialization, "initialization", INITIALIZATIONS)
    k = check_number(k, "k", low=1, integer=True)
    accepted = inspect.signature(reference.affinities.to_new).parameters
    if "perplexity" in affinity_params and "perplexities" in accepted:
        affinity_params["perplexities"] = affinity_params.pop("perplexity")
    P, neighbors, distances = reference.affinities.to_new(
        X, return_distances=True, **affinity_params
    )
    start = _start(reference, initialization, neighbors[:, :k], distances[:, :k])
    return PartialTSNEEmbedding(start, reference, P, **(reference.gradient_descent_params or {}))


def transform(reference, X, perplexity, initialization, k, phases, params) -> PartialTSNEEmbedding:
    """See :meth:`TSNEEmbedding.transform`; phases are (n_iter, exaggeration, momentum)."""
    check_params(params)
    for n_iter, exaggeration, momentum in phases:
        check_number(n_iter, "n_iter", low=0, integer=True)
        check_params({"exaggeration": exaggeration, "momentum": momentum})
    if reference.affinities is None:
        raise ValueError("this array is a view of an embedding; use the embedding itself")
    accepted = inspect.signature(reference.affinities.to_new).parameters
    own = {"perplexity", "perplexities"} & set(accepted)
    partial = prepare_partial(
        reference, X, initialization, k, {"perplexity": perplexity} if own else {}
    )
    verbose = partial.gradient_descent_params.get("verbose", False)
    for n_iter, exaggeration, momentum in phases:
        if n_iter == 0:
            continue
        try:
            with Timer(f"placing {len(partial)} points, {n_iter} iterations", verbose):
                partial.optimize(
                    n_iter, inplace=True, propagate_exception=True, exaggeration=exaggeration,
                    momentum=momentum, **params,
                )  # fmt: skip
        except OptimizationInterrupt:
            break
    return partial


def _start(reference, initialization, neighbors, distances):
    if not isinstance(initialization, str):
        return _check_places(initialization, (len(neighbors), reference.shape[1]), "initialization")
    if initialization == "random":
        # One draw for all rows: the place of a row must not depend on how many there are.
        place = init.random(1, reference.shape[1], reference.random_state)
        return np.repeat(place, len(neighbors), axis=0)
    if initialization == "median":
        return init.median(reference, neighbors)
    return init.weighted_mean(neighbors, reference, neighbors, distances)


def _field_of(reference, points, dof, n_threads, params):
    """The map's field: the one that it keeps, if that was made of the same points."""
    method = getattr(reference, "negative_gradient_method", None)
    # A function gives the forces of a map on itself only.
    if method is None or callable(method):
        method = "auto"
    method = choose_method(method, len(points))
    key = (method, dof, n_threads, *(params[name] for name in ACCURACY))
    kept = getattr(reference, "_kept_field", None)
    if kept is not None and kept[0] == key and np.array_equal(kept[1], points):
        return kept[2]
    field = make_field(points, method, dof, n_threads, params)
    if isinstance(reference, TSNEEmbedding):
        reference._kept_field = key, points, field
    return field


def _check_affinities(P, n_reference):
    P = sp.csr_matrix(P, dtype=np.float64)
    if P.shape[1] != n_reference:
        raise ValueError(
            f"P must have {n_reference} columns, the points of the map; got shape {P.shape}"
        )
    check_finite(P.data, "P")
    if P.nnz and P.data.min() < 0:
        raise ValueError(f"P must not be negative; the least is {P.data.min()}")
    return P


def _check_places(places, shape, name):
    """A copy as float64."""
    places = np.asarray(places)
    if places.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got dtype {places.dtype}")
    if places.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}; got {places.shape}")
    places = np.array(places, dtype=np.float64, order="C")
    check_places(places, name)
    return places
