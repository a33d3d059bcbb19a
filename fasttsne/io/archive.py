"""Archives of named arrays and a JSON header: .npz files, written atomically, read without pickle.

Each array has a checksum: bits that changed, and ends that are missing, are errors.  It is compared
where an array ends, which must be where its header says.  The archive's header has all of them:
arrays that were exchanged, are missing or do not belong there are errors, too.
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
from typing import IO, Any

import numpy as np

from fasttsne._version import __version__
from fasttsne.io.address import new_file_at, open_for_reading
from fasttsne.io.atomic import atomic_write
from fasttsne.io.table import MAX_ERROR
from fasttsne.runtime.progress import stage
from fasttsne.runtime.typing import FilePath
from fasttsne.runtime.validation import is_address

# What NumPy and zipfile raise if a file is damaged; sizes are checked before arrays take memory.
DAMAGE = (
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    SyntaxError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)
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


class _SyncedFile(io.FileIO):
    """A new file whose contents reach the disk while it is written."""

    _n_waiting = 0

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        for first in range(0, len(view), SYNC_BYTES):
            part = view[first : first + SYNC_BYTES]
            n_written = 0
            while n_written < len(part):  # a disk may be full in the middle
                n_written += super().write(part[n_written:]) or 0
            self._n_waiting += len(part)
            if self._n_waiting >= SYNC_BYTES:
                os.fsync(self.fileno())
                self._n_waiting = 0
        return len(view)


def write_archive(
    path: FilePath,
    header: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    check: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Write an archive, atomically: after an error, the old file is unchanged.

    A file is read back, and its checksums are compared, before it replaces the old one.

    Parameters
    ----------
    path : or the address of a file (:mod:`fasttsne.io.address`), as for all functions here.
    header : what JSON can express, with "kind" and "format".
    check : function
        Called with the header as it will be read, before anything is written; it raises if header
        and arrays could not be read again.
    """
    if check is not None:
        check(json.loads(json.dumps(header)))
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


@contextlib.contextmanager
def _new_file(path: FilePath) -> Iterator[IO[bytes]]:
    if is_address(path):
        with new_file_at(path) as file:
            yield file
    else:
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
    """Yield an archive to read from; what is raised of damaged ones within is a ValueError.

    Parameters
    ----------
    kind, format : that the header must say; the format may be an earlier one.
    what : the file should be, for the message.

    Raises
    ------
    OSError
        Where the file cannot be opened or read.
    ValueError
        Where it is no such file, is damaged, or was written by a later version.
    """
    with open_for_reading(path) as file:
        try:
            with _seeking():
                yield Archive(file, kind, format)
        except DAMAGE as error:
            text = str(error)[:MAX_ERROR]  # zipfile shows the bytes that it found
            reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
            raise ValueError(f"{os.fspath(path)} is not {what}: {reason}") from error
        except OSError as error:
            raise OSError(f"{os.fspath(path)} cannot be read: {error}") from error


@contextlib.contextmanager
def _seeking() -> Iterator[None]:
    """Make ValueError of the error of a system that is to seek before the beginning of a file.

    Damaged archives say so; other errors of the system are not the file's fault.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise ValueError(str(error)) from error
        raise


class Archive:
    """The header of an open archive, and its arrays, which are read when they are asked for."""

    def __init__(self, file: IO[bytes], kind: str, format: int):
        if not zipfile.is_zipfile(file):
            raise ValueError("it is no .npz archive, or truncated")
        file.seek(0)
        self._archive = np.load(file, allow_pickle=False)
        check_directory(self._archive)
        if "header" not in self._archive.files:
            raise ValueError("it has no header")
        check_size(self._archive, "header")
        self.header = _check_header(self._archive["header"], kind, format)
        self._check_checksums()

    def _check_checksums(self) -> None:
        """Raise ValueError where the arrays are not those that were written with the header."""
        if CHECKSUMS not in self.header:
            return
        written = check_type(self.header[CHECKSUMS], CHECKSUMS, dict)
        found = _read_checksums(self._archive.zip)
        if found != written:
            names = [each for each in {**written, **found} if written.get(each) != found.get(each)]
            raise ValueError(f"it was not written with this {', '.join(names)}")

    def arrays(self, without: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Read all arrays but those of these names."""
        names = [name for name in self._archive.files if name not in ("header", *without)]
        for name in names:
            check_size(self._archive, name)
        return {name: self._archive[name] for name in names}

    def array(
        self, name: str, allocate: Callable[[tuple[int, ...], np.dtype[Any]], np.ndarray]
    ) -> np.ndarray:
        """Read one array, a piece at a time, into what a function of shape and dtype returns."""
        check_size(self._archive, name)
        with self._archive.zip.open(f"{name}.npy") as member:
            version = np.lib.format.read_magic(member)
            if version != (1, 0):
                raise ValueError(f"{name} has the format {version}")
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(member)
            if is_fortran or dtype.hasobject:
                raise ValueError(f"{name} is of {dtype}, or in another order")
            out = allocate(shape, dtype)
            view = out.reshape(-1).view(np.uint8)
            with stage(f"reading {name}", len(view), "bytes") as progress:
                position = 0
                while position < len(view):
                    piece = member.read(min(PIECE_BYTES, len(view) - position))
                    if not piece:
                        raise EOFError(f"{name} ends too early")
                    view[position : position + len(piece)] = np.frombuffer(piece, np.uint8)
                    position += len(piece)
                    progress.advance(len(piece))
            if member.read(1):  # at the end the checksum is compared
                raise ValueError(f"{name} is longer than its shape, {shape}")
            return out


def check_directory(archive: Any) -> None:
    """Raise ValueError where a damaged entry of the directory hides those that follow it.

    archive : of ``numpy.load``.
    """
    file = archive.zip.fp
    file.seek(-END_OF_DIRECTORY.size, os.SEEK_END)
    signature, _, _, _, count, *_ = END_OF_DIRECTORY.unpack(file.read(END_OF_DIRECTORY.size))
    found = len(archive.zip.infolist())
    if signature == b"PK\5\6" and count not in (found, MANY_ENTRIES):
        raise ValueError(f"its directory should have {count} entries, and has {found}")


def check_size(archive: Any, name: str) -> None:
    """Raise ValueError where an array is shorter or longer than its header says.

    Less than all of it would be read without a comparison of its checksum; more would take memory
    before it is missed.

    archive : of ``numpy.load``.
    """
    if f"{name}.npy" not in archive.zip.namelist():
        return  # a file that is no array, which zipfile reads as a whole
    info = archive.zip.getinfo(f"{name}.npy")
    with archive.zip.open(info) as member:
        is_first = np.lib.format.read_magic(member) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if is_first else READ_HEADER_OF_4_BYTES
        shape, _, dtype = read(member)
        n_bytes = info.file_size - member.tell()
    if not dtype.hasobject and n_bytes != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} has {n_bytes} bytes, which are no {dtype} of shape {shape}")


def read_kind(path: FilePath) -> str | None:
    """Return what an archive says that it is; None for other files."""
    with open_for_reading(path) as file, contextlib.suppress(*DAMAGE), _seeking():
        if zipfile.is_zipfile(file):
            file.seek(0)
            kind = json.loads(str(np.load(file, allow_pickle=False)["header"]))["kind"]
            return kind if isinstance(kind, str) else None
    return None


def _check_header(text: np.ndarray, kind: str, format: int) -> dict[str, Any]:
    if text.shape != () or text.dtype.kind != "U":
        raise ValueError("its header is not a text")
    header = json.loads(str(text))
    if not isinstance(header, dict) or header.get("kind") != kind:
        raise ValueError(f"its header does not say {kind!r}")
    version = header.get("format")
    if type(version) is not int or version < 1:
        raise ValueError(f"its format is {version!r}")
    if version > format:
        raise ValueError(
            f"fasttsne {header.get('fasttsne')} wrote it in format {version}, and this is fasttsne "
            f"{__version__}, which reads up to format {format}; upgrade fasttsne"
        )
    return header


def check_type(value: Any, name: str, *kinds: type) -> Any:
    """Return a value of a header if it is of one of the types: True is no number."""
    if type(value) not in kinds:
        raise ValueError(f"{name} is {value!r}")
    return value


def to_python_scalar(value: Any) -> Any:
    """Return a number of NumPy as one of Python, which JSON can express."""
    return value.item() if isinstance(value, np.generic) else value
