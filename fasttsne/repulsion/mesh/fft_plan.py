"""How the mesh's Fourier transforms are made of passes: radices, and the factors between them."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class FFTPlan(NamedTuple):
    """How ``_kernels/fft/fourier.pxd`` transforms lines of one length.

    length : a multiple of 4 with the factors 2, 3 and 5; or 1, for no transform.
    radices : (passes,) int32 array, the first is 4; backward they come from the last.
    factors : (2, ...) float32 array: the complex numbers, as pairs, that the passes forward
        and backward multiply with.
    """

    length: int
    radices: np.ndarray
    factors: np.ndarray


@lru_cache(maxsize=64)
def fft_plan(length: int) -> FFTPlan:
    """The plan for a length.

    Raises
    ------
    ValueError
        Where the length has other factors, or is not a multiple of 4.
    """
    radices = []
    rest = length
    for radix in (4, 5, 3, 2):
        while rest % radix == 0 and rest > 1:
            radices.append(radix)
            rest //= radix
    if length > 1 and (rest > 1 or radices[0] != 4):
        raise ValueError(f"length must be 4 times factors 2, 3 and 5; got {length}")
    factors = [_twiddle_factors(length, order) for order in (radices, radices[:0:-1] + radices[:1])]
    return FFTPlan(length, np.array(radices, np.int32), np.array(factors, np.float32))


def _twiddle_factors(length, radices):
    """w^(p j), as pairs, for each pass, p < m and 0 < j < r."""
    tables = [np.empty(0)]
    for radix in radices:
        left = length // radix
        phase = np.arange(left)[:, None] * np.arange(1, radix) * (-2 * np.pi / length)
        tables.append(np.stack([np.cos(phase), np.sin(phase)], -1).ravel())
        length = left
    return np.concatenate(tables)
