"""Partition of rows into blocks of near rows, and the search among near blocks."""

import numpy as np

from fasttsne.linalg.products import preallocate_blas_buffers
from fasttsne.nearest_neighbors.builtin.candidates import Candidates
from fasttsne.nearest_neighbors.builtin.clusters import sort_by_cluster
from fasttsne.nearest_neighbors.builtin.packing import pack

# A block that begins in one cluster and ends in another has a centroid that is near neither.  So
# the distance of two blocks is that of the nearest of so many sub-blocks.
N_SUB_BLOCKS = 4
# Blocks whose distances to all others are computed at a time.
BLOCK_BATCH = 64


class Blocks:
    """Rows sorted by cluster and cut into blocks.

    Parameters
    ----------
    points : (n, columns) float32 rows; origin : (columns,) float32, subtracted from them.

    Attributes
    ----------
    order : (n,) row at each position.
    packed : the rows in that order.
    centroids : (blocks, columns) means of the blocks.
    nearest : (blocks, blocks) all blocks for each, itself first, then by their distance.
    """

    def __init__(self, points, origin, generator, n_threads):
        preallocate_blas_buffers()
        self.order = sort_by_cluster(points, origin, generator, n_threads)
        self.packed = pack(points, self.order, origin, n_threads)
        edges = np.arange(0, self.packed.n, self.packed.block_size // N_SUB_BLOCKS)
        sums = np.add.reduceat(points[self.order].astype(np.float64), edges)
        counts = np.diff(np.append(edges, self.packed.n))[:, None]
        self.nearest = _sort_blocks_by_distance(sums / counts, self.packed.n_blocks)
        firsts = np.arange(0, len(edges), N_SUB_BLOCKS)
        self.centroids = np.add.reduceat(sums, firsts) / np.add.reduceat(counts, firsts)

    def search(self, n_nearest: int, n_kept: int, n_threads: int) -> Candidates:
        """Return candidates of each row from the nearest blocks, both by position."""
        n = self.packed.n
        candidates = Candidates(n, min(n_kept, n - 1))
        candidates.compare_block_pairs(self.packed, self._pairs(n_nearest), n_threads)
        return candidates

    def _pairs(self, n_nearest):
        """Return each block with its nearest, each pair once, near before far; int32."""
        near = self.nearest[:, :n_nearest]
        a = np.repeat(np.arange(len(near), dtype=np.int32), near.shape[1])
        rank = np.tile(np.arange(near.shape[1]), len(near))
        b = near.ravel()
        low, high = np.minimum(a, b), np.maximum(a, b)
        by_rank = np.argsort(rank, kind="stable")
        code = (low.astype(np.int64) * len(near) + high)[by_rank]
        _, first = np.unique(code, return_index=True)
        chosen = by_rank[np.sort(first)]
        return np.stack([low[chosen], high[chosen]], axis=1)


def _sort_blocks_by_distance(centroids, n_blocks):
    """Return all blocks for each, itself first, then by the distance of nearest sub-blocks.

    centroids : of the sub-blocks, in the order of the blocks.
    """
    # The last block may have fewer sub-blocks: repeating one does not change the nearest.
    missing = n_blocks * N_SUB_BLOCKS - len(centroids)
    centroids = np.concatenate([centroids, centroids[-1:].repeat(missing, axis=0)])
    square = (centroids**2).sum(1)
    # First sub-blocks of all blocks, second ones, and so on: the minimum is then along memory.
    by_sub_block = np.arange(len(centroids)).reshape(-1, N_SUB_BLOCKS).T.ravel()
    others, square_of_others = centroids[by_sub_block], square[by_sub_block]
    nearest = np.empty((n_blocks, n_blocks), np.int32)
    for start in range(0, n_blocks, BLOCK_BATCH):
        batch = slice(start * N_SUB_BLOCKS, (start + BLOCK_BATCH) * N_SUB_BLOCKS)
        distance = -2 * centroids[batch] @ others.T
        distance += square[batch, None]
        distance += square_of_others
        distance = distance.reshape(-1, N_SUB_BLOCKS * N_SUB_BLOCKS, n_blocks).min(1)
        np.fill_diagonal(distance[:, start:], -np.inf)
        nearest[start : start + BLOCK_BATCH] = np.argsort(distance, axis=1, kind="stable")
    return nearest
