"""The memory of each stage of a fit, measured in a process of its own, beside the estimate.

    python benchmarks/memory.py                      all shapes
    python benchmarks/memory.py 100000 50 float32    one of them

Measured is the most that the process has in the stage (VmHWM of Linux, set back as each begins),
less what it had before the fit, when the rows were there.
"""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
from common import clusters

from fasttsne import TSNE, estimate_memory

SHAPES = (
    (50_000, 50, "float32"),
    (200_000, 50, "float32"),
    (100_000, 20, "float32"),
    (400_000, 10, "float32"),
    (100_000, 200, "float32"),
    (50_000, 784, "float32"),
    (50_000, 784, "uint8"),
    (100_000, 100, "int32"),
    (100_000, 60, "float64"),
    (20_000, 2000, "float32"),
)


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["measure"]:
        n, d, dtype = int(arguments[1]), int(arguments[2]), arguments[3]
        print(json.dumps(measure(n, d, dtype)))
        return
    shapes = [(int(arguments[0]), int(arguments[1]), arguments[2])] if arguments else SHAPES
    for n, d, dtype in shapes:
        compare(n, d, dtype)


def compare(n, d, dtype):
    """Print megabytes, measured and estimated, of each stage."""
    command = [sys.executable, __file__, "measure", str(n), str(d), dtype]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    measured, estimated = json.loads(output), estimate_memory(n, d, dtype=dtype)
    print(f"{n:,} x {d} {dtype}")
    for stage, found in measured.items():
        expected = estimated.get(stage, 0)
        print(
            f"  {stage:<38} {found / 1e6:8.0f} MB  {expected / 1e6:8.0f}  "
            f"{expected / max(found, 1):.2f}",
            flush=True,
        )


def measure(n, d, dtype):
    """Bytes of each stage of a fit, and their peak."""
    X = rows_of(n, d, dtype)
    TSNE(random_state=0).fit(X[:500].copy())  # what libraries take once
    stages = Stages()
    logging.getLogger("fasttsne").addHandler(stages)
    logging.getLogger("fasttsne").setLevel(logging.INFO)
    before = status("VmRSS")
    set_back()
    TSNE(random_state=0).fit(X)
    stages.note("")
    found = {name: most - before for name, most in stages.most.items() if name}
    found["peak"] = max(stages.most.values()) - before
    return found


def rows_of(n, d, dtype):
    """Clusters in at most 20 dimensions, turned into d columns: noise in many hides neighbours."""
    X = clusters(n, min(d, 20))
    if d > 20:
        X = X @ np.random.default_rng(1).normal(0, 0.2, (20, d)).astype(np.float32)
    if dtype == "float64":
        X = X / np.float64(3)
    elif dtype != "float32":
        X = np.clip(8 * X + 128, 0, 255)
    return X.astype(dtype)


class Stages(logging.Handler):
    """Notes the peak of each stage as the log says that it begins and ends."""

    def __init__(self):
        super().__init__()
        self.most: dict[str, int] = {}

    def emit(self, record):
        message = record.getMessage()
        if message.endswith(" ..."):
            self.note("")
        elif " took " in message:
            self.note(stage_of(message.split(" took ")[0]))

    def note(self, name):
        self.most[name] = max(self.most.get(name, 0), status("VmHWM"))
        set_back()


def stage_of(message):
    """The estimate's name for a stage: without the numbers of this run."""
    if message.startswith("finding"):
        return "finding the nearest neighbours"
    return message.split(",")[0]


def status(name):
    """A number of bytes in the status of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def set_back():
    """Make VmHWM what the process has now."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main()
