"""Curves of fewer values, for files and pages."""

from collections.abc import Mapping

import numpy as np

# Values of a curve that are kept, evenly spaced in the logarithm of their number.
MAX_VALUES = 200


def thinned(curve: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same curve at ``MAX_VALUES`` places at most, the first and the last among them."""
    n = len(next(iter(curve.values())))
    if n <= MAX_VALUES:
        return dict(curve)
    places = np.unique(np.geomspace(1, n, MAX_VALUES).round().astype(int)) - 1
    return {name: values[places] for name, values in curve.items()}
