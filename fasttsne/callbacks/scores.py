"""Record how good a map is while it is made."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from fasttsne import metrics
from fasttsne.metrics.estimate import sample_rows
from fasttsne.optimize import Callback
from fasttsne.runtime.rows import load_sparse
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import (
    check_choice,
    check_number,
    check_shape,
    refuse_containers,
    refuse_masked,
)

# What takes rows and points alone.
MEASURES = (
    "continuity",
    "density_correlation",
    "distance_correlation",
    "neighbor_recall",
    "trustworthiness",
)


class ScoreRecorder(Callback):
    """Record scores of a sample of the points at every call.

    The rows of the sample are compared with one another, not with all: that takes milliseconds,
    and the curves rise as those of all points do, but the numbers are not those of
    :func:`fasttsne.report`.

    Parameters
    ----------
    X : (n, columns) array or SciPy sparse matrix, the rows that are embedded; of it the sample is
        kept.
    measures : names of functions of :mod:`fasttsne.metrics`: "continuity", "density_correlation",
        "distance_correlation", "neighbor_recall" or "trustworthiness".
    sample_size : number of rows in the sample, chosen at random.
    metric, metric_params : distance between rows, as for ``metrics.neighbor_recall``.
    random_state : seeds the sample.

    Attributes
    ----------
    iterations : of each call, counted over all runs.
    scores : a list of floats by the name of the measure.

    Examples
    --------
    >>> from fasttsne import TSNE
    >>> from fasttsne.callbacks import ScoreRecorder
    >>> from fasttsne.datasets import load_digits
    >>> X, _ = load_digits()
    >>> recorder = ScoreRecorder(X, ["neighbor_recall"])
    >>> embedding = TSNE(random_state=0, callbacks=recorder, callbacks_every_iters=20).fit(X)
    >>> len(recorder.iterations) == len(recorder.scores["neighbor_recall"]) > 3
    True
    """

    def __init__(
        self,
        X: Rows,
        measures: Sequence[str] = ("neighbor_recall", "trustworthiness"),
        sample_size: int = 1000,
        metric: Metric = "euclidean",
        metric_params: Settings = None,
        random_state: RandomState = 0,
    ):
        if isinstance(measures, str):
            raise TypeError(f"measures must be a list of names; got {measures!r}")
        self.measures = tuple(check_choice(name, "measures", MEASURES) for name in measures)
        self.metric, self.metric_params = metric, metric_params
        held = _as_rows(X)
        self._n_samples = int(held.shape[0])
        size = check_number(sample_size, "sample_size", low=2, integer=True)
        self.rows = sample_rows(self._n_samples, size, random_state)
        self._X: Any = _some_rows(held, self.rows, metric)
        self.clear()

    def clear(self) -> None:
        """Discard all scores."""
        self.iterations: list[int] = []
        self.scores: dict[str, list[float]] = {name: [] for name in self.measures}

    def __call__(self, iteration: int, error: float, embedding: Any) -> None:
        if len(embedding) != self._n_samples:
            raise ValueError(
                f"ScoreRecorder has {self._n_samples} rows; the map has {len(embedding)} points"
            )
        points = np.asarray(embedding)[self.rows]
        settings = {"metric": self.metric, "metric_params": self.metric_params, "sample_size": None}
        for name in self.measures:
            score = getattr(metrics, name)(self._X, points, **settings)
            self.scores[name].append(float(score))
        optimizer = getattr(embedding, "optimizer", None)
        self.iterations.append(iteration if optimizer is None else optimizer.iteration + 1)


def _as_rows(X: Rows) -> Any:
    """Rows in two dimensions, which can be taken by their numbers; dense ones are not copied."""
    refuse_containers(X, "X")
    refuse_masked(X, "X")
    held: Any = load_sparse(X, "X")
    if hasattr(held, "iloc"):  # a data frame, whose brackets are for columns
        held = held.to_numpy()
    elif not hasattr(held, "shape"):
        held = np.asarray(held)
    check_shape(held.shape, "X", min_rows=2)
    return held.tocsr() if sp.issparse(held) else held


def _some_rows(held: Any, rows: np.ndarray, metric: Metric) -> Any:
    """Some rows of a data set, or the distances between them."""
    some = held[rows]
    return some[:, rows] if isinstance(metric, str) and metric == "precomputed" else some
