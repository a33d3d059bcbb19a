"""Bounds of the errors of scores and distances: docs/math.rst, "Exact neighbours", proves them."""

import numpy as np

FLOAT32_UNIT, FLOAT64_UNIT = 2.0**-24, 2.0**-53
# What rounds the bounds themselves up.
SLACK = 1.01
# Columns that are summed side by side where a distance is computed from float32 differences.
DIFFERENCE_LANES = 16


def error_bounds(
    depth: int,
    far: float,
    copied: bool,
    unit: float = 1.0,
    rounding: float = FLOAT32_UNIT,
    growth: float = 1.0,
) -> np.ndarray:
    """Return the bounds that the kernel ``exact_order`` reads, (7,) float64.

    Parameters
    ----------
    depth : largest number of products in a score.
    far : distance beyond which candidates may have been moved nearer.
    copied : whether candidates were reranked by rounded copies of their rows.
    unit : of the lengths that the errors are of.
    rounding : unit of rounding of the scores.
    growth : square of the longest row where scores are computed, if it is 1 after centering.
    """
    rounding *= SLACK
    score = (depth / 2 + 8) * rounding * growth
    difference = (depth / DIFFERENCE_LANES + 16) * rounding
    # Squares of float32 numbers below 1e-19 may vanish.
    tiny = 2e-19 * depth**0.5
    rounding *= growth**0.5
    return np.array([score, rounding, rounding if copied else 0.0, difference, tiny, far, unit])
