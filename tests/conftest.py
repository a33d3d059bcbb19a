"""Fixtures that the tests share, and how many examples hypothesis makes.

``FASTTSNE_HYPOTHESIS=nightly`` makes many more, other ones in each run, and sends more signals.
"""

import os
import signal
from datetime import timedelta

import hypothesis
import numpy as np
import pytest

from fasttsne import _kernels
from fasttsne.datasets import load_digits

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts jobs in the background so, and the processes of the tests would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# An example that takes so long hangs.
COMMON = {"deadline": timedelta(seconds=60), "print_blob": True}
hypothesis.settings.register_profile("ci", max_examples=200, derandomize=True, **COMMON)
hypothesis.settings.register_profile(
    "nightly", max_examples=int(os.environ.get("FASTTSNE_EXAMPLES", 10_000)),
    suppress_health_check=list(hypothesis.HealthCheck), **COMMON,
)  # fmt: skip
hypothesis.settings.load_profile(os.environ.get("FASTTSNE_HYPOTHESIS", "ci"))

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
