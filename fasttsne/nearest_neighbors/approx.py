"""Approximate neighbours with an estimated recall.

Rows are reduced to their first principal components if they have many columns, and partitioned
into small cells of near rows by k-means.  Each row is compared with the rows of the cells near to
it, as far as a bound that the distance of its candidates gives; the best of these are reranked by
their exact distance.

The bound, and the number of cells and candidates, are planned on a sample of rows with known true
neighbours: the cheapest search that reaches the requested recall as a mean, and 0.8 for 99 % of
the rows.  The recall of the result is measured on the same sample, and the search widens until it
suffices; if that would cost as much as the exact search, the exact search is used.

Queries search the same cells, by ``builtin/probes.py``.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from fasttsne.linalg import pca
from fasttsne.linalg.pca import Projection, leading_scores
from fasttsne.nearest_neighbors.builtin.candidates import N_EXTRA_CANDIDATES, capacity
from fasttsne.nearest_neighbors.builtin.cells import SEARCH_BATCH, Cells
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.builtin.probes import Probes
from fasttsne.nearest_neighbors.builtin.reduction import (
    N_COMPONENTS,
    is_reduced,
    reduce_rows,
    score_norms,
)
from fasttsne.nearest_neighbors.builtin.rows import CachedRowsMixin
from fasttsne.nearest_neighbors.builtin.search_plan import (
    QUANTILES,
    TAIL_RECALL,
    TAIL_SHARE,
    RecallSample,
    SearchPlan,
)
from fasttsne.nearest_neighbors.builtin.sparse_rows import SparseRows
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.runtime import memory
from fasttsne.runtime.progress import stage
from fasttsne.runtime.stored_rows import is_memmapped
from fasttsne.runtime.typing import RandomGenerator
from fasttsne.runtime.validation import check_number, check_random_state
from fasttsne.utils import log

# Searches, each wider than the last, before the exact one.
MAX_ATTEMPTS = 3
# Principal components that a fit may start from.
N_LEADING = 3
# Up to so many rows are searched exactly, which is as fast.
EXACT_MAX_SAMPLES = 3000
# Numbers of a page of memory, and of what is taken from the system at a time.
PAGE_NUMBERS, PIECE_NUMBERS = 1024, 2**24
# For ``estimate_bytes``, measured by ``python benchmarks/memory.py``: candidates kept for each
# neighbour where rows are reduced (1.25 to 3, by the data); packed rows for each row, as cells are
# padded; bytes of a row in the tables of near cells; and bytes of an entry of a sparse matrix,
# besides those of the matrix itself: at the peak of its search, in float64 for a while, and of what
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
        found = self._probes = self.components_ = None
        if self.n_samples > EXACT_MAX_SAMPLES and self.recall < 1:
            found = self._search(rows, check_random_state(self.random_state))
        if found is None:
            self.recall_, self.recall_quantiles_ = 1.0, (1.0,) * len(QUANTILES)
            found = rows.self_kneighbors(self.k, self.n_threads)
        indices, distances = found
        return indices, rows.to_metric(distances)

    def _search(
        self, rows: DenseRows | SparseRows, generator: RandomGenerator
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the neighbours, or None where the exact search costs less."""
        points, projection = reduce_rows(rows, generator, self.n_threads)
        if projection is not None:
            self.components_ = leading_scores(
                self._scores_of(points, projection), projection.directions, N_LEADING
            )
        origin = rows.origin if projection is None else np.zeros(points.shape[1], np.float32)
        cells = self._partition(points, origin, projection, generator)
        sample = RecallSample(rows, points, projection, cells, self.k, generator, self.n_threads)
        del points  # the cells have them
        recall = self.recall
        for _ in range(MAX_ATTEMPTS):
            plan = sample.plan(recall)
            if plan is None:
                return None
            found = self._search_cells(rows, cells, plan)
            recalls = sample.recalls(found[0])
            self.recall_ = float(recalls.mean())
            self.recall_quantiles_ = tuple(np.quantile(recalls, QUANTILES).tolist())
            log.info(
                "%d cells, %d near, reach %.2f, pull %.2f, width %.2f, %d candidates a row: recall "
                "%.4f, of 99 %% of the rows at least %.2f",
                cells.n_cells,
                plan.n_near,
                *plan.bound,
                plan.n_candidates,
                self.recall_,
                self.recall_quantiles_[0],
            )
            if self.recall_ >= self.recall:
                self._warn_of_tail(recalls)
                n_probed, factor = sample.count_probes(plan), plan.n_candidates / self.k
                self._probes = Probes(cells, origin, projection, n_probed, factor, self.k)
                return found
            recall = recall + (1 - recall) / 2
        return None

    def _scores_of(self, points: np.ndarray, projection: Projection) -> np.ndarray:
        """Return the principal components among the coordinates of reduced points."""
        return points[:, : projection.directions.shape[1]]

    def _partition(
        self,
        points: np.ndarray,
        origin: np.ndarray,
        projection: Projection | None,
        generator: RandomGenerator,
    ) -> Cells:
        norms = score_norms(points, projection)
        return Cells(points, origin, generator, self.n_threads, norms)

    def _search_cells(
        self, rows: DenseRows | SparseRows, cells: Cells, plan: SearchPlan
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest neighbours that a search finds: indices and distances."""
        n, k = self.n_samples, self.k
        found = (
            memory.allocate((n, k), np.int32, "the table of neighbours"),
            memory.allocate((n, k), np.float32, "the table of their distances"),
        )
        for array in found:
            _take_pages(array)
        sizes = rows.copied_lengths(rows.points)
        search = cells.search(
            plan.n_near, plan.n_far, plan.bound, plan.n_candidates, self.n_threads
        )
        with stage("search", n) as progress:
            for batch, candidates in search:
                rows.rerank_queries(
                    rows.points, candidates, batch, cells.index_map, k, self.n_threads, sizes, found
                )
                progress.advance(len(batch))
        return found

    def search_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        state, arrays = super().search_state()
        state["recall_"], state["recall_quantiles_"] = self.recall_, self.recall_quantiles_
        if self._probes is not None:
            state["probes"], arrays = self._probes.to_arrays()
        if self.components_ is not None:
            arrays = {**arrays, "components": self.components_}
        return state, arrays

    def set_search_state(self, state: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> None:
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

    def _warn_of_tail(self, recalls: np.ndarray) -> None:
        """Warn if too many of the sampled rows have found few of their neighbours."""
        share = float((recalls < min(TAIL_RECALL, self.recall)).mean())
        if share > 2 * TAIL_SHARE:
            log.warning(
                "%.1f %% of the rows found less than %.2f of their neighbours, in spite of a mean "
                "of %.3f; neighbors='exact' finds all",
                100 * share,
                TAIL_RECALL,
                self.recall_,
            )

    def _query(self, X: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows
        queries = rows.prepare(X)
        if self._probes is None:
            indices, distances = rows.kneighbors(queries, k, self.n_threads)
        else:
            indices, distances = self._probes.query(rows, queries, k, self.n_threads)
        return indices, rows.to_metric(distances)


def _take_pages(array: np.ndarray) -> None:
    """Have the system give the memory of a new array, in pieces.

    The rows of the first batch are all over it, and would take all of its large pages in one call
    of a kernel, in which Ctrl-C is not noticed.
    """
    if is_memmapped(array):
        return
    numbers = array.reshape(-1)
    for a in range(0, len(numbers), PIECE_NUMBERS):
        numbers[a : a + PIECE_NUMBERS : PAGE_NUMBERS] = 0


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
