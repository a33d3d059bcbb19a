"""Rows of neighbours as a library gives them: gaps noticed, the row itself taken out."""

import numpy as np


def without_self(indices: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop each row's own number, or the farthest neighbour where it was not found.

    Among many equal rows a search may find k others before the row itself.

    Parameters
    ----------
    indices, distances : (n, k) arrays, nearest first, no number twice in a row.

    Returns
    -------
    indices, distances : (n, k - 1) arrays.
    """
    n, k = indices.shape
    own = indices == np.arange(n)[:, None]
    own[~own.any(1), -1] = True
    keep = ~own
    return indices[keep].reshape(n, k - 1), distances[keep].reshape(n, k - 1)


def check_found(indices: np.ndarray, distances: np.ndarray, library: str, setting: str) -> None:
    """Check that a library found what it was asked for.

    Raises
    ------
    RuntimeError
        Where a row has fewer neighbours than asked for, marked by -1; ``setting`` names
        what finds more.
    ValueError
        Where distances are infinite or NaN.
    """
    found = (indices >= 0).sum(1)
    row = int(found.argmin())
    if found[row] < indices.shape[1]:
        raise RuntimeError(
            f"{library} found {found[row]} of {indices.shape[1]} neighbours of row {row}; "
            f"ask for more with knn_kwargs={{{setting!r}: ...}}"
        )
    if not np.isfinite(distances).all():
        row = int(np.flatnonzero(~np.isfinite(distances).all(1))[0])
        raise ValueError(f"{library} gives distances of row {row} that are not finite")
