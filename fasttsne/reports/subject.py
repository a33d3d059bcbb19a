"""What a report is about: rows, a map of them, and what is known of how it was made."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities
from fasttsne.drawing.style import MAX_CLASSES, PointColors, color_points
from fasttsne.embedding.full import TSNEEmbedding
from fasttsne.metrics.samples import check_points
from fasttsne.nearest_neighbors.builtin.ranks import Distances, make_distances
from fasttsne.reports.graph import MAX_SEARCHED, make_graph
from fasttsne.runtime.typing import Metric, Rows, Settings
from fasttsne.runtime.validation import as_labels, check_data, column_names, is_missing

# The fewest rows whose neighbours can be compared.
MIN_ROWS = 4


@dataclass(frozen=True)
class Subject:
    """Rows, a map and labels, checked.

    Attributes
    ----------
    X : the rows, or distances between them.
    distances : between any of the rows, which measures take in place of X: made once for all.
    points : (n, d) float64, the map as a plain array.
    embedding : the map with its affinities, or None where there are none.
    estimator : what was fitted, or None.
    made_by : the program and type of the map, for readers.
    graph_is_own : whether the affinities are those of which the map was made.
    labels : (n,) or None.
    labels_are_values : whether they are values, not classes.
    metric, metric_params : distance between rows.
    column_names : of X, or None.
    """

    X: Any
    distances: Distances
    points: np.ndarray
    embedding: TSNEEmbedding | None
    estimator: Any
    made_by: str
    graph_is_own: bool
    labels: np.ndarray | None
    labels_are_values: bool
    metric: Metric
    metric_params: Settings
    column_names: Sequence[str] | None = None

    @property
    def affinities(self) -> Affinities | None:
        """The graph, or None."""
        return None if self.embedding is None else self.embedding.affinities


def check_subject(
    X: Rows,
    embedding: Any,
    labels: ArrayLike | None,
    metric: Metric | None,
    metric_params: Settings,
    names: Sequence[str] | None = None,
) -> Subject:
    """What the arguments of ``report`` are about, without a graph of other programs' maps.

    Raises
    ------
    ValueError, TypeError
        Where they do not fit together, or are not what they should be.
    """
    _refuse_others(X, embedding)
    found, estimator = _fitted(embedding)
    own = found if isinstance(found, TSNEEmbedding) else None
    points = np.asarray(check_points(found, MIN_ROWS), np.float64)
    if not np.ptp(points, axis=0).any():
        raise ValueError("embedding must have points that are not all equal")
    if metric is None:
        metric, metric_params = _known_metric(own, estimator, metric_params)
        is_square = np.shape(X) == (len(points), len(points))
        if isinstance(metric, str) and metric == "precomputed" and not is_square:
            metric, metric_params = "euclidean", None  # only the graph was given
    has_distances = isinstance(metric, str) and metric == "precomputed"
    rows = X if has_distances else check_data(X, accept_sparse=True)
    if np.shape(rows)[0] != len(points):
        raise ValueError(
            f"embedding must have as many rows as X, {np.shape(rows)[0]}; got {len(points)}"
        )
    names = column_names(X) if names is None else list(names)
    if names is not None and len(names) != np.shape(rows)[1]:
        raise ValueError(
            f"column_names must name each of {np.shape(rows)[1]} columns; got {len(names)}"
        )
    distances = make_distances(rows, metric, metric_params)
    array = None if labels is None else as_labels(labels, len(points))
    colors = color_points(labels, len(points))  # raises for labels that do not fit
    return Subject(
        rows,
        distances,
        points,
        own,
        estimator,
        _maker(found),
        own is not None,
        array,
        _are_values(array, colors),
        metric,
        metric_params,
        names,
    )


def with_graph(
    subject: Subject,
    perplexity: float | None,
    seed: int,
    n_jobs: int | None,
    graph: Affinities | None = None,
) -> Subject:
    """The same with affinities: the map's own, the graph given, or one that is made here.

    There are none for more than ``MAX_SEARCHED`` rows.
    """
    if subject.embedding is not None or len(subject.points) > MAX_SEARCHED:
        return subject
    if graph is None:
        graph = make_graph(
            subject.X, perplexity, subject.metric, subject.metric_params, seed, n_jobs
        )
    return replace(subject, embedding=TSNEEmbedding(subject.points, graph))


def _refuse_others(X: Any, embedding: Any) -> None:
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


def _fitted(embedding: Any) -> tuple[Any, Any]:
    """The map, and the fitted estimator where one was given."""
    if hasattr(embedding, "embedding_") and not isinstance(embedding, np.ndarray):
        return embedding.embedding_, embedding
    return embedding, None


def _are_values(labels: np.ndarray | None, colors: PointColors) -> bool:
    """Whether labels are values, not classes: as numbers, many different dates are."""
    is_many = len(colors.names) > MAX_CLASSES
    return colors.limits is not None or (labels is not None and is_many and _are_dates(labels))


def _are_dates(labels: np.ndarray) -> bool:
    if labels.dtype.kind == "O":
        known = labels[~is_missing(labels)]
        return all(isinstance(each, (datetime.date, datetime.timedelta)) for each in known)
    return labels.dtype.kind in "mM"


def _maker(found: Any) -> str:
    if isinstance(found, TSNEEmbedding):
        return "fasttsne"
    program = type(found).__module__.partition(".")[0]
    return "an array" if program in ("numpy", "builtins") else program


def _known_metric(
    embedding: TSNEEmbedding | None, estimator: Any, metric_params: Settings
) -> tuple[Metric, Settings]:
    """The distance that the map was made with, where it is known; else the Euclidean one."""
    index = getattr(getattr(embedding, "affinities", None), "knn_index", None)
    for holder in (estimator, index):
        metric = getattr(holder, "metric", None)
        if isinstance(metric, str) or callable(metric):
            return metric, metric_params or getattr(holder, "metric_params", None)
    return "euclidean", metric_params
