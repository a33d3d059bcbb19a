"""Fourier transforms of parts of an array: FFTW where pyFFTW is installed, else SciPy.

A plan has one method, ``execute()``, which transforms the arrays that it was
made for and lets other threads run meanwhile.  Plans are single-threaded and
made by estimate, never by timing: the same sizes give the same plans, and so
the same bits, on every run and for any number of threads.
"""

import numpy as np
import scipy.fft

try:
    import pyfftw
except ImportError:
    pyfftw = None

BACKEND = "scipy.fft" if pyfftw is None else f"pyFFTW {pyfftw.__version__}"


def empty(shape: tuple[int, ...]) -> np.ndarray:
    """A zeroed float32 array, aligned for vector instructions where that is known to help."""
    return np.zeros(shape, np.float32) if pyfftw is None else pyfftw.zeros_aligned(shape, "float32")


def real_rows(grid: np.ndarray, spectrum: np.ndarray) -> tuple:
    """Plans between float32 rows and the first half of their spectra, forward and backward.

    Neither direction divides; the backward transform may overwrite its input.
    """
    if pyfftw is None:
        return _ScipyRows(grid, spectrum, False), _ScipyRows(grid, spectrum, True)
    return (
        pyfftw.FFTW(grid, spectrum, axes=(1,), flags=("FFTW_ESTIMATE",), threads=1),
        pyfftw.FFTW(
            spectrum, grid, axes=(1,), direction="FFTW_BACKWARD",
            flags=("FFTW_ESTIMATE", "FFTW_DESTROY_INPUT"), threads=1,
        ),
    )  # fmt: skip


def complex_columns(buffer: np.ndarray) -> tuple:
    """Plans that transform a complex64 array along its first axis in place; neither divides."""
    if pyfftw is None:
        return _ScipyColumns(buffer, False), _ScipyColumns(buffer, True)
    return tuple(
        pyfftw.FFTW(
            buffer, buffer, axes=(0,), direction=direction, flags=("FFTW_ESTIMATE",), threads=1
        )
        for direction in ("FFTW_FORWARD", "FFTW_BACKWARD")
    )


class _ScipyRows:
    def __init__(self, grid, spectrum, backward):
        self.grid, self.spectrum, self.backward = grid, spectrum, backward

    def execute(self):
        if self.backward:
            n = self.grid.shape[1]
            self.grid[...] = scipy.fft.irfft(self.spectrum, n, axis=1, norm="forward")
        else:
            self.spectrum[...] = scipy.fft.rfft(self.grid, axis=1)


class _ScipyColumns:
    def __init__(self, buffer, backward):
        self.buffer, self.backward = buffer, backward

    def execute(self):
        if self.backward:
            self.buffer[...] = scipy.fft.ifft(self.buffer, axis=0, norm="forward")
        else:
            self.buffer[...] = scipy.fft.fft(self.buffer, axis=0)
