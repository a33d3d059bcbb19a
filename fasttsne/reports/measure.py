"""The scores of a report, each measure in turn, and islands: groups of points with gaps around."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fasttsne import metrics
from fasttsne.affinity import Affinities
from fasttsne.linalg.rows import row_counts
from fasttsne.metrics import Estimate
from fasttsne.metrics.estimate import estimate_share_beyond
from fasttsne.metrics.loo import PERTURBATION_LIMIT, SINGULARITY_LIMIT
from fasttsne.metrics.neighborhoods import perplexity_of
from fasttsne.reports.inputs import MAX_SEARCHED, ReportInput, SampleSpec, make_graph
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.utils import starting_threads

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
# Neighbours in the graph, and in the embedding, that are compared.
N_STRONGEST, N_NEAR = 10, 30
# Rows whose edges, or neighbours in the embedding, are in memory at a time.
BLOCK_ROWS = 2**13
# Points are of one island if they are no farther apart than this, in units of a usual distance:
# the one that 90 % of the points have to their fifth nearest.
LINK, LINK_NEIGHBOR, LINK_SHARE = 2.0, 5, 0.9
# Each point is linked to so many of its nearest.
N_LINKS = 15
# Smaller islands are stray points.
SMALLEST, SMALLEST_SHARE = 10, 0.01


@dataclass(frozen=True)
class Islands:
    """The islands of an embedding.

    Attributes
    ----------
    island : (n,) the island of each point, from 0, the largest first.
    sizes : of the islands.
    elsewhere : (n,) share of each row's affinities that are to rows of other islands; None
        without affinities.
    sparseness : (n,) rank of each row's distance to its neighbours in the data within its island,
        from 0, the densest, to 1; None where distances are not known.
    """

    island: np.ndarray
    sizes: np.ndarray
    elsewhere: np.ndarray | None
    sparseness: np.ndarray | None

    @property
    def is_large(self) -> np.ndarray:
        """(islands,) bool, whether an island is more than stray points."""
        return np.asarray(self.sizes >= max(SMALLEST, SMALLEST_SHARE * len(self.island)))


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


def find_islands(
    distances: np.ndarray, neighbors: np.ndarray, affinities: Affinities | None
) -> Islands:
    """Return the islands of an embedding.

    distances, neighbors : (n, k) of the nearest points of each in it, ascending.
    """
    n, k = distances.shape
    distances, neighbors = distances[:, :N_LINKS], neighbors[:, :N_LINKS]
    limit = LINK * np.quantile(distances[:, min(LINK_NEIGHBOR, k) - 1], LINK_SHARE)
    is_linked = distances <= limit
    row = np.repeat(np.arange(n), is_linked.sum(1))
    links = sp.csr_matrix((np.ones(len(row), np.int8), (row, neighbors[is_linked])), (n, n))
    _, component = connected_components(links, directed=False)
    sizes = np.bincount(component)
    order = np.argsort(-sizes, kind="stable")
    island = np.argsort(order, kind="stable")[component]
    if affinities is None:
        return Islands(island, sizes[order], None, None)
    try:
        sparseness = _ranks_within(affinities.log_radii(), island)
    except ValueError:  # distances are not known
        sparseness = None
    return Islands(island, sizes[order], _share_elsewhere(affinities, island), sparseness)


def _share_elsewhere(affinities: Affinities, island: np.ndarray) -> np.ndarray:
    P = affinities.P_float32
    total, inside = np.empty(P.shape[0]), np.empty(P.shape[0])
    for rows, edges, lengths in row_blocks(P):
        row, values = np.repeat(np.arange(len(lengths)), lengths), P.data[edges]
        is_inside = island[rows][row] == island[P.indices[edges]]
        total[rows] = np.bincount(row, values, len(lengths))
        inside[rows] = np.bincount(row, values * is_inside, len(lengths))
    return 1 - np.divide(inside, total, out=np.ones(len(total)), where=total > 0)


def _ranks_within(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the rank of each value within its group, in (0, 1)."""
    order = np.lexsort((values, group))
    counts = np.bincount(group)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    ranks = np.empty(len(values))
    ranks[order] = (np.arange(len(values)) - first + 0.5) / np.repeat(counts, counts)
    return ranks


def strongest_neighbors(affinities: Affinities) -> np.ndarray:
    """Return each row's neighbours by its strongest edges, (n, 10) int32; -1 if it has fewer."""
    P = affinities.P_float32
    found = np.full((P.shape[0], N_STRONGEST), -1, np.int32)
    for rows, edges, lengths in row_blocks(P):
        _take_largest(P.data[edges].copy(), P.indices[edges], lengths, found[rows])
    return found


def row_blocks(P: sp.csr_matrix) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield the rows, the edges and each row's number of edges of blocks of a graph."""
    for first in range(0, P.shape[0], BLOCK_ROWS):
        starts = P.indptr[first : first + BLOCK_ROWS + 1].astype(np.intp)
        lengths = np.diff(starts)
        yield slice(first, first + len(lengths)), slice(starts[0], starts[-1]), lengths


def _take_largest(
    values: np.ndarray, columns: np.ndarray, lengths: np.ndarray, found: np.ndarray
) -> None:
    """Write the columns of each row's largest values into ``found``, one after the other."""
    row = np.repeat(np.arange(len(lengths)), lengths)
    has_edges = lengths > 0
    starts = (np.cumsum(lengths) - lengths)[has_edges]
    largest = np.zeros(len(lengths), values.dtype)
    for place in range(found.shape[1] if len(values) else 0):
        largest[has_edges] = np.maximum.reduceat(values, starts)
        at = np.flatnonzero(values == largest[row])
        at = at[values[at] >= 0]
        at = at[np.diff(row[at], prepend=-1) > 0]  # the first of ties
        found[row[at], place] = columns[at]
        values[at] = -1  # taken


def nearest_points(points: np.ndarray, k: int, n_jobs: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and int32 indices of each point's k nearest others, (n, k); k < n.

    By threads where that pays.  SciPy's own threads leave what they could not compute, as for want
    of memory, without an error.
    """
    n, k = len(points), min(k, len(points) - 1)
    found = np.empty((n, k)), np.empty((n, k), np.int32)
    tree = cKDTree(points)

    def search(first: int) -> None:
        own = np.arange(first, min(first + BLOCK_ROWS, n))
        distances, neighbors = tree.query(points[own], k + 1)
        # Among equal points, the point itself need not be the first.
        is_other = neighbors != own[:, None]
        is_other[is_other.all(1), -1] = False
        found[0][own] = distances[is_other].reshape(-1, k)
        found[1][own] = neighbors[is_other].reshape(-1, k)

    blocks = range(0, n, BLOCK_ROWS)
    if len(blocks) == 1:
        search(0)
        return found
    with starting_threads(), ThreadPoolExecutor(resolve_n_jobs(n_jobs)) as pool:
        list(pool.map(search, blocks))
    return found


def share_near(strongest: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return the share of each row's strongest neighbours that are near it in the embedding."""
    count = np.zeros(len(strongest))
    for column in strongest.T:
        count += (near == column[:, None]).any(1)
    known = (strongest >= 0).sum(1)
    return np.asarray(np.divide(count, known, np.full(len(known), np.nan), where=known > 0))
