"""Every entry point in threads, in processes and beside interrupts: the bits it gives alone."""

import os
import sys

import pytest
from helpers.entry_points import SCENARIOS
from helpers.quick import run_helper

# Of the time of a scenario most is that of its processes or fits.
SLOW = set(SCENARIOS) - {"one map"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario",
    [pytest.param(each, marks=pytest.mark.slow) if each in SLOW else each for each in SCENARIOS],
)
def test_same_bits(scenario):
    if not hasattr(os, "fork") and scenario not in ("threads", "one map", "spawn"):
        pytest.skip("there is no fork")
    if sys.platform == "win32" and scenario == "interrupts":
        pytest.skip("POSIX signals and limits")
    result = run_helper("entry_points", scenario, timeout=600)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "done\n"
