"""The map: an array that knows its affinities and can be optimized further."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities, PrecomputedAffinities
from fasttsne.anchors import Anchors, check_anchors, check_movable
from fasttsne.embedding.array import ReferenceArray
from fasttsne.embedding.new_rows import as_new_rows, check_new_rows, warn_of_far_rows
from fasttsne.embedding.partial import (
    PartialTSNEEmbedding,
    PlacementSpec,
    make_fixed_repulsion,
    prepare_partial,
    transform,
    transform_to,
)
from fasttsne.embedding.update import (
    JITTER,
    N_PLACES,
    check_replaced,
    check_rows,
    gather,
    medians_of,
    relocate_misplaced_points,
    settle,
)
from fasttsne.initialization import MIN_SIZE, check_positions, spread
from fasttsne.io import codec
from fasttsne.io.formats import RowTarget
from fasttsne.objective import Objective, check_method, make_objective
from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.optimize.descent import GradientDescent, is_custom, run_custom_optimizer
from fasttsne.optimize.parameters import (
    DEFAULTS,
    OPTIMIZE,
    TRANSFORM,
    check_params,
    documented,
    without_numpy,
)
from fasttsne.optimize.parameters import TSNE as PARAMETERS
from fasttsne.optimize.plan import (
    Phase,
    is_auto,
    resolve_fixed_method,
    resolve_held,
    resolve_joining,
    resolve_phase,
)
from fasttsne.optimize.schedule import Iterations
from fasttsne.optimize.state import RunState, StateSaver
from fasttsne.repulsion.fixed_reference import FixedRepulsion
from fasttsne.runtime.typing import FilePath, Params, RandomState, Rows
from fasttsne.runtime.validation import check_data, check_number, check_random_state
from fasttsne.utils import warn_user

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A map of fewer iterations may still be as small as its start.
MIN_JUDGED_ITER = 100
# A map of a larger share of the KL divergence of all points in one place shows nothing; if that is
# not above the second, all affinities are equal, and there is nothing to show.
SHOWS_NOTHING, MIN_WORST = 0.99, 1e-3
# A map of a smaller standard deviation has collapsed to a point.
COLLAPSED_STD = 1e-3


class TSNEEmbedding(ReferenceArray):
    """A t-SNE map of a data set, (n_samples, n_components) float64.

    It is an array: slices, arithmetic and NumPy functions give plain arrays.
    Copies (``copy.copy``, ``copy.deepcopy``, ``.copy()``), pickle and joblib
    keep everything that is needed to optimize further.

    Parameters
    ----------
    embedding : (n_samples, n_components) array, where the points are; it is copied.
    affinities : :class:`fasttsne.affinity.Affinities`, or a matrix of them.
    dof : degrees of freedom of the kernel (1 + r^2 / dof)^-dof.
    negative_gradient_method : "auto", "fft" ("interpolation"), "bh" ("barnes-hut"), "exact",
        or an objective function (:mod:`fasttsne.objective.callable`), or a registered one.
    random_state : kept for the caller.
    optimizer : the optimizer of an earlier embedding, to continue with its state; or a default
        of :meth:`optimize`.
    anchors : targets of points (:mod:`fasttsne.anchors`), or None.
    global_reference : (n_samples, n_components) array for ``global_structure``, or None.
    gradient_descent_params : defaults of :meth:`optimize`.

    Attributes
    ----------
    kl_divergence : of the map as the last ``optimize`` left it; None before, and where
        Ctrl-C or an exception ended it.
    optimizer : momentum and gains, kept from one call of ``optimize`` to the next.
    """

    _STATE = (
        "affinities",
        "dof",
        "negative_gradient_method",
        "random_state",
        "optimizer",
        "gradient_descent_params",
        "kl_divergence",
        "anchors",
        "global_reference",
    )
    _CACHED = ("_cached_objective", "_cached_repulsion")

    anchors: Anchors | None
    global_reference: np.ndarray | None
    _divergence: float | None
    _is_divergence_deferred = False
    # Each with the key that it was made for.
    _cached_objective: tuple[tuple[object, ...], Objective, object] | None
    _cached_repulsion: tuple[tuple[object, ...], np.ndarray, FixedRepulsion] | None

    def __new__(
        cls,
        embedding: ArrayLike,
        affinities: Affinities | Rows,
        dof: float = 1,
        negative_gradient_method: str | ObjectiveFunction = "auto",
        random_state: RandomState = None,
        optimizer: GradientDescent | str | None = None,
        anchors: Anchors | None = None,
        global_reference: ArrayLike | None = None,
        **gradient_descent_params: object,
    ) -> "TSNEEmbedding":
        if isinstance(optimizer, str):  # a parameter of ``optimize``
            gradient_descent_params["optimizer"], optimizer = optimizer, None
        if not isinstance(affinities, Affinities):
            affinities = PrecomputedAffinities(affinities)
        points = check_positions(embedding, (affinities.n_samples, None), "embedding")
        check_params({**gradient_descent_params, "dof": dof})
        check_anchors(anchors, *points.shape)
        self = points.view(cls)
        self.anchors = anchors
        self.global_reference = _check_reference(global_reference, points.shape)
        self.affinities = affinities
        self.dof = float(dof)
        self.negative_gradient_method = check_method(negative_gradient_method)
        self.random_state = random_state
        self.optimizer = GradientDescent() if optimizer is None else optimizer
        self.gradient_descent_params = gradient_descent_params
        self.kl_divergence = None
        return self

    @property
    def kl_divergence(self) -> float | None:
        """The KL divergence of the map; of one whose rows changed made when it is asked for."""
        if self._is_divergence_deferred:
            phase = resolve_phase("divergence", 0, self.all_params(callbacks=None), len(self))
            points = np.array(self)
            self.kl_divergence = GradientDescent().run(points, self.objective(phase), phase)
        return self._divergence

    @kl_divergence.setter
    def kl_divergence(self, value: float | None) -> None:
        self._divergence, self._is_divergence_deferred = value, False

    def defer_divergence(self) -> None:
        """Make the KL divergence, whose cost goes with all rows, when it is asked for."""
        self._is_divergence_deferred = True

    def save(self, path: FilePath, keep: str = "map") -> None:
        """Write the embedding to one .npz file, without pickle, to continue later or elsewhere.

        It holds the map, the optimizer's momentum, gains and counts, anchors, the KL
        divergence, an integer random_state, and what of the parameters JSON can
        express: callbacks are not kept.  The file is read back and checked before it replaces an
        old one, atomically: after an interrupt or an error, the old file is there.

        Parameters
        ----------
        path : the file, written under exactly this name.
        keep : "map": P, from which the map can be optimized further, but no new rows placed;
            "index": instead of P the neighbours that it follows from, and what the search has
            built, for ``transform``, ``update`` and ``drop``, where :meth:`load` is given the rows
            again; "rows": those, too.

        Raises
        ------
        TypeError, ValueError
            With another ``keep`` than "map", where affinities were given, or the search or its
            metric is of a user's own.
        """
        codec.save_embedding(self, path, keep=keep)

    @classmethod
    def load(cls, path: FilePath, X: Rows | None = None) -> "TSNEEmbedding":
        """Load a saved embedding; further optimization is bit-identical to the original's.

        Parameters
        ----------
        path : the file.
        X : (n_samples, n_features) the rows of the map, in their order, for a file that has the
            index and not the rows.  Without them such a map can be optimized, but not answer for
            new rows.

        Raises
        ------
        OSError
            Where the file cannot be opened.
        ValueError
            Where it is no such file, damaged, or written by a later version, or X has other rows.
        """
        return codec.load_embedding(cls, path, X)

    @documented(parameters=OPTIMIZE.values())
    def optimize(
        self,
        n_iter: Iterations,
        inplace: bool = False,
        propagate_exception: bool = False,
        anchors: Anchors | None = None,
        **gradient_descent_params: object,
    ) -> "TSNEEmbedding":
        """Run gradient descent from where the map is.

        Parameters
        ----------
        n_iter : number of iterations; "auto" runs until little of the KL divergence is left, with
            preconditioned steps; or a tuple of stages (:mod:`fasttsne.schedule`).
        inplace : move the points of this embedding; otherwise those of a copy.
        propagate_exception : raise OptimizationInterrupt where a callback stops the run,
            instead of returning the embedding so far.
        anchors : targets of points (:mod:`fasttsne.anchors`), from now on; None keeps those that
            the embedding has.
        {parameters}
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
            If points would leave all bounds, 1e15; they stay where they were.  Of a map that
            diverges less far there is a warning.
        ValueError
            If the gradient of a function as ``negative_gradient_method`` is not finite.
        KeyboardInterrupt
            On Ctrl-C; its attribute ``final_embedding`` is the embedding as of
            the last whole iteration.
        """
        PARAMETERS["n_iter"].check(n_iter)
        check_params(gradient_descent_params)
        self.raise_if_view()
        params = self.all_params(**gradient_descent_params)
        phase = resolve_phase("optimize", n_iter, params, len(self))
        check_anchors(anchors, *self.shape)
        check_movable(self.anchors if anchors is None else anchors)
        embedding = self if inplace else self.copy()
        if anchors is not None:
            embedding.anchors = anchors
        embedding.run(phase, propagate_exception, params)
        if phase.exaggeration <= 1:
            embedding.warn_of_no_map(phase)
        return embedding

    def run(
        self,
        phase: Phase,
        propagate_exception: bool = False,
        params: Params | None = None,
        saver: StateSaver | None = None,
        resume_from: RunState | None = None,
    ) -> "TSNEEmbedding":
        """Carry out a phase of a plan, in place; errors and the result are those of ``optimize``.

        Parameters
        ----------
        params : those of ``optimize``, for an optimizer of a user's own; None is the embedding's.
        saver, resume_from : as of ``GradientDescent.run``.
        """

        held = self._with_targets(phase)

        def descend() -> float:
            if is_custom(self.optimizer):
                P = self.affinities.P_float32.copy()
                given = params or self.all_params()
                return run_custom_optimizer(self.optimizer, self, P, held, given)
            return self.optimizer.run(self, self.objective(phase), held, saver, resume_from)

        self._optimize_by(descend, propagate_exception)
        return self

    def warn_of_no_map(self, phase: Phase, name: str = "the map") -> None:
        """Warn if a run of more than a few iterations has led nowhere.

        Parameters
        ----------
        phase : the last one.
        name : of the map.
        """
        cached, n_iter = self._cached_objective, getattr(self.optimizer, "iteration", 0)
        worst = None if cached is None else cached[1].error_of_one_place()
        error = self.kl_divergence
        if worst is None or worst < MIN_WORST or n_iter < MIN_JUDGED_ITER or error is None:
            return
        anchors = self.anchors
        moves = np.asarray(self)[slice(None) if anchors is None else ~anchors.is_pinned]
        std = np.std(moves, axis=0).max()
        # What draws points elsewhere may cost any KL divergence.
        is_free = anchors is None and not (phase.global_structure or phase.density_weight)
        if len(moves) > 1 and std < COLLAPSED_STD:
            warn_user(
                f"all points of {name} that can move are in one place, with a standard deviation "
                f"of {std:.2g}: they could not leave it (see learning_rate, max_grad_norm, "
                "max_step_norm and initialization), or exaggeration or anchors hold them there"
            )
        elif is_free and phase.exaggeration == 1 and error > SHOWS_NOTHING * worst:
            warn_user(
                f"{name} shows nothing of the data: its KL divergence is {error:.4g}, and "
                f"{worst:.4g} where all points are in one place.  They were thrown far from each "
                "other, or could hardly move: see learning_rate, max_grad_norm and max_step_norm"
            )

    def _with_targets(self, phase: Phase) -> Phase:
        """Return a phase with what draws points to targets."""
        reference = None
        if phase.global_structure and len(self) > 1:
            reference = _check_reference(self.global_reference, self.shape)
            if reference is None:
                raise ValueError(
                    "global_structure needs a global_reference, which this embedding has not: make "
                    "it by TSNE(global_structure=...), or give it one, "
                    f"embedding.global_reference = an array of shape {self.shape}"
                )
            if spread(reference) < MIN_SIZE:  # for example after one of two rows was replaced
                warn_user(
                    "the points of global_reference are in one place: nothing is drawn to them"
                )
                reference = None
        return replace(phase, anchors=self.anchors, reference=reference)

    def gradient_norm(self) -> float:
        """The norm of the KL divergence's gradient at the last report or end of ``optimize``."""
        if self._cached_objective is None:
            raise ValueError("the gradient is not known yet: optimize the embedding first")
        return self._cached_objective[1].gradient_norm()

    def all_params(self, **gradient_descent_params: object) -> Params:
        """Every parameter of :meth:`optimize`: those given here, the embedding's, the defaults."""
        check_params(self.gradient_descent_params or {})  # they may have been changed
        return without_numpy(
            {
                **DEFAULTS,
                "dof": self.dof,
                "negative_gradient_method": self.negative_gradient_method,
                **(self.gradient_descent_params or {}),
                **gradient_descent_params,
            }
        )

    def prepare_partial(
        self,
        X: Rows,
        initialization: str | ArrayLike = "median",
        k: int = 25,
        **affinity_params: object,
    ) -> PartialTSNEEmbedding:
        """An embedding of new rows at initial positions in this map.

        Parameters
        ----------
        X : new rows, as those the affinities were made of; with precomputed distances,
            (m, n) distances to those.
        initialization : "median" or "weighted" (mean, by inverse distance) of the map's
            points for the nearest rows; "random", one position near the origin, for all the
            same; or an (m, n_components) array.
        k : number of nearest rows, of those that the affinities take, for the initialization.
        affinity_params : for :meth:`fasttsne.affinity.Affinities.to_new`, as perplexity.

        Returns
        -------
        PartialTSNEEmbedding
            Its parameters of gradient descent are those of this embedding, without its callbacks.
        """
        self.raise_if_view()
        return prepare_partial(self, X, initialization, k, affinity_params)

    @documented(parameters=TRANSFORM.values())
    def transform(
        self,
        X: Rows,
        perplexity: float | Sequence[float] = 5,
        initialization: str | ArrayLike = "median",
        k: int = 25,
        learning_rate: float | str = 0.1,
        early_exaggeration: float | None = 4,
        early_exaggeration_iter: int = 0,
        exaggeration: float | None = 1.5,
        n_iter: int = 250,
        initial_momentum: float | str = 0.8,
        final_momentum: float | str = 0.8,
        max_grad_norm: float | None = 0.25,
        max_step_norm: float | None = None,
        out: RowTarget | FilePath | None = None,
    ) -> PartialTSNEEmbedding | RowTarget | FilePath:
        """Place new rows in this map, which does not move.

        Each row is attracted by its nearest rows in the data and repelled by all
        points of the map.  New rows do not see each other: what becomes of one
        does not depend, to the last bit, on the others of the call.

        With ``out``, any number of rows takes the same memory: they are read and placed in
        blocks of at most 65,536 rows.  Where they are floats in a file, they are read twice, the
        first time to see that all are finite.

        Parameters
        ----------
        X : new rows, as for :meth:`prepare_partial`.
        {parameters}

        Returns
        -------
        PartialTSNEEmbedding
            (m, n_components) float64; with ``out`` that array, or a memory map of the file.

        Raises
        ------
        NotImplementedError
            Where the neighbours of new rows cannot be found: with precomputed affinities
            or lists of neighbours.
        OSError
            Where rows cannot be read, in three tries, or ``out`` not be written.
        MemoryError
            Where there is no ``out``, and all new rows together take more than is free.
        """
        given = locals()
        check_params({name: given[name] for name in TRANSFORM}, TRANSFORM)
        phases = (
            (early_exaggeration_iter, early_exaggeration, initial_momentum),
            (n_iter, exaggeration, final_momentum),
        )
        limits = {"max_grad_norm": max_grad_norm, "max_step_norm": max_step_norm}
        params = {"learning_rate": learning_rate, **limits}
        spec = PlacementSpec(perplexity, initialization, k, phases, params)
        self.raise_if_view()
        warn_of_far_rows(X, self.affinities.knn_index)
        return transform(self, X, spec) if out is None else transform_to(out, self, X, spec)

    def update(
        self,
        X: Rows,
        hold: float = np.inf,
        n_iter: int | str = "auto",
        random_state: RandomState = 0,
        replace: ArrayLike | None = None,
    ) -> "TSNEEmbedding":
        """A map of the rows of this one and of new ones, which join it; this one is not changed.

        New rows find neighbours among the old ones and each other, old rows take new ones into
        their lists, and new points act on each other too, unlike in :meth:`transform`.  Those of
        a kind that is not there yet come together, but find room only where ``hold`` is finite.
        A row that is there already joins once more, beside the first.  New points are gathered
        first, then each looks for its best place among those of its strongest neighbours, which
        old points that do not move may bar it from, and settles there.

        Parameters
        ----------
        X : (m, n_features) new rows, as those the affinities were made of.
        hold : how strongly old points stay where they are, as the weight of
            :class:`fasttsne.Anchors`: infinity pins them, so that the cost is that of the new
            rows; 0 lets them go.  Held points, too, may leave for the places of neighbours, where
            that lowers the loss.  It holds in this call only: the map that is returned has the
            anchors that this one has.
        n_iter : iterations; "auto" is 40 of the new points, after they have looked for places,
            and where ``hold`` is finite an annealing of the exaggeration and the main phase of the
            whole map after them.
        random_state : of small differences between the starts of new points.
        replace : (m,) numbers of rows of this map, or an (n_samples,) boolean mask: X has their
            new values, in this order.  They keep their numbers, and find their places as new
            rows do; where they were, and anchors that they had, do not matter.

        Returns
        -------
        TSNEEmbedding
            (n_samples + m, n_components), the old points first; (n_samples, n_components) with
            ``replace``.

        Raises
        ------
        NotImplementedError
            With precomputed affinities, distances or lists of neighbours, and for a map from a
            file that has no index.
        ValueError, TypeError
            Where X does not fit, or ``replace`` has a number twice, one that is no row of the map,
            or all rows.
        """
        self.raise_if_view()
        hold = check_number(hold, "hold", low=0)
        if not is_auto(n_iter):
            n_iter = check_number(n_iter, "n_iter", low=0, integer=True)
        rows = as_new_rows(X)
        check_new_rows(rows)
        data = check_data(rows, "X", min_rows=1, accept_sparse=True)
        warn_of_far_rows(data, self.affinities.knn_index)
        n, m = len(self), data.shape[0]
        replaced = None if replace is None else check_replaced(replace, m, n)
        free = np.arange(n, n + m) if replaced is None else replaced
        others = np.setdiff1d(np.arange(n), free)
        generator = check_random_state(random_state)
        affinities, near = self.affinities.joined_by(data, replaced)
        order = np.concatenate([others, free])
        P = affinities.rows_of_P(free)
        if replaced is not None:
            P = P[:, order]
        fixed = np.asarray(self)[others]
        start = gather(P, fixed, medians_of(np.asarray(self), near))
        noise = JITTER * np.std(fixed) * generator.normal(size=start.shape)
        start += noise
        points = np.empty((len(order), self.shape[1]))
        points[others], points[free] = fixed, start
        own, reference = (
            self._anchors_with(len(order), others, 0),
            self._reference_with(P, others, free),
        )
        result = self._like(points, affinities, own, reference)
        params = result.all_params(callbacks=None)
        phases = resolve_joining(n_iter, params, len(order), m, is_held=np.isfinite(hold))
        np.asarray(result)[free] = settle(P, fixed, start, noise, phases)
        if np.isinf(hold):
            result.defer_divergence()
            return result
        result.anchors = self._anchors_with(len(order), others, hold)
        params = result.all_params()
        first, *then = resolve_held(n_iter, params, len(order))
        result.run(first, params=params)
        for phase in then:
            noise = JITTER * np.std(fixed) * generator.normal(size=result.shape)
            result._relocate(phase, noise)
            result.run(phase, params=params)
        result.anchors = own
        return result

    def _like(
        self,
        points: np.ndarray,
        affinities: Affinities,
        anchors: Anchors | None,
        reference: np.ndarray | None,
    ) -> "TSNEEmbedding":
        """Return a map of other points with the parameters of this one, but its callbacks."""
        return type(self)(
            points,
            affinities,
            dof=self.dof,
            negative_gradient_method=self.negative_gradient_method,
            random_state=self.random_state,
            anchors=anchors,
            global_reference=reference,
            **{**(self.gradient_descent_params or {}), "callbacks": None},
        )

    def _anchors_with(self, n: int, others: np.ndarray, hold: float) -> Anchors | None:
        """Return the anchors of the other points; the rest are held with the weight ``hold``."""
        targets, weights = np.full((n, self.shape[1]), np.nan), np.zeros(n)
        targets[others], weights[others] = np.asarray(self)[others], hold
        if self.anchors is not None:
            kept = others[self.anchors.weights[others] > 0]
            targets[kept], weights[kept] = self.anchors.targets[kept], self.anchors.weights[kept]
        return Anchors(targets, weights) if weights.any() else None

    def _reference_with(
        self, P: sp.csr_matrix, others: np.ndarray, free: np.ndarray
    ) -> np.ndarray | None:
        """Return the reference of a map with new rows, which are where their neighbours are."""
        known = self.global_reference
        if known is None:
            return None
        places = np.empty((len(others) + len(free), known.shape[1]))
        places[others] = fixed = known[others]
        places[free] = gather(P, fixed, np.tile(fixed.mean(axis=0), (len(free), 1)))
        return places

    def _relocate(self, phase: Phase, noise: np.ndarray) -> None:
        """Move points to places of neighbours where their loss is less, in place."""
        points = np.ascontiguousarray(np.asarray(self), np.float32)
        method = resolve_fixed_method(self.negative_gradient_method, len(points))
        field = make_fixed_repulsion(
            points, replace(phase, method=method), (N_PLACES + 2) * len(points)
        )
        P, y = self.affinities.P_float32, np.asarray(self)
        y[:] = relocate_misplaced_points(
            P, y, field, phase.dof, phase.exaggeration, self.anchors, noise
        )

    def drop(self, rows: ArrayLike) -> "TSNEEmbedding":
        """A map without some rows; the others stay where they are, and this map is not changed.

        Rows that had one of them as a neighbour find others in its place: the cost is that of
        a query for each such row, and of all affinities.  :meth:`optimize` lets the others move
        to the room that is left.

        Parameters
        ----------
        rows : integers from 0 to n_samples - 1, each at most once, or an (n_samples,) boolean
            mask.

        Returns
        -------
        TSNEEmbedding
            The rows that are left, in their order, numbered anew.

        Raises
        ------
        NotImplementedError
            As for :meth:`update`, and where an index of a user's own has no attribute ``data``.
        ValueError, TypeError
            Where rows are no numbers of rows, or fewer than two would be left.
        """
        self.raise_if_view()
        n = len(self)
        dropped = check_rows(rows, n, "rows")
        left = np.setdiff1d(np.arange(n), dropped)
        if len(left) < 2:
            raise ValueError(f"at least 2 of the {n} rows must be left; got {len(left)}")
        affinities = self.affinities.without(np.sort(dropped))
        anchors, reference = self.anchors, self.global_reference
        if anchors is not None:
            weights = anchors.weights[left]
            anchors = Anchors(anchors.targets[left], weights) if weights.any() else None
        reference = None if reference is None else reference[left]
        result = self._like(np.asarray(self)[left], affinities, anchors, reference)
        result.defer_divergence()
        return result

    def raise_if_view(self) -> None:
        """Raise ValueError for an array that NumPy made of an embedding: it has no state.

        And for one whose shape or type was changed, or whose affinities are of other rows.
        """
        if self.affinities is None:
            raise ValueError("this array is a view of an embedding; use the embedding itself")
        n = self.affinities.n_samples
        if self.dtype != np.float64 or self.ndim != 2 or len(self) != n or self.shape[1] > 3:
            raise ValueError(
                f"the embedding must be float64 of shape ({n}, 1 to 3), as its affinities are of "
                f"{n} rows; got {self.dtype} of shape {self.shape}"
            )

    def plot(
        self, labels: ArrayLike | None = None, ax: "Axes | None" = None, **params: object
    ) -> "Axes":
        """Draw the map.

        Parameters
        ----------
        labels : (n_samples,) classes or values, to colour points by; None is one colour.
        ax : Axes of Matplotlib to draw on; None makes a figure.
        params : others of :func:`fasttsne.plotting.scatter`.

        Returns
        -------
        matplotlib.axes.Axes
        """
        from fasttsne import plotting

        options: Params = params
        return plotting.scatter(self, labels, ax, **options)

    def fixed_repulsion(self, points: np.ndarray, phase: Phase) -> FixedRepulsion:
        """The repulsion of this map on other points, cached while the map is the same.

        Parameters
        ----------
        points : (n, n_components) float32 array, this map.
        phase : the plan for the other points.
        """
        key = phase.method, phase.dof, phase.n_threads, phase.accuracy
        cached = self._cached_repulsion
        if cached is None or cached[0] != key or not np.array_equal(cached[1], points):
            self._cached_repulsion = cached = key, points, make_fixed_repulsion(points, phase)
        return cached[2]

    def objective(self, phase: Phase) -> Objective:
        """The objective of a phase, cached while what it depends on is the same."""
        graph = self.affinities.graph
        key = (phase.method, phase.dof, phase.n_threads, phase.density_weight, phase.accuracy)
        cached = self._cached_objective
        if cached is None or cached[0] != key or cached[2] is not graph:
            objective = make_objective(
                phase.method,
                self.affinities,
                self.shape[1],
                phase.dof,
                phase.n_threads,
                dict(phase.accuracy),
                phase.density_weight,
            )
            self._cached_objective = cached = key, objective, graph
        return cached[1]

    def release_objective(self) -> None:
        """Give back what the objective of the last run holds; the next run makes it anew."""
        self._cached_objective = None


def _check_reference(reference: ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return what ``global_structure`` draws a map of this shape to."""
    if reference is None:
        return None
    return check_positions(reference, (shape[0], shape[1]), "global_reference", ("pca",))
