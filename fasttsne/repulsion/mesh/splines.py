"""Cardinal B-splines as the polynomials that the mesh kernels evaluate."""

import numpy as np
from scipy.interpolate import BSpline, PPoly

from fasttsne import _kernels


def polynomials(order: int) -> np.ndarray:
    """Weights and slopes of the B-spline of order p = ``order`` at its p nodes.

    A point at u = cell + t, 0 <= t < 1, has the weight M_p(t + p - 1 - j) at node
    cell + j: a polynomial of degree p - 1 in t for each j.

    Returns
    -------
    (2, p, 8) float32 array: coefficients of the weights, highest power first,
    and of their derivatives by t (whose last row is unused); one node a column,
    zero beyond the p-th.
    """
    pieces = PPoly.from_spline(BSpline.basis_element(np.arange(order + 1.0)))
    table = np.zeros((2, order, _kernels.particle_mesh.MAX_ORDER), np.float32)
    inside = slice(order - 1, 2 * order - 1)  # from_spline repeats the outer knots
    weights = pieces.c[:, inside][:, ::-1]
    table[0, :, :order] = weights
    table[1, : order - 1, :order] = weights[:-1] * np.arange(order - 1, 0, -1)[:, None]
    return table
