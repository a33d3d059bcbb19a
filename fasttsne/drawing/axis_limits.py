"""Axis limits of animations, smoothed over time."""

import itertools
from collections import deque

import numpy as np

MARGIN = 0.04  # of the extent of the embedding, on each side


def smoothed_axis_limits(embeddings, window: int):
    """Yield each embedding with the center and half-extents of its axes, smoothed over time.

    Half-extents are averaged as logarithms, with weights that fall linearly to zero over
    ``window`` frames on both sides: an embedding that grows by a constant factor always has
    the same size.  None is cut, or shown at less than half its size, even if it grows
    suddenly.
    """
    weights = 1 - np.abs(np.arange(-window, window + 1)) / (window + 1)
    extents: deque = deque([None] * window, maxlen=2 * window + 1)
    pending: deque = deque()
    for points in itertools.chain(embeddings, itertools.repeat(None, window)):
        extents.append(None if points is None else _robust_extent(points))
        if points is not None:
            pending.append(points)
        if len(extents) == extents.maxlen and pending:
            yield pending.popleft(), *_average_limits(extents, weights, extents[window])


def _robust_extent(points):
    """Center and half-extents of the points without outliers."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    sample = points[:: max(len(points) // 4096, 1)]
    inner = np.quantile(sample, (0.01, 0.99), axis=0)
    center, reach = inner.mean(axis=0), inner[1] - inner[0]
    if np.any(reach > 0):
        low, high = np.maximum(low, center - reach), np.minimum(high, center + reach)
    return (low + high) / 2, np.maximum((high - low) / 2, 1e-30)


def _average_limits(extents, weights, current):
    present = [(w, *extent) for w, extent in zip(weights, extents, strict=True) if extent]
    weight = np.array([w for w, _, _ in present])[:, None]
    centers = np.array([center for _, center, _ in present])
    halves = np.array([half for _, _, half in present])
    largest = halves.max(axis=1, keepdims=True)
    half = np.exp((weight * np.log(np.maximum(halves, 1e-3 * largest))).sum(axis=0) / weight.sum())
    # In units of each frame's extent: otherwise a growing embedding would be off center.
    center = (weight / largest * centers).sum(axis=0) / (weight / largest).sum()
    min_half = np.abs(current[0] - center) + current[1]
    return center, (1 + 2 * MARGIN) * np.clip(half, min_half / (1 + MARGIN), 2 * min_half)
