"""The particle mesh's convolution by FFTW, through pyFFTW: the extra ``pyfftw``."""

from functools import partial

import numpy as np

from fasttsne.repulsion.mesh.grid import zero_cells
from fasttsne.utils import require

# For each direction.  A growing map needs up to 70 grids: without a limit, planning them took four
# times as long as the fit of 20,000 rows.
PLANNING_SECONDS = 0.25
# FFTW starts its threads anew in each call: for 4,096 cells 24 ms instead of 0.04.
MIN_CELLS_FOR_THREADS = 2**17


class FFTWGrid:
    """What ``Grid`` is, with whole padded arrays and FFTW's transforms of them.

    FFTW chooses an algorithm by trying several (``FFTW_MEASURE``).  It keeps what it found, its
    wisdom, as long as the process lives: a size is planned once, and later grids of that size
    are made in no time.  Another process, or another number of threads, may choose differently,
    so results differ in the last bits.
    """

    def __init__(self, shape: tuple[int, int, int], n_threads: int):
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
        self._current = self._modes = None

    def set_influence(self, influence) -> None:
        """Take over the modes of an influence function, unless they are there already."""
        if self._current is not influence:
            layers, rows, _ = self._spectrum.shape
            # Stored is half of each axis; the other half mirrors it.
            mirrored = [np.minimum(np.arange(m), m - np.arange(m)) for m in (layers, rows)]
            self._modes = influence.modes[np.ix_(*mirrored)]
            self._current = influence

    def convolve(self, n_threads: int) -> float:
        """As ``Grid`` does; the plans have their number of threads already."""
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
