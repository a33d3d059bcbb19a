"""All tests of kernels run once for each SIMD level, also through the package's own code."""

import pytest

from fasttsne import _kernels

NOT_HOT = {
    "SIMD_LEVELS",
    "cpu",
    "csr",
    "exact_order",
    "follow",
    "hat_grid",
    "load_level",
    "neighbor_lists",
    "packed_edges",
    "pair_counts",
    "raster",
    "row_descent",
    "simd",
}


@pytest.fixture
def hot_kernels():
    """Names of the kernels that are compiled for each SIMD level."""
    return sorted(set(_kernels.__all__) - NOT_HOT)


@pytest.fixture(autouse=True)
def level(kernel, hot_kernels, monkeypatch):
    """Let the package use the kernels of the SIMD level under test."""
    for name in hot_kernels:
        monkeypatch.setattr(_kernels, name, kernel(name))
