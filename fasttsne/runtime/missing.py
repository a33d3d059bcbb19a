"""Missing values: None, NaN, NaT and pandas' NA."""

import sys
from typing import Any

import numpy as np


def is_missing(values: np.ndarray) -> np.ndarray:
    """Return which values of an array, (n,) of any type, are missing: (n,) bool."""
    found = np.zeros(len(values), bool)
    if values.dtype.kind in "fc":
        found = np.isnan(values)
    elif values.dtype.kind in "mM":
        found = np.isnat(values)
    elif values.dtype.kind == "O":
        # Who has a value of pandas has imported it.  NA != NA is NA, which is no truth value.
        NA = getattr(sys.modules.get("pandas"), "NA", None)
        each = (v is None or v is NA or (_is_single(v) and v != v) for v in values)
        found = np.fromiter(each, bool, len(values))
    return found


def _is_single(value: Any) -> bool:
    """Whether a value is no array: SciPy compares matrices without a look at their indices."""
    return getattr(value, "shape", ()) == ()
