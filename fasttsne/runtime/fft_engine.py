"""Whose Fourier transforms the mesh uses: the environment variable FASTTSNE_FFT, read once."""

import os

from fasttsne.utils import require

ENGINES = ("builtin", "pyfftw")


def _choose_engine() -> tuple[str, str]:
    """The engine, and what ``show_config`` says of it."""
    wanted = os.environ.get("FASTTSNE_FFT", "").strip().lower() or ENGINES[0]
    if wanted not in ENGINES:
        raise ImportError(f"FASTTSNE_FFT={wanted!r}: expected one of {', '.join(ENGINES)}")
    if wanted == "builtin":
        return wanted, "built in"
    return wanted, f"pyFFTW {require('pyfftw', 'FASTTSNE_FFT=pyfftw', 'pyfftw').__version__}"


engine, description = _choose_engine()
