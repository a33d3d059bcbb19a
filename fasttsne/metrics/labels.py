"""Labels of rows as numbers."""

import numpy as np
from numpy.typing import ArrayLike


def encoded_labels(labels: ArrayLike, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct labels, and the number of each row's, -1 where it has none."""
    given = np.asarray(labels)
    if given.shape != (n,):
        raise ValueError(f"labels must have the shape ({n},), one a row; got {given.shape}")
    if given.dtype.kind in "fO":
        is_missing = np.array([label is None or label != label for label in given], bool)
    else:
        is_missing = np.zeros(n, bool)
    known = given[~is_missing]
    if known.dtype.kind == "O":
        known = known.astype(str)
    codes = np.full(n, -1)
    names, codes[~is_missing] = np.unique(known, return_inverse=True)
    return names, codes
