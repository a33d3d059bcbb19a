"""Maps of related data sets, side by side: what they share is at the same place in each.

>>> from fasttsne import AlignedTSNE
>>> from fasttsne.datasets import load_digits
>>> X, y = load_digits()
>>> first, second = AlignedTSNE(random_state=0).fit([X[:300], X[:400]])
>>> first.shape, second.shape
((300, 2), (400, 2))
"""

import logging
from collections.abc import Mapping, Sequence, Sized
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.anchors import Anchors
from fasttsne.callbacks import Checkpoint, ErrorApproximations, LivePlot, VerifyExaggerationError
from fasttsne.embedding import TSNEEmbedding
from fasttsne.embedding.new_rows import as_new_rows, check_new_rows
from fasttsne.fit.run import run_phases
from fasttsne.objective.base import JointObjective
from fasttsne.optimize import as_callbacks, progress_listeners
from fasttsne.optimize.descent import GradientDescent, OptimizationInterrupt
from fasttsne.optimize.plan import Phase, resolve_method
from fasttsne.optimize.state import DescentState
from fasttsne.optimize.target_term import Links, Ties
from fasttsne.runtime.progress import progress_shown, report_progress_to
from fasttsne.runtime.typing import Params, Rows
from fasttsne.runtime.validation import check_choice, check_number
from fasttsne.tsne import TSNE

__all__ = ["AlignedTSNE"]

log = logging.getLogger("fasttsne.aligned")

# Measured by benchmarks/aligned.py.
ALIGNMENT = 0.002
TIES = {"mean": Ties.to_mean, "adjacent": Ties.to_adjacent}
# A map starts like the one before where it has more partners than an affine map has numbers: fewer
# say nothing of where its other points are.
MIN_PARTNERS_PER_DIMENSION = 5
# They read what only a single map has.
OF_ONE_MAP = Checkpoint, ErrorApproximations, LivePlot, VerifyExaggerationError

# Rows of a data set and of the next: a dict, or (m, 2) row numbers; None: the first rows of both.
Relation: TypeAlias = Mapping[int, int] | ArrayLike | None

INSTEAD = "give a dict {row: row} or pairs of row numbers, or None where the first rows are shared"


class AlignedTSNE:
    """Maps of related data sets that can be compared: partners are tied to each other.

    A point of one map and its partner in the next, the same row a month later, for example, are
    drawn to each other while all maps are optimized together.  Data sets may have different
    numbers of rows and columns.

    Parameters
    ----------
    alignment : how strongly, as the weight of :class:`fasttsne.Anchors`, for any number of rows: a
        point is drawn to the mean of its own place and its partner's; with 0 maps start alike
        and are not tied.
    tied_to : "mean", of the places of a row in all maps, or "adjacent": where a row is may
        change slowly along a long series of maps, as each is tied to the one before and the one
        after only.
    parameters : those of :class:`fasttsne.TSNE`, for all maps.  ``initialization`` is the name of a
        method, ``neighbors`` too; there is no ``checkpoint`` and no ``global_structure``.  A
        ``learning_rate`` that is a number is for maps of the mean number of rows.  Callbacks get
        the points of all maps in one array, one map after the other, and the mean KL divergence,
        weighted by numbers of rows.

    Attributes
    ----------
    embeddings_ : list of :class:`fasttsne.TSNEEmbedding`, the maps of the last ``fit`` and of
        ``update`` after it.

    Source of the idea: Rauber, Falcao & Telea 2016 (dynamic t-SNE); the relations are as those of
    umap-learn's AlignedUMAP (Dadu et al. 2023).
    """

    embeddings_: list[TSNEEmbedding]

    def __init__(self, alignment: float = ALIGNMENT, tied_to: str = "mean", **parameters: object):
        self.alignment = alignment
        self.tied_to = tied_to
        self.parameters: Params = {**parameters}
        TSNE(**self.parameters)  # raises for names that it does not know

    def __repr__(self) -> str:
        given = {"alignment": self.alignment, "tied_to": self.tied_to, **self.parameters}
        return f"AlignedTSNE({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def fit(
        self,
        X: Sequence[Rows],
        relations: Sequence[Relation] | None = None,
        weights: float | Sequence[ArrayLike] = 1.0,
    ) -> list[TSNEEmbedding]:
        """Embed data sets.

        Parameters
        ----------
        X : two or more data sets, each as for :meth:`fasttsne.TSNE.fit`.
        relations : for each two consecutive data sets the rows that are partners, one to one: a
            dict {row of the first: row of the second}, (m, 2) row numbers, or None where the first
            rows of both are the same.  None instead of a list stands for that everywhere.
            A map without partners is drawn nowhere, but has other bits than one of ``TSNE``: all
            maps are optimized together, with steps for their mean number of rows.
        weights : of the pairs, relative to ``alignment``: a number, or a list with one for each
            relation, each a number or one for each pair, in the order of the relation.

        Returns
        -------
        list of TSNEEmbedding
            A map for each data set.  Its ``anchors`` are where its partners are: ``optimize`` and
            ``update`` of one map keep it beside the others.  If a callback stops the run, the
            maps so far.

        Raises
        ------
        ValueError, TypeError
            With the name of the parameter, its value and what is accepted, and for what is wrong
            with a data set its number.
        OverflowError, KeyboardInterrupt
            As of ``TSNE.fit``; ``embeddings_`` are the maps so far.
        """
        vars(self).pop("embeddings_", None)  # until there are new ones there are none
        tsne = self._check()
        sizes = _check_data_sets(X)
        links = check_relations(relations, weights, sizes)
        heard = progress_listeners(as_callbacks(tsne.callbacks))
        with report_progress_to(*heard), progress_shown(tsne.verbose):
            maps: list[TSNEEmbedding] = []
            for i, data in enumerate(X):
                anchors = None  # a map starts where its partners in the one before it do
                if i and len(links[i - 1][0]) >= MIN_PARTNERS_PER_DIMENSION * tsne.n_components:
                    anchors = _anchors(np.asarray(maps[-1]), links[i - 1], sizes[i], 1.0)
                maps.append(tsne.prepare_initial(data, anchors=anchors))
                maps[-1].anchors = None
            self.embeddings_ = maps
            self._descend(tsne, maps, links)
        return list(maps)

    def update(
        self, X: Rows, relation: Relation = None, weights: ArrayLike = 1.0
    ) -> list[TSNEEmbedding]:
        """Embed one data set more, beside the map of the last one; other maps do not change.

        Parameters
        ----------
        X : a data set, as for :meth:`fasttsne.TSNE.fit`.
        relation : the rows of the last data set and of this that are partners, as one of ``fit``.
            Points are drawn to where their partners are.
        weights : of the pairs, a number or one for each.

        Returns
        -------
        list of TSNEEmbedding
            All maps, the new one last.  After an error ``embeddings_`` are as they were.
        """
        if "embeddings_" not in vars(self):
            raise ValueError("there are no maps yet to add one to: call fit first")
        tsne = self._check()
        size = _check_data_set(X, "X")
        last = self.embeddings_[-1]
        links = check_relation(relation, weights, (len(last), size))
        anchors = _anchors(np.asarray(last), links, size, float(self.alignment))
        self.embeddings_ = [*self.embeddings_, tsne.fit(X, anchors=anchors)]
        return list(self.embeddings_)

    def _check(self) -> TSNE:
        """Check all parameters; return a TSNE with those of each map."""
        check_number(self.alignment, "alignment", low=0, high=float(np.finfo(np.float32).max))
        check_choice(self.tied_to, "tied_to", tuple(TIES))
        tsne = TSNE(**self.parameters)
        for name, instead in (
            ("initialization", 'maps start alike; give "pca", "spectral" or "random"'),
            ("neighbors", "a search or a graph is of one data set; give the name of a method"),
        ):
            value = tsne.get_params()[name]
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a str: {instead}; got {type(value).__name__}")
        if tsne.checkpoint is not None:
            raise ValueError("checkpoint must be None: the state of several maps is not kept")
        if tsne.global_structure:
            raise ValueError(
                "global_structure must be 0: each map would be drawn to a reference of its own, "
                "away from its partners"
            )
        for callback in as_callbacks(tsne.callbacks):
            if isinstance(callback, OF_ONE_MAP):
                raise ValueError(
                    f"{type(callback).__name__} is of a single map and cannot be used here: "
                    "callbacks get the points of all maps in one array"
                )
        tsne.plan(1)  # raises for what no plan can be made of
        return tsne

    def _descend(self, tsne: TSNE, maps: list[TSNEEmbedding], links: Sequence[Links]) -> None:
        *starts, n = np.cumsum([0, *map(len, maps)]).tolist()
        first = [start + link[0] for start, link in zip(starts, links, strict=False)]
        second = [start + link[1] for start, link in zip(starts[1:], links, strict=True)]
        strength = [link[2] for link in links]
        joined = np.concatenate(first), np.concatenate(second), np.concatenate(strength)
        descent = JointDescent(maps, TIES[self.tied_to](n, joined, float(self.alignment)))
        phases = tsne.plan(round(n / len(maps))).phases
        for embedding in maps if not phases else ():
            embedding.optimize(0, inplace=True)  # its KL divergence
        is_whole = run_phases(
            enumerate(phases), lambda _, phase: descent.run(phase), tsne.verbose, log
        )
        for i, embedding in enumerate(maps if phases and is_whole else ()):
            embedding.warn_of_no_map(phases[-1], f"map {i}")


def check_relations(
    relations: Sequence[Relation] | None,
    weights: ArrayLike | Sequence[ArrayLike],
    sizes: Sequence[int],
) -> list[Links]:
    """Return partners of rows of each two consecutive data sets, with weights above 0."""
    n = len(sizes) - 1
    if relations is None:
        relations = [None] * n
    if isinstance(relations, Mapping) or not isinstance(relations, Sequence | np.ndarray):
        raise TypeError(
            "relations must be a list with one relation for each two consecutive data sets, or "
            f"None; got {type(relations).__name__}"
        )
    if len(relations) != n:
        raise ValueError(
            f"relations must have {n} entries, one for each two consecutive of {n + 1} data sets; "
            f"got {len(relations)}"
        )
    if isinstance(weights, np.ndarray):
        weights = weights.tolist()
    if not isinstance(weights, Sized) or isinstance(weights, str):
        weights = [weights] * n
    if len(weights) != n:
        raise ValueError(f"weights must be a number or have {n} entries; got {len(weights)}")
    return [
        check_relation(
            relations[i], weights[i], (sizes[i], sizes[i + 1]), f"relations[{i}]", f"weights[{i}]"
        )
        for i in range(n)
    ]


def check_relation(
    relation: Relation,
    weights: ArrayLike,
    sizes: tuple[int, int],
    name: str = "relation",
    name_of_weights: str = "weights",
) -> Links:
    """Return the partners of one relation; errors have the names."""
    pairs = _pairs(relation, sizes, name)
    strengths = np.asarray(weights)
    if strengths.dtype.kind not in "fiu" or strengths.shape not in ((), (len(pairs),)):
        raise ValueError(
            f"{name_of_weights} must be a number or {len(pairs)} numbers, one for each pair; got "
            f"{weights!r}"
        )
    strengths = np.broadcast_to(strengths.astype(np.float64), len(pairs))
    if not (np.isfinite(strengths) & (strengths >= 0)).all():
        raise ValueError(f"{name_of_weights} must be finite and 0 or more; got {weights!r}")
    first, second = pairs[strengths > 0].T
    return first, second, strengths[strengths > 0]


def _pairs(relation: Relation, sizes: tuple[int, int], name: str) -> np.ndarray:
    """(m, 2) int64, checked: in range, and one to one."""
    if relation is None:
        shared = np.arange(min(sizes))
        return np.column_stack([shared, shared])
    if isinstance(relation, Mapping):
        relation = list(relation.items())
    try:
        pairs = np.asarray(relation)
    except ValueError:  # rows of different lengths
        pairs = np.empty(0, object)
    if pairs.size == 0 and pairs.dtype != object:
        pairs = np.empty((0, 2), np.int64)
    if pairs.dtype.kind not in "iu" or pairs.ndim != 2 or pairs.shape[1] != 2:
        raise TypeError(f"{name} must be whole numbers of shape (m, 2); {INSTEAD}")
    pairs = pairs.astype(np.int64)
    for side, (rows, size) in enumerate(zip(pairs.T, sizes, strict=True)):
        which = ("its first", "its second")[side] + " data set"
        wrong = np.flatnonzero((rows < 0) | (rows >= size))
        if len(wrong):
            raise ValueError(
                f"{name} has row {rows[wrong[0]]} of {which}, whose rows are 0 to {size - 1}"
            )
        found, counts = np.unique(rows, return_counts=True)
        if (counts > 1).any():
            raise ValueError(
                f"{name} must be one to one; row {found[counts > 1][0]} of {which} has "
                f"{counts.max()} partners.  Leave all but one of them out"
            )
    return pairs


def _check_data_sets(X: Sequence[Rows]) -> list[int]:
    """Check all numbers, before the first long search; return numbers of rows."""
    if sp.issparse(X) or hasattr(X, "columns") or isinstance(X, Mapping | str):
        raise TypeError(f"X must be a list of data sets; got {type(X).__name__}")
    if isinstance(X, np.ndarray) and X.ndim < 3 and X.dtype != object:
        raise ValueError(f"X must be a list of data sets; got one array of shape {X.shape}")
    if len(X) < 2:
        raise ValueError(f"X must have 2 or more data sets; got {len(X)}.  TSNE makes a map of one")
    return [_check_data_set(data, f"X[{i}]") for i, data in enumerate(X)]


def _check_data_set(data: Rows, name: str) -> int:
    rows = as_new_rows(data, name)
    check_new_rows(rows, name)
    return int(rows.shape[0])


def _anchors(places: np.ndarray, links: Links, n: int, weight: float) -> Anchors | None:
    """Return targets of n points: the places of their partners in another map."""
    first, second, strength = links
    if not len(second) or not weight:
        return None
    targets, weights = np.full((n, places.shape[1]), np.nan), np.zeros(n)
    targets[second], weights[second] = places[first], weight * strength
    return Anchors(targets, weights)


class JointDescent:
    """The descent of several maps, which move in place, phase after phase."""

    def __init__(self, embeddings: Sequence[TSNEEmbedding], ties: Ties):
        self._embeddings, self._ties = embeddings, ties
        self._optimizer = GradientDescent()
        self._points = np.concatenate([np.asarray(embedding) for embedding in embeddings])
        ends = np.cumsum([0, *map(len, embeddings)])
        self._rows = [slice(int(start), int(end)) for start, end in pairwise(ends)]
        self._group = _groups(ties, np.repeat(np.arange(len(embeddings)), np.diff(ends)))

    def run(self, phase: Phase) -> None:
        """Carry out a phase of a plan for the mean number of points.

        However it ends, each embedding has the last points, the state of its optimizer and the
        ties as its anchors.
        """
        objective = JointObjective(
            [
                each.objective(
                    replace(phase, method=resolve_method(each.negative_gradient_method, len(each)))
                )
                for each in self._embeddings
            ]
        )
        for embedding in self._embeddings:
            embedding.kl_divergence = None
        errors: Sequence[float | None] = [None] * len(self._embeddings)
        try:
            tied = replace(phase, anchors=self._ties if self._ties.weights.any() else None)
            self._optimizer.run(self._points, objective, tied)
            errors = objective.errors
        except OptimizationInterrupt:  # by a callback, which was told of the error
            errors = objective.errors
            raise
        finally:
            self._write(errors)

    def _write(self, errors: Sequence[float | None]) -> None:
        """Hand each embedding what is its own."""
        points = self._centered()
        targets = self._ties.walk @ points
        targets[self._ties.weights == 0] = np.nan
        state = self._optimizer.state
        for embedding, rows, error in zip(self._embeddings, self._rows, errors, strict=True):
            np.asarray(embedding)[...] = points[rows]
            embedding.kl_divergence = error
            weights = self._ties.weights[rows]
            embedding.anchors = Anchors(targets[rows], weights) if weights.any() else None
            if state is not None:
                order = state.order[rows] - np.int32(rows.start)
                embedding.optimizer.state = DescentState(
                    state.update[rows].copy(), state.gains[rows].copy(), order, state.iteration
                )

    def _centered(self) -> np.ndarray:
        """The maps that are tied to each other centered together, and others by themselves."""
        points = self._points.copy()
        for number in np.unique(self._group):
            points[self._group == number] -= points[self._group == number].mean(axis=0)
        return points


def _groups(ties: Ties, of_map: np.ndarray) -> np.ndarray:
    """Return the group of maps that are tied to each other in which each point is, (n,)."""
    walk = ties.walk.tocoo()
    n_maps = int(of_map.max()) + 1
    pairs = of_map[walk.row], of_map[walk.col]
    between = sp.csr_matrix((np.ones(walk.nnz), pairs), (n_maps, n_maps))
    group: np.ndarray = sp.csgraph.connected_components(between, directed=False)[1][of_map]
    return group
