"""Ctrl-C at random moments of each part: noticed at once, nothing is left, and the next is right.

``FASTTSNE_SIGNALS`` is how many are sent to each; with ``FASTTSNE_HYPOTHESIS=nightly`` all parts
are interrupted, else a few.  ``benchmarks/interrupts.py`` shows more of it.
"""

import os
import random
import signal
import sys

import pytest
from helpers.interrupted_commands import COMMANDS, Commands
from helpers.interrupted_works import WORKS
from helpers.interrupts import interrupt
from helpers.quick import run_helper

NIGHTLY = os.environ.get("FASTTSNE_HYPOTHESIS") == "nightly"
SIGNALS = int(os.environ.get("FASTTSNE_SIGNALS", 10 if NIGHTLY else 3))
# Each takes a few seconds, and all together minutes.
OFTEN = (
    "fit: checkpoint",
    "fit: little memory",
    "map: update",
    "aligned maps",
    "a fit beside a thread's",
)
NEEDED = {
    "neighbours: hnsw": "hnswlib",
    "neighbours: faiss": "faiss",
    "neighbours: sklearn": "sklearn",
    "neighbours: manhattan": "sklearn",
    "fit: scikit-learn": "sklearn",
    "map: page of a report": "jinja2",
    "files": "pyarrow",
    "drawing": "plotly",
    "dask: local cluster": "distributed",
}
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="/proc and signals are Linux's"),
    pytest.mark.alone,
]


def often(names, often):
    """The names of parts: by night all, else those that are to be tested often."""
    return [name for name in names if NIGHTLY or name in often]


def moments():
    return random.Random(None if NIGHTLY else 0)


@pytest.mark.thin(1)
@pytest.mark.parametrize("name", often(WORKS, OFTEN))
def test_interrupts_in_each_part(name, tmp_path):
    pytest.importorskip(NEEDED.get(name, "numpy"))
    outcome = interrupt(name, 800, SIGNALS, moments(), tmp_path / "process")
    assert outcome.problems == []
    assert outcome.n_sent == SIGNALS


@pytest.mark.slow
@pytest.mark.parametrize("name", often(WORKS, ("map: update",)))
def test_interrupts_where_functions_are_entered(name, tmp_path):
    """Python looks for signals there, and the work is inside of what it does with contexts."""
    pytest.importorskip(NEEDED.get(name, "numpy"))
    (tmp_path / "work").mkdir()
    (tmp_path / "temporary").mkdir()
    result = run_helper(
        "interrupted",
        name,
        150,
        10 * SIGNALS,
        0,
        folder=tmp_path / "work",
        timeout=600,
        TMPDIR=str(tmp_path / "temporary"),
        MPLBACKEND="agg",
    )
    assert result.returncode == 0, result.stderr
    *problems, n_calls = result.stdout.splitlines()
    assert problems == []
    assert int(n_calls) > 0


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    return Commands(tmp_path_factory.mktemp("commands"), 800)


# SIGTERM ends the process at once; what is written then stays a part under another name.
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGSTOP])
@pytest.mark.parametrize("name", often(COMMANDS, ("fit",)))
def test_signals_of_each_command(name, number, commands, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2" if name == "report" else "numpy")
    shares = moments()
    for _ in range(SIGNALS):
        code, _, problems = commands.signal(name, number, shares.uniform(0.2, 1))
        assert problems == []
        assert code in (None, 0, 130, -number)
