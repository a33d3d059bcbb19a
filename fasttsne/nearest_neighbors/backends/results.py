"""Results of other packages: checked, and without each row among its own neighbours."""

import numpy as np


def drop_self(indices: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Remove each row from its own neighbours, or the farthest neighbour if it is not there.

    Among many equal rows a search may find k others before the row itself.

    Parameters
    ----------
    indices, distances : (n, k) arrays, nearest first, no index twice in a row.

    Returns
    -------
    indices, distances : (n, k - 1) arrays.
    """
    n, k = indices.shape
    is_self = indices == np.arange(n)[:, None]
    is_self[~is_self.any(1), -1] = True
    keep = ~is_self
    return indices[keep].reshape(n, k - 1), distances[keep].reshape(n, k - 1)


def check_complete(indices: np.ndarray, distances: np.ndarray, library: str, setting: str) -> None:
    """Check that a library found all neighbours, at finite distances.

    Raises
    ------
    RuntimeError
        Where a row has too few neighbours, marked by -1; ``setting`` is the entry of
        ``knn_kwargs`` that finds more.
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
