"""Neighbours in the embedding and its graph, and islands: groups of points with gaps around."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fasttsne.affinity import Affinities
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.utils import starting_threads

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
