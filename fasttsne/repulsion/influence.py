"""What the mesh is multiplied by between the two Fourier transforms.

Spreading with a spline and gathering with its derivative blurs the potential
and mixes in aliases.  The influence function that makes the force's error
smallest on average (Hockney & Eastwood 1981; for differentiated splines,
Ballenegger, Cerda & Holm 2012) is, with U = W^2 the squared window,

    G(k) = sum_m |k_m|^2 U(k_m) w^(k_m) / (sum_m U(k_m) * sum_m |k_m|^2 U(k_m)),

where k_m = k + 2 pi m are the aliases of a mode.  The transform of the kernel
sampled on the grid is the sum of w^ over the aliases; the share of each is
taken from the transform of Student's kernel, a Matern function, by its
asymptotic form: aliases matter only near the edge of the band, where that is
accurate.
"""

from typing import NamedTuple

import numpy as np
from scipy.fft import dctn

# Aliases whose squared spline windows are summed; the next would add less than 1e-6.
ALIASES = np.arange(-3, 4)


class Influence(NamedTuple):
    """The mesh's Green's function, and what the normalisation needs of it.

    modes : float32 array, (rows // 2 + 1, columns // 2 + 1); even, so a quarter
        holds all; the constant mode is 0 (it moves no point), and the division
        of the inverse transform is included.
    constant : float, the value of the constant mode.
    self_term : float, the average that a point contributes to its own potential.
    """

    modes: np.ndarray
    constant: float
    self_term: float


def student_influence(
    shape: tuple[int, int], spacing: float, order: int, dof: float
) -> Influence:
    """The influence function of w = (1 + r^2 / dof)^-dof on a periodic grid.

    Parameters
    ----------
    shape : (rows, columns) of the padded grid, each even, or one row in 1-D.
    spacing : distance of neighbouring grid points, in units of the map.
    order : order p of the B-splines.
    dof : degrees of freedom of the kernel.
    """
    frequency = [2 * np.pi * np.arange(m // 2 + 1) / m for m in shape]
    sampled = _transform_of_samples(shape, spacing, dof)
    window, gradient = _squared_windows(frequency, order)
    numerator = _shared_by_aliases(frequency, spacing, order, dof)
    gradient[0, 0] = 1  # 0 / 0: the constant mode is set apart below
    modes = sampled * numerator / (window * gradient)
    constant = sampled[0, 0]
    modes[0, 0] = constant
    size = shape[0] * shape[1]
    self_term = np.sum(_multiplicity(shape) * window * modes) / size
    modes[0, 0] = 0
    return Influence((modes / size).astype(np.float32), constant / size, self_term)


def _transform_of_samples(shape, spacing, dof):
    """The DFT of the sampled kernel: even in each axis, hence a cosine transform of a quarter."""
    y, x = (spacing * np.arange(m // 2 + 1) for m in shape)
    samples = (1 + (y[:, None] ** 2 + x[None, :] ** 2) / dof) ** -float(dof)
    axes = [axis for axis, m in enumerate(shape) if m > 1]
    return dctn(samples, type=1, axes=axes)


def _squared_windows(frequency, order):
    """sum_m U(k_m) and sum_m |k_m|^2 U(k_m); both are made of 1-D sums."""
    sums, slopes = [], []
    for k in frequency:
        k_m = k[:, None] + 2 * np.pi * ALIASES
        u = np.sinc(k_m / (2 * np.pi)) ** (2 * order)
        if len(k) == 1:  # the missing axis of a 1-D grid
            u = u * (ALIASES == 0)
        sums.append(u.sum(1))
        slopes.append((k_m**2 * u).sum(1))
    window = np.multiply.outer(sums[0], sums[1])
    gradient = np.multiply.outer(slopes[0], sums[1]) + np.multiply.outer(sums[0], slopes[1])
    return window, gradient


def _shared_by_aliases(frequency, spacing, order, dof):
    """sum_m |k_m|^2 U(k_m) share_m, with each alias's share of the sampled kernel."""
    dimensions = sum(len(k) > 1 for k in frequency)
    exponent = dof - (dimensions + 1) / 2
    total = weighted = 0.0
    # Frequencies are not negative, so the strongest alias lies one band below.
    shifts = [(0, -1) if len(k) > 1 else (0,) for k in frequency]
    base = None
    for shift_y in shifts[0]:
        for shift_x in shifts[1]:
            y, x = (
                k + 2 * np.pi * s for k, s in zip(frequency, (shift_y, shift_x), strict=True)
            )
            k2 = y[:, None] ** 2 + x[None, :] ** 2
            u = np.multiply.outer(_squared_window(y, order), _squared_window(x, order))
            k_map = np.sqrt(k2) / spacing
            k_map[0, 0] = max(k_map[0, 0], 1e-12)
            log_share = exponent * np.log(k_map) - np.sqrt(dof) * k_map
            if base is None:
                base = log_share
            share = np.exp(np.minimum(log_share - base, 0.0))
            total = total + share
            weighted = weighted + share * k2 * u
    return weighted / total


def _squared_window(k, order):
    return np.sinc(k / (2 * np.pi)) ** (2 * order)


def _multiplicity(shape):
    """How many modes of the whole spectrum each entry of the quarter stands for."""
    counts = []
    for m in shape:
        count = np.full(m // 2 + 1, 2.0)
        count[0] = 1
        if m % 2 == 0:
            count[-1] = 1
        counts.append(count)
    return np.multiply.outer(*counts)
