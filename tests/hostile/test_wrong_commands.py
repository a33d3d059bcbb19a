"""Wrong command lines: one line that says what is wrong, exit code 2, and nothing written.

``FASTTSNE_HYPOTHESIS=nightly`` draws 1,000 of them, other ones each day, or as many as
``FASTTSNE_COMMANDS`` says.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hostile.wrong_commands import draw, prepare
from quick import run_python

from fasttsne.cli import main

NIGHTLY = os.environ.get("FASTTSNE_HYPOTHESIS") == "nightly"
SEED = str(int(time.time()) // 86_400) if NIGHTLY else "0"
N = int(os.environ.get("FASTTSNE_COMMANDS", 1000 if NIGHTLY else 100))
N_PROCESSES = 50 if NIGHTLY else 2
PROGRAM = Path(__file__).with_name("wrong_commands.py")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="file names of POSIX")


def test_in_one_process(tmp_path):
    result = run_python(PROGRAM, SEED, 0, N, folder=tmp_path, timeout=1800)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""


def test_in_processes_of_their_own(tmp_path):
    prepare(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for number in range(N_PROCESSES):
        command = draw(f"processes {SEED} {number}")
        result = run_python("-m", "fasttsne", *command, folder=tmp_path)
        assert result.returncode == 2, (command, result.stderr)
        lines = [line for line in result.stderr.splitlines() if "warning: " not in line]
        assert len(lines) == 1, (command, result.stderr)
        assert lines[0].startswith("fasttsne: "), command
        assert sorted(tmp_path.rglob("*")) == before, command


def test_maps_that_are_damaged(tmp_path, monkeypatch, capsys):
    """What packages raise of damaged stores is of many types."""
    zarr, h5py = (pytest.importorskip(name) for name in ("zarr", "h5py"))
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    points = np.random.default_rng(0).normal(size=(5000, 2))
    zarr.create_group("map.zarr").create_array("X", data=points, chunks=(1000, 2))
    with h5py.File("map.h5", "w") as file:
        file.create_dataset("X", data=points, chunks=(1000, 2), compression="gzip")
    for name in "map.zarr", "map.h5":
        assert main(["plot", name, "-o", "right.png"]) == 0
        largest = max(
            (each for each in [Path(name), *Path(name).rglob("*")] if each.is_file()),
            key=lambda each: each.stat().st_size,
        )
        data = bytearray(largest.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 200] = bytes(200)
        largest.write_bytes(data)
        capsys.readouterr()
        assert main(["plot", name, "-o", "wrong.png"]) == 2
        assert capsys.readouterr().err.startswith(f"fasttsne: {name}: ")
        assert not Path("wrong.png").exists()
