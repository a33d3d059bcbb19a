"""Labels of rows as numbers."""

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.runtime.validation import as_labels, is_missing


def encoded_labels(labels: ArrayLike, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct labels, and the number of each row's, -1 where it has none."""
    given = as_labels(labels, n)
    is_known = ~is_missing(given)
    known = given[is_known]
    codes = np.full(n, -1)
    if known.dtype.kind == "O":
        texts = [str(label) for label in known]
        names = np.array(sorted(set(texts)), object)
        code_of = {name: code for code, name in enumerate(names)}
        codes[is_known] = [code_of[text] for text in texts]
    else:
        names, codes[is_known] = np.unique(known, return_inverse=True)
    return names, codes
