"""Maps of any number of dimensions in the plane."""

import numpy as np


def to_plane(points: np.ndarray) -> tuple[np.ndarray, str]:
    """The points in two dimensions, (n, 2), and a word on how, empty for maps in 2-D.

    Of more dimensions they are the projection on the two principal axes; of one the second
    coordinate is 0.
    """
    d = points.shape[1]
    if d == 2:
        return points, ""
    if d == 1:
        note = "The map has one dimension: it is drawn as a line."
        return np.column_stack([points[:, 0], np.zeros(len(points))]), note
    centered = points - points.mean(0)
    _, _, axes = np.linalg.svd(centered.T @ centered)
    flat = centered @ axes[:2].T
    share = flat.var(0).sum() / centered.var(0).sum()
    return flat, (
        f"The map has {d} dimensions: it is drawn as its projection on two, which has {share:.0%} "
        "of its variance.  Points that lie on one another here may be far apart in it; scores are "
        "those of the whole map."
    )
