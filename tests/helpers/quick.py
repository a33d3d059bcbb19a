"""Settings of short fits, and programs in processes of their own; for tests to import."""

import os
import subprocess
import sys
from pathlib import Path

# Environment of a process that imports helpers, as pytest does by pythonpath of pyproject.toml.
WITH_HELPERS = {
    "PYTHONPATH": os.pathsep.join(
        [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
}
# Override what matters to a test: {**QUICK, "n_iter": 30}.
QUICK = {"early_exaggeration_iter": 10, "n_iter": 10, "random_state": 0}

# For code of such a process: the most memory that it has had, bytes.  (Linux; ru_maxrss begins with
# what the process had that started it.)
PEAK_MEMORY = """
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
"""


def run_python(*arguments, folder=None, timeout=120, **environment):
    """Run Python with arguments, in a folder and with environment variables; the result."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=folder,
        env={**os.environ, **environment},
    )


def run_helper(name, *arguments, **options):
    """Run a program of ``tests/helpers``: one whose process may crash, hang or be killed."""
    return run_python("-m", f"helpers.{name}", *arguments, **WITH_HELPERS, **options)
