"""What a report is about: rows, an embedding of them, its graph, and the samples to be measured."""

import datetime
import numbers
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, TypedDict

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities, PerplexityBasedNN
from fasttsne.drawing.style import MAX_CLASSES, PointColors, color_points
from fasttsne.embedding.full import TSNEEmbedding
from fasttsne.memory import estimate_memory
from fasttsne.metrics.estimate import check_points
from fasttsne.nearest_neighbors.builtin.ranks import Distances, make_distances
from fasttsne.nearest_neighbors.select import perplexity_for
from fasttsne.optimize.plan import is_auto
from fasttsne.runtime.memory import available_memory, format_bytes
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import (
    as_labels,
    check_data,
    check_number,
    check_random_state,
    column_names,
    is_missing,
)

# The fewest rows whose neighbours can be compared.
MIN_ROWS = 4
USUAL_PERPLEXITY = 30
# Of more rows no graph is made for the report: the search would take minutes.
MAX_SEARCHED = 200_000
# Numbers of a data set that a neighbour measure reads: sample x rows x columns.
BUDGET = 1e10
MAX_SEARCHED_ROWS, MIN_SEARCHED_ROWS = 2000, 200
# Ranks of all rows, sample x rows, take a sort each.  Of fewer than the least number of rows the
# errors of trustworthiness and continuity are not known.
RANKS_BUDGET, MAX_RANKED, MIN_RANKED = 1e7, 1000, 200
# All pairs of so many rows are compared; memory grows with the square.
MAX_PAIR_ROWS = 1000
# So many where one row's distances to all take long.
MAX_PAIR_ROWS_WIDE, WIDE = 500, 200
# Rows that are left out one at a time, each of which takes forces of all others.
LEFT_OUT_BUDGET, MAX_LEFT_OUT, MIN_LEFT_OUT = 4e7, 1000, 300
# Beyond data and embedding, at the peak of 3,000 to 300,000 rows: what each row takes, above all
# by its neighbours in the embedding, and the blocks of distances and ranks.
ROW_BYTES, CONSTANT_BYTES = 1000, 80_000_000
SEARCH_STAGES = "computing affinities", "finding the nearest neighbours"
# Points of the curves that are kept of each row whose ranks are compared.
RANKED_ROW_BYTES = 8500


class Fitted(Protocol):
    """A fitted estimator, of this package or of another."""

    embedding_: ArrayLike


Map: TypeAlias = ArrayLike | Fitted


@dataclass(frozen=True)
class ReportInput:
    """Rows, an embedding and labels, checked.

    Attributes
    ----------
    X : the rows, or distances between them.
    distances : between any of the rows, which measures take in place of X: made once for all.
    points : (n, d) float64, the embedding as a plain array.
    embedding : the embedding with its affinities, or None.
    estimator : what was fitted, or None.
    made_by : the program and type of the embedding, for readers.
    graph_is_own : whether the embedding was made from these affinities.
    labels : (n,) or None.
    labels_are_values : whether they are values, not classes.
    metric, metric_params : distance between rows.
    column_names : of X, or None.
    """

    X: np.ndarray | sp.csr_matrix
    distances: Distances
    points: np.ndarray
    embedding: TSNEEmbedding | None
    estimator: object
    made_by: str
    graph_is_own: bool
    labels: np.ndarray | None
    labels_are_values: bool
    metric: Metric
    metric_params: Settings
    column_names: Sequence[str] | None = None

    @property
    def spaces(self) -> tuple[Distances, np.ndarray]:
        """What measures compare."""
        return self.distances, self.points

    @property
    def affinities(self) -> Affinities | None:
        """The graph, or None."""
        return None if self.embedding is None else self.embedding.affinities

    @property
    def is_precomputed(self) -> bool:
        """Whether X has distances."""
        return isinstance(self.metric, str) and self.metric == "precomputed"


@dataclass(frozen=True)
class SampleSpec:
    """How many rows each measure compares, None for all; the seed of the samples, and threads.

    Attributes
    ----------
    neighbors : whose nearest neighbours are searched.
    ranks : for which all rows are ranked.
    pairs : of which all pairs are compared.
    left_out : that are left out, for the leave-one-out scores.
    """

    neighbors: int | None
    ranks: int | None
    pairs: int
    left_out: int | None
    seed: int
    n_jobs: int | None

    def draw(self, size: int | None) -> "Drawn":
        """Return the arguments of a measure of a sample."""
        return {"sample_size": size, "random_state": self.seed, "n_jobs": self.n_jobs}


class Drawn(TypedDict):
    """Arguments of a measure that say what it is taken of."""

    sample_size: int | None
    random_state: int
    n_jobs: int | None


def check_input(
    X: Rows,
    embedding: Map | None,
    labels: ArrayLike | None,
    metric: Metric | None,
    metric_params: Settings,
    names: Sequence[str] | None = None,
) -> ReportInput:
    """Return the arguments of ``report``, checked; other programs' maps have no graph yet.

    Raises
    ------
    ValueError, TypeError
        Where they do not fit together, or are not what they should be.
    """
    _refuse_containers(X, embedding)
    assert embedding is not None
    estimator = None
    if not isinstance(embedding, np.ndarray) and hasattr(embedding, "embedding_"):
        embedding, estimator = embedding.embedding_, embedding
    own = embedding if isinstance(embedding, TSNEEmbedding) else None
    points = np.asarray(check_points(embedding, MIN_ROWS), np.float64)
    if not np.ptp(points, axis=0).any():
        raise ValueError("embedding must have points that are not all equal")
    if metric is None:
        metric, metric_params = _known_metric(own, estimator, metric_params)
        is_square = np.shape(X) == (len(points), len(points))
        if isinstance(metric, str) and metric == "precomputed" and not is_square:
            metric, metric_params = "euclidean", None  # only the graph was given
    has_distances = isinstance(metric, str) and metric == "precomputed"
    rows = X if has_distances else check_data(X, accept_sparse=True)
    n, n_columns = np.shape(rows)
    if n != len(points):
        raise ValueError(f"embedding must have as many rows as X, {n}; got {len(points)}")
    names = column_names(X) if names is None else list(names)
    if names is not None and len(names) != n_columns:
        raise ValueError(f"column_names must name each of {n_columns} columns; got {len(names)}")
    distances = make_distances(rows, metric, metric_params)
    array = None if labels is None else as_labels(labels, n)
    colors = color_points(labels, n)  # raises for labels that do not fit
    program = "fasttsne" if own is not None else type(embedding).__module__.partition(".")[0]
    return ReportInput(
        X=rows,
        distances=distances,
        points=points,
        embedding=own,
        estimator=estimator,
        made_by="an array" if program in ("numpy", "builtins") else program,
        graph_is_own=own is not None,
        labels=array,
        labels_are_values=_are_values(array, colors),
        metric=metric,
        metric_params=metric_params,
        column_names=names,
    )


def integer_seed(random_state: RandomState) -> int:
    """Return a seed for several samples of the same rows."""
    generator = check_random_state(random_state)
    if isinstance(random_state, numbers.Integral):
        return int(random_state)
    return int(generator.uniform() * 2**31)


def resolve_sample(
    sample: int | str | None, shape: tuple[int, ...], seed: int, n_jobs: int | None
) -> SampleSpec:
    """Return the sizes for "auto", a number, or None: all rows, but of ``MAX_PAIR_ROWS`` pairs."""
    resolve_n_jobs(n_jobs)  # raises where it is none
    n, n_columns = shape
    if is_auto(sample):
        searched = _between(MIN_SEARCHED_ROWS, BUDGET / (n * max(n_columns, 10)), MAX_SEARCHED_ROWS)
        ranked = _between(MIN_RANKED, RANKS_BUDGET / n, MAX_RANKED)
        pairs = MAX_PAIR_ROWS if n_columns < WIDE else MAX_PAIR_ROWS_WIDE
        left_out = _between(MIN_LEFT_OUT, LEFT_OUT_BUDGET / n, MAX_LEFT_OUT)
        return SampleSpec(searched, ranked, pairs, left_out, seed, n_jobs)
    if sample is None:
        return SampleSpec(None, None, MAX_PAIR_ROWS, None, seed, n_jobs)
    if isinstance(sample, str):
        raise ValueError(f"sample must be 'auto', a number of rows or None; got {sample!r}")
    size = check_number(sample, "sample", low=2, integer=True)
    return SampleSpec(size, size, min(size, MAX_PAIR_ROWS), size, seed, n_jobs)


def _between(least: int, size: float, most: int) -> int:
    return min(max(int(size), least), most)


def with_graph(
    given: ReportInput, spec: SampleSpec, perplexity: float | None, graph: Affinities | None = None
) -> ReportInput:
    """Return the input with affinities: the map's own, the graph given, or one made here.

    There are none for more than ``MAX_SEARCHED`` rows.

    Raises
    ------
    MemoryError
        Where the report, with the graph that it needs, takes more than is free.
    """
    n, d = np.shape(given.X)
    needs_none = given.embedding is not None or n > MAX_SEARCHED
    ranked = n if spec.ranks is None else min(spec.ranks, n)
    needed, free = CONSTANT_BYTES + ROW_BYTES * n + RANKED_ROW_BYTES * ranked, available_memory()
    if not (needs_none or given.is_precomputed or graph is not None):
        nnz = None if isinstance(given.X, np.ndarray) else given.X.nnz
        stages = estimate_memory(n, d, perplexity or USUAL_PERPLEXITY, given.X.dtype, nnz=nnz)
        needed = max(needed, *(stages[name] for name in SEARCH_STAGES))
    if needed > free:
        raise MemoryError(
            f"this report takes about {format_bytes(needed)} of memory, but only "
            f"{format_bytes(free)} are free; fewer rows of data and map take less"
        )
    if needs_none:
        return given
    if graph is None:
        graph = make_graph(given, spec, perplexity)
    return replace(given, embedding=TSNEEmbedding(given.points, graph))


def make_graph(
    given: ReportInput, spec: SampleSpec, perplexity: float | None = None
) -> PerplexityBasedNN:
    """Return affinities of the usual perplexity, or the largest that so few rows allow."""
    most = perplexity_for(len(given.points) - 1)
    with warnings.catch_warnings():  # what it lacks is among the scores
        warnings.simplefilter("ignore")
        return PerplexityBasedNN(
            given.X,
            min(perplexity or USUAL_PERPLEXITY, most),
            metric=given.metric,
            metric_params=given.metric_params,
            random_state=spec.seed,
            n_jobs=spec.n_jobs,
        )


def _refuse_containers(X: object, embedding: object) -> None:
    """Raise TypeError for what has rows and maps, or names them, but is neither."""
    if hasattr(X, "obsm"):
        keys = ", ".join(map(repr, X.obsm)) or "nothing"
        raise TypeError(
            "X is an AnnData; pass its rows and its map, as in "
            f"report(X.obsm['X_pca'], X.obsm['X_tsne']); X.obsm has {keys}"
        )
    if embedding is None:
        raise TypeError("embedding is missing: pass the rows and their map, report(X, embedding)")
    if isinstance(embedding, str):
        raise TypeError(
            f"embedding must be the map itself; got {embedding!r}.  Of a file that is "
            f"fasttsne.files.read_rows({embedding!r})"
        )


def _are_values(labels: np.ndarray | None, colors: PointColors) -> bool:
    """Return whether labels are values, not classes: as numbers, many different dates are."""
    if colors.limits is not None or labels is None or len(colors.names) <= MAX_CLASSES:
        return colors.limits is not None
    if labels.dtype.kind == "O":
        known = labels[~is_missing(labels)]
        return all(isinstance(each, (datetime.date, datetime.timedelta)) for each in known)
    return labels.dtype.kind in "mM"


def _known_metric(
    embedding: TSNEEmbedding | None, estimator: object, metric_params: Settings
) -> tuple[Metric, Settings]:
    """Return the distance that the map was made with, where it is known; else the Euclidean one."""
    index = getattr(getattr(embedding, "affinities", None), "knn_index", None)
    for holder in (estimator, index):
        metric = getattr(holder, "metric", None)
        if isinstance(metric, str) or callable(metric):
            return metric, metric_params or getattr(holder, "metric_params", None)
    return "euclidean", metric_params
