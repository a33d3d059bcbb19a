"""Agreement of several embeddings of one data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metrics.estimate import check_points
from fasttsne.metrics.label_agreement import encoded_labels
from fasttsne.nearest_neighbors.builtin.rows import DenseRows
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.validation import check_number

# Alignments to the mean of the maps as aligned before; the third changes little.
N_ALIGNMENTS = 5


@dataclass(frozen=True)
class Stability:
    """How far maps differ: for each point, for each pair of clusters, and as a whole.

    Lengths are in units of a map's size, the root mean square distance of its points from their
    mean, after alignment.

    Attributes
    ----------
    displacement : (n,) root mean square distance of each point from its mean position over the
        maps that have it; near 0 where maps agree, 1 where positions are random.  NaN for a point
        that fewer than two maps have.
    overlap : (n,) mean share of the k nearest neighbours that two maps have in common, of all pairs
        of maps that have the point; NaN where there are none.
    labels : (labels,) the distinct labels, or None.
    pair_distance : (labels, labels) mean distance of two clusters' means over the maps, or None.
    pair_spread : (labels, labels) standard deviation of that distance over the maps by its mean,
        or None: above about .3 a distance, and who is next to whom, is a matter of chance.
    aligned : (maps, n, d) the maps, aligned; NaN where a map lacks a row.
    """

    displacement: np.ndarray
    overlap: np.ndarray
    labels: np.ndarray | None
    pair_distance: np.ndarray | None
    pair_spread: np.ndarray | None
    aligned: np.ndarray


def stability(
    maps: Sequence[ArrayLike],
    labels: ArrayLike | None = None,
    k: int = 15,
    rows: Sequence[ArrayLike] | None = None,
    n_samples: int | None = None,
    n_jobs: int | None = -1,
) -> Stability:
    """Return how far maps from other seeds, starts or samples of the rows agree.

    Maps are scaled to one size, and aligned to their mean by the translation, rotation and
    reflection that minimize the sum of squared distances (generalized Procrustes analysis).

    Parameters
    ----------
    maps : at least two (n, d) arrays, in one order of rows; (n_j, d) with ``rows``.
    labels : (n,) clusters or classes, for the pairs; None leaves them out.
    k : neighbours of each point whose overlap is taken, less than the rows two maps share.
    rows : for maps of bootstrap samples or subsets: the indices of each map's rows.  Of a row
        that is in a sample several times, the first point counts.
    n_samples : n where ``rows`` are given; None is the largest index plus one.
    n_jobs : threads; -1 all cores.  The result does not depend on it.

    Source: Gower 1975, Generalized Procrustes analysis; Kobak & Linderman 2021, Initialization is
    critical for preserving global data structure (seeds against starts).
    """
    given = [check_points(each) for each in maps]
    if len(given) < 2:
        raise ValueError(f"maps must be at least two; got {len(given)}")
    aligned = _align(_by_rows(given, rows, n_samples))
    n = aligned.shape[1]
    names, distance, spread = _pairs_of_clusters(aligned, labels)
    overlap = _overlap(aligned, k, n, resolve_n_jobs(n_jobs))
    return Stability(_displacement(aligned), overlap, names, distance, spread, aligned)


def _by_rows(
    maps: list[np.ndarray], rows: Sequence[ArrayLike] | None, n_samples: int | None
) -> np.ndarray:
    """Return the maps as one array, (maps, n, d) float64, NaN where a map lacks a row."""
    if rows is None:
        shapes = {each.shape for each in maps}
        if len(shapes) > 1:
            raise ValueError(f"maps must have one shape, or rows; got {sorted(shapes)}")
        return np.stack(maps).astype(np.float64)
    numbers = [np.asarray(each) for each in rows]
    if [len(each) for each in numbers] != [len(each) for each in maps]:
        raise ValueError("rows must be the indices of each map's rows, as many as it has")
    if len({each.shape[1] for each in maps}) > 1:
        raise ValueError("maps must have as many dimensions each")
    n = max(int(each.max()) for each in numbers) + 1 if n_samples is None else n_samples
    if any(each.min() < 0 or each.max() >= n for each in numbers):
        raise ValueError(f"rows must be indices from 0 to {n - 1}")
    found = np.full((len(maps), n, maps[0].shape[1]), np.nan)
    for whole, each, number in zip(found, maps, numbers, strict=True):
        kept, first = np.unique(number, return_index=True)
        whole[kept] = each[first]
    return found


def _align(maps: np.ndarray) -> np.ndarray:
    """Return the maps with mean 0 and size 1, turned and scaled to their common mean."""
    maps = maps - np.nanmean(maps, axis=1, keepdims=True)
    size = np.sqrt(np.nanmean((maps**2).sum(2), axis=1))
    if not (size > 0).all():
        raise ValueError("maps must have points that are not all equal")
    maps /= size[:, None, None]
    mean = maps[0]
    for _ in range(N_ALIGNMENTS):
        maps = np.stack([_turned(each, mean) for each in maps])
        with np.errstate(invalid="ignore"):
            present = (~np.isnan(maps[:, :, 0])).sum(0)[:, None]
            mean = np.where(present > 0, np.nansum(maps, 0) / np.maximum(present, 1), np.nan)
        mean /= np.sqrt(np.nanmean((mean**2).sum(1)))
    return maps


def _turned(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return points scaled to the size of a target, moved and turned onto it, over shared rows.

    Scales by least squares would shrink maps that have nothing in common, and hide how far they
    differ.
    """
    shared = ~np.isnan(points[:, 0]) & ~np.isnan(target[:, 0])
    if shared.sum() < 2:
        raise ValueError("maps must share at least two rows with the others")
    origin, goal = points[shared].mean(0), target[shared].mean(0)
    inner = points[shared] - origin
    outer = target[shared] - goal
    left, _, right = np.linalg.svd(inner.T @ outer)
    scale = np.sqrt((outer**2).sum() / (inner**2).sum())
    turned: np.ndarray = (points - origin) @ (left @ right) * scale + goal
    return turned


def _displacement(maps: np.ndarray) -> np.ndarray:
    present = (~np.isnan(maps[:, :, 0])).sum(0)
    mean = np.nansum(maps, 0) / np.maximum(present, 1)[:, None]
    square = np.nansum(((maps - mean) ** 2).sum(2), 0)
    return np.where(present > 1, np.sqrt(square / np.maximum(present - 1, 1)), np.nan)


def _overlap(maps: np.ndarray, k: int, n: int, n_threads: int) -> np.ndarray:
    """Return the mean share of the k nearest that pairs of maps have in common, (n,)."""
    totals, counts = np.zeros(n), np.zeros(n)
    for a, b in combinations(maps, 2):
        shared = np.flatnonzero(~np.isnan(a[:, 0]) & ~np.isnan(b[:, 0]))
        k = check_number(k, "k", low=1, high=len(shared) - 1, integer=True)
        rows = (DenseRows(each[shared], "euclidean") for each in (a, b))
        near = [each.self_kneighbors(k, n_threads)[0] for each in rows]
        both = np.sort(np.concatenate(near, axis=1), axis=1)  # no number is twice in a row of one
        totals[shared] += (both[:, 1:] == both[:, :-1]).sum(1) / k
        counts[shared] += 1
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def _pairs_of_clusters(
    maps: np.ndarray, labels: ArrayLike | None
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the labels, and mean and relative spread of the distances of their means."""
    if labels is None:
        return None, None, None
    names, codes = encoded_labels(labels, maps.shape[1])
    shape = len(maps), len(names), maps.shape[2]
    means = np.full(shape, np.nan)
    for found, points in zip(means, maps, strict=True):
        for code in range(len(names)):
            members = points[codes == code]
            members = members[~np.isnan(members[:, 0])]
            if len(members):
                found[code] = members.mean(0)
    distances = np.linalg.norm(means[:, :, None] - means[:, None], axis=3)
    present = np.maximum((~np.isnan(distances)).sum(0), 1)
    mean = np.nansum(distances, 0) / present
    spread = np.sqrt(np.nansum((distances - mean) ** 2, 0) / np.maximum(present - 1, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return names, mean, np.where(mean > 0, spread / mean, 0.0)
