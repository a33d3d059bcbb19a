"""New points in a map that does not move."""

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne import initialization as init
from fasttsne.embedding.array import ArrayWithState, ReferenceArray
from fasttsne.embedding.new_rows import BLOCK_ROWS, as_new_rows, check_new_rows, iter_new_rows
from fasttsne.io.formats import RowTarget, row_writer
from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.objective.points import NewPointsDivergence
from fasttsne.optimize.descent import GradientDescent, OptimizationInterrupt
from fasttsne.optimize.parameters import DEFAULTS, check_params, without_numpy
from fasttsne.optimize.plan import Phase, resolve_new_points
from fasttsne.repulsion.fixed_reference import FixedRepulsion, make_field
from fasttsne.runtime.memory import available_memory, format_bytes
from fasttsne.runtime.progress import progress_shown, suppress_progress
from fasttsne.runtime.rows import check_finite, is_elsewhere, is_storage, load_sparse
from fasttsne.runtime.typing import FilePath, Params, Rows
from fasttsne.runtime.validation import check_choice, check_number, check_sparse_indices
from fasttsne.utils import Timer

INITIALIZATIONS = ("median", "weighted", "weighted_mean", "random")
# A larger map may take longer to make ready: about as long as the tree takes for so many places.
EVALUATIONS_PER_POINT_OF_MAP = 2
# Bytes of memory that a new row takes where all are placed together, and each of its neighbours:
# 700 with 15 of them (740 were measured).
ROW_BYTES, NEIGHBOR_BYTES = 350, 24


class PartialTSNEEmbedding(ArrayWithState):
    """Positions of new rows in a map, (m, n_components) float64.

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

    _STATE = ("reference_embedding", "P", "optimizer", "gradient_descent_params", "kl_divergence")

    reference_embedding: np.ndarray
    P: sp.csr_matrix
    optimizer: GradientDescent
    kl_divergence: float | None

    def __new__(
        cls,
        embedding: ArrayLike,
        reference_embedding: np.ndarray,
        P: Rows,
        optimizer: GradientDescent | None = None,
        **gradient_descent_params: object,
    ) -> "PartialTSNEEmbedding":
        P = _check_affinities(P, len(reference_embedding))
        check_params(gradient_descent_params)
        shape = P.shape[0], reference_embedding.shape[1]
        self = init.check_positions(embedding, shape, "embedding").view(cls)
        self.reference_embedding = reference_embedding
        self.P = P
        self.optimizer = GradientDescent() if optimizer is None else optimizer
        self.gradient_descent_params = gradient_descent_params
        self.kl_divergence = None
        return self

    def optimize(
        self,
        n_iter: int,
        inplace: bool = False,
        propagate_exception: bool = False,
        **gradient_descent_params: object,
    ) -> "PartialTSNEEmbedding":
        """Run gradient descent from where the points are.

        It takes, raises and returns what :meth:`fasttsne.TSNEEmbedding.optimize` does, except
        that learning_rate="auto" is 0.1 for any number of points.  Without callbacks, each row
        goes through all iterations by itself: an interrupt leaves all of them where they were.
        """
        n_iter = check_number(n_iter, "n_iter", low=0, integer=True)
        check_params(gradient_descent_params)
        if self.P is None:
            raise ValueError("this array is a view of an embedding; use the embedding itself")
        params = self._params(gradient_descent_params)
        phase = resolve_new_points(n_iter, params, len(self), len(self.reference_embedding))
        embedding = self if inplace else self.copy()
        embedding._optimize_by(
            lambda: embedding.optimizer.run(embedding, embedding._objective(phase), phase),
            propagate_exception,
        )
        return embedding

    def _params(self, given: Params) -> Params:
        """Every parameter of ``optimize``; the kernel is that of the map."""
        reference, dof = self.reference_embedding, 1.0
        method: str | ObjectiveFunction | None = None
        if isinstance(reference, ReferenceArray):
            dof, method = reference.dof or 1.0, reference.negative_gradient_method
        check_params(self.gradient_descent_params or {})  # they may have been changed
        return without_numpy(
            {
                **DEFAULTS,
                **(self.gradient_descent_params or {}),
                **given,
                "dof": dof,
                "negative_gradient_method": method,
            }
        )

    def _objective(self, phase: Phase) -> NewPointsDivergence:
        reference = self.reference_embedding
        points = np.ascontiguousarray(np.asarray(reference), np.float32)
        if isinstance(reference, ReferenceArray):
            repulsion = reference.fixed_repulsion(points, phase)
        else:
            repulsion = make_fixed_repulsion(points, phase)
        return NewPointsDivergence(self.P, points, repulsion, phase.dof, phase.n_threads)


def make_fixed_repulsion(
    points: np.ndarray, phase: Phase, n_evaluations: int | None = None
) -> FixedRepulsion:
    """Return the repulsion of a map, (n, d) float32, on other points, as a phase has it.

    n_evaluations : how many points will come.  None follows from the map: no new point's place may
        depend on how many there are.
    """
    if n_evaluations is None:
        n_evaluations = EVALUATIONS_PER_POINT_OF_MAP * len(points)
    accuracy = dict(phase.accuracy)
    return make_field(
        points, str(phase.method), phase.dof, phase.n_threads, accuracy, n_evaluations
    )


@dataclass(frozen=True)
class PlacementSpec:
    """How new rows are placed; see :meth:`TSNEEmbedding.transform`.

    phases : iterations, exaggeration and momentum of each descent.
    params : other parameters of ``optimize``.
    """

    perplexity: float | Sequence[float]
    initialization: str | ArrayLike
    k: int
    phases: tuple[tuple[int, float | None, float | str], ...]
    params: Params


def prepare_partial(
    reference: ReferenceArray,
    X: Rows,
    initialization: str | ArrayLike,
    k: int,
    affinity_params: Params,
) -> PartialTSNEEmbedding:
    """See :meth:`TSNEEmbedding.prepare_partial`."""
    if isinstance(initialization, str):
        check_choice(initialization, "initialization", INITIALIZATIONS)
    k = check_number(k, "k", low=1, integer=True)
    to_new = reference.affinities.to_new
    params = dict(affinity_params)
    if "perplexity" in params and "perplexities" in inspect.signature(to_new).parameters:
        params["perplexities"] = params.pop("perplexity")

    def prepare(rows: Rows, start: str | ArrayLike) -> tuple[sp.csr_matrix, np.ndarray]:
        P, neighbors, distances = to_new(rows, return_distances=True, **params)
        near = neighbors[:, :k]
        if isinstance(start, str) and start == "random":
            start = _given_positions(reference, start, len(near))(0, len(near))
        if not isinstance(start, str):
            return P, init.check_positions(start, (len(near), reference.shape[1]))
        if start == "median":
            return P, init.median(reference, near)
        return P, init.weighted_mean(near, reference, near, distances[:, :k])

    if not _has_distances(reference) and not isinstance(X, str) and is_elsewhere(X, "X"):
        rows = as_new_rows(X)
        check_new_rows(rows)
        given = _given_positions(reference, initialization, rows.shape[0])
        parts = []
        with Timer(f"computing affinities of {rows.shape[0]} new rows", reference.is_verbose):
            for first, block in iter_new_rows(rows):
                with suppress_progress():
                    parts.append(prepare(block, given(first, block.shape[0])))
        P, start = sp.vstack([P for P, _ in parts], "csr"), np.concatenate([y for _, y in parts])
    else:
        P, start = prepare(X, initialization)
    # Callbacks of the fit are about the map's own points.
    kept = {**(reference.gradient_descent_params or {}), "callbacks": None}
    kept.pop("optimizer", None)  # new points move by momentum
    return PartialTSNEEmbedding(start, reference, P, **kept)


def transform(reference: ReferenceArray, X: Rows, spec: PlacementSpec) -> PartialTSNEEmbedding:
    """See :meth:`TSNEEmbedding.transform`."""
    _check_memory(reference, X, spec.perplexity)
    accepted = inspect.signature(reference.affinities.to_new).parameters
    has_perplexity = not {"perplexity", "perplexities"}.isdisjoint(accepted)
    affinity_params = {"perplexity": spec.perplexity} if has_perplexity else {}
    partial = prepare_partial(reference, X, spec.initialization, spec.k, affinity_params)
    for n_iter, exaggeration, momentum in spec.phases:
        if n_iter == 0:
            continue
        changing = {"exaggeration": exaggeration, "momentum": momentum}
        try:
            with Timer(f"placing {len(partial)} points, {n_iter} iterations", reference.is_verbose):
                partial.optimize(n_iter, True, True, **changing, **spec.params)
        except OptimizationInterrupt:
            break
    return partial


def _check_memory(reference: np.ndarray, X: Rows, perplexity: float | Sequence[float]) -> None:
    """Raise MemoryError where all new rows together take more memory than is free."""
    is_table = isinstance(X, np.ndarray) or sp.issparse(X) or is_storage(X, "X")
    n_rows = (np.shape(X) or (0,))[0] if is_table else 0
    if n_rows <= BLOCK_ROWS:
        return  # less than 50 MB, or no rows, which is said later
    # What is no number is refused later, or has no neighbours of its own.
    known = [each for each in np.ravel(perplexity) if isinstance(each, Real)]
    k = min(3 * float(max(known, default=0)), len(reference))
    needed, free = n_rows * (ROW_BYTES + NEIGHBOR_BYTES * k), available_memory()
    if needed > free:
        raise MemoryError(
            f"placing {n_rows:,} rows takes about {format_bytes(needed)} of memory, and "
            f"{format_bytes(free)} are free; with out, an array or file, any number takes the same"
        )


def transform_to(
    out: RowTarget | FilePath, reference: ReferenceArray, X: Rows, spec: PlacementSpec
) -> RowTarget | FilePath:
    """Write the places of new rows to ``out``; return it, or a memory map of the file."""
    rows = as_new_rows(X)
    shape = n_rows, _ = rows.shape[0], reference.shape[1]
    timer = Timer(f"placing {n_rows} rows", reference.is_verbose)
    with timer, progress_shown(reference.is_verbose), row_writer(out, shape) as write:
        check_new_rows(rows)
        given = _given_positions(reference, spec.initialization, n_rows)
        if _has_distances(reference):
            start = replace(spec, initialization=given(0, n_rows))
            write(0, transform(reference, load_sparse(rows, "X"), start))
        else:
            for first, block in iter_new_rows(rows):
                with suppress_progress():
                    start = replace(spec, initialization=given(first, block.shape[0]))
                    places = transform(reference, block, start)
                write(first, np.asarray(places))
    if not isinstance(out, (str, os.PathLike)) or not n_rows:
        return out
    written: np.ndarray = np.load(out, mmap_mode="r")
    return written


def _has_distances(reference: ReferenceArray) -> bool:
    """Whether rows are distances: how those are rounded depends on all rows together."""
    return getattr(reference.affinities.knn_index, "metric", None) == "precomputed"


def _given_positions(
    reference: ReferenceArray, initialization: str | ArrayLike, n_rows: int
) -> Callable[[int, int], str | np.ndarray]:
    """Return the initialization of a block of rows, as a function of its first row and size."""
    if not isinstance(initialization, str):
        positions = init.check_positions(initialization, (n_rows, reference.shape[1]))
    elif check_choice(initialization, "initialization", INITIALIZATIONS) != "random":
        return lambda first, n: initialization
    else:  # one draw for all rows: the position of a row must not depend on how many there are
        position = init.random(1, reference.shape[1], reference.random_state)
        positions = np.broadcast_to(position, (n_rows, reference.shape[1]))
    return lambda first, n: positions[first : first + n]


def _check_affinities(P: Rows, n_reference: int) -> sp.csr_matrix:
    if sp.issparse(P):
        check_sparse_indices(P, "P")
    P = sp.csr_matrix(P, dtype=np.float64)
    if P.shape[1] != n_reference:
        raise ValueError(
            f"P must have {n_reference} columns, the points of the map; got shape {P.shape}"
        )
    check_finite(P.data, "P")
    if P.nnz and P.data.min() < 0:
        raise ValueError(f"P must not be negative; the minimum is {P.data.min()}")
    return P
