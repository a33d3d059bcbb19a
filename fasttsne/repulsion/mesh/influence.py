"""What the mesh is multiplied by between the two Fourier transforms.

Spreading with a spline and gathering with its derivative blurs the potential
and mixes in aliases.  The influence function that makes the force's error
smallest on average (Hockney & Eastwood 1981; for differentiated splines,
Ballenegger, Cerda & Holm 2012) is, with U = W^2 the squared window,

    G(k) = sum_m |k_m|^2 U(k_m) w^(k_m) / (sum_m U(k_m) * sum_m |k_m|^2 U(k_m)),

where k_m = k + 2 pi m are the aliases of a mode.  The transform of the kernel
sampled on the grid is the sum of w^ over the aliases, of which each has a share:
what G is to that transform does not depend on the size of the grid, and is kept.

All of the kernel has the transform x^nu K_nu(x) with nu = dof - d / 2 and
x = sqrt(dof) |k|, of which an asymptotic form is used: aliases matter only near the
edge of the band, where that is accurate.  The far part of a split kernel has no scale
shorter than the cutoff: samples at half the spacing hold the only alias that matters.

Arrays have three axes, layers, rows and columns; those that the map does not
have are of length one.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.fft import dctn
from scipy.interpolate import BSpline, PPoly

from fasttsne import _kernels
from fasttsne.linalg.products import preallocate_blas_buffers

# Aliases whose squared spline windows are summed; the next would add less than 1e-6.
ALIASES = np.arange(-3, 4)
SELF_FORCE_TERMS = _kernels.particle_mesh.SELF_FORCE_TERMS
# Intervals of the table of a factor, from the lowest frequency of a grid to the highest.
INTERVALS = {1: 128, 2: 64, 3: 32}
# Numbers that are computed together.
PIECE = 1 << 16


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


@np.errstate(under="ignore")
def make_influence(
    shape: tuple[int, int, int], spacing: float, order: int, dof: float, cutoff: float = 0.0
) -> Influence:
    """Return the influence function of the far part of the kernel on a periodic grid.

    Parameters
    ----------
    shape : (layers, rows, columns) of the padded grid, each even; one layer in 2-D,
        one layer and one row in 1-D.
    spacing : distance of neighbouring grid points, in units of the map.
    order : order p of the B-splines.
    dof : degrees of freedom of the kernel.
    cutoff : distance at which the near part, which the grid leaves out, ends; 0 without one.
    """
    size = math.prod(shape)
    axes = [axis for axis, m in enumerate(shape) if m > 1]
    frequency = [2 * np.pi * np.arange(m // 2 + 1) / m for m in shape]
    modes = _sampled_kernel([spacing * np.arange(m // 2 + 1) for m in shape], cutoff, dof)
    modes = dctn(modes, type=1, axes=axes, overwrite_x=True)
    # The constant that the samples left out is the same at all grid points.
    constant = modes[0, 0, 0] + (0 if cutoff else size)
    factors = optimal_factor(len(axes), spacing, order, dof, cutoff)
    windows = [(_window(k, order) ** 2).sum(1) for k in frequency]
    layers, rows, columns = [_multiplicity(m) for m in shape]
    shares = np.multiply.outer(layers * windows[0], rows * windows[1]).ravel() / size
    used = factors if cutoff else factors[:1]
    scaled, sums = _scale_modes(modes, used, constant, frequency, shares)
    scaled[0, 0, 0] = 0
    sums *= columns
    self_term = float((sums * windows[2]).sum())
    self_force = _self_force(sums, frequency[2], order, spacing)
    return Influence(scaled, constant / size, self_term, self_force)


def _scale_modes(
    modes: np.ndarray,
    factors: Sequence[np.ndarray],
    constant: float,
    frequency: Sequence[np.ndarray],
    shares: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return G over the grid's size, float32, and sums of G over all lines along the columns.

    Parameters
    ----------
    modes : (layers, rows, columns), the transform s of the samples, which is overwritten.
    factors : tables of a and, with a cutoff, b of G = a s + b.
    constant : of G, the constant mode.
    shares : (layers * rows,) weights of the lines in the sums.
    """
    tables = [_at_frequencies(table, frequency[:-1]) for table in factors]
    tables = [table.reshape(-1, table.shape[2]) for table in tables]
    between = Interpolation(frequency[2], tables[0].shape[1])
    lines = modes.reshape(-1, modes.shape[2])
    scaled, sums = np.empty(lines.shape, np.float32), np.zeros(modes.shape[2])
    size = math.prod(max(2 * (m - 1), 1) for m in modes.shape)
    for piece in _pieces(*lines.shape):
        line = lines[piece]
        line *= between.along_rows(tables[0][piece])
        for table in tables[1:]:
            line += between.along_rows(table[piece])
        if piece.start == 0:
            line[0, 0] = constant
        sums += np.einsum("i,ij->j", shares[piece], line)  # not by BLAS, as below
        np.divide(line, size, out=scaled[piece], casting="same_kind")
    return scaled.reshape(modes.shape), sums


def _pieces(n_lines: int, length: int) -> Iterator[slice]:
    """Yield slices of lines, of about PIECE numbers each."""
    step = max(PIECE // length, 1)
    return (slice(first, min(first + step, n_lines)) for first in range(0, n_lines, step))


def _sampled_kernel(places: Sequence[np.ndarray], cutoff: float, dof: float) -> np.ndarray:
    """Return the far part of the kernel at distances along three axes, or the kernel less 1.

    Without a cutoff w of a small map differs from 1 by less than float64 holds.
    """
    samples = np.empty([len(x) for x in places])
    columns, lines = places[2] ** 2, samples.reshape(-1, len(places[2]))
    others = squares([*places[:2], np.zeros(1)]).ravel()
    for piece in _pieces(*lines.shape):
        r2 = np.add.outer(others[piece], columns)
        lines[piece] = far_kernel(r2, cutoff, dof) if cutoff else kernel_less_1(r2, dof)
    return samples


def _at_frequencies(table: np.ndarray, frequency: Sequence[np.ndarray]) -> np.ndarray:
    """Return a table for frequencies from 0 to pi at others, along the first axes."""
    for axis, k in enumerate(frequency):
        if len(k) > 1:
            between = Interpolation(k, table.shape[axis])
            lines = np.moveaxis(table, axis, -1)
            found = between.along_rows(lines.reshape(-1, lines.shape[-1]))
            table = np.moveaxis(found.reshape(*lines.shape[:-1], len(k)), -1, axis)
    return table


class Interpolation:
    """Cubic polynomials between the entries of a table for frequencies from 0 to pi.

    Parameters
    ----------
    k : (m,) frequencies.
    size : of the table.
    """

    def __init__(self, k: np.ndarray, size: int):
        last = size - 1
        x = k * (last / np.pi)
        cell = np.minimum(x.astype(int), last - 1)
        t = x - cell
        # Even about both ends: k and -k are alike, and so are aliases of pi + k and pi - k.
        self._nodes = [np.abs(cell - 1), cell, cell + 1, last - np.abs(last - cell - 2)]
        self._weights = [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ]

    def along_rows(self, tables: np.ndarray) -> np.ndarray:
        """Return what tables, (any, size), have at the frequencies, (any, m)."""
        result: np.ndarray = np.take(tables, self._nodes[0], axis=1)
        result *= self._weights[0]
        for node, weight in zip(self._nodes[1:], self._weights[1:], strict=True):
            term = np.take(tables, node, axis=1)
            term *= weight
            result += term
        return result


@functools.lru_cache(maxsize=64)
@np.errstate(under="ignore")  # transforms vanish at high frequencies
def optimal_factor(
    d: int, spacing: float, order: int, dof: float, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a and b of G = a s + b, with s the transform of the samples.

    Tables for frequencies from 0 to pi along d axes; b is 0 without a cutoff.
    """
    k = np.linspace(0, np.pi, INTERVALS[d] + 1)
    frequency = [k if axis >= 3 - d else np.zeros(1) for axis in range(3)]
    window, gradient = _squared_windows(frequency, order)
    gradient[0, 0, 0] = 1  # 0 / 0, of which 1 is the limit
    if cutoff:
        shared, aliased = _aliases_of_far(frequency, spacing, order, dof, cutoff)
    else:
        shared = _shared_by_aliases(frequency, spacing, order, dof)
        aliased = np.zeros_like(window)
    tables = shared / (window * gradient), aliased / (window * gradient)
    tables[0][0, 0, 0] = 1
    for table in tables:
        table.flags.writeable = False  # all callers share it
    return tables


def _aliases_of_far(
    frequency: Sequence[np.ndarray], spacing: float, order: int, dof: float, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return c_0 and sum_m (c_m - c_0) w^(k_m) with c_m = |k_m|^2 U(k_m), of the far part."""
    steps = [spacing / 2 * np.arange(2 * len(k) - 1) for k in frequency]
    samples = far_kernel(squares(steps), cutoff, dof)
    # A period of the kernel would have an edge.
    samples *= outer([np.exp(-((3 * x / max(x[-1], spacing)) ** 2)) for x in steps])
    axes = [axis for axis, k in enumerate(frequency) if len(k) > 1]
    transform = dctn(samples, type=1, axes=axes, overwrite_x=True)
    transform /= 2 ** len(axes)
    own, total = np.zeros(()), np.zeros(())
    for shift in itertools.product(*[(0, -1) if len(k) > 1 else (0,) for k in frequency]):
        aliases = [k + 2 * np.pi * m for k, m in zip(frequency, shift, strict=True)]
        windows = outer([np.sinc(k / (2 * np.pi)) ** (2 * order) for k in aliases])
        weight = squares(aliases) * windows
        if not any(shift):
            own = weight
            continue
        places = [np.arange(len(k)) for k in frequency]
        at = [i if m == 0 else i[::-1] + len(i) - 1 for i, m in zip(places, shift, strict=True)]
        total = total + (weight - own) * transform[np.ix_(*at)]
    return own, total


def kernel_less_1(r2: np.ndarray, dof: float) -> np.ndarray:
    """Return w - 1 for squared distances."""
    if dof == 1:
        return np.asarray(-r2 / (1 + r2))
    return np.asarray(np.expm1(-dof * np.log1p(r2 / dof)))


def far_kernel(r2: np.ndarray, cutoff: float, dof: float) -> np.ndarray:
    """Return w where r^2 is at least the squared cutoff, and its Taylor polynomial there below."""
    s0 = cutoff**2
    kernel: np.ndarray = 1 / (1 + r2) if dof == 1 else np.exp(-dof * np.log1p(r2 / dof))
    near = r2 < s0
    u = (s0 - r2[near]) / (dof + s0)
    kernel[near] = np.polyval(taylor_coefficients(cutoff, dof)[::-1].astype(float), u)
    return kernel


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


def _self_force(sums: np.ndarray, frequency: np.ndarray, order: int, spacing: float) -> np.ndarray:
    """Return the force of a point on itself along the columns, as a polynomial in t - 1/2.

    sums : G(k) sum_m W(k_m)^2 along the other axes, for each frequency of the columns.

    It has the period of the grid: b_q sin(2 pi q t) with
    b_q = (-1)^(p q) pi q / spacing * sum_k G(k) sum_m W(k_m) W(k_(m - q)).
    The second harmonic is a tenth of the first, the others do not matter.
    """
    # Not by BLAS, whose threads wait in a loop for more, and take the time of ours.
    w = _window(frequency, order)
    coefficients = np.zeros(SELF_FORCE_TERMS)
    for q, harmonic in enumerate(_harmonics(), start=1):
        overlap = (w[:, q:] * w[:, :-q]).sum(1)
        strength = (-1) ** (order * q) * np.pi * q / spacing * (sums * overlap).sum()
        coefficients += strength * harmonic
    return coefficients.astype(np.float32)


@functools.cache
def _harmonics() -> np.ndarray:
    """Return polynomials of sin(2 pi q t) in t - 1/2 for q = 1 and 2."""
    preallocate_blas_buffers()
    t = np.linspace(0, 1, 101)
    powers = 2 * np.arange(SELF_FORCE_TERMS)[::-1] + 1
    waves = np.sin(2 * np.pi * t[:, None] * (1, 2))
    harmonics: np.ndarray = np.linalg.lstsq((t[:, None] - 0.5) ** powers, waves, rcond=None)[0].T
    return harmonics


def _window(k: np.ndarray, order: int) -> np.ndarray:
    """Return W(k_m) of the spline for each alias, (modes, aliases)."""
    if len(k) == 1:
        return np.array(ALIASES == 0, float)[None, :]  # the axis is missing
    window: np.ndarray = np.sinc(k[:, None] / (2 * np.pi) + ALIASES) ** order
    return window


def _multiplicity(size: int) -> np.ndarray:
    """Return how many frequencies of an axis each entry of the stored part stands for."""
    counts = np.full(size // 2 + 1, 2.0)
    counts[[0, -1]] = 1  # axes are even, or of length one
    return counts


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
