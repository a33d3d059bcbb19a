"""Archives of named arrays and a JSON header: .npz files, written atomically, read without pickle.

They have paths, or addresses such as "s3://bucket/run.npz", which fsspec opens.  Each array has a
checksum, which is compared where the array ends.  The header has all of them: arrays that were
exchanged, are missing or do not belong there are errors, too.
"""

import contextlib
import errno
import io
import json
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from fasttsne._version import __version__
from fasttsne.io.atomic import atomic_write, check_regular, remove_abandoned
from fasttsne.io.table import MAX_ERROR
from fasttsne.runtime.progress import stage
from fasttsne.runtime.typing import FilePath
from fasttsne.runtime.validation import is_address

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from fsspec import AbstractFileSystem

Header: TypeAlias = dict[str, object]
Arrays: TypeAlias = dict[str, np.ndarray]
Allocate: TypeAlias = Callable[[tuple[int, ...], np.dtype], np.ndarray]
T = TypeVar("T")

# What NumPy and zipfile raise if a file is damaged, and the system.
VALUE_ERRORS = ValueError, TypeError, KeyError, EOFError, SyntaxError, OverflowError, RuntimeError
READ_ERRORS = (*VALUE_ERRORS, OSError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)
# Bytes after which a file that is written is on the disk: in one go at the end that could take
# many seconds, in which Ctrl-C is not noticed.
SYNC_BYTES = 2**25
# Headers of format 2 and 3 differ in how names of fields are encoded.
READ_HEADER_OF_4_BYTES = np.lib.format.read_array_header_2_0
# The end of a zip file without a comment, and the number of its entries where that is larger.
END_OF_DIRECTORY, MANY_ENTRIES = struct.Struct("<4s4H2LH"), 0xFFFF
# Bytes that are read at a time.
PIECE_BYTES = 2**22
# What the header calls the checksums of the arrays, CRC-32 by name.
CHECKSUMS = "checksums"


def write_archive(path: FilePath, header: Mapping[str, object], arrays: Arrays) -> None:
    """Write an archive, atomically: after an error, the old file is unchanged.

    A file is read back, and its checksums are compared, before it replaces the old one.

    header : what JSON can express, with "kind" and "format".
    """
    with _new_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            write_array(archive, name, array)
        header = {**header, CHECKSUMS: _read_checksums(archive)}
        write_array(archive, "header", np.array(json.dumps(header)))


def write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """Write an array as numpy.savez does, which in NumPy 2.0 leaves archives open after errors."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _read_checksums(archive: zipfile.ZipFile) -> dict[str, int]:
    """Return the checksum of each entry but the header, by the name of its array."""
    checksums = {info.filename.removesuffix(".npy"): info.CRC for info in archive.infolist()}
    checksums.pop("header", None)
    return checksums


class _SyncedFile(io.FileIO):
    """A new file whose contents reach the disk while it is written."""

    _n_waiting = 0

    def write(self, data: "ReadableBuffer", /) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):  # a disk may be full in the middle
            n_written = super().write(view[done : done + SYNC_BYTES]) or 0
            done += n_written
            self._n_waiting += n_written
            if self._n_waiting >= SYNC_BYTES:
                os.fsync(self.fileno())
                self._n_waiting = 0
        return len(view)


@contextlib.contextmanager
def _new_file(path: FilePath) -> Iterator[IO[bytes]]:
    """Yield a file to write; what was there stays until all of it is written."""
    if is_address(path):
        with _file_system(path) as (system, name):
            pass  # errors of what is written are no errors of the address
        with system.transaction, system.open(name, "wb") as file:
            yield file
        return
    with atomic_write(path) as temp_path:
        with _SyncedFile(temp_path, "xb") as local:
            yield local
        _read_back(temp_path)


def _read_back(path: FilePath) -> None:
    """Raise OSError if a new archive does not have the bytes that were written."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        damaged = str(error)
    if damaged is not None:
        reason = f"the disk returned other bytes than were written: {damaged}"
        raise OSError(errno.EIO, reason, os.fspath(path))


@contextlib.contextmanager
def open_archive(path: FilePath, kind: str, format: int, what: str) -> Iterator["Archive"]:
    """Yield an archive to read from; ValueError if it is damaged, another, or of a later version.

    kind, format : that the header must say; the format may be an earlier one.
    what : the file should be, for the message.
    """
    with open_for_reading(path) as file:
        try:
            yield Archive(file, kind, format)
        except READ_ERRORS as error:
            text = str(error)[:MAX_ERROR]  # zipfile shows the bytes that it found
            if not _is_damage(error):
                raise OSError(f"{os.fspath(path)} cannot be read: {text}") from error
            reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
            raise ValueError(f"{os.fspath(path)} is not {what}: {reason}") from error


def _is_damage(error: Exception) -> bool:
    """Whether a file is damaged: its archive may also make zipfile seek before its beginning."""
    return not isinstance(error, OSError) or error.errno == errno.EINVAL


class Archive:
    """The header of an open archive, and its arrays, which are read when they are asked for."""

    def __init__(self, file: IO[bytes], kind: str, format: int):
        self._zip = open_zip(file)
        self.header = header = _read_header(self._zip)
        if header.get("kind") != kind:
            raise ValueError(f"its header does not say {kind!r}")
        version = check_type(header.get("format"), "its format", int)
        if version < 1:
            raise ValueError(f"its format is {version}")
        if version > format:
            raise ValueError(
                f"fasttsne {header.get('fasttsne')} wrote it in format {version}, and this is "
                f"fasttsne {__version__}, which reads up to format {format}; upgrade fasttsne"
            )
        found = _read_checksums(self._zip)
        written = check_type(header.get(CHECKSUMS, found), CHECKSUMS, dict)
        if found != written:
            names = [each for each in {**written, **found} if written.get(each) != found.get(each)]
            raise ValueError(f"it was not written with this {', '.join(names)}")

    def arrays(self, without: Sequence[str] = ()) -> Arrays:
        """Read all arrays but some, by name."""
        names = [name for name in array_names(self._zip) if name not in ("header", *without)]
        return {name: read_array(self._zip, name) for name in names}

    def array(self, name: str, allocate: Allocate) -> np.ndarray:
        """Read one array into what a function of shape and dtype returns."""
        return read_array(self._zip, name, allocate)


def open_zip(file: IO[bytes]) -> zipfile.ZipFile:
    """Open an archive; ValueError where a damaged entry of its directory hides those behind it."""
    if not zipfile.is_zipfile(file):
        raise ValueError("it is no .npz archive, or truncated")
    archive = zipfile.ZipFile(file)
    file.seek(-END_OF_DIRECTORY.size, os.SEEK_END)
    signature, _, _, _, count, *_ = END_OF_DIRECTORY.unpack(file.read(END_OF_DIRECTORY.size))
    found = len(archive.infolist())
    if signature == b"PK\5\6" and count not in (found, MANY_ENTRIES):
        raise ValueError(f"its directory should have {count} entries, and has {found}")
    return archive


def array_names(archive: zipfile.ZipFile) -> list[str]:
    return [name[:-4] for name in archive.namelist() if name.endswith(".npy")]


def read_array(archive: zipfile.ZipFile, name: str, allocate: Allocate = np.zeros) -> np.ndarray:
    """Read an array to its end, where its checksum is compared; TypeError if it has objects."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        is_first = np.lib.format.read_magic(member) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if is_first else READ_HEADER_OF_4_BYTES
        shape, is_fortran, dtype = read(member)
        n_bytes = info.file_size - member.tell()
        if dtype.hasobject:
            raise TypeError("Object arrays cannot be loaded when allow_pickle=False")
        if n_bytes != math.prod(shape) * dtype.itemsize:  # before it takes memory
            raise ValueError(f"{name} has {n_bytes} bytes, which are no {dtype} of shape {shape}")
        out = allocate(shape[::-1] if is_fortran else shape, dtype)
        view = out.reshape(-1).view(np.uint8)
        with stage(f"reading {name}", n_bytes, "bytes") as progress:
            for first in range(0, n_bytes, PIECE_BYTES):
                piece = view[first : first + PIECE_BYTES]
                data = member.read(len(piece))
                if len(data) != len(piece):
                    raise EOFError(f"{name} ends too early")
                piece[:] = np.frombuffer(data, np.uint8)
                progress.advance(len(piece))
    return out.T if is_fortran else out


def _read_header(archive: zipfile.ZipFile) -> Header:
    if "header" not in array_names(archive):
        raise ValueError("it has no header")
    text = read_array(archive, "header")
    if text.shape != () or text.dtype.kind != "U":
        raise ValueError("its header is not a text")
    header = json.loads(str(text))
    return header if isinstance(header, dict) else {}


def read_kind(path: FilePath) -> str | None:
    """Return what an archive says that it is; None for other files."""
    with open_for_reading(path) as file:
        try:
            return check_type(_read_header(open_zip(file)).get("kind"), "kind", str)
        except READ_ERRORS as error:
            if not _is_damage(error):
                raise
            return None


def check_type(value: object, name: str, *kinds: type[T]) -> T:
    """Return a value of a header if it is of one of the types: True is no number."""
    for kind in kinds:
        if isinstance(value, kind) and type(value) in kinds:
            return value
    raise ValueError(f"{name} is {value!r}")


def open_for_reading(path: FilePath) -> IO[bytes]:
    """Open a file; errors of the system name it, and no device or pipe is opened."""
    if not is_address(path):
        check_regular(path)
        return open(path, "rb")
    with _file_system(path) as (system, name):
        file: IO[bytes] = system.open(name, "rb")
    return file


def exists(path: FilePath) -> bool:
    if not is_address(path):
        return os.path.exists(path)
    with _file_system(path) as (system, name):
        return bool(system.exists(name))


def remove(path: FilePath) -> None:
    """Remove a file, if it is there, and what killed processes have left of it."""
    if not is_address(path):
        remove_abandoned(path)
        Path(path).unlink(missing_ok=True)
        return
    with contextlib.suppress(FileNotFoundError), _file_system(path) as (system, name):
        system.rm_file(name)


def sibling_path(path: FilePath, addition: str) -> FilePath:
    """Return the path of a file beside another: "run.npz" and ".graph" give "run.graph.npz"."""
    stem, suffix = os.path.splitext(os.fspath(path))
    sibling = f"{stem}{addition}{suffix}"
    return sibling if isinstance(path, str) else Path(sibling)


@contextlib.contextmanager
def _file_system(address: FilePath) -> Iterator[tuple["AbstractFileSystem", str]]:
    """Yield the file system of an address, and the name there; errors are made to name the address.

    It is a new one, since transactions are of a file system.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ImportError(
            f"{address!r} is an address, which takes fsspec: pip install fsspec"
        ) from error
    try:
        system, name = url_to_fs(address, skip_instance_cache=True)
        if getattr(system, "local_file", False):
            check_regular(name)
        yield system, name
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
