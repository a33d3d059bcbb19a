"""Fixtures that the tests share."""

import numpy as np
import pytest

from fasttsne import _kernels
from fasttsne.datasets import load_digits

LEVELS = _kernels._available_levels()


@pytest.fixture(params=LEVELS)
def kernel(request):
    """Loads a hot kernel by name, once for each SIMD level that this processor has."""
    return lambda name: _kernels.load_level(request.param, name)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def digits():
    """500 rows of the digits, as float32."""
    X, _ = load_digits()
    X = X[:500].astype(np.float32)
    X.setflags(write=False)
    return X
