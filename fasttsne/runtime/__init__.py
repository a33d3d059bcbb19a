"""Facts about the build and the machine: versions, OpenMP, SIMD level, FFT engine, cores."""

import os
import platform

import numpy as np
import scipy

from fasttsne import _kernels
from fasttsne._version import __version__
from fasttsne.runtime.threads import available_cores
from fasttsne.utils import require

ENGINES = ("builtin", "pyfftw")


def _choose_engine() -> tuple[str, str]:
    """Return the engine that FASTTSNE_FFT names, and its description."""
    wanted = os.environ.get("FASTTSNE_FFT", "").strip().lower() or ENGINES[0]
    if wanted not in ENGINES:
        raise ImportError(f"FASTTSNE_FFT={wanted!r}: expected one of {', '.join(ENGINES)}")
    if wanted == "builtin":
        return wanted, "built in"
    return wanted, f"pyFFTW {require('pyfftw', 'FASTTSNE_FFT=pyfftw', 'pyfftw').__version__}"


FFT_ENGINE, _FFT_DESCRIPTION = _choose_engine()


def build_info() -> dict[str, str]:
    """Return facts about the build and the machine, for bug reports."""
    return {
        "fasttsne": __version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "OpenMP": "yes" if _kernels.cpu.has_openmp() else "no: one thread",
        "SIMD level": _kernels.simd,
        "FFT backend": _FFT_DESCRIPTION,
        "processor": platform.machine(),
        "cores": str(available_cores()),
    }


def show_config() -> None:
    """Print how the package was built: OpenMP, SIMD level, FFT, versions."""
    for name, value in build_info().items():
        print(f"{name:12} {value}")
