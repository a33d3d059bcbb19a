"""The grids of a particle mesh, with their Fourier transforms: built in, or by FFTW."""

import bisect
import math
from functools import lru_cache, partial
from typing import NamedTuple, TypeAlias

import numpy as np

from fasttsne import _kernels
from fasttsne.repulsion.mesh.influence import Influence
from fasttsne.utils import require

# Layers, rows and columns of a padded grid.
Shape: TypeAlias = tuple[int, int, int]
# Lengths of transforms: short ones cost less than changing from one to the next does; in 3-D those
# for which FFTW's plans made by estimate are fast.
SMALL_SIZES = (16, 24, 48, 80, 160, 216, 300, 432, 576)
SIZES_3D = (16, 32, 48, 64, 80, 108, 128, 144, 160, 192, 240, 320)
RATIO = 1.12


@lru_cache(maxsize=2)
def transform_sizes(is_3d: bool) -> list[int]:
    """Return even lengths with the factors 2, 3, 5 that FFTs like.

    A growing map needs fewer of them where they are not close to each other: arrays and influence
    functions cost more than small grids do.
    """
    smooth = {2**a * 3**b * 5**c for a in range(2, 24) for b in range(4) for c in range(3)}
    sizes = list(SIZES_3D if is_3d else SMALL_SIZES)
    for size in sorted(size for size in smooth if size < 2**24):
        if size >= RATIO * sizes[-1]:
            sizes.append(size)
    return sizes


def padded_size(min_size: int, is_3d: bool = False) -> int:
    """Return the smallest good transform length that is not below ``min_size``.

    Beyond the largest that is ``min_size`` itself: no grid is made so large.
    """
    # Not by a generator that is left half-way, as every iteration comes here: Ctrl-C while it is
    # closed would be lost.
    sizes = transform_sizes(is_3d)
    at = bisect.bisect_left(sizes, min_size)
    return sizes[at] if at < len(sizes) else min_size


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
    """Return the plan for a length, a multiple of 4 with the factors 2, 3 and 5."""
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


def _twiddle_factors(length: int, radices: list[int]) -> np.ndarray:
    """Return w^(p j), as pairs, for each pass, p < m and 0 < j < r."""
    tables = [np.empty(0)]
    for radix in radices:
        left = length // radix
        phase = np.arange(left)[:, None] * np.arange(1, radix) * (-2 * np.pi / length)
        tables.append(np.stack([np.cos(phase), np.sin(phase)], -1).ravel())
        length = left
    return np.concatenate(tables)


COLUMNS = _kernels.fft_convolve.COLUMNS


class Grid:
    """The arrays and transform plans of one padded size (layers, rows, columns).

    Points lie in a corner of half the layers, half the rows and half the columns;
    the rest is there so that the convolution does not wrap round.  Of that, layers
    and rows are never stored: ``convolve_columns`` has them only in its buffers.
    """

    def __init__(self, shape: Shape, n_threads: int):
        layers, rows, columns = shape
        used = max(layers // 2, 1), max(rows // 2, 1)
        modes = columns // 2 + 1
        n_blocks = -(-modes // COLUMNS)
        width = COLUMNS * n_blocks
        self.cells = zero_cells(shape)
        self.spectrum = _zeros((*used, 2 * width))
        self.influence = _zeros((layers // 2 + 1, rows // 2 + 1, width))
        self.multiplicity = np.zeros(width, np.float32)
        self.multiplicity[:modes] = 2
        self.multiplicity[[0, modes - 1]] = 1
        self._plans = fft_plan(layers), fft_plan(rows), fft_plan(columns)
        convolving = _kernels.fft_convolve.work_size(layers, rows)
        size = max(convolving, _kernels.row_fft.work_size(columns))
        self._scratch = _zeros((n_threads, size))
        self._energies = np.empty(n_blocks)
        self._current: Influence | None = None

    def set_influence(self, influence: Influence) -> None:
        """Take over the modes of an influence function, unless they are there already."""
        if self._current is not influence:
            self.influence[:, :, : influence.modes.shape[2]] = influence.modes
            self._current = influence

    def convolve(self, n_threads: int) -> float:
        """Turn the spread points in ``cells`` into the potential; return sum |rho_k|^2 G_k."""
        layers, rows, columns = self._plans
        along_columns = self.cells, self.spectrum, columns, self._scratch
        _kernels.row_fft.transform_rows(*along_columns, False, n_threads)
        modes = self.spectrum, self.influence, self.multiplicity
        energy: float = _kernels.fft_convolve.convolve_columns(
            *modes, rows, layers, self._scratch, self._energies, n_threads
        )
        _kernels.row_fft.transform_rows(*along_columns, True, n_threads)
        return energy


def zero_cells(shape: Shape) -> np.ndarray:
    """Return the cells that points can touch, of a grid of this padded shape.

    Rows have room for whole vectors, and are not a power of two of cache lines apart.
    """
    layers, rows, columns = (max(size // 2, 1) for size in shape)
    stride = -(-(columns + COLUMNS) // 16) * 16
    return _zeros((layers, rows, stride + 16 if stride % 512 == 0 else stride))


def _zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Return a float32 array that starts with a cache line, as its vectors then do."""
    line = 16
    array = np.zeros(math.prod(shape) + line, np.float32)
    skipped = -(array.ctypes.data // array.itemsize) % line
    return array[skipped : skipped + math.prod(shape)].reshape(shape)


# For each direction.  A growing map needs up to 70 grids: without a limit, planning them took four
# times as long as the fit of 20,000 rows.
PLANNING_SECONDS = 0.25
# FFTW starts its threads anew in each call: for 4,096 cells 24 ms instead of 0.04.
MIN_CELLS_FOR_THREADS = 2**17


class FFTWGrid:
    """A ``Grid`` with whole padded arrays and FFTW's transforms of them.

    FFTW chooses an algorithm by trying several (``FFTW_MEASURE``).  It keeps what it found, its
    wisdom, as long as the process lives: a size is planned once, and later grids of that size
    are made in no time.  Another process, or another number of threads, may choose differently,
    so results differ in the last bits.
    """

    def __init__(self, shape: Shape, n_threads: int):
        pyfftw = require("pyfftw", "FASTTSNE_FFT=pyfftw", "pyfftw")
        self.cells = zero_cells(shape)
        self._used = tuple(slice(max(size // 2, 1)) for size in shape)
        self._padded = pyfftw.empty_aligned(shape, np.float32)
        self._spectrum = pyfftw.empty_aligned((*shape[:2], shape[2] // 2 + 1), np.complex64)
        is_large = self._padded.size >= MIN_CELLS_FOR_THREADS
        plan = partial(
            pyfftw.FFTW,
            axes=(0, 1, 2),
            flags=("FFTW_MEASURE",),
            threads=n_threads if is_large else 1,
            planning_timelimit=PLANNING_SECONDS,
        )
        self._forward = plan(self._padded, self._spectrum)
        self._inverse = plan(self._spectrum, self._padded, direction="FFTW_BACKWARD")
        self._current: Influence | None = None

    def set_influence(self, influence: Influence) -> None:
        if self._current is not influence:
            layers, rows, _ = self._spectrum.shape
            # Stored is half of each axis; the other half mirrors it.
            mirrored = [np.minimum(np.arange(m), m - np.arange(m)) for m in (layers, rows)]
            self._modes = influence.modes[np.ix_(*mirrored)]
            self._current = influence

    def convolve(self, n_threads: int) -> float:
        """Convolve as ``Grid`` does; the plans have their number of threads already."""
        points = self.cells[..., self._used[2]]
        self._padded[...] = 0
        self._padded[self._used] = points
        self._forward.execute()
        self._spectrum *= self._modes
        self._inverse.execute()
        potential = self._padded[self._used]
        # Parseval: the sum over all modes is that of points times potential.
        energy = np.einsum("lrc,lrc->lr", points, potential).sum(dtype=float)
        points[...] = potential
        return float(energy)
