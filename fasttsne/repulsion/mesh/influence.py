"""What the mesh is multiplied by between the two Fourier transforms.

Spreading with a spline and gathering with its derivative blurs the potential
and mixes in aliases.  The influence function that makes the force's error
smallest on average (Hockney & Eastwood 1981; for differentiated splines,
Ballenegger, Cerda & Holm 2012) is, with U = W^2 the squared window,

    G(k) = sum_m |k_m|^2 U(k_m) w^(k_m) / (sum_m U(k_m) * sum_m |k_m|^2 U(k_m)),

where k_m = k + 2 pi m are the aliases of a mode.  The transform of the kernel
sampled on the grid is the sum of w^ over the aliases; the share of each is
taken from the transform of Student's kernel, x^nu K_nu(x) with nu = dof - d / 2 and
x = sqrt(dof) |k|, by an asymptotic form: aliases matter only near the edge of the
band, where that is accurate.

Arrays have three axes, layers, rows and columns; those that the map does not
have are of length one.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.fft import dctn
from scipy.interpolate import BSpline, PPoly

from fasttsne import _kernels
from fasttsne.linalg.products import preallocate_blas_buffers

# Aliases whose squared spline windows are summed; the next would add less than 1e-6.
ALIASES = np.arange(-3, 4)
SELF_FORCE_TERMS = _kernels.particle_mesh.SELF_FORCE_TERMS


class Influence(NamedTuple):
    """The mesh's Green's function, and what the normalisation needs of it.

    modes : float32 array, (layers // 2 + 1, rows // 2 + 1, columns // 2 + 1); even
        along each axis, so this part holds all; the constant mode is 0 (it moves no
        point), and the division of the inverse transform is included.
    constant : float, the value of the constant mode.
    self_term : float, the average that a point contributes to its own potential.
    self_force : (SELF_FORCE_TERMS,) float32 array, the force of a point on itself,
        which a grid makes: coefficients of an odd polynomial in t - 1/2, highest
        power first, where t is the point's position between two grid points.
    """

    modes: np.ndarray
    constant: float
    self_term: float
    self_force: np.ndarray


@np.errstate(under="ignore")  # the kernel's transform vanishes at high frequencies
def student_influence(
    shape: tuple[int, int, int], spacing: float, order: int, dof: float
) -> Influence:
    """Return the influence function of w = (1 + r^2 / dof)^-dof on a periodic grid.

    Parameters
    ----------
    shape : (layers, rows, columns) of the padded grid, each even; one layer in 2-D,
        one layer and one row in 1-D.
    spacing : distance of neighbouring grid points, in units of the map.
    order : order p of the B-splines.
    dof : degrees of freedom of the kernel.
    """
    size = np.prod(shape)
    frequency = [2 * np.pi * np.arange(m // 2 + 1) / m for m in shape]
    sampled = _transform_of_samples(shape, spacing, dof)
    window, gradient = _squared_windows(frequency, order)
    gradient[0, 0, 0] = 1  # 0 / 0: the constant mode is set apart below
    modes = sampled * _shared_by_aliases(frequency, spacing, order, dof)
    modes /= window
    modes /= gradient
    # The constant that the samples left out is the same at all grid points.
    constant = sampled[0, 0, 0] + size
    modes[0, 0, 0] = constant
    weights = _multiplicity(shape) * modes / size
    self_term = np.sum(weights * window)
    self_force = _self_force(weights, frequency, order, spacing)
    modes[0, 0, 0] = 0
    return Influence((modes / size).astype(np.float32), constant / size, self_term, self_force)


def quick_influence(
    shape: tuple[int, int, int], spacing: float, order: int, dof: float
) -> Influence:
    """Return the same in single precision, in a sixth of the time, for places without a point.

    Aliases take no share of the kernel's transform, which they have only near the edge of the band.
    The box must not be so small that the kernel is almost 1 in all of it.
    """
    frequency = [2 * np.pi * np.arange(m // 2 + 1) / m for m in shape]
    steps = [spacing / dof**0.5 * np.arange(m // 2 + 1) for m in shape]
    modes = squares([step.astype(np.float32) for step in steps])
    modes += 1
    np.reciprocal(modes, out=modes)
    if dof != 1:
        np.power(modes, np.float32(dof), out=modes)
    axes = [axis for axis, m in enumerate(shape) if m > 1]
    modes = dctn(modes, type=1, axes=axes, overwrite_x=True)
    constant = float(modes[0, 0, 0]) / math.prod(shape)
    factors, ratios = [], []
    for k in frequency:
        k_m = k[:, None] + 2 * np.pi * ALIASES
        u = _window(k, order) ** 2
        total = u.sum(1)
        factors.append(_window(k, order)[:, len(ALIASES) // 2] ** 2 / total**2)
        ratios.append((k_m**2 * u).sum(1) / total)
    weighted = functools.reduce(np.add.outer, [ratio.astype(np.float32) for ratio in ratios])
    weighted[0, 0, 0] = 1  # 0 / 0: the constant mode is set apart
    modes *= squares([k.astype(np.float32) for k in frequency])
    modes /= weighted
    for axis, factor in enumerate(factors):
        modes *= np.expand_dims(factor.astype(np.float32), [i for i in range(3) if i != axis])
    modes /= np.float32(math.prod(shape))
    modes[0, 0, 0] = 0
    return Influence(modes, constant, 0.0, np.zeros(SELF_FORCE_TERMS, np.float32))


@np.errstate(under="ignore")
def far_influence(
    shape: tuple[int, int, int], spacing: float, order: int, dof: float, cutoff: float
) -> Influence:
    """Return the influence function of the kernel's far part, zero of whose near part is left.

    It has no scale shorter than the cutoff, so the aliases are known: samples at half the spacing
    hold the transform of the only one that matters.

    Parameters
    ----------
    cutoff : more than 0; the others are as for ``student_influence``.
    """
    size = math.prod(shape)
    frequency = [2 * np.pi * np.arange(m // 2 + 1) / m for m in shape]
    axes = [axis for axis, m in enumerate(shape) if m > 1]
    samples = squares([spacing / 2 * np.arange(m + 1 if m > 1 else 1) for m in shape])
    transform = dctn(far_kernel(samples, cutoff, dof), type=1, axes=axes, overwrite_x=True)
    transform /= 2 ** len(axes)
    window, gradient = _squared_windows(frequency, order)
    gradient[0, 0, 0] = 1  # 0 / 0: the constant mode is set apart below
    modes = np.zeros_like(window)
    for shift in itertools.product(*[(0, -1) if m > 1 else (0,) for m in shape]):
        aliases = [k + 2 * np.pi * m for k, m in zip(frequency, shift, strict=True)]
        numbers = [np.abs(np.arange(len(k))) for k in frequency]
        at = [np.abs(i + m * n) for i, m, n in zip(numbers, shift, shape, strict=True)]
        windows = outer([np.sinc(k / (2 * np.pi)) ** (2 * order) for k in aliases])
        modes += squares(aliases) * windows * transform[np.ix_(*at)]
    modes /= window
    modes /= gradient
    constant = transform[0, 0, 0]
    modes[0, 0, 0] = constant
    weights = _multiplicity(shape) * modes / size
    self_term = np.sum(weights * window)
    self_force = _self_force(weights, frequency, order, spacing)
    modes[0, 0, 0] = 0
    return Influence((modes / size).astype(np.float32), constant / size, self_term, self_force)


def far_kernel(r2: np.ndarray, cutoff: float, dof: float) -> np.ndarray:
    """Return w where r^2 is at least the squared cutoff, and its Taylor polynomial there below."""
    s0 = cutoff**2
    u = np.maximum((s0 - r2) / (dof + s0), 0)
    sums: np.ndarray = np.polyval(taylor_coefficients(cutoff, dof)[::-1].astype(float), u)
    return np.where(r2 < s0, sums, np.exp(-dof * np.log1p(r2 / dof)))


@functools.lru_cache(maxsize=64)
def taylor_coefficients(cutoff: float, dof: float) -> np.ndarray:
    """Return the coefficients, (4,) float32, of w's polynomial in u = (s0 - r^2) / (dof + s0).

    s0 is the squared cutoff.  The lowest power comes first.
    """
    at_cutoff = (1 + cutoff**2 / dof) ** -dof
    factors = np.cumprod([1.0, dof, (dof + 1) / 2, (dof + 2) / 3])
    coefficients: np.ndarray = (at_cutoff * factors).astype(np.float32)
    coefficients.flags.writeable = False  # all callers share it
    return coefficients


def outer(factors: Sequence[np.ndarray]) -> np.ndarray:
    """Return the product of a vector for each axis, an array of three axes."""
    return functools.reduce(np.multiply.outer, factors)


def squares(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """Return the sum of squares of a vector for each axis, an array of three axes."""
    return functools.reduce(np.add.outer, [v**2 for v in vectors])


def _transform_of_samples(shape: Sequence[int], spacing: float, dof: float) -> np.ndarray:
    """Return the DFT of w - 1 on the grid: a cosine transform of a part, as it is even.

    The 1 is left out because a small map's w differs from it by less than float64 holds.
    """
    samples = squares([spacing * np.arange(m // 2 + 1) for m in shape])
    samples = np.expm1(-dof * np.log1p(samples / dof))
    axes = [axis for axis, m in enumerate(shape) if m > 1]
    transform: np.ndarray = dctn(samples, type=1, axes=axes, overwrite_x=True)
    return transform


def _squared_windows(frequency: Sequence[np.ndarray], order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sum_m U(k_m) and sum_m |k_m|^2 U(k_m); both are made of 1-D sums."""
    sums, slopes = [], []
    for k in frequency:
        k_m = k[:, None] + 2 * np.pi * ALIASES
        u = _window(k, order) ** 2
        sums.append(u.sum(1))
        slopes.append((k_m**2 * u).sum(1))
    terms = [[*sums[:axis], slopes[axis], *sums[axis + 1 :]] for axis in range(len(frequency))]
    return outer(sums), functools.reduce(np.add, map(outer, terms))


def _shared_by_aliases(
    frequency: Sequence[np.ndarray], spacing: float, order: int, dof: float
) -> np.ndarray:
    """Return sum_m |k_m|^2 U(k_m) share_m, with each alias's share of the sampled kernel.

    Single precision is ten times as fast, and the shares are not exact anyway.
    """
    nu = dof - sum(len(k) > 1 for k in frequency) / 2
    frequency = [k.astype(np.float32) for k in frequency]
    sums: list[np.ndarray] = []
    base: np.ndarray | None = None
    # Frequencies are not negative, so the strongest alias lies one band below.
    shifts = [(0, -1) if len(k) > 1 else (0,) for k in frequency]
    for shift in itertools.product(*shifts):
        aliases = [k + np.float32(2 * np.pi * m) for k, m in zip(frequency, shift, strict=True)]
        k2 = np.maximum(squares(aliases), np.float32(1e-24))
        share = _log_matern(k2 * np.float32(dof / spacing**2), nu)
        if base is None:
            base = share.copy()
        share -= base
        np.exp(np.minimum(share, 0, out=share), out=share)
        k2 *= outer([np.sinc(k / (2 * np.pi)) ** (2 * order) for k in aliases])
        k2 *= share
        if sums:
            sums[0] += share
            sums[1] += k2
        else:
            sums = [share, k2]
    shared: np.ndarray = sums[1] / sums[0]
    return shared


def _log_matern(x2: np.ndarray, nu: float) -> np.ndarray:
    """Return log(x^nu K_nu(x)) of x^2, up to a constant: uniform for large x or nu (DLMF 10.41)."""
    root = np.sqrt(x2 + np.float32(nu**2))
    log = np.log(root)
    log *= np.float32(-0.5)
    log -= root
    if nu != 0:
        power = np.log(root + np.float32(abs(nu)))
        if nu < 0:
            power -= np.log(x2)
        power *= np.float32(abs(nu))
        log += power
    return log


def _self_force(
    weights: np.ndarray, frequency: Sequence[np.ndarray], order: int, spacing: float
) -> np.ndarray:
    """Return the force of a point on itself along the columns, as a polynomial in t - 1/2.

    It has the period of the grid: b_q sin(2 pi q t) with
    b_q = (-1)^(p q) pi q / spacing * sum_k G(k) sum_m W(k_m) W(k_(m - q)).
    The second harmonic is a tenth of the first, the others do not matter.
    """
    preallocate_blas_buffers()
    for k in frequency[:-1]:
        weights = np.tensordot((_window(k, order) ** 2).sum(1), weights, 1)
    t = np.linspace(0, 1, 101)
    force = np.zeros_like(t)
    w = _window(frequency[-1], order)
    for q in (1, 2):
        overlap = (w[:, q:] * w[:, :-q]).sum(1)
        strength = (-1) ** (order * q) * np.pi * q / spacing * (weights @ overlap)
        force += strength * np.sin(2 * np.pi * q * t)
    powers = 2 * np.arange(SELF_FORCE_TERMS)[::-1] + 1
    basis = (t[:, None] - 0.5) ** powers
    coefficients: np.ndarray = np.linalg.lstsq(basis, force, rcond=None)[0]
    return coefficients.astype(np.float32)


def _window(k: np.ndarray, order: int) -> np.ndarray:
    """Return W(k_m) of the spline for each alias, (modes, aliases)."""
    if len(k) == 1:
        return np.array(ALIASES == 0, float)[None, :]  # the axis is missing
    window: np.ndarray = np.sinc(k[:, None] / (2 * np.pi) + ALIASES) ** order
    return window


def _multiplicity(shape: Sequence[int]) -> np.ndarray:
    """Return how many modes of the whole spectrum each entry of the stored part stands for."""
    counts = [np.full(m // 2 + 1, 2.0) for m in shape]
    for count in counts:
        count[[0, -1]] = 1  # axes are even, or of length one
    return outer(counts)


@functools.lru_cache(maxsize=8)
def polynomials(order: int) -> np.ndarray:
    """Return weights and slopes of the B-spline of order p = ``order`` at its p nodes.

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
    table.flags.writeable = False  # all callers share it
    return table
