"""Memory: what is free, sizes as users write them, and large arrays within a budget.

A fit sets a budget; the stages below it allocate arrays, which beyond the budget are in temporary
files.  Pages of a file that the system keeps in memory it can take back at any time.
"""

import math
import os
import re
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from fasttsne.runtime.typing import FilePath

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


# Set by a fit for what it calls; None is memory without a limit.
_budget: ContextVar["Budget | None"] = ContextVar("fasttsne_large_arrays", default=None)


class Budget:
    """The bytes that large arrays may take in memory together, and the folder for the others."""

    def __init__(self, n_bytes: int, temp_folder: FilePath | None = None):
        self._left = n_bytes
        self.temp_folder = temp_folder

    def take(self, n_bytes: int) -> bool:
        """Take bytes until ``give_back``; return False where so many are not left."""
        fits = n_bytes <= self._left
        self._left -= n_bytes * fits
        return fits

    def give_back(self, n_bytes: int) -> None:
        self._left += n_bytes


@contextmanager
def memory_budget(n_bytes: int, temp_folder: FilePath | None = None) -> Iterator[None]:
    """Limit the memory of large arrays allocated within the block; the others are in files."""
    token = _budget.set(Budget(n_bytes, temp_folder))
    try:
        yield
    finally:
        _budget.reset(token)


def allocate(shape: tuple[int, ...], dtype: DTypeLike, name: str) -> np.ndarray:
    """Return a new array, or a memory map beyond the budget; its values are not set.

    name : what it holds, for the message where a file for it cannot be made.

    Raises
    ------
    OSError
        Where the temporary folder has not enough space, or cannot be written.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    budget = _budget.get()
    if budget is not None and not budget.take(n_bytes):
        file = TemporaryFile(n_bytes, budget.temp_folder, name)
        file.reserve()
        return file.map(dtype, shape)
    array = np.empty(shape, dtype)
    if budget is not None:
        weakref.finalize(array, budget.give_back, n_bytes)
    return array


class AppendedArray:
    """An array in one dimension that is written from its start on, up to a largest size."""

    def __init__(self, max_size: int, dtype: DTypeLike, name: str):
        self._dtype, self._size = np.dtype(dtype), 0
        self._file: TemporaryFile | None = None
        self._budget, n_bytes = _budget.get(), max_size * self._dtype.itemsize
        if self._budget is not None and not self._budget.take(n_bytes):
            self._file = TemporaryFile(n_bytes, self._budget.temp_folder, name)
            return
        self._array = np.empty(max_size, dtype)  # what is not written takes no memory
        if self._budget is not None:
            self._budget.give_back(n_bytes)

    def append(self, values: np.ndarray) -> None:
        """Add values, an array in one dimension."""
        values = np.ascontiguousarray(values, self._dtype)
        if self._file is None:
            self._array[self._size : self._size + len(values)] = values
        else:
            self._file.write(values)
        self._size += len(values)

    def finish(self) -> np.ndarray:
        """Return what was written; nothing can be added any more."""
        if self._file is not None:
            return self._file.map(self._dtype, (self._size,))
        self._array.resize(self._size, refcheck=False)
        if self._budget is not None and self._budget.take(self._array.nbytes):
            weakref.finalize(self._array, self._budget.give_back, self._array.nbytes)
        return self._array


def check_free_space(n_bytes: int, temp_folder: FilePath | None) -> None:
    """Raise OSError where so many bytes of temporary files would not fit, or not be written."""
    if n_bytes:
        TemporaryFile(n_bytes, temp_folder, "the fit").close()


class TemporaryFile:
    """A file that is gone when nothing uses it, whatever happens to the process.

    It will hold at most ``n_bytes``, in the system's folder or another; the ``name`` of what it
    holds is in the OSError where there is no space, or it cannot be written.
    """

    def __init__(self, n_bytes: int, temp_folder: FilePath | None, name: str):
        self._n_bytes, self._name = n_bytes, name
        self._folder = tempfile.gettempdir() if temp_folder is None else os.fspath(temp_folder)
        with self._explained():
            free = shutil.disk_usage(self._folder).free
            if free < n_bytes:
                raise OSError(f"{free:,} bytes are free")
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115

    def reserve(self) -> None:
        """Take all the space now: writing to a map of what is not there kills the process."""
        with self._explained():
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, self._n_bytes)
            else:
                self._file.truncate(self._n_bytes)

    def write(self, values: np.ndarray) -> None:
        """Write a contiguous array to the end."""
        with self._explained():
            self._file.write(values.data)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def map(self, dtype: np.dtype, shape: tuple[int, ...], mode: str = "r+") -> np.ndarray:
        """Return a memory map of what was written, or reserved; nothing can be written any more."""
        with self._file:  # the map keeps what is closed here
            if not math.prod(shape):
                return np.empty(shape, dtype)
            self._file.flush()
            return np.asarray(np.memmap(self._file, dtype, mode, shape=shape))  # type: ignore[call-overload]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in errors what was needed, and where."""
        try:
            yield
        except OSError as error:
            raise OSError(
                f"{self._name} would exceed memory_limit, and needs {self._n_bytes:,} bytes in the "
                f"temporary folder {self._folder}: {error}; choose another temp_folder, or a "
                "larger memory_limit"
            ) from error
