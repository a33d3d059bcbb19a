"""Metrics that are functions of the Euclidean distance between prepared rows."""

import numpy as np

METRICS = ("euclidean", "l2", "sqeuclidean", "cosine", "correlation")


def is_angular(metric: str) -> bool:
    """Return whether rows are scaled to length one: then d^2 / 2 is one minus the cosine."""
    return metric in ("cosine", "correlation")


def to_metric(
    distances: np.ndarray, metric: str, scale: float, farthest: float | None = None
) -> np.ndarray:
    """Convert Euclidean distances of prepared rows, divided by ``scale``, to the metric.

    farthest : the largest of all distances, where these are some of them.
    """
    if is_angular(metric):
        return distances**2 / 2
    if scale == 1 and metric != "sqeuclidean":
        return distances
    with np.errstate(over="ignore"):
        result = distances.astype(np.float64) * scale
        if metric == "sqeuclidean":
            result **= 2
    # The distance of finite rows may overflow.
    np.minimum(result, np.finfo(np.float64).max, out=result)
    largest = result.max(initial=0) if farthest is None else np.float64(farthest) ** 2
    fits = scale == 1 and largest <= np.finfo(np.float32).max
    return result.astype(np.float32) if fits else result
