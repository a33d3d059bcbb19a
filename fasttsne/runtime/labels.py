"""Labels of rows as an array, and which of its values are missing."""

import numpy as np
from numpy.typing import ArrayLike


def as_labels(labels: ArrayLike, n: int) -> np.ndarray:
    """Return labels as an array in which missing ones can be told from the others.

    Parameters
    ----------
    labels : (n,) numbers or text: an array, a list, or a column of a data frame.
    n : number of rows.

    Raises
    ------
    ValueError
        If there is not one for each row.
    """
    array = np.asarray(labels)
    if array.shape != (n,):
        raise ValueError(f"labels must have the shape ({n},), one a row; got {array.shape}")
    if array.dtype.kind in "SU" and not hasattr(labels, "dtype"):
        # Where a list has text, NumPy makes text of NaN, too.
        objects = np.asarray(labels, object)
        if is_missing(objects).any():
            return objects
    return array


def is_missing(values: np.ndarray) -> np.ndarray:
    """Return which values of an array, (n,) of any type, are None or NaN: (n,) bool."""
    if values.dtype.kind in "fc":
        found: np.ndarray = np.isnan(values)
        return found
    if values.dtype.kind == "O":
        return np.array([value is None or value != value for value in values], bool)
    return np.zeros(len(values), bool)
