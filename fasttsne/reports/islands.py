"""Islands: groups of a map's points with gaps around them, and whether the data have the gaps."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from fasttsne.affinity import Affinities
from fasttsne.reports.graph import row_blocks

# Points are of one island if they are no farther apart than this, in units of a usual distance:
# the one that 90 % of the points have to their fifth nearest.
LINK, LINK_NEIGHBOR, LINK_SHARE = 2.0, 5, 0.9
# Each point is linked to so many of its nearest.
N_LINKS = 15
# Smaller islands are stray points.
SMALLEST, SMALLEST_SHARE = 10, 0.01


@dataclass(frozen=True)
class Islands:
    """The islands of a map.

    Attributes
    ----------
    island : (n,) the island of each point, from 0, the largest first.
    sizes : of the islands.
    elsewhere : (n,) share of each row's affinities that are to rows of other islands; None
        without affinities.
    sparseness : (n,) rank of each row's distance to its neighbours in the data among those of its
        island, from 0, the densest, to 1; None where distances are not known.
    """

    island: np.ndarray
    sizes: np.ndarray
    elsewhere: np.ndarray | None
    sparseness: np.ndarray | None

    @property
    def is_large(self) -> np.ndarray:
        """(islands,) bool, whether an island is more than stray points."""
        large: np.ndarray = self.sizes >= max(SMALLEST, SMALLEST_SHARE * len(self.island))
        return large


def find_islands(
    distances: np.ndarray, neighbors: np.ndarray, affinities: Affinities | None
) -> Islands:
    """The islands of a map.

    Parameters
    ----------
    distances, neighbors : (n, k) of the nearest points of each, in the map, ascending.
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
    elsewhere = None if affinities is None else _share_elsewhere(affinities, island)
    radii = None if affinities is None else _log_radii(affinities)
    return Islands(
        island, sizes[order], elsewhere, None if radii is None else _ranks_within(radii, island)
    )


def _share_elsewhere(affinities: Affinities, island: np.ndarray) -> np.ndarray:
    P = affinities.P_float32
    total, inside = np.empty(P.shape[0]), np.empty(P.shape[0])
    for rows, edges, lengths in row_blocks(P):
        row, values = np.repeat(np.arange(len(lengths)), lengths), P.data[edges]
        is_inside = island[rows][row] == island[P.indices[edges]]
        total[rows] = np.bincount(row, values, len(lengths))
        inside[rows] = np.bincount(row, values * is_inside, len(lengths))
    return 1 - np.divide(inside, total, out=np.ones(len(total)), where=total > 0)


def _log_radii(affinities: Affinities) -> np.ndarray | None:
    try:
        return affinities.log_radii()
    except ValueError:
        return None


def _ranks_within(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The rank of each value among those of its group, in (0, 1)."""
    order = np.lexsort((values, group))
    counts = np.bincount(group)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    ranks = np.empty(len(values))
    ranks[order] = (np.arange(len(values)) - first + 0.5) / np.repeat(counts, counts)
    return ranks
