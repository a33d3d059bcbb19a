"""Memory that is free, and sizes as users write them."""

import math
import os
import re
import sys
from pathlib import Path

import numpy as np

# Assumed where the system does not say what is free.
ASSUMED_BYTES = 4 * 2**30
NUMBERS = (int, float, np.integer, np.floating)
UNITS = {"B": 1}
for i, prefix in enumerate("KMGT", 1):
    UNITS |= {f"{prefix}B": 1000**i, f"{prefix}IB": 1024**i}
# Linux's control groups, which containers and batch systems limit memory by, of versions 2 and 1:
# where they are, the controller in a line of /proc/self/cgroup, the files of a group with its limit
# and what it uses, and the counters of pages of files among that, which the system can take back.
CONTROL_GROUPS = (
    ("sys/fs/cgroup", "", "memory.max", "memory.current", ("inactive_file", "active_file")),
    (
        "sys/fs/cgroup/memory",
        "memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)


def check_memory_limit(limit: object) -> int:
    """Return a limit in bytes: a number, a text such as "8GB", or "auto", half of what is free."""
    if isinstance(limit, str):
        if limit == "auto":
            return available_memory() // 2
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT]?I?B)\s*", limit.upper())
        if match and match[2] in UNITS:
            return int(float(match[1]) * UNITS[match[2]])
    elif isinstance(limit, NUMBERS) and not isinstance(limit, bool) and 0 <= limit < 2**63:
        return int(limit)
    raise ValueError(
        f"memory_limit must be 'auto', a number of bytes, or a text such as '8GB'; got {limit!r}"
    )


def format_bytes(n_bytes: float) -> str:
    """Return a size as users read it, such as "1.2 GB"."""
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes / 1000:.1f} kB"


def check_temp_folder(folder: object) -> None:
    """Raise TypeError or ValueError for what is neither None nor a folder that exists."""
    if folder is None:
        return
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"temp_folder must be a path or None; got {folder!r}")
    if not os.path.isdir(folder):
        raise ValueError(f"temp_folder must be a folder that exists; got {os.fspath(folder)!r}")


def available_memory() -> int:
    """Bytes that this process can still take, without what the system has only cached."""
    return int(max(min(_free_in_system(), _free_in_groups()), 0))


def _free_in_groups(root: Path = Path("/")) -> float:
    """Return what the control groups of this process leave it, infinity without a limit.

    A group's limit holds for all groups within it, too.  In a container the names of groups may be
    those outside, which are not seen: then the group at the top is the container's.

    root : the folder with ``proc`` and ``sys``.
    """
    free = math.inf
    for mount, controller, limit, used, cached in CONTROL_GROUPS:
        top = root / mount
        group = top / os.path.normpath(_group_of_process(root, controller)).lstrip("/")
        while group.is_relative_to(top):
            try:
                # Without a limit it is "max", or larger than any memory.
                left = int((group / limit).read_text()) - int((group / used).read_text())
                free = min(free, left + _bytes_of(cached, group / "memory.stat"))
            except (OSError, ValueError):
                pass  # no such file, or "max"
            group = group.parent
    return free


def _bytes_of(counters: tuple[str, ...], path: Path) -> int:
    """Return the sum of some counters of a file of lines of names and numbers, 0 without it."""
    try:
        lines = map(str.split, path.read_text().splitlines())
        return sum(int(count) for name, count in lines if name in counters)
    except (OSError, ValueError):
        return 0


def _group_of_process(root: Path, controller: str) -> str:
    """Return the name of this process's group; "/" where it is not known."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return "/"
    for _, controllers, name in (line.split(":", 2) for line in lines):
        if controller in controllers.split(","):
            return name
    return "/"


def _free_in_system() -> int:
    try:
        if sys.platform == "linux":
            for line in Path("/proc/meminfo").read_text().splitlines():
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
        # Elsewhere half of what is built in.
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError, AttributeError):  # Windows has no sysconf
        return ASSUMED_BYTES
