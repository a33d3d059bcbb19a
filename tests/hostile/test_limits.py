"""Full disks and no memory, for each kind of output and each entry point.

By night (``FASTTSNE_HYPOTHESIS=nightly``) maps have 6,000 rows: memory ends at more places.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from quick import QUICK, run_python

from fasttsne import TSNE

NIGHTLY = os.environ.get("FASTTSNE_HYPOTHESIS") == "nightly"
HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")


def test_full_disks(tmp_path):
    """An error that names the file; the old one stays, and nothing else does."""
    (tmp_path / "outputs").mkdir()
    result = run_python(
        HERE / "full_disk.py", tmp_path / "outputs", TMPDIR=str(tmp_path), timeout=300
    )
    assert result.returncode == 0, result.stderr
    (count,) = result.stdout.splitlines()
    assert int(count.split()[0]) >= 16


@pytest.mark.slow
def test_full_disks_of_their_own(tmp_path, tmp_path_factory):
    """The same on a small disk, whose error is another one."""
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && "$@"'
    small = ["unshare", "-rm", "sh", "-c", script, str(tmp_path)]
    try:
        subprocess.run([*small, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    result = subprocess.run(
        [*small, sys.executable, HERE / "full_disk.py", tmp_path, "fill"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("temporary"))},
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1, result.stdout


@pytest.mark.slow
def test_no_memory():
    """MemoryError, or the map that it should be; and so afterwards."""
    rows = "6000" if NIGHTLY else "1500"
    result = run_python(HERE / "no_memory.py", FASTTSNE_ROWS=rows, timeout=3600)
    assert result.returncode == 0, result.stderr[-3000:]
    (counts,) = result.stdout.splitlines()
    assert int(counts.split()[1]) > 0, counts


READ = """
import sys
from hostile.no_memory import outcome
from fasttsne import TSNEEmbedding
def load(path):
    return TSNEEmbedding.load(path).shape
for spare in (0.25, 1, 2, 4, 8, 16, 200):
    print(outcome(load, sys.argv[1], spare))
"""


def test_no_memory_to_load_a_map(tmp_path):
    """A whole file is not reported as damaged, and is read where there is memory for it."""
    X = np.random.default_rng(0).normal(size=(4000, 500))
    TSNE(**QUICK, initialization="random").fit(X).save(tmp_path / "map.npz", keep="rows")
    path = os.pathsep.join([str(HERE.parent), *filter(None, sys.path)])
    result = run_python("-c", READ, tmp_path / "map.npz", PYTHONPATH=path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[-1] == "(4000, 2)"
    assert set(lines) == {"(4000, 2)", "MemoryError"}
