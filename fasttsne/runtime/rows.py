"""Rows of any kind, and their canonical form: C-contiguous, float32 if that is exact, or float64.

It depends on the values only, so results are the same bits for every dtype, storage and chunking.
A storage is anything with ``shape``, ``dtype`` and slices of rows: ``h5py.Dataset``, zarr and dask
arrays, the ``X`` of an AnnData in a file, memory maps, objects of a user's own.  It is read once,
in blocks, by a thread; none of their packages is imported.  Sparse matrices in files and chunks are
never dense: in memory an entry takes 8 bytes, a float32 value and an int32 column.
"""

import contextlib
import itertools
import logging
import math
import mmap
import numbers
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Protocol, TypeGuard

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike

from fasttsne.runtime.memory import TemporaryFile, check_memory_limit
from fasttsne.runtime.progress import stage
from fasttsne.runtime.typing import FilePath, Matrix, Storage
from fasttsne.utils import starting_threads

log = logging.getLogger("fasttsne")

# Bytes of a block.  240 MB of an HDF5 file, in chunks of 100 kB, take .87, .34, .39, .56 and .84 s
# in blocks of .25, 1, 4, 16 and 64 MiB, and other storages are alike.
BLOCK_BYTES = 2**22
# Bytes of a part of an array in memory.
PART_BYTES = 2**24
# Seconds before the second and the third try to read a block.
PAUSES = (0.1, 1.0)
# Numbers that are compared with their float32 values at a time.
CHUNK_SIZE = 2**18
# How a sparse matrix of a file names its format, in the attributes of its group.
ENCODINGS = {"csr_matrix": "csr", "csc_matrix": "csc"}
# Of a block of a sparse matrix, about: rows, and bytes in memory.
SPARSE_BLOCK_ROWS, SPARSE_BLOCK_BYTES = 2**16, 2**24
ENTRY_BYTES = 8


class UnusableRowsError(ValueError):
    """Rows could be read but are not numeric; retrying cannot help."""


def is_sparse(X: object) -> TypeGuard[sp.csr_matrix]:
    """Return whether rows are a sparse matrix."""
    return bool(sp.issparse(X))


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


def rows_fit_float32(rows: Matrix) -> np.ndarray:
    """Return whether all numbers of each row are float32: (n,) bool."""
    values = np.asarray(rows.data if is_sparse(rows) else rows)
    result = np.empty(len(values), bool)
    with np.errstate(over="ignore"):
        for a, chunk in _chunks(values):
            same = chunk == chunk.astype(np.float32)
            result[a : a + len(chunk)] = same if same.ndim == 1 else same.all(1)
    if is_sparse(rows):
        n_others = np.concatenate([[0], np.cumsum(~result)])
        result = n_others[rows.indptr[1:]] == n_others[rows.indptr[:-1]]
    return result


def estimate_bytes(n: int, d: int, dtype: np.dtype, nnz: int | None = None) -> int:
    """Return the bytes that (n, d) rows take beyond the data, ``nnz`` entries of sparse ones.

    Of dense rows it is a float32 copy, which floats do not need.
    """
    if nnz is not None:
        return ENTRY_BYTES * nnz + 8 * n
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


def _chunks(block: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, rows) of about ``CHUNK_SIZE`` numbers, which stay in a core's cache."""
    step = max(CHUNK_SIZE // max(math.prod(block.shape[1:]), 1), 1)
    for a in range(0, len(block), step):
        yield a, block[a : a + step]


def is_memmapped(X: np.ndarray) -> bool:
    """Return whether an array lies in a memory-mapped file, which may be larger than memory."""
    owner: object = X
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner, mmap.mmap)


def _forget_pages(X: object) -> None:
    """Let the system take back the pages of a read-only memory map that were read.

    They are not of this process, but count as its memory.  Of other maps they may be changes.
    """
    owner, is_read_only = X, False
    while isinstance(owner, np.ndarray):
        is_read_only |= isinstance(owner, np.memmap) and owner.mode == "r"
        owner = owner.base
    if is_read_only and isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def is_storage(X: object, name: str) -> TypeGuard[Storage]:
    """Return whether X is a storage of numbers in two dimensions, and not an array in memory.

    Raises
    ------
    ValueError
        Where it cannot be read at all: its file is closed, or its number of rows is not known.
    """
    if isinstance(X, np.ndarray):
        return X.ndim == 2 and X.dtype.kind in "fiub" and is_memmapped(X)
    if isinstance(X, np.generic) or sp.issparse(X) or not hasattr(type(X), "__getitem__"):
        return False
    try:
        shape, dtype = getattr(X, "shape", None), getattr(X, "dtype", None)
    except Exception as error:
        raise ValueError(f"{name} cannot be read, its file may be closed: {error}") from error
    if not isinstance(shape, tuple) or not isinstance(dtype, np.dtype) or len(shape) != 2:
        return False
    if any(math.isnan(size) for size in shape):
        raise ValueError(f"{name} must have a known shape; got {shape}: compute its chunk sizes")
    return dtype.kind in "fiub"


def iter_blocks(
    storage: Storage,
    name: str,
    n_bytes: int | None = None,
    purpose: str | None = "reading rows",
    edges: Sequence[int] | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield all rows once, in order, as (first row, block), while a thread reads the next block.

    A block has whole chunks of the storage, at least one.

    Parameters
    ----------
    storage : rows of numbers; see :func:`is_storage`.
    name : of the parameter, for messages.
    n_bytes : of a block, about; None is ``BLOCK_BYTES``.
    purpose : the name of the stage of progress; None is a part of another stage.
    edges : the first row of each block and the number of rows, in place of whole chunks.

    Raises
    ------
    OSError
        Where a block cannot be read, after three tries.
    ValueError
        Where shape or dtype change in the meantime, or entries are masked.
    """
    reader = _Reader(storage, name)
    if edges is None:
        edges = _block_edges(storage, BLOCK_BYTES if n_bytes is None else n_bytes)
    if len(edges) < 2:
        return
    thread = ThreadPoolExecutor(1, "fasttsne-reader")
    try:
        with starting_threads():
            coming = thread.submit(reader.read, *edges[:2])
        n, silent = storage.shape[0], contextlib.nullcontext()
        with silent if purpose is None else stage(purpose, n, reader.unit) as progress:
            for i, first in enumerate(edges[:-1]):
                block = coming.result()
                if i + 2 < len(edges):
                    coming = thread.submit(reader.read, *edges[i + 1 : i + 3])
                yield first, block
                if progress is not None:
                    progress.advance(block.shape[0])
    finally:
        # After an interrupt nobody waits for a slow block.
        thread.shutdown(wait=False, cancel_futures=True)


def iter_parts(X: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows of an array in memory as (first row, part), none copied."""
    n = len(X)
    step = max(PART_BYTES // max(X.nbytes // max(n, 1), 1), 1)
    with stage("reading rows", n) as progress:
        for first in range(0, n, step):
            part = X[first : first + step]
            yield first, part
            progress.advance(len(part))


def _block_edges(storage: Storage, n_bytes: int) -> list[int]:
    """Return the first row of each block of about so many bytes, and the number of rows."""
    n, *columns = storage.shape
    max_rows = max(n_bytes // max(math.prod(columns) * storage.dtype.itemsize, 1), 1)
    # A shard of zarr's is read as a whole; its chunks are smaller.
    chunks = getattr(storage, "shards", None) or getattr(storage, "chunks", None)
    size: object = chunks[0] if isinstance(chunks, tuple) and chunks else 1
    if isinstance(size, tuple):  # of each chunk, as dask has them
        edges = [0]
        for a, b in itertools.pairwise(itertools.accumulate(size, initial=0)):
            if b - edges[-1] > max_rows and a > edges[-1]:
                edges.append(a)
        return [*edges, n]
    step = int(size) if isinstance(size, numbers.Integral) else 1
    return [*range(0, n, max(max_rows // step, 1) * step), n]


class _Reader:
    """Reads blocks of a storage, and knows what it was at first."""

    def __init__(self, storage: Storage, name: str):
        self.storage, self.name = storage, name
        self.shape, self.dtype = tuple(storage.shape), storage.dtype
        self.unit = "rows" if len(self.shape) == 2 else "entries"

    def read(self, first: int, end: int) -> np.ndarray:
        """Return rows as an array, or sparse chunks as a matrix, of the storage's dtype.

        There are three tries.
        """
        for pause in (*PAUSES, None):
            try:
                shape, dtype = tuple(self.storage.shape), self.storage.dtype
                block = self._read_once(first, end)
                _forget_pages(self.storage)
                break
            except (MemoryError, TypeError, UnusableRowsError):
                raise  # it would not be another one the next time
            except Exception as error:  # each library has its own
                rows = f"{self.unit} {first} to {end - 1} of {self.name}"
                if pause is None:
                    raise OSError(
                        f"{rows} cannot be read, in three tries: {type(error).__name__}: {error}"
                    ) from error
                log.warning("%s could not be read, trying again: %s", rows, error)
                time.sleep(pause)
        self._check_same(shape, dtype, block, first, end)
        return block

    def _read_once(self, first: int, end: int) -> np.ndarray:
        found = self.storage[first:end]
        if is_sparse_chunks(found):
            found = sp.csr_matrix(found.compute())
        elif not isinstance(found, np.ma.MaskedArray):
            # Sparse rows may be of a storage that does not say so; maps are read in this thread.
            found = np.array(found.toarray() if is_sparse(found) else found, order="C")
        return found

    def _check_same(
        self, shape: tuple[int, ...], dtype: np.dtype, block: np.ndarray, first: int, end: int
    ) -> None:
        expected = (end - first, *self.shape[1:])
        if (shape, dtype) != (self.shape, self.dtype):
            found = f"its shape and dtype are {shape}, {dtype}"
        elif (block.shape, block.dtype) != (expected, self.dtype):
            found = (
                f"its {self.unit} {first} to {end - 1} have shape and dtype {block.shape}, "
                f"{block.dtype}"
            )
        elif np.ma.is_masked(block):
            raise ValueError(
                f"{self.name} has masked entries in its {self.unit} {first} to {end - 1}; fill or "
                "remove them first"
            )
        else:
            return
        raise ValueError(
            f"{self.name} must stay as it is while it is read; it had shape and dtype "
            f"{self.shape}, {self.dtype}, and now {found}"
        )


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
                writer = writer.to_float64(chunk)
            if chunk.dtype.itemsize > 8:  # the largest long doubles are infinite as float64
                check_finite(writer.last, name, first + a)
    return writer.rows()


def read_entries(storage: Storage, name: str) -> np.ndarray:
    """Return a storage in one dimension in memory, in canonical form; it need not be finite."""
    writer = _RowWriter(storage.shape, np.float32, sys.maxsize, None, name)
    for _, block in iter_blocks(storage, name):
        for _, chunk in _chunks(block):
            if not writer.append(chunk):
                writer = writer.to_float64(chunk)
    return writer.rows()


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

    def to_float64(self, chunk: np.ndarray) -> "_RowWriter":
        """Return a writer, in place of this one, of the same rows and a chunk more in float64."""
        wider = _RowWriter(self._shape, np.float64, *self._settings)
        for _, part in _chunks(self.rows()):
            wider.append(part)
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


class SparseGroup(Protocol):
    """A group of arrays of an HDF5 file or a zarr store, with attributes."""

    @property
    def attrs(self) -> Mapping[str, Any]: ...
    def __getitem__(self, name: str, /) -> Storage: ...


class StoredSparse:
    """A sparse matrix of a group of three arrays of an HDF5 file or a zarr store.

    Parameters
    ----------
    group : of "data", "indices" and "indptr", with the attributes "encoding-type" and "shape".

    Attributes
    ----------
    shape, dtype, format : as for SciPy's matrices; "csr" or "csc".
    nnz : the number of stored entries.
    """

    ndim = 2

    def __init__(self, group: "SparseGroup"):
        self.format = ENCODINGS[group.attrs["encoding-type"]]
        n, d = group.attrs["shape"]
        self.shape = int(n), int(d)
        self.values, self.indices = group["data"], group["indices"]
        self._indptr = group["indptr"]
        self.dtype, self.nnz = np.dtype(self.values.dtype), int(self.values.shape[0])

    @cached_property
    def indptr(self) -> np.ndarray:
        """The first entry of each row, or column, and the number of entries: int64."""
        return _read(self._indptr, "indptr", np.int64)

    def to_memory(self, name: str = "X") -> sp.spmatrix:
        """Return it as a SciPy matrix of its format; values are float32 if that is exact."""
        self._check_parts(name)
        is_wide = max(self.nnz, *self.shape) > np.iinfo(np.int32).max
        indices = _read(self.indices, name, np.int64 if is_wide else np.int32)
        kind = sp.csr_matrix if self.format == "csr" else sp.csc_matrix
        return kind((read_entries(self.values, name), indices, self.indptr), shape=self.shape)

    def iter_blocks(self, name: str) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Yield all rows of a CSR matrix once, in order, as (first row, block), in its dtype."""
        self._check_parts(name)
        rows = self._block_edges()
        entries = self.indptr[rows].tolist()
        parts = (
            iter_blocks(part, name, purpose=None, edges=entries)
            for part in (self.values, self.indices)
        )
        for first, end, (start, values), (_, indices) in zip(
            rows[:-1], rows[1:], *parts, strict=True
        ):
            indptr = self.indptr[first : end + 1] - start
            shape = end - first, self.shape[1]
            yield first, sp.csr_matrix((values, indices, indptr), shape=shape)

    def check_finite(self, name: str) -> None:
        """Raise ValueError for the first entry that is NaN or infinite; integers are not read."""
        if self.dtype.kind != "f":
            return
        for start, values in iter_blocks(self.values, name):
            try:
                check_finite(values, name)
            except ValueError:
                entry = start + int(np.flatnonzero(~np.isfinite(values))[0])
                row = int(np.searchsorted(self.indptr, entry, side="right")) - 1
                column = int(self.indices[entry : entry + 1][0])
                index = (row, column) if self.format == "csr" else (column, row)
                raise ValueError(
                    f"{name} must be finite; {name}[{index[0]}, {index[1]}] is "
                    f"{values[entry - start]}"
                ) from None

    def _check_parts(self, name: str) -> None:
        if self.dtype.kind not in "fiub":
            raise TypeError(f"{name} must hold real numbers; got dtype {self.dtype}")
        n = self.shape[0 if self.format == "csr" else 1]
        shapes = self.values.shape, self.indices.shape, self._indptr.shape
        ends = (self.indptr[:1].tolist(), self.indptr[-1:].tolist())
        if (
            shapes != ((self.nnz,), (self.nnz,), (n + 1,))
            or ends != ([0], [self.nnz])
            or ((np.diff(self.indptr) < 0).any())
        ):
            raise ValueError(
                f"{name} is not a valid sparse matrix: its indices and its data do not fit together"
            )

    def _block_edges(self) -> list[int]:
        """Return the first row of each block, and the number of rows."""
        edges, n = [0], self.shape[0]
        while edges[-1] < n:
            first = edges[-1]
            last_entry = self.indptr[first] + SPARSE_BLOCK_BYTES // ENTRY_BYTES
            end = int(np.searchsorted(self.indptr, last_entry, side="right")) - 1
            edges.append(min(max(end, first + 1), first + SPARSE_BLOCK_ROWS, n))
        return edges


def _is_group(X: object) -> TypeGuard[SparseGroup]:
    kind = type(X)  # data frames have attributes of any name
    return hasattr(kind, "keys") and hasattr(kind, "attrs")


def as_stored_sparse(X: object, name: str) -> StoredSparse | None:
    """Return the sparse matrix of a file that X is, or None.

    X may be a :class:`StoredSparse`, the group of an HDF5 file or zarr store, or what AnnData makes
    of one: ``anndata.io.sparse_dataset``, the ``X`` of an AnnData that is backed by a file.

    Raises
    ------
    ValueError
        Where its file is closed.
    """
    if isinstance(X, StoredSparse):
        return X
    if isinstance(X, np.ndarray) or sp.issparse(X):
        return None
    try:
        group = getattr(X, "group", X) if hasattr(type(X), "to_memory") else X
        if not _is_group(group):
            return None
        if hasattr(type(group), "file") and not group:  # of h5py
            raise ValueError("it is no open group")
        encoding = group.attrs.get("encoding-type")
        return StoredSparse(group) if encoding in tuple(ENCODINGS) else None
    except Exception as error:  # each library has its own
        raise ValueError(f"{name} cannot be read, its file may be closed: {error}") from error


def is_elsewhere(X: object, name: str) -> bool:
    """Whether rows, sparse or not, are in a file or in chunks, and not in memory."""
    return is_storage(X, name) or is_sparse_chunks(X) or as_stored_sparse(X, name) is not None


def load_sparse(X: object, name: str) -> Any:
    """Return a sparse matrix in memory for one in a file or in chunks, else X itself."""
    stored = as_stored_sparse(X, name)
    if stored is not None:
        return stored.to_memory(name)
    if is_sparse_chunks(X):
        blocks = []
        for _, block in iter_blocks(X, name):
            blocks.append(sp.csr_matrix(block))
            blocks[-1].data = to_canonical_floats(blocks[-1].data)
        return sp.vstack(blocks, "csr")
    return X


class SparseChunks(Storage, Protocol):
    """A dask array whose chunks are sparse matrices."""

    def compute(self) -> sp.spmatrix: ...


def is_sparse_chunks(X: object) -> TypeGuard[SparseChunks]:
    """Return whether X is a dask array whose chunks are sparse matrices."""
    return bool(sp.issparse(getattr(X, "_meta", None)))


def _read(storage: Storage, name: str, dtype: DTypeLike) -> np.ndarray:
    """Return an array of a file in memory."""
    out = np.empty(storage.shape, dtype)
    for first, block in iter_blocks(storage, name, purpose=None):
        out[first : first + len(block)] = block
    return out
