"""Memory that is free, and sizes as users write them."""

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
# Limits and use of a container's memory, of versions 2 and 1 of Linux's control groups.
CONTROL_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
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
    free = _free_in_system()
    for limit, used in CONTROL_GROUPS:
        try:
            free = min(free, int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return max(free, 0)


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
