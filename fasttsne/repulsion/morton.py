"""Where a map lies, and its points along a space-filling curve."""

import numpy as np

from fasttsne import _kernels


def bounding_box(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the box around the points y, (n, d) float32: two (d,) float32 arrays."""
    low, high = np.empty((2, y.shape[1]), np.float32)
    _kernels.coordinates.bounds(y, low, high)
    return low, high


def sort_along_curve(y: np.ndarray, codes: np.ndarray, order: np.ndarray, box=None) -> float:
    """Sort points along the Morton curve of the square around them; return the square's side.

    Parameters
    ----------
    y : (n, d) float32 array.
    codes, order : (2, n) arrays, uint64 and int32, whose first rows get the
        sorted codes and the point at each position; the second rows are scratch.
    box : the bounding box of y, where the caller has it.
    """
    low, high = (corner.astype(float) for corner in box or bounding_box(y))
    extent = max(float((high - low).max()), float(np.finfo(np.float32).tiny))
    _kernels.morton.morton_order(y, low, extent, codes, order)
    return extent


def curve_order(y: np.ndarray) -> np.ndarray:
    """The points of a map in the order of the curve, (n,) int32."""
    codes, order = np.empty((2, len(y)), np.uint64), np.empty((2, len(y)), np.int32)
    sort_along_curve(np.ascontiguousarray(y, np.float32), codes, order)
    return order[0].copy()
