"""Approximate neighbours with an estimated recall.

Rows are reduced to their first principal components if they have many columns, and partitioned
into small cells of near rows by k-means.  Each row is compared with the rows of the cells near to
it, as far as a bound that the distance of its candidates gives; the best of these are reranked by
their exact distance.

The bound, and the number of cells and candidates, are planned on a sample of rows with known true
neighbours: the cheapest search that reaches the requested recall as a mean, and 0.8 for 99 % of
the rows.  The recall of the result is measured on the same sample, and the search widens until it
suffices; if that would cost as much as the exact search, the exact search is used.

Queries search the same cells.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic

import numpy as np

from fasttsne.linalg import pca
from fasttsne.linalg.pca import leading_scores
from fasttsne.linalg.rows import Table
from fasttsne.nearest_neighbors.builtin.candidates import N_EXTRA_CANDIDATES, capacity
from fasttsne.nearest_neighbors.builtin.cells import SEARCH_BATCH
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.builtin.rows import (
    N_COMPONENTS,
    CachedRowsMixin,
    RowsToSearch,
    component_scores,
    is_reduced,
    reduce_rows,
)
from fasttsne.nearest_neighbors.builtin.search_plan import (
    QUANTILES,
    TAIL_RECALL,
    TAIL_SHARE,
    Probes,
    RecallSample,
)
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.runtime.typing import Matrix, Params, RandomState
from fasttsne.runtime.validation import check_number, check_random_state
from fasttsne.utils import log

# Searches, each wider than the last, before the exact one.
MAX_ATTEMPTS = 3
# Principal components that a fit may start from.
N_LEADING = 3
# Up to so many rows are searched exactly, which is as fast.
EXACT_MAX_SAMPLES = 3000
# For ``estimate_bytes``, measured by ``python benchmarks/memory.py``: candidates kept for each
# neighbour where rows are reduced (1.25 to 3, by the data); packed rows for each row, as cells are
# padded; bytes of a row in the tables of near cells; and bytes of an entry of a sparse matrix,
# besides the matrix itself: at the peak of its search, in float64 for a while, and of what
# the search keeps for new rows.
REDUCED_CANDIDATES, PADDING, CELL_BYTES = 1.5, 1.13, 100
SEARCH_ENTRY_BYTES, PREPARED_ENTRY_BYTES = 48, 12


class Approx(CachedRowsMixin, KNNIndex):
    """Finds the true neighbours up to a requested share of them, the recall.

    ``knn_kwargs``: ``recall`` (0.95), the share of true neighbours to find.  Metrics are
    "euclidean", "l2", "sqeuclidean", "cosine" and "correlation".  Up to 3,000 rows are searched
    exactly.  ``docs/math.rst``, "Neighbours", says how it searches: cells by k-means, of which each
    row probes those near to it.

    Attributes
    ----------
    recall_ : the share that was found for a sample of rows; 1.0 where the search was exact, None
        before ``build``.
    recall_quantiles_ : the shares that 99 %, 95 % and half of those rows reach at least.
    components_ : (n, 3) float32, scores of the first principal components of the prepared rows,
        within those that they were reduced to; None where they were not reduced.
    """

    VALID_METRICS = METRICS
    SETTINGS: ClassVar = {"recall": 0.95}
    ACCEPTS_SPARSE = DENSE_IF_SMALL = True

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.recall = check_number(self.settings["recall"], "recall", low=0, high=1)
        self.recall_: float | None = None
        self.recall_quantiles_: tuple[float, ...] | None = None
        self.components_: np.ndarray | None = None
        self._probes: Probes | None = None

    def _build(self) -> tuple[np.ndarray, np.ndarray]:
        rows = self._prepare()
        return self.keep(search(rows, self.k, self.recall, self.random_state, self.n_threads))

    def keep(self, found: "SearchResult[Table]") -> tuple[Table, Table]:
        """Keep what queries need of a search; return its neighbours."""
        self.recall_, self.recall_quantiles_ = found.recall, found.recall_quantiles
        self.components_, self._probes = found.components, found.probes
        return found.indices, found.distances

    def search_state(self) -> tuple[dict[str, object], dict[str, np.ndarray]]:
        state, arrays = super().search_state()
        state["recall_"], state["recall_quantiles_"] = self.recall_, self.recall_quantiles_
        if self._probes is not None:
            state["probes"], arrays = self._probes.to_arrays()
        if self.components_ is not None:
            arrays = {**arrays, "components": self.components_}
        return state, arrays

    def set_search_state(self, state: Params, arrays: dict[str, np.ndarray]) -> None:
        super().set_search_state(state, arrays)
        self.recall_ = self.recall_quantiles_ = None
        if state["recall_"] is not None:  # an index of one row answers queries, and is never built
            self.recall_ = check_number(state["recall_"], "recall_")
            quantiles = state["recall_quantiles_"]
            self.recall_quantiles_ = tuple(check_number(each, "recall") for each in quantiles)
        self._probes, self.components_ = None, None
        if "components" in arrays:
            self.components_ = self._check_components(arrays["components"])
        if "probes" in state:
            self._probes = Probes.from_arrays(state["probes"], arrays, self.data.shape)

    def _check_components(self, components: np.ndarray) -> np.ndarray:
        """Raise ValueError for what are no components of these rows."""
        shape = self.n_samples, N_LEADING
        is_right = components.dtype == np.float32 and components.shape == shape
        if not is_right or not np.isfinite(components).all():
            raise ValueError(f"components must be finite float32 of shape {shape}")
        return components

    def _query(self, X: Matrix, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows
        queries = rows.prepare(X)
        if self._probes is None:
            indices, distances = rows.kneighbors(queries, k, self.n_threads)
        else:
            indices, distances = self._probes.query(rows, queries, k, self.n_threads)
        return indices, rows.to_metric(distances)


@dataclass(frozen=True)
class SearchResult(Generic[Table]):
    """The neighbours of all rows, and what queries need.

    recall, recall_quantiles, components : the attributes ``recall_`` ... of :class:`Approx`.
    """

    indices: Table
    distances: Table
    recall: float
    recall_quantiles: tuple[float, ...]
    components: np.ndarray | None = None
    probes: Probes | None = None


def search(
    rows: RowsToSearch[Table], k: int, recall: float, random_state: RandomState, n_threads: int
) -> SearchResult[Table]:
    """Return the k nearest neighbours of all rows: this share, or all where that is as fast."""
    found = components = None
    if rows.n > EXACT_MAX_SAMPLES and recall < 1:
        found, components = _search_cells(rows, k, recall, random_state, n_threads)
    if found is None:
        indices, distances = rows.self_kneighbors(k, n_threads)
        exact = 1.0, (1.0,) * len(QUANTILES)
        return SearchResult(indices, rows.to_metric(distances), *exact, components)
    return replace(found, distances=rows.to_metric(found.distances))


def _search_cells(
    rows: RowsToSearch[Table], k: int, min_recall: float, random_state: RandomState, n_threads: int
) -> tuple[SearchResult[Table] | None, np.ndarray | None]:
    """Return the neighbours, None where the exact search costs less; and principal components."""
    generator, components = check_random_state(random_state), None
    points, projection = reduce_rows(rows, generator, n_threads)
    origin = rows.origin
    if projection is not None:
        origin = np.zeros(points.shape[1], np.float32)
        scores = component_scores(points, projection)
        components = leading_scores(scores, projection.directions, N_LEADING)
    cells = rows.partition(points, origin, projection, generator, n_threads)
    sample = RecallSample(rows, points, projection, cells, k, generator, n_threads)
    del points  # the cells have them
    recall = min_recall
    for _ in range(MAX_ATTEMPTS):
        plan = sample.plan(recall)
        if plan is None:
            break
        indices, distances = cells.search(plan, k, n_threads)
        recalls = sample.recalls(indices)
        found, quantiles = float(recalls.mean()), tuple(np.quantile(recalls, QUANTILES).tolist())
        log.info(
            "%d cells, %d near, reach %.2f, pull %.2f, width %.2f, %d candidates a row: recall "
            "%.4f, of 99 %% of the rows at least %.2f",
            cells.table.n_cells,
            plan.n_near,
            *plan.bound,
            plan.n_candidates,
            found,
            quantiles[0],
        )
        if found >= min_recall:
            _warn_of_tail(recalls, min_recall)
            n_probed, kept = sample.count_probes(plan), plan.n_candidates / k
            arrays = Probes.arrays_of(cells.table, origin)
            probes = Probes(arrays, projection, n_probed, kept, k)
            result = SearchResult(indices, distances, found, quantiles, components, probes)
            return result, components
        recall = recall + (1 - recall) / 2
    return None, components


def _warn_of_tail(recalls: np.ndarray, min_recall: float) -> None:
    """Warn if too many of the sampled rows have found few of their neighbours."""
    share = float((recalls < min(TAIL_RECALL, min_recall)).mean())
    if share > 2 * TAIL_SHARE:
        log.warning(
            "%.1f %% of the rows found less than %.2f of their neighbours, in spite of a mean "
            "of %.3f; neighbors='exact' finds all",
            100 * share,
            TAIL_RECALL,
            recalls.mean(),
        )


def estimate_bytes(n: int, d: int, k: int, dtype: np.dtype, nnz: int | None) -> float:
    """Return what the search of (n, d) rows takes at its peak, without rows and neighbours.

    nnz : the stored entries of sparse rows, None for dense ones.
    """
    reduced = is_reduced(d) and n > EXACT_MAX_SAMPLES
    n_kept = int(k * (REDUCED_CANDIDATES if reduced else 1)) + N_EXTRA_CANDIDATES
    candidates = 8 * min(n, SEARCH_BATCH) * int(capacity(n_kept))
    # Rows packed in padded cells; of those that are reduced, the components too.
    packed = 4 * n * (PADDING * N_COMPONENTS + N_COMPONENTS if reduced else PADDING * d)
    search: float = candidates + packed + CELL_BYTES * n
    if reduced:
        if dtype == np.uint8:  # in place of components, which are packed by then
            search += max(d - 4 * N_COMPONENTS, 0) * n
        # Before, directions of a sample of rows, which is copied, and partly centered.
        sample = pca.SAMPLE_SIZE if n > pca.SAMPLE_SIZE and nnz is None else 0
        search = max(search, 4 * n * N_COMPONENTS + 5 * sample * d - 8 * n * k)
    if nnz is not None:
        return search + SEARCH_ENTRY_BYTES * nnz
    return search + (4 * n * d if dtype == np.float64 else 0)
