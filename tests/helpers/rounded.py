"""Affinities with numbers that the kernels hold exactly in their 16 bits."""

import numpy as np


def rounded(P):
    """Return an array with twelve significant bits in each number, by the kernels' own rule."""
    P = np.asarray(P, float)
    step = np.exp2(np.floor(np.log2(np.where(P > 0, P, 1))) - 10)
    return np.rint(P / step) * step
