"""Metrics whose nearest neighbours are Euclidean ones of rows prepared in some way."""

import numpy as np

METRICS = ("euclidean", "l2", "sqeuclidean", "cosine", "correlation")


def is_angular(metric: str) -> bool:
    """Whether rows are scaled to length one: then d^2 / 2 is one minus the cosine."""
    return metric in ("cosine", "correlation")


def in_metric(distances: np.ndarray, metric: str, unit: float) -> np.ndarray:
    """Distances of the metric from Euclidean distances of prepared rows."""
    if is_angular(metric):
        return distances**2 / 2
    if unit == 1:
        return distances**2 if metric == "sqeuclidean" else distances
    with np.errstate(over="ignore"):
        distances = distances.astype(np.float64) * unit
        if metric == "sqeuclidean":
            distances **= 2
    # Rows may be farther apart than a number can say.
    return np.minimum(distances, np.finfo(np.float64).max, out=distances)
