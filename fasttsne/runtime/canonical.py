"""The canonical form of rows: C-contiguous, float32 where that is exact, else float64.

It depends on the values only, so results are the same bits for every dtype, storage and chunking.
What it takes is one array, in memory or, where that is larger than a limit, in a temporary file.
"""

import math
import sys
from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike

from fasttsne.runtime.memory import TemporaryFile, check_memory_limit
from fasttsne.runtime.stored_rows import Storage, is_storage, iter_blocks, iter_parts
from fasttsne.runtime.typing import FilePath

# Numbers that are compared with their float32 values at a time.
CHUNK_SIZE = 2**18


def fits_float32(dtype: np.dtype) -> bool:
    """Whether all numbers of a type are exactly float32 numbers."""
    return dtype.newbyteorder("=") == np.float32 or dtype.itemsize <= 2


def to_canonical_floats(array: np.ndarray) -> np.ndarray:
    """Return an array of numbers, of any shape, in its canonical form."""
    if fits_float32(array.dtype):
        return np.require(array, np.float32, ["C", "A"])
    out = np.empty(array.shape, np.float32)
    for a, chunk in _chunks(array):
        if not _copy_exactly(chunk, out[a : a + len(chunk)]):
            return np.require(array, np.float64, ["C", "A"])
    return out


def _copy_exactly(chunk: np.ndarray, out: np.ndarray) -> bool:
    """Copy numbers to a float32 array; return whether all are the same there."""
    with np.errstate(all="ignore"):  # what is too large becomes infinite, and differs
        out[...] = chunk
    return fits_float32(chunk.dtype) or bool((out == chunk).all())


def rows_fit_float32(rows: sp.csr_matrix) -> np.ndarray:
    """Return whether all numbers of each row of an array or CSR matrix are float32: (n,) bool."""
    is_sparse = sp.issparse(rows)
    values = np.asarray(rows.data if is_sparse else rows)
    result = np.empty(len(values), bool)
    with np.errstate(over="ignore"):
        for a, chunk in _chunks(values):
            same = chunk == chunk.astype(np.float32)
            result[a : a + len(chunk)] = same if is_sparse else same.all(1)
    if is_sparse:
        n_others = np.concatenate([[0], np.cumsum(~result)])
        result = n_others[rows.indptr[1:]] == n_others[rows.indptr[:-1]]
    return result


def estimate_bytes(n: int, d: int, dtype: np.dtype) -> int:
    """Return the bytes of the float32 copy of (n, d) rows; 0 if they are floats already."""
    return 0 if dtype in (np.float32, np.float64) else 4 * n * d


def check_finite(array: np.ndarray, name: str, first: int = 0) -> None:
    """Raise ValueError where an array holds NaN or infinity.

    first : the index, in what the user passed, of the array's first row.
    """
    if array.dtype.kind != "f":
        return
    for a, chunk in _chunks(array):
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(chunk.sum(dtype=np.float64)):
                continue
        bad = ~np.isfinite(chunk)
        if bad.any():
            row, *columns = (int(i) for i in np.argwhere(bad)[0])
            index = ", ".join(map(str, (first + a + row, *columns)))
            raise ValueError(f"{name} must be finite; {name}[{index}] is {chunk[(row, *columns)]}")


def check_stored(storage: Storage, name: str) -> None:
    """Raise ValueError where a storage holds NaN or infinity; integers are not read."""
    if storage.dtype.kind == "f":
        for first, block in iter_blocks(storage, name):
            check_finite(block, name, first)


def read_canonical(
    X: np.ndarray | Storage,
    name: str,
    memory_limit: float | str = "auto",
    temp_folder: FilePath | None = None,
) -> np.ndarray:
    """Return the rows of an array of numbers or of a storage in their canonical form.

    An array that is so already is returned as it is, a memory map too: its rows stay in its file.
    A storage is read once, in blocks.

    Parameters
    ----------
    X : (n, columns) array of numbers, or a storage of them.
    memory_limit : bytes, as for :func:`fasttsne.runtime.memory.check_memory_limit`; a result of
        more is a memory map of a temporary file.
    temp_folder : where that file is; None is the system's folder.  It has no name there, or is
        removed when the process ends.

    Raises
    ------
    ValueError
        Where a number is not finite: in which row and column.
    OSError
        Where rows cannot be read, or the temporary file not be written.
    """
    array = X if isinstance(X, np.ndarray) and X.flags.c_contiguous and X.flags.aligned else None
    if array is not None and array.dtype == np.float32:
        check_finite(array, name)
        return np.asarray(array)
    limit = check_memory_limit(memory_limit)
    writer = _RowWriter(X.shape, np.float32, limit, temp_folder, name)
    for first, block in iter_blocks(X, name) if is_storage(X, name) else iter_parts(np.asarray(X)):
        for a, chunk in _chunks(block):
            check_finite(chunk, name, first + a)
            if not writer.append(chunk):
                if array is not None and array.dtype == np.float64:
                    writer.close()
                    check_finite(array, name)
                    return np.asarray(array)
                writer = writer.to_float64()
                writer.append(chunk)
            if chunk.dtype.itemsize > 8:  # the largest long doubles are infinite as float64
                check_finite(writer.last, name, first + a)
    return writer.rows()


def read_entries(storage: Storage, name: str) -> np.ndarray:
    """Return a storage in one dimension in memory, in canonical form; it need not be finite."""
    writer = _RowWriter(storage.shape, np.float32, sys.maxsize, None, name)
    for _, block in iter_blocks(storage, name):
        for _, chunk in _chunks(block):
            if not writer.append(chunk):
                writer = writer.to_float64()
                writer.append(chunk)
    return writer.rows()


def _chunks(block: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, rows) of about ``CHUNK_SIZE`` numbers, which stay in a core's cache."""
    step = max(CHUNK_SIZE // max(math.prod(block.shape[1:]), 1), 1)
    for a in range(0, len(block), step):
        yield a, block[a : a + step]


class _RowWriter:
    """Receives rows in order, and keeps them as float32 or float64: in memory or in a file.

    Attributes
    ----------
    last : the rows received last, as they are kept.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        memory_limit: int,
        temp_folder: FilePath | None,
        name: str,
    ):
        self._settings = memory_limit, temp_folder, name
        self._shape, self._dtype, self._n = tuple(shape), np.dtype(dtype), 0
        n_bytes = math.prod(self._shape) * self._dtype.itemsize
        is_small = n_bytes <= memory_limit
        self._array = np.empty(self._shape, dtype) if is_small else None
        self._file = None if is_small else TemporaryFile(n_bytes, temp_folder, name)

    def append(self, chunk: np.ndarray) -> bool:
        """Take rows; return False, and take none, where they are not exact in the dtype."""
        stop = self._n + len(chunk)
        if self._array is None:
            self.last = np.empty(chunk.shape, self._dtype)
        else:
            self.last = self._array[self._n : stop]
        if self._dtype == np.float64:
            with np.errstate(all="ignore"):
                self.last[...] = chunk
        elif not _copy_exactly(chunk, self.last):
            return False
        self._n = stop
        if self._file is not None:
            self._file.write(self.last)
        return True

    def to_float64(self) -> "_RowWriter":
        """Return a writer that has the same rows in double precision, in place of this one."""
        wider = _RowWriter(self._shape, np.float64, *self._settings)
        for _, chunk in _chunks(self.rows()):
            wider.append(chunk)
        return wider

    def close(self) -> None:
        """Drop the rows so far."""
        self._array = None
        if self._file is not None:
            self._file.close()

    def rows(self) -> np.ndarray:
        """Return the rows so far; those in a file are a read-only memory map."""
        if self._file is not None:
            return self._file.map(self._dtype, (self._n, *self._shape[1:]), "r")
        assert self._array is not None
        return self._array[: self._n]
