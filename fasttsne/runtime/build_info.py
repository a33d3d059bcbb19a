"""Facts about the build and the machine: versions, OpenMP, SIMD level, cores."""

import platform

import numpy as np
import scipy

from fasttsne import _kernels
from fasttsne._version import __version__
from fasttsne.runtime import fft_engine
from fasttsne.runtime.threads import available_cores


def build_info() -> dict[str, str]:
    """Return facts about the build and the machine, for bug reports."""
    return {
        "fasttsne": __version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "OpenMP": "yes" if _kernels.cpu.has_openmp() else "no: one thread",
        "SIMD level": _kernels.simd,
        "FFT backend": fft_engine.description,
        "processor": platform.machine(),
        "cores": str(available_cores()),
    }


def show_config() -> None:
    """Print how the package was built: OpenMP, SIMD level, FFT, versions."""
    for name, value in build_info().items():
        print(f"{name:12} {value}")
