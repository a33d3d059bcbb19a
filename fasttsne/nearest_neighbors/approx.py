"""Approximate neighbours with an estimated recall.

Rows are reduced to their first principal components if they have many columns, and partitioned
into blocks of near rows by k-means.  Each block is compared with the blocks that are nearest to
it, by the kernel of the exact search; the best candidates of each row are reranked by their exact
distance.

The number of blocks and of candidates is planned on a sample of rows with known true neighbours:
the cheapest search that reaches the requested recall.  The recall of the result is estimated on
the same sample, and the search widens until it suffices; if that would cost as much as the exact
search, the exact search is used.

Queries search the same blocks, by ``builtin/probes.py``.
"""

from typing import Any, ClassVar

import numpy as np

from fasttsne.linalg.pca import Projection
from fasttsne.nearest_neighbors.builtin.blocks import Blocks
from fasttsne.nearest_neighbors.builtin.dense_rows import DenseRows
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.nearest_neighbors.builtin.probes import Probes
from fasttsne.nearest_neighbors.builtin.rows import CachedRowsMixin, prepare_rows
from fasttsne.nearest_neighbors.builtin.search_plan import RecallSample
from fasttsne.nearest_neighbors.builtin.sparse_rows import SparseRows
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.runtime.typing import RandomGenerator
from fasttsne.runtime.validation import check_number, check_random_state
from fasttsne.utils import log

# Rows of more than 3/2 as many columns are reduced to so many principal components.
N_COMPONENTS = 64
# Searches, each wider than the last, before the exact one.
MAX_ATTEMPTS = 3
# Up to so many rows are searched exactly, which is as fast.
EXACT_MAX_SAMPLES = 3000


class Approx(CachedRowsMixin, KNNIndex):
    """Finds the true neighbours up to a requested share of them, the recall.

    ``knn_kwargs``: ``recall`` (0.95), the share of true neighbours to find.

    Attributes
    ----------
    recall_ : the share that was found for a sample of rows; 1.0 where the search was exact.
    """

    VALID_METRICS = METRICS
    SETTINGS: ClassVar = {"recall": 0.95}
    ACCEPTS_SPARSE = DENSE_IF_SMALL = True

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.recall = check_number(self.settings["recall"], "recall", low=0, high=1)
        self.recall_: float | None = None
        self._probes: Probes | None = None

    def _build(self) -> tuple[np.ndarray, np.ndarray]:
        rows = prepare_rows(self.data, self.metric)
        found = self._probes = None
        if self.n_samples > EXACT_MAX_SAMPLES and self.recall < 1:
            found = self._search(rows, check_random_state(self.random_state))
        if found is None:
            self.recall_ = 1.0
            found = rows.self_kneighbors(self.k, self.n_threads)
        indices, distances = found
        return indices, rows.to_metric(distances)

    def _search(
        self, rows: DenseRows | SparseRows, generator: RandomGenerator
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the neighbours, or None where the exact search costs less."""
        points, projection = _reduce(rows, generator, self.n_threads)
        origin = rows.origin if projection is None else np.zeros(points.shape[1], np.float32)
        blocks = Blocks(points, origin, generator, self.n_threads)
        sample = RecallSample(rows, points, blocks, self.k, generator, self.n_threads)
        recall = self.recall
        for _ in range(MAX_ATTEMPTS):
            plan = sample.plan(recall)
            if plan is None:
                return None
            candidates = blocks.search(plan.n_blocks, plan.n_candidates, self.n_threads)
            indices, distances = rows.rerank(candidates, blocks.order, self.k, self.n_threads)
            self.recall_ = sample.recall(indices)
            log.info(
                "each of %d blocks compared with %d, %d candidates a row: recall %.4f",
                blocks.packed.n_blocks, plan.n_blocks, plan.n_candidates, self.recall_,
            )  # fmt: skip
            if self.recall_ >= self.recall:
                n_probed, factor = sample.count_probes(plan), plan.n_candidates / self.k
                self._probes = Probes(blocks, origin, projection, n_probed, factor, self.k)
                return indices, distances
            recall = recall + (1 - recall) / 2
        return None

    def _query(self, X: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows
        queries = rows.prepare(X)
        if self._probes is None:
            indices, distances = rows.kneighbors(queries, k, self.n_threads)
        else:
            indices, distances = self._probes.query(rows, queries, k, self.n_threads)
        return indices, rows.to_metric(distances)


def _reduce(
    rows: Any, generator: RandomGenerator, n_threads: int
) -> tuple[np.ndarray, Projection | None]:
    """Return the first principal components of rows with many columns, and their projection.

    For few columns, the rows themselves, dense float32, and None.
    """
    if rows.n_columns > N_COMPONENTS * 3 // 2:
        points, projection = rows.reduce(N_COMPONENTS, generator, n_threads)
        return points, projection
    return rows.to_dense(rows.points), None
