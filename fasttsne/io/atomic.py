"""Atomic file writes: write a temporary file in the same folder, then replace the target."""

import contextlib
import errno
import functools
import glob
import hashlib
import os
import platform
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

FilePath: TypeAlias = str | os.PathLike[str]

# Characters of the file's own name in the temporary one: the length of names is limited.
MAX_STEM_LENGTH = 50
# Seconds after which a temporary file that has not changed was left by a process that died.
ABANDONED_AFTER = 3600
# Numbers in the name of a temporary file: where its process is, which one it is, and a random one.
# Version 0.2.0 and those before had 16 random digits.
TOKEN = re.compile("(?P<place>[0-9a-f]{8})(?P<pid>[0-9a-f]{8})[0-9a-f]{8}|[0-9a-f]{16}")


@contextlib.contextmanager
def atomic_write(path: FilePath, commit_on: tuple[type[BaseException], ...] = ()) -> Iterator[Path]:
    """Yield the path of a temporary file that replaces ``path`` when the block ends.

    It does so after all of it is on the disk.  After an exception it is removed, and the
    file at ``path`` stays as it was.  What an earlier process left when it was killed is removed
    if it was a process of this machine, and else an hour later.

    Parameters
    ----------
    path : the file, which need not exist; of a link, its target is replaced.
    commit_on : exceptions after which the file is complete and replaces ``path``, too; they
        are raised all the same.

    Yields
    ------
    Path
        There is no such file yet.  It has the extension of ``path``, by which libraries choose a
        format.

    Raises
    ------
    OSError
        If the folder does not exist, ``path`` is a folder, a device or a pipe, or a file that may
        not be written to, or the disk is full; it names ``path``.
    """
    target = Path(os.path.realpath(path))
    token = f"{_place()}{os.getpid():08x}{secrets.token_hex(4)}"
    name = f".{target.stem[:MAX_STEM_LENGTH]}.{token}.part{target.suffix}"
    temp_path = target.with_name(name)
    try:
        check_regular(path)
        # To replace a file takes rights on its folder only.
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        remove_abandoned(target)
        try:
            yield temp_path
        except commit_on:
            _commit(temp_path, target)
            raise
        _commit(temp_path, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temp_path.unlink()
        if isinstance(error, OSError):
            _name_target(error, temp_path, path)
        raise


def check_regular(path: FilePath) -> None:
    """Raise OSError where a path is a folder, or a device or a pipe: to read one may never end."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def remove_abandoned(path: FilePath) -> None:
    """Remove temporary files of this target whose process was killed; others may be in use."""
    target = Path(os.path.realpath(path))
    start, end = f".{target.stem[:MAX_STEM_LENGTH]}.", f".part{target.suffix}"
    for found in target.parent.glob(f"{glob.escape(start)}*{glob.escape(end)}"):
        token = TOKEN.fullmatch(found.name.removeprefix(start).removesuffix(end))
        if token is not None:
            with contextlib.suppress(OSError):
                if _is_dead(token) or time.time() - found.stat().st_mtime > ABANDONED_AFTER:
                    found.unlink()


@functools.cache
def _place() -> str:
    """Return digits that are others on another machine, after a restart and in a container.

    There the number of a process says nothing about processes here.
    """
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def _is_dead(token: re.Match[str]) -> bool:
    """Return whether the process that chose a token is known to have ended."""
    if token["place"] != _place() or os.name != "posix":  # elsewhere, signal 0 ends a process
        return False
    try:
        os.kill(int(token["pid"], 16), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # it is another user's
        return False
    return False


def _commit(temp_path: Path, target: Path) -> None:
    if target.exists():  # a private file stays private
        temp_path.chmod(stat.S_IMODE(target.stat().st_mode))
    with open(temp_path, "rb+") as file:
        # Some file systems report a full disk only here.
        os.fsync(file.fileno())
    os.replace(temp_path, target)


def _name_target(error: OSError, temp_path: Path, path: FilePath) -> None:
    """Name ``path`` in an error of the system, which names the temporary file or, if full, none."""
    disk_is_full = error.errno in (errno.ENOSPC, errno.EFBIG) and error.filename is None
    # It names what was opened, which may be a text, a Path, or a number.
    if disk_is_full or str(error.filename) == str(temp_path):
        error.filename = os.fspath(path)
        del error.filename2
