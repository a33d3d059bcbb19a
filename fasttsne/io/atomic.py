"""Atomic file writes: write a temporary file in the same folder, then replace the target."""

import contextlib
import errno
import glob
import os
import secrets
import stat
import time
from pathlib import Path

# Of the file's own name, in that of the temporary file: the length of names is limited.
MAX_STEM_LENGTH = 50
# Seconds after which a temporary file that nobody has written to was left by a process that died.
ABANDONED_AFTER = 3600


@contextlib.contextmanager
def atomic_write(path, commit_on=()):
    """Yield the path of a temporary file that replaces ``path`` when the block ends.

    It does so after all of it is on the disk.  After an exception it is removed, and the
    file at ``path`` stays as it was.  What an earlier process left when it was killed is removed
    an hour later.

    Parameters
    ----------
    path : the file, which need not exist; of a link, its target is replaced.
    commit_on : exceptions after which the file is complete and replaces ``path``, too; they
        are raised all the same.

    Yields
    ------
    Path
        There is no such file yet.  Its extension is that of ``path``, for libraries that
        choose a format by it.

    Raises
    ------
    OSError
        If the folder does not exist, ``path`` is a folder, a device or a pipe, or a file that may
        not be written to, or the disk is full; it names ``path``.
    """
    target = Path(os.path.realpath(path))
    name = f".{target.stem[:MAX_STEM_LENGTH]}.{secrets.token_hex(8)}.part{target.suffix}"
    temp_path = target.with_name(name)
    try:
        _check_replaceable(target, os.fspath(path))
        _remove_abandoned(target)
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


def _check_replaceable(target, path):
    """To replace a file takes rights on its folder only: ask for those on the file as well."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "not a regular file, which cannot be replaced", path)
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def _remove_abandoned(target):
    """Remove temporary files of this target that a killed process has left."""
    stem, suffix = glob.escape(target.stem[:MAX_STEM_LENGTH]), glob.escape(target.suffix)
    for path in target.parent.glob(f".{stem}.{'[0-9a-f]' * 16}.part{suffix}"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                path.unlink()


def _commit(temp_path, target):
    if target.exists():  # a private file stays private
        temp_path.chmod(stat.S_IMODE(target.stat().st_mode))
    with open(temp_path, "rb+") as file:
        # Some file systems report a full disk only here.
        os.fsync(file.fileno())
    os.replace(temp_path, target)


def _name_target(error, temp_path, path):
    """Name ``path`` in an error of the system, which names the temporary file or, if full, none."""
    disk_is_full = error.errno in (errno.ENOSPC, errno.EFBIG) and error.filename is None
    # It names what was opened, which may be a text, a Path, or a number.
    if disk_is_full or str(error.filename) == str(temp_path):
        error.filename = os.fspath(path)
        del error.filename2
