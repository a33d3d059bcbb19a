"""Labels of rows as an array."""

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.runtime.missing import is_missing


def as_labels(labels: ArrayLike, n: int, name: str = "labels") -> np.ndarray:
    """Return labels as an array in which missing ones can be told from the others.

    Parameters
    ----------
    labels : (n,) numbers or text: an array, a list, or a column of a data frame.  Missing are
        those of :func:`is_missing`.
    n : number of rows.
    name : of the argument, for the message.

    Raises
    ------
    ValueError
        If there is not one for each row.
    """
    array = np.asarray(labels)
    if array.shape != (n,):
        raise ValueError(f"{name} must have the shape ({n},), one a row; got {array.shape}")
    if array.dtype.kind in "SU" and not hasattr(labels, "dtype"):
        # Where a list has text, NumPy makes text of NaN, too.
        objects = np.asarray(labels, object)
        if is_missing(objects).any():
            return objects
    return array
