"""Files that are there as a whole, or as they were before: written beside, then put in place."""

import contextlib
import os
import secrets
from pathlib import Path

# Of a file's own name, in that of the file beside it: names are limited in length.
SHOWN = 50


@contextlib.contextmanager
def whole_file(path, also_after=()):
    """Yield the path of a new file in the same folder, which takes the place of ``path``.

    It does so when all of it is on the disk.  After an exception it is removed, and what
    was at ``path`` stays.

    Parameters
    ----------
    path : the file, which need not exist; of a link, what it points to is replaced.
    also_after : exceptions that leave a good file, too; they are raised all the same.

    Yields
    ------
    Path
        No file is there yet.  It ends as ``path`` does, for libraries that go by it.

    Raises
    ------
    OSError
        Where there is no such folder, or no room on the disk.
    """
    path = Path(os.path.realpath(path))
    name = f".{path.stem[:SHOWN]}.{secrets.token_hex(8)}.part{path.suffix}"
    part = path.with_name(name)
    try:
        try:
            yield part
        except also_after:
            _put_in_place(part, path)
            raise
        _put_in_place(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _put_in_place(part, path):
    with open(part, "rb+") as file:
        # A disk may find out only now that it is full.
        os.fsync(file.fileno())
    os.replace(part, path)
