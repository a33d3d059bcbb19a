"""The graph of a map's neighbours: that of the fit, or one made for the report."""

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

from fasttsne.affinity import Affinities, PerplexityBasedNN
from fasttsne.nearest_neighbors.select import perplexity_for
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, Rows, Settings
from fasttsne.utils import starting_threads

USUAL_PERPLEXITY = 30
# Of more rows no graph is made for the report: the search would take minutes.
MAX_SEARCHED = 200_000
# Fewer neighbours than those of such a perplexity show gaps of the sample, not of the data.
MIN_PERPLEXITY_FOR_GAPS = 15
# Neighbours in the graph, and in the map, that are compared.
N_STRONGEST, N_NEAR = 10, 30
# Rows whose edges, or neighbours in the map, are in memory at a time.
BLOCK_ROWS = 2**13


def make_graph(
    X: Rows,
    perplexity: float | None,
    metric: Metric,
    metric_params: Settings,
    seed: int,
    n_jobs: int | None,
) -> Affinities:
    """Affinities of the rows, of a usual perplexity or the largest that so few rows allow."""
    most = perplexity_for(np.shape(X)[0] - 1)
    with warnings.catch_warnings():  # what it lacks is among the scores
        warnings.simplefilter("ignore")
        return PerplexityBasedNN(
            X,
            min(perplexity or USUAL_PERPLEXITY, most),
            metric=metric,
            metric_params=metric_params,
            random_state=seed,
            n_jobs=n_jobs,
        )


def is_too_narrow(affinities: Affinities) -> bool:
    """Whether a graph has too few neighbours to tell where the data have gaps."""
    for name in ("effective_perplexity_", "perplexity"):
        perplexity = getattr(affinities, name, None)
        if perplexity is not None:
            return bool(np.max(perplexity) < MIN_PERPLEXITY_FOR_GAPS)
    return False


def strongest_neighbors(affinities: Affinities, k: int = N_STRONGEST) -> np.ndarray:
    """The rows to which each row has its strongest edges, (n, k) int32; -1 where it has fewer."""
    P = affinities.P_float32
    found = np.full((P.shape[0], k), -1, np.int32)
    for rows, edges, lengths in row_blocks(P):
        _take_largest(P.data[edges].copy(), P.indices[edges], lengths, found[rows])
    return found


def row_blocks(P: sp.csr_matrix) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield blocks of a graph: their rows, their edges, and the number of edges of each row.

    What is made of all edges at once would take several times the memory of the graph.
    """
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
        at = at[np.append(True, row[at][1:] != row[at][:-1])] if len(at) else at  # of equal ones
        found[row[at], place] = columns[at]
        values[at] = -1  # taken


def nearest_points(points: np.ndarray, k: int, n_jobs: int | None) -> tuple[Any, Any]:
    """The k nearest others of each point: distances and int32 indices, (n, k); k at most n - 1.

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
    """The share of each row's strongest neighbours that are near it in the map, (n,)."""
    count = np.zeros(len(strongest))
    for column in strongest.T:
        count += (near == column[:, None]).any(1)
    known = (strongest >= 0).sum(1)
    shares: np.ndarray = np.divide(count, known, out=np.full(len(known), np.nan), where=known > 0)
    return shares
