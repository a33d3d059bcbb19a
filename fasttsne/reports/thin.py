"""Curves of fewer values, for files and pages."""

from collections.abc import Mapping

import numpy as np

# Values of a curve that are kept, evenly spaced in the logarithm of their number.
MOST_VALUES = 200


def thinned(curve: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same curve at ``MOST_VALUES`` places at most, the first and the last among them."""
    n = len(next(iter(curve.values())))
    if n <= MOST_VALUES:
        return dict(curve)
    places = np.unique(np.geomspace(1, n, MOST_VALUES).round().astype(int)) - 1
    return {name: values[places] for name, values in curve.items()}
