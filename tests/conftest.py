"""Fixtures that the tests share, and how many examples hypothesis makes.

``FASTTSNE_HYPOTHESIS=nightly`` makes many more, other ones in each run, and sends more signals.
"""

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

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

# Tests import the helpers beside them, in golden/ and old_files/.
sys.path.append(str(Path(__file__).parent))

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


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true",
        help="rewrite the golden maps and the snapshot of the public names, and do nothing else",
    )  # fmt: skip


def pytest_collection_modifyitems(config, items):
    if config.getoption("--update-golden"):
        kept = [item for item in items if item.name.startswith("test_update_golden")]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def pytest_terminal_summary(terminalreporter):
    """Say where golden maps were not compared bit by bit, and why."""
    store = sys.modules.get("golden.store")
    for note in sorted(store.NOTES) if store else ():
        terminalreporter.write_line(f"golden maps: {note}")
