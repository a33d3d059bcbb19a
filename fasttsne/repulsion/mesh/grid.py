"""The arrays of a particle mesh, and its convolution with the kernel."""

import math

import numpy as np

from fasttsne import _kernels
from fasttsne.repulsion.mesh.fft_plan import fft_plan

COLUMNS = _kernels.fft_convolve.COLUMNS


class Grid:
    """The arrays and transform plans of one padded size (layers, rows, columns).

    Points lie in a corner of half the layers, half the rows and half the columns;
    the rest is there so that the convolution does not wrap round.  Of that, layers
    and rows are never stored: ``convolve_columns`` has them only in its buffers.
    """

    def __init__(self, shape: tuple[int, int, int], n_threads: int):
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
        self._current = None

    def set_influence(self, influence) -> None:
        """Take over the modes of an influence function, unless they are there already."""
        if self._current is not influence:
            self.influence[:, :, : influence.modes.shape[2]] = influence.modes
            self._current = influence

    def convolve(self, n_threads: int) -> float:
        """Turn the spread points in ``cells`` into the potential; return sum |rho_k|^2 G_k."""
        layers, rows, columns = self._plans
        along_columns = self.cells, self.spectrum, columns, self._scratch
        _kernels.row_fft.transform_rows(*along_columns, False, n_threads)
        energy = _kernels.fft_convolve.convolve_columns(
            self.spectrum,
            self.influence,
            self.multiplicity,
            rows,
            layers,
            self._scratch,
            self._energies,
            n_threads,
        )
        _kernels.row_fft.transform_rows(*along_columns, True, n_threads)
        return energy


def zero_cells(shape: tuple[int, int, int]) -> np.ndarray:
    """The cells that points can touch, of a grid of this padded shape.

    Rows have room for whole vectors, and are not a power of two of cache lines apart.
    """
    layers, rows, columns = (max(size // 2, 1) for size in shape)
    stride = -(-(columns + COLUMNS) // 16) * 16
    return _zeros((layers, rows, stride + 16 if stride % 512 == 0 else stride))


def _zeros(shape):
    """A float32 array that starts with a cache line, as its vectors then do."""
    line = 16
    array = np.zeros(math.prod(shape) + line, np.float32)
    skipped = -(array.ctypes.data // array.itemsize) % line
    return array[skipped : skipped + math.prod(shape)].reshape(shape)
