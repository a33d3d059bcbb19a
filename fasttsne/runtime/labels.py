"""Labels of rows as an array."""

import numpy as np
from numpy.typing import ArrayLike


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
    listed = labels if isinstance(labels, (list, tuple)) else ()
    has_text = any(isinstance(label, (str, bytes)) for label in listed)
    # Of text in a list NumPy would make an array with the room of the longest for each, and of NaN
    # beside it text, too.
    array = np.asarray(labels, object if has_text else None)
    if array.shape != (n,):
        raise ValueError(f"{name} must have the shape ({n},), one a row; got {array.shape}")
    return array
