"""Control groups of Linux with a limit of memory, and Python in them."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

TOP = Path("/sys/fs/cgroup")
# Of versions 2 and 1: where groups are made, and what limits their memory, and then their swap.
VERSIONS = (
    (TOP, ("memory.max", "{0}"), ("memory.swap.max", "0")),
    (TOP / "memory", ("memory.limit_in_bytes", "{0}"), ("memory.memsw.limit_in_bytes", "{0}")),
)


def _make(n_bytes):
    """Return the folder of a new group; None where none can be made."""
    for top, *limits in VERSIONS:
        with contextlib.suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="fasttsne-", dir=top))
            try:
                if (folder / limits[0][0]).exists():
                    for name, value in limits:
                        if (folder / name).exists():  # kernels may be without counts of swap
                            (folder / name).write_text(value.format(n_bytes))
                    (folder / "cgroup.procs").write_text("")
                    return folder
            except OSError:
                pass
            folder.rmdir()
    return None


@contextlib.contextmanager
def memory_group(n_bytes):
    """A new group with so much memory; skips the test where the user cannot make it."""
    folder = _make(n_bytes) if sys.platform == "linux" else None
    if folder is None:
        pytest.skip("no control group can be made here")
    try:
        yield folder
    finally:
        for _ in range(100):  # processes that have ended leave it a moment later
            with contextlib.suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.05)


def run_in_group(group, *arguments, cwd=None, timeout=300):
    """Run Python with arguments in a group; the result.  Its return code is -9 if it is killed."""
    enter = 'echo $$ > "$0"/cgroup.procs && exec "$@"'
    return subprocess.run(
        ["sh", "-c", enter, str(group), sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
