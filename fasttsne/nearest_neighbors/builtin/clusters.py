"""k-means clusters of rows, in an order in which neighbouring clusters follow each other."""

from collections.abc import Callable

import numpy as np

from fasttsne.nearest_neighbors.builtin.candidates import Candidates
from fasttsne.nearest_neighbors.builtin.packing import pack

# Rows of a cluster, about; rows for each cluster on which k-means is trained, and its iterations.
CLUSTER_SIZE = 96
TRAINING_ROWS_PER_CLUSTER = 20
N_KMEANS_ITERATIONS = 5
MAX_CLUSTERS = 2**16
# More than these are found in two levels, within the clusters of a coarse k-means with the square
# root of as many: comparing each row with all centroids takes time quadratic in the rows.
MAX_CLUSTERS_ONE_LEVEL = 512
# Rows that are assigned to centroids at a time.
ASSIGNMENT_BATCH = 100_000


def cluster_rows(
    points, origin, generator, n_threads, advance: Callable[[int], None] = lambda n_rows: None
) -> list[np.ndarray]:
    """Return the rows of each cluster, neighbouring clusters one after the other.

    advance : is told of each number of rows that were assigned to centroids.
    """
    n_clusters = count_clusters(len(points))
    how = origin, generator, n_threads, advance
    if n_clusters <= MAX_CLUSTERS_ONE_LEVEL:
        return _kmeans(points, n_clusters, *how)
    clusters: list[np.ndarray] = []
    for rows in _kmeans(points, count_coarse(n_clusters), *how):
        coarse = points[rows]
        fine = _kmeans(coarse, count_clusters(len(coarse)), *how)
        clusters.extend(rows[members] for members in fine)
    return clusters


def count_assignments(n: int) -> int:
    """Return about how often one of n rows is assigned to a centroid."""
    n_clusters, levels = count_clusters(n), [1.0]
    if n_clusters > MAX_CLUSTERS_ONE_LEVEL:
        levels = [n_clusters**-0.5, 1.0]
    training = (min(n_clusters * share * TRAINING_ROWS_PER_CLUSTER, n) for share in levels)
    return int(sum(N_KMEANS_ITERATIONS * rows + n for rows in training))


def count_coarse(n_clusters: int) -> int:
    """Return the clusters of the first of two levels."""
    return round(n_clusters**0.5)


def count_clusters(n: int) -> int:
    """Return the clusters of n rows."""
    return int(np.clip(n // CLUSTER_SIZE, 1, MAX_CLUSTERS))


def _kmeans(points, n_clusters, origin, generator, n_threads, advance):
    """Return the rows of each cluster, neighbouring clusters one after the other."""
    training = points[training_rows(len(points), n_clusters, generator)]
    centroids = train_centroids(training, n_clusters, origin, n_threads, advance)
    position = tour_positions(points, centroids, origin, n_threads, advance)
    return rows_by_position(position, len(centroids))


def training_rows(n, n_clusters, generator) -> np.ndarray:
    """Return the rows, of n, on which so many clusters are trained, in ascending order."""
    return np.sort(generator.permutation(n)[: n_clusters * TRAINING_ROWS_PER_CLUSTER])


def train_centroids(training, n_clusters, origin, n_threads, advance) -> np.ndarray:
    """Return the centroids of up to so many clusters of rows."""
    centroids = training[:: max(len(training) // n_clusters, 1)][:n_clusters].copy()
    for _ in range(N_KMEANS_ITERATIONS):
        cluster = _nearest_centroid(training, centroids, origin, n_threads, advance)
        counts = np.bincount(cluster, minlength=len(centroids))
        by_cluster = np.argsort(cluster, kind="stable")
        filled = np.flatnonzero(counts)
        starts = np.cumsum(counts)[filled] - counts[filled]
        sums = np.add.reduceat(training[by_cluster].astype(np.float64), starts)
        centroids[filled] = sums / counts[filled, None]
    return centroids


def tour_positions(points, centroids, origin, n_threads, advance) -> np.ndarray:
    """Return for each row the position of its nearest centroid on a tour of them, uint16."""
    cluster = _nearest_centroid(points, centroids, origin, n_threads, advance)
    return _tour_positions(centroids)[cluster].astype(np.uint16)  # sorted much faster


def rows_by_position(position, n_positions) -> list[np.ndarray]:
    """Return the rows at each position that has any, ascending."""
    ends = np.cumsum(np.bincount(position, minlength=n_positions))
    clusters = np.split(np.argsort(position, kind="stable"), ends[:-1])
    return [rows for rows in clusters if len(rows)]


def _nearest_centroid(points, centroids, origin, n_threads, advance):
    packed_centroids = pack(np.ascontiguousarray(centroids, np.float32), origin=origin)
    out = np.empty(len(points), np.intp)
    for a in range(0, len(points), ASSIGNMENT_BATCH):
        rows = points[a : a + ASSIGNMENT_BATCH]
        nearest = Candidates(len(rows), 1)
        packed = pack(rows, origin=origin, n_threads=n_threads)
        nearest.compare_all(packed, packed_centroids, 0, n_threads)
        out[a : a + len(rows)] = nearest.best()
        advance(len(rows))
    return out


def _tour_positions(centroids):
    """Return each centroid's position on a tour that always visits the nearest one left."""
    centroids = centroids.astype(np.float64)
    left = np.ones(len(centroids), bool)
    position = np.empty(len(centroids), np.intp)
    current = int(np.argmin(centroids[:, 0]))
    for step in range(len(centroids)):
        position[current] = step
        left[current] = False
        distance = ((centroids - centroids[current]) ** 2).sum(1)
        distance[~left] = np.inf
        current = int(np.argmin(distance))
    return position
