"""The scores of a report: each measure in turn, and why one is left out."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fasttsne import metrics
from fasttsne.linalg.rows import row_counts
from fasttsne.metrics import Estimate
from fasttsne.metrics.estimate import estimate_share_beyond
from fasttsne.metrics.loo import PERTURBATION_LIMIT, SINGULARITY_LIMIT
from fasttsne.metrics.neighborhoods import perplexity_of
from fasttsne.reports.inputs import MAX_SEARCHED, ReportInput, SampleSpec, make_graph
from fasttsne.reports.islands import (
    N_LINKS,
    N_NEAR,
    Islands,
    find_islands,
    nearest_points,
    share_near,
    strongest_neighbors,
)

K, K_DENSITY, K_DISTORTION, K_GRAPH = 10, 30, 15, 15
# Scores of single neighbours, which come from the ranks of the curves.
OF_NEIGHBORS = "neighbor_recall", "trustworthiness", "continuity"
RANK_CURVES = "k", "q_nx", "r_nx", "r_nx_error"
# Share of rows that the tail of the graph's recall leaves out.
TAIL = 0.01
# A graph of smaller perplexity shows gaps of the sample, not of the data.
MIN_PERPLEXITY_FOR_GAPS = 15
NO_GRAPH = "needs the graph of neighbours, which is not made for so many rows"
UNKNOWN_GRAPH = "the graph that the map was made of is not known"


@dataclass
class Scores:
    """What was measured.

    Attributes
    ----------
    scores : by their names in the catalogue.
    points : (n,) arrays by name, NaN for points that were not measured.
    curves : arrays by name, by the name of the curve.
    left_out : why there is no such score, by name.
    islands : of the embedding.
    gaps : islands by the graph that shows whether the data have the gaps: the map's own, unless
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

    def spread(self, name: str, values: np.ndarray | None, rows: np.ndarray | None, n: int) -> None:
        """Add the values of some of n rows, NaN for the others."""
        self.points[name] = np.full(n, np.nan)
        self.points[name][rows] = values


def measure(given: ReportInput, spec: SampleSpec) -> Scores:
    """Take all measures that can be taken."""
    found = Scores()
    steps: tuple[tuple[tuple[str, ...], Callable[[ReportInput, SampleSpec, Scores], None]], ...] = (
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
            step(given, spec, found)
        except ValueError as error:  # such as too few rows, or rows that are all equal
            found.left_out.update(dict.fromkeys(names, str(error)))
    for name in [name for name, score in found.scores.items() if np.isnan(score)]:
        found.left_out[name] = "it is not defined here"
        del found.scores[name]
    return found


def _in_map(given: ReportInput, spec: SampleSpec, found: Scores) -> None:
    own = given.affinities
    count = N_LINKS if own is None else N_NEAR
    distances, near = nearest_points(given.points, count, spec.n_jobs)
    found.islands = found.gaps = find_islands(distances, near, own)
    found.points["island"] = found.islands.island
    if own is None or found.islands.elsewhere is None:
        found.left_out["neighbors_near"] = NO_GRAPH
        return
    # Of fewer neighbours the graph does not show where the data have gaps.
    is_narrow = np.max(perplexity_of(own) or np.inf) < MIN_PERPLEXITY_FOR_GAPS
    if given.graph_is_own and len(near) <= MAX_SEARCHED and is_narrow:
        found.gaps = find_islands(distances, near, make_graph(given, spec))
    found.points["elsewhere"] = found.islands.elsewhere
    found.strongest = strongest_neighbors(own)
    found.points["neighbors_near"] = shares = share_near(found.strongest, near)
    found.scores["neighbors_near"] = Estimate(np.nanmean(shares))


def _ranks(given: ReportInput, spec: SampleSpec, found: Scores) -> None:
    curves = metrics.rank_curves(*given.spaces, K, **spec.draw(spec.ranks))
    values = vars(curves)
    for name in OF_NEIGHBORS:
        score = found.scores[name] = values[name]
        found.spread(name, score.values, score.rows, len(given.points))
    found.scores.update(rank_area=curves.auc, rank_local=curves.local, rank_global=curves.global_)
    found.curves["ranks"] = {name: values[name] for name in RANK_CURVES}


def _distances(given: ReportInput, spec: SampleSpec, found: Scores) -> None:
    size, seed = spec.pairs, spec.seed
    score = metrics.distance_correlation(*given.spaces, sample_size=size, random_state=seed)
    found.scores["distance_correlation"] = score
    n_pairs = len(score.rows) * (len(score.rows) - 1) // 2 if score.rows is not None else 1
    scales = min(10, n_pairs)
    curve = metrics.stress(*given.spaces, scales, sample_size=size, random_state=seed)
    found.scores["stress"] = curve.total
    found.curves["stress"] = {
        "distance": (curve.edges[1:] + curve.edges[:-1]) / 2,
        "stress": curve.stress,
        "standard_error": curve.standard_error,
        "ratio": curve.ratio,
    }


def _densities(given: ReportInput, spec: SampleSpec, found: Scores) -> None:
    k = min(K_DENSITY, len(given.points) - 1)
    score = metrics.density_correlation(*given.spaces, k, **spec.draw(spec.neighbors))
    found.scores["density_correlation"] = score


def _distortion(given: ReportInput, spec: SampleSpec, found: Scores) -> None:
    n, d = given.points.shape
    k = min(K_DISTORTION, n - 1)
    local = metrics.local_distortion(*given.spaces, k, **spec.draw(spec.neighbors))
    if d > 1:
        median = float(np.median(local.anisotropy))
        found.scores["anisotropy"] = _without_error(median, local.rows, n)
        found.spread("anisotropy", local.anisotropy, local.rows, n)
    else:
        found.left_out["anisotropy"] = "a map in one dimension has none"
    found.spread("area", local.area, local.rows, n)


def _left_out_points(given: ReportInput, spec: SampleSpec, found: Scores) -> None:
    if given.embedding is None:
        found.left_out.update(jumps=NO_GRAPH, loose=NO_GRAPH)
        return
    loo = metrics.loo_scores(given.embedding, **spec.draw(spec.left_out))
    rows, n = loo.rows, len(given.points)
    jumps = estimate_share_beyond(loo.perturbation, PERTURBATION_LIMIT, rows, n)
    loose = estimate_share_beyond(loo.singularity, SINGULARITY_LIMIT, rows, n)
    found.scores.update(jumps=jumps, loose=loose)
    for name in ("perturbation", "singularity", "jumps"):
        found.spread(name, vars(loo)[name], rows, n)


def _graph(given: ReportInput, spec: SampleSpec, found: Scores) -> None:
    if not given.graph_is_own or given.affinities is None:
        found.left_out.update(graph_recall=UNKNOWN_GRAPH, graph_recall_tail=UNKNOWN_GRAPH)
        return
    k = min(K_GRAPH, len(given.points) - 1)
    drawn = spec.draw(None if spec.neighbors is None else max(spec.neighbors // 2, 2))
    recall = metrics.graph_recall(given.distances, given.affinities, k, **drawn)
    found.scores["graph_recall"] = recall
    assert recall.values is not None
    tail = float(np.quantile(recall.values, TAIL, method="lower"))
    found.scores["graph_recall_tail"] = _without_error(tail, recall.rows, len(given.points))


def _labels(given: ReportInput, spec: SampleSpec, found: Scores) -> None:
    if given.labels is None:
        return
    if given.labels_are_values:
        found.left_out["label_accuracy"] = "the labels are values, not classes"
        return
    n = len(given.points)
    drawn = spec.draw(spec.pairs if spec.neighbors is None else spec.neighbors)
    agreement = metrics.label_agreement(*given.spaces, given.labels, min(K, n - 1), **drawn)
    accuracy, silhouette = agreement.accuracy, agreement.silhouette
    found.scores["label_accuracy"] = accuracy
    found.scores["label_accuracy_in_data"] = agreement.accuracy_in_data
    found.scores["silhouette"] = silhouette
    found.scores["silhouette_in_data"] = agreement.silhouette_in_data
    found.spread("label_is_right", accuracy.values, accuracy.rows, n)
    found.spread("silhouette", silhouette.values, silhouette.rows, n)


def _loss(given: ReportInput, spec: SampleSpec, found: Scores) -> None:
    loss = None if given.embedding is None else given.embedding.kl_divergence
    if given.graph_is_own and loss is not None:
        found.scores["kl_divergence"] = Estimate(loss)


def _equal_rows(given: ReportInput, spec: SampleSpec, found: Scores) -> None:
    if not given.is_precomputed:
        found.points["n_equal"] = row_counts(given.X) - 1


def _without_error(value: float, rows: np.ndarray | None, n: int) -> Estimate:
    """Return a score whose error is not known where the rows are a sample."""
    is_whole = rows is not None and len(rows) == n
    return Estimate(value, 0.0 if is_whole else np.nan, rows)
