"""Fixtures that the tests share, and how many examples hypothesis makes.

``FASTTSNE_HYPOTHESIS=nightly`` makes many more, other ones in each run, and sends more signals.
"""

import importlib
import os
import random
import signal
import sys
from datetime import timedelta

import hypothesis
import numpy as np
import pytest
from helpers import skips

from fasttsne import _kernels
from fasttsne.datasets import load_digits

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts jobs in the background so, and the processes of the tests would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# An example that takes so long hangs.
COMMON = {"deadline": timedelta(seconds=60), "print_blob": True}
# A fixed table of examples, the longer one where everything is tested.
hypothesis.settings.register_profile(
    "ci",
    max_examples=200 if os.environ.get("FASTTSNE_ALL_EXTRAS") == "1" else 40,
    derandomize=True,
    **COMMON,
)
hypothesis.settings.register_profile(
    "nightly",
    max_examples=int(os.environ.get("FASTTSNE_EXAMPLES", 10_000)),
    suppress_health_check=list(hypothesis.HealthCheck),
    **COMMON,
)
hypothesis.settings.load_profile(os.environ.get("FASTTSNE_HYPOTHESIS", "ci"))

LEVELS = _kernels._available_levels()
NOTES_OF_PROCESSES: set[str] = set()


@pytest.fixture(
    params=[
        level if level == _kernels.simd else pytest.param(level, marks=pytest.mark.slow)
        for level in LEVELS
    ]
)
def kernel(request):
    """Loads a hot kernel by name, once for each SIMD level that this processor has."""
    return lambda name: _kernels.load_level(request.param, name)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, for the tests of one file; without selenium they are skipped."""
    driver = importlib.import_module("helpers.browsers").start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


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
        "--update-golden",
        action="store_true",
        help="rewrite the golden maps and the snapshot of the public names, and do nothing else",
    )


@pytest.hookimpl(tryfirst=True)  # before those that are not asked for are left out
def pytest_collection_modifyitems(config, items):
    update = config.getoption("--update-golden")
    kept = [item for item in items if item.name.startswith("test_update_golden") == update]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
    mark_most_cases_slow(items)


def mark_most_cases_slow(items):
    """Of a test with the mark ``thin(n)`` the quick suite runs n cases, always the same ones."""
    cases = {}
    for item in items:
        if item.get_closest_marker("thin"):
            cases.setdefault(item.nodeid.split("[")[0], []).append(item)
    for name, found in cases.items():
        quick = [item for item in found if not item.get_closest_marker("slow")]
        (n,) = found[0].get_closest_marker("thin").args
        chosen = random.Random(name).sample(quick, min(n, len(quick)))
        for item in quick:
            if item not in chosen:
                item.add_marker("slow")


def fail_if_unnamed(report):
    """A test that was skipped for a reason that is not expected has failed."""
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else None
    if reason and not skips.is_expected(reason):
        report.outcome = "failed"
        report.longrepr = f"{reason}\nThis reason is not named in tests/helpers/skips.py."
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return fail_if_unnamed((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return fail_if_unnamed((yield))


def notes_on_golden_maps():
    store = sys.modules.get("golden.store")
    return store.NOTES if store else set()


def pytest_sessionfinish(session):
    """A process of pytest-xdist's hands its notes to the one that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["notes"] = sorted(notes_on_golden_maps())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    NOTES_OF_PROCESSES.update(getattr(node, "workeroutput", {}).get("notes", ()))


def pytest_terminal_summary(terminalreporter):
    """Say where golden maps were not compared bit by bit, and what was not tested."""
    for note in sorted(notes_on_golden_maps() | NOTES_OF_PROCESSES):
        terminalreporter.write_line(f"golden maps: {note}")
    for name in skips.NOT_INSTALLED:
        terminalreporter.write_line(f"COULD NOT BE INSTALLED: {name}", red=True, bold=True)
    if terminalreporter.config.option.markexpr == "not slow":
        terminalreporter.write_line('Slow tests were left out: -m "" runs them, too.')
