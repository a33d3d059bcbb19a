"""Files by their paths, or by addresses such as "s3://bucket/run.npz", which fsspec opens."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fasttsne.io.atomic import check_regular, remove_abandoned
from fasttsne.runtime.typing import FilePath
from fasttsne.runtime.validation import is_address


def open_for_reading(path: FilePath) -> IO[bytes]:
    """Open a file; errors of the system name it, and no device or pipe is opened."""
    if not is_address(path):
        check_regular(path)
        return open(path, "rb")
    with _naming(path):
        system, name = _file_system(path)
        file: IO[bytes] = system.open(name, "rb")
    return file


@contextlib.contextmanager
def new_file_at(address: FilePath) -> Iterator[IO[bytes]]:
    """Yield a file to write; what was at the address stays there until all of it is written."""
    with _naming(address):
        system, name = _file_system(address)
    with system.transaction, system.open(name, "wb") as file:
        yield file


def exists(path: FilePath) -> bool:
    if not is_address(path):
        return os.path.exists(path)
    with _naming(path):
        system, name = _file_system(path)
        return bool(system.exists(name))


def remove(path: FilePath) -> None:
    """Remove a file, if it is there, and what killed processes have left of it."""
    if not is_address(path):
        remove_abandoned(path)
        Path(path).unlink(missing_ok=True)
        return
    system, name = _file_system(path)
    with contextlib.suppress(FileNotFoundError):
        system.rm_file(name)


def beside(path: FilePath, addition: str) -> FilePath:
    """Return the path of a file beside another: "run.npz" and ".graph" give "run.graph.npz"."""
    if not is_address(path):
        path = Path(path)
        return path.with_name(f"{path.stem}{addition}{path.suffix}")
    stem, suffix = os.path.splitext(os.fspath(path))
    return f"{stem}{addition}{suffix}"


@contextlib.contextmanager
def _naming(address: FilePath) -> Iterator[None]:
    """Make errors of file systems OSError, ImportError or ValueError that name the address."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # each file system has its own
        text = str(error) or type(error).__name__
        if os.fspath(address) in text:
            raise
        is_known = (
            isinstance(error, (OSError, ImportError)) and type(error).__module__ == "builtins"
        )
        raise (type(error) if is_known else ValueError)(f"{address!r}: {text}") from error


def _file_system(address: FilePath) -> tuple[Any, str]:
    """Return a file system of its own, since transactions are of a file system, and the name."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ImportError(
            f"{address!r} is an address, which takes fsspec: pip install fsspec"
        ) from error
    system, name = url_to_fs(address, skip_instance_cache=True)
    if getattr(system, "local_file", False):
        check_regular(name)
    return system, name
