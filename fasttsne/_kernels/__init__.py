"""Compiled kernels, one concept a module, and the choice between their two builds.

The hot kernels exist as portable code and as AVX2 code.  The best that the
processor runs is chosen when this package is imported;
``FASTTSNE_SIMD=portable`` or ``FASTTSNE_SIMD=avx2`` forces one.  All modules
are used through this package: ``from fasttsne import _kernels`` and then
``_kernels.attraction.attraction(...)``.
"""

import os
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

# GNU OpenMP lets a thread that waits spin for milliseconds.  On a machine with other work
# it spins on the very core that the thread it waits for needs: iterations then took twice
# to twenty times as long.  The variable is read once, when the library is loaded.
OPENMP_SPIN_ENV = {"GOMP_SPINCOUNT": "1000"}


def _load_openmp_with_short_waits() -> None:
    """Import the first kernel, and with it OpenMP, with short waits, unless the user says."""
    added = {} if "OMP_WAIT_POLICY" in os.environ else OPENMP_SPIN_ENV.keys() - os.environ.keys()
    for name in added:
        os.environ[name] = OPENMP_SPIN_ENV[name]
    try:
        import_module(f"{__name__}.graph.csr")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"no compiled kernels in {os.path.dirname(__file__)}.  In a checkout, start Python in "
            "another folder to use the installed fasttsne, or build the kernels here: "
            "python -m pip install --editable ."
        ) from error
    finally:
        for name in added:
            del os.environ[name]


_load_openmp_with_short_waits()

from . import cpu  # type: ignore[attr-defined]  # noqa: E402
from .drawing import raster  # type: ignore[attr-defined]  # noqa: E402
from .graph import csr, packed_edges  # type: ignore[attr-defined]  # noqa: E402
from .knn import exact_order, neighbor_lists  # type: ignore[attr-defined]  # noqa: E402
from .optimize import follow, hat_grid, row_descent  # type: ignore[attr-defined]  # noqa: E402
from .repulsion import pair_counts  # type: ignore[attr-defined]  # noqa: E402

SIMD_LEVELS = ("portable", "avx2")


def _available_levels() -> tuple[str, ...]:
    """Return the levels that were built and that this processor runs, slowest first."""
    if cpu.has_avx2() and find_spec(f"{__name__}.avx2.attraction") is not None:
        return SIMD_LEVELS
    return SIMD_LEVELS[:1]


def _choose_level() -> str:
    wanted = os.environ.get("FASTTSNE_SIMD", "").strip().lower()
    available = _available_levels()
    if not wanted:
        return available[-1]
    if wanted not in SIMD_LEVELS:
        raise ImportError(f"FASTTSNE_SIMD={wanted!r}: expected one of {', '.join(SIMD_LEVELS)}")
    if wanted not in available:
        raise ImportError(f"FASTTSNE_SIMD={wanted}: not built, or not supported by this processor")
    return wanted


def load_level(level: str, name: str) -> ModuleType:
    """Return a hot kernel module as built for ``level``; the tests compare the levels with it."""
    return import_module(f"{__name__}.{level}.{name}")


simd = _choose_level()

attraction = load_level(simd, "attraction")
barnes_hut = load_level(simd, "barnes_hut")
coordinates = load_level(simd, "coordinates")
exact_repulsion = load_level(simd, "exact_repulsion")
fft_convolve = load_level(simd, "fft_convolve")
gradient_step = load_level(simd, "gradient_step")
gram = load_level(simd, "gram")
knn_dense = load_level(simd, "knn_dense")
knn_sparse = load_level(simd, "knn_sparse")
leave_one_out = load_level(simd, "leave_one_out")
local_radii = load_level(simd, "local_radii")
morton = load_level(simd, "morton")
neighbor_ranks = load_level(simd, "neighbor_ranks")
particle_mesh = load_level(simd, "particle_mesh")
perplexity = load_level(simd, "perplexity")
rank_counts = load_level(simd, "rank_counts")
rerank = load_level(simd, "rerank")
row_fft = load_level(simd, "row_fft")

__all__ = [
    "SIMD_LEVELS",
    "attraction",
    "barnes_hut",
    "coordinates",
    "cpu",
    "csr",
    "exact_order",
    "exact_repulsion",
    "fft_convolve",
    "follow",
    "gradient_step",
    "gram",
    "hat_grid",
    "knn_dense",
    "knn_sparse",
    "leave_one_out",
    "load_level",
    "local_radii",
    "morton",
    "neighbor_lists",
    "neighbor_ranks",
    "packed_edges",
    "pair_counts",
    "particle_mesh",
    "perplexity",
    "rank_counts",
    "raster",
    "rerank",
    "row_descent",
    "row_fft",
    "simd",
]
