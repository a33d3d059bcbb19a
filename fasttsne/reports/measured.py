"""The measures of a report, one after the other: which are taken, and which are left out, why."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fasttsne import metrics
from fasttsne.affinity import Affinities
from fasttsne.linalg.row_hashes import row_counts
from fasttsne.metrics import Estimate
from fasttsne.metrics.estimate import estimate_share_beyond
from fasttsne.metrics.loo import PERTURBATION_LIMIT, SINGULARITY_LIMIT
from fasttsne.reports.graph import (
    MAX_SEARCHED,
    N_NEAR,
    is_too_narrow,
    make_graph,
    nearest_points,
    share_near,
    strongest_neighbors,
)
from fasttsne.reports.islands import N_LINKS, Islands, find_islands
from fasttsne.reports.sizes import Sizes
from fasttsne.reports.subject import Subject

K, K_DENSITY, K_DISTORTION, K_GRAPH = 10, 30, 15, 15
# Scores of single neighbours, which come from the ranks of the curves.
OF_NEIGHBORS = "neighbor_recall", "trustworthiness", "continuity"
# Share of rows that the tail of the graph's recall leaves out.
TAIL = 0.01
NO_GRAPH = "needs the graph of neighbours, which is not made for so many rows"
UNKNOWN_GRAPH = "the graph that the map was made of is not known"


@dataclass
class Measured:
    """What was measured.

    Attributes
    ----------
    scores : by their names in the catalogue.
    points : (n,) arrays by name, NaN for points that were not measured.
    curves : arrays by name, by the name of the curve.
    left_out : why there is no such score, by name.
    islands : of the map.
    gaps : the same by the graph that tells whether the data have the gaps: the map's own, unless
        that has too few neighbours.
    strongest : (n, 10) strongest neighbours in the graph, or None.
    """

    scores: dict[str, Estimate] = field(default_factory=dict)
    points: dict[str, np.ndarray] = field(default_factory=dict)
    curves: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    islands: Islands | None = None
    gaps: Islands | None = None
    strongest: np.ndarray | None = None


@dataclass(frozen=True)
class Settings:
    """What all measures take.

    Attributes
    ----------
    sizes : of the samples.
    seed, n_jobs : of the samples, and threads.
    """

    sizes: Sizes
    seed: int
    n_jobs: int | None


def measure(subject: Subject, settings: Settings) -> Measured:
    """Take all measures that can be taken."""
    found = Measured()
    steps: tuple[tuple[tuple[str, ...], Callable[..., None]], ...] = (
        (("neighbors_near",), _in_map),
        ((*OF_NEIGHBORS, "rank_area", "rank_local", "rank_global"), _ranks),
        (("distance_correlation", "stress"), _distances),
        (("density_correlation",), _densities),
        (("anisotropy",), _distortion),
        (("jumps", "loose"), _left_out_points),
        (("graph_recall", "graph_recall_tail"), _graph),
        (("label_accuracy", "label_accuracy_in_data", "silhouette", "silhouette_in_data"), _labels),
        (("kl_divergence",), _loss),
        ((), _equal_rows),
    )
    for names, step in steps:
        try:
            step(subject, settings, found)
        except ValueError as error:  # such as too few rows, or rows that are all equal
            found.left_out.update(dict.fromkeys(names, str(error)))
    for name in [name for name, score in found.scores.items() if np.isnan(score)]:
        found.left_out[name] = "it is not defined here"
        del found.scores[name]
    return found


def _common(subject: Subject, settings: Settings) -> dict[str, Any]:
    return {
        "metric": subject.metric,
        "metric_params": subject.metric_params,
        "random_state": settings.seed,
    }


def _in_map(subject: Subject, settings: Settings, found: Measured) -> None:
    count = N_LINKS if subject.affinities is None else N_NEAR
    distances, near = nearest_points(subject.points, count, settings.n_jobs)
    found.islands = found.gaps = find_islands(distances, near, subject.affinities)
    wider = _wider_graph(subject, settings)
    if wider is not None:
        found.gaps = find_islands(distances, near, wider)
    found.points["island"] = found.islands.island
    if subject.affinities is None:
        found.left_out["neighbors_near"] = NO_GRAPH
        return
    assert found.islands.elsewhere is not None
    found.points["elsewhere"] = found.islands.elsewhere
    found.strongest = strongest_neighbors(subject.affinities)
    shares = share_near(found.strongest, near)
    found.points["neighbors_near"] = shares
    found.scores["neighbors_near"] = Estimate(np.nanmean(shares))


def _wider_graph(subject: Subject, settings: Settings) -> Affinities | None:
    """A graph of the usual perplexity, where the map's own would take noise for gaps."""
    own, n = subject.affinities, len(subject.points)
    if own is None or not subject.graph_is_own or n > MAX_SEARCHED or not is_too_narrow(own):
        return None
    return make_graph(
        subject.X, None, subject.metric, subject.metric_params, settings.seed, settings.n_jobs
    )


def _ranks(subject: Subject, settings: Settings, found: Measured) -> None:
    curves = metrics.rank_curves(
        subject.distances,
        subject.points,
        K,
        sample_size=settings.sizes.ranks,
        n_jobs=settings.n_jobs,
        **_common(subject, settings),
    )
    for name in OF_NEIGHBORS:
        score = getattr(curves, name)
        found.scores[name] = score
        found.points[name] = _spread(score.values, score.rows, len(subject.points))
    found.scores.update(rank_area=curves.auc, rank_local=curves.local, rank_global=curves.global_)
    found.curves["ranks"] = {
        "k": curves.k,
        "q_nx": curves.q_nx,
        "r_nx": curves.r_nx,
        "r_nx_error": curves.r_nx_error,
    }


def _distances(subject: Subject, settings: Settings, found: Measured) -> None:
    common = {**_common(subject, settings), "sample_size": settings.sizes.pairs}
    score = metrics.distance_correlation(subject.distances, subject.points, **common)
    found.scores["distance_correlation"] = score
    n_pairs = len(score.rows) * (len(score.rows) - 1) // 2 if score.rows is not None else 1
    curve = metrics.stress(subject.distances, subject.points, scales=min(10, n_pairs), **common)
    found.scores["stress"] = curve.total
    found.curves["stress"] = {
        "distance": (curve.edges[1:] + curve.edges[:-1]) / 2,
        "stress": curve.stress,
        "standard_error": curve.standard_error,
        "ratio": curve.ratio,
    }


def _densities(subject: Subject, settings: Settings, found: Measured) -> None:
    found.scores["density_correlation"] = metrics.density_correlation(
        subject.distances,
        subject.points,
        k=min(K_DENSITY, len(subject.points) - 1),
        sample_size=settings.sizes.neighbors,
        n_jobs=settings.n_jobs,
        **_common(subject, settings),
    )


def _distortion(subject: Subject, settings: Settings, found: Measured) -> None:
    n = len(subject.points)
    local = metrics.local_distortion(
        subject.distances,
        subject.points,
        k=min(K_DISTORTION, n - 1),
        sample_size=settings.sizes.neighbors,
        n_jobs=settings.n_jobs,
        **_common(subject, settings),
    )
    if subject.points.shape[1] > 1:
        found.scores["anisotropy"] = _without_error(
            float(np.median(local.anisotropy)), local.rows, n
        )
        found.points["anisotropy"] = _spread(local.anisotropy, local.rows, n)
    else:
        found.left_out["anisotropy"] = "a map in one dimension has none"
    found.points["area"] = _spread(local.area, local.rows, n)


def _left_out_points(subject: Subject, settings: Settings, found: Measured) -> None:
    if subject.embedding is None:
        found.left_out.update(jumps=NO_GRAPH, loose=NO_GRAPH)
        return
    loo = metrics.loo_scores(
        subject.embedding,
        settings.sizes.left_out,
        random_state=settings.seed,
        n_jobs=settings.n_jobs,
    )
    n = len(subject.points)
    for name, values, limit in (
        ("jumps", loo.perturbation, PERTURBATION_LIMIT),
        ("loose", loo.singularity, SINGULARITY_LIMIT),
    ):
        found.scores[name] = estimate_share_beyond(values, limit, loo.rows, n)
    for name in ("perturbation", "singularity"):
        found.points[name] = _spread(getattr(loo, name), loo.rows, n)
    found.points["jumps"] = _spread(loo.jumps, loo.rows, n)


def _graph(subject: Subject, settings: Settings, found: Measured) -> None:
    if not subject.graph_is_own or subject.affinities is None:
        found.left_out.update(graph_recall=UNKNOWN_GRAPH, graph_recall_tail=UNKNOWN_GRAPH)
        return
    sample = settings.sizes.neighbors
    recall = metrics.graph_recall(
        subject.distances,
        subject.affinities,
        k=min(K_GRAPH, len(subject.points) - 1),
        sample_size=None if sample is None else max(sample // 2, 2),
        n_jobs=settings.n_jobs,
        **_common(subject, settings),
    )
    found.scores["graph_recall"] = recall
    assert recall.values is not None
    tail = float(np.quantile(recall.values, TAIL, method="lower"))
    found.scores["graph_recall_tail"] = _without_error(tail, recall.rows, len(subject.points))


def _labels(subject: Subject, settings: Settings, found: Measured) -> None:
    if subject.labels is None:
        return
    if subject.labels_are_values:
        found.left_out["label_accuracy"] = "the labels are values, not classes"
        return
    n = len(subject.points)
    found_labels = metrics.label_agreement(
        subject.distances,
        subject.points,
        subject.labels,
        k=min(K, n - 1),
        sample_size=settings.sizes.pairs
        if settings.sizes.neighbors is None
        else settings.sizes.neighbors,
        n_jobs=settings.n_jobs,
        **_common(subject, settings),
    )
    for name in ("accuracy", "accuracy_in_data"):
        found.scores[f"label_{name}"] = getattr(found_labels, name)
    for name in ("silhouette", "silhouette_in_data"):
        found.scores[name] = getattr(found_labels, name)
    for name, score in (
        ("label_is_right", found_labels.accuracy),
        ("silhouette", found_labels.silhouette),
    ):
        found.points[name] = _spread(score.values, score.rows, n)


def _loss(subject: Subject, settings: Settings, found: Measured) -> None:
    loss = getattr(subject.embedding, "kl_divergence", None)
    if subject.graph_is_own and loss is not None:
        found.scores["kl_divergence"] = Estimate(loss)


def _equal_rows(subject: Subject, settings: Settings, found: Measured) -> None:
    if not (isinstance(subject.metric, str) and subject.metric == "precomputed"):
        found.points["n_equal"] = row_counts(subject.X) - 1


def _without_error(value: float, rows: np.ndarray | None, n: int) -> Estimate:
    """A score whose error is not known where the rows are a sample."""
    is_whole = rows is not None and len(rows) == n
    return Estimate(value, 0.0 if is_whole else np.nan, rows)


def _spread(values: np.ndarray | None, rows: np.ndarray | None, n: int) -> np.ndarray:
    """The values of some rows in an array of all, NaN for the others."""
    found = np.full(n, np.nan)
    found[rows] = values
    return found
