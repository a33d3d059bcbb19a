"""Large arrays: in memory, or beyond what they may take there together, in temporary files.

A fit sets a budget; the stages below it ask for arrays, and do not know where they are.
Pages of a file that the system keeps in memory it can take back at any time.
"""

import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from numpy.typing import DTypeLike

# Set by a fit for what it calls; None is memory without a limit.
_budget: ContextVar["Budget | None"] = ContextVar("fasttsne_large_arrays", default=None)


class Budget:
    """The bytes that large arrays may take in memory together, and the folder for the others."""

    def __init__(self, n_bytes: int, temp_folder: str | os.PathLike[str] | None = None):
        self._left = n_bytes
        self.temp_folder = temp_folder

    def take(self, n_bytes: int) -> bool:
        """Take bytes until ``give_back``; return False where so many are not left."""
        if n_bytes > self._left:
            return False
        self._left -= n_bytes
        return True

    def give_back(self, n_bytes: int) -> None:
        self._left += n_bytes


@contextmanager
def large_arrays_within(
    n_bytes: int, temp_folder: str | os.PathLike[str] | None = None
) -> Iterator[None]:
    """Let large arrays that are made inside take so many bytes of memory, and others files."""
    token = _budget.set(Budget(n_bytes, temp_folder))
    try:
        yield
    finally:
        _budget.reset(token)


def empty(shape: tuple[int, ...], dtype: DTypeLike, name: str) -> np.ndarray:
    """Return a new array; its values are not set.

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


def check_free_space(n_bytes: int, temp_folder: str | os.PathLike[str] | None) -> None:
    """Raise OSError where so many bytes of temporary files, in all, would not fit.

    Or where the folder cannot be written.
    """
    if n_bytes:
        TemporaryFile(n_bytes, temp_folder, "the fit").close()


def _folder(temp_folder: str | os.PathLike[str] | None) -> str:
    return tempfile.gettempdir() if temp_folder is None else os.fspath(temp_folder)


class TemporaryFile:
    """A file that is gone when nothing uses it, whatever happens to the process.

    Parameters
    ----------
    n_bytes : that it will hold, at most.
    temp_folder : where it is; None is the system's folder.
    name : what it will hold, for the message.

    Raises
    ------
    OSError
        Where the folder has not enough space, or cannot be written.
    """

    def __init__(self, n_bytes: int, temp_folder: str | os.PathLike[str] | None, name: str):
        self._n_bytes, self._name = n_bytes, name
        self._folder = _folder(temp_folder)
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
