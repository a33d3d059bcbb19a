"""Rows that are stored elsewhere, in files or in chunks: read once, in blocks, by a thread.

A storage is anything with ``shape``, ``dtype`` and slices of rows: ``h5py.Dataset``,
``zarr.Array``, dask arrays, the ``X`` of an AnnData that is backed by a file, memory maps of NumPy,
and objects of a user's own.  None of their packages is imported.
"""

import contextlib
import itertools
import logging
import math
import mmap
import numbers
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeGuard, cast, runtime_checkable

import numpy as np
import scipy.sparse as sp

from fasttsne.runtime.progress import stage
from fasttsne.utils import starting_threads

log = logging.getLogger("fasttsne")

# Bytes of a block.  240 MB of an HDF5 file, in chunks of 100 kB, take .87, .34, .39, .56 and .84 s
# in blocks of .25, 1, 4, 16 and 64 MiB, and other storages are alike.
BLOCK_BYTES = 2**22
# Bytes of a part of an array in memory.
PART_BYTES = 2**24
# Seconds before the second and the third try to read a block.
PAUSES = (0.1, 1.0)


class UnusableRowsError(ValueError):
    """Rows could be read but are not numeric; retrying cannot help."""


@runtime_checkable
class Storage(Protocol):
    """Rows that are read by slices, (n, columns), or single numbers, (n,)."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


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
        shape, dtype = cast(Storage, X).shape, cast(Storage, X).dtype
    except AttributeError:
        return False
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
    # Those of zarr's shards, which are read as a whole, are smaller chunks.
    chunks = getattr(storage, "shards", None) or getattr(storage, "chunks", None)
    size: object = chunks[0] if isinstance(chunks, tuple) and chunks else 1
    if isinstance(size, tuple):  # of each chunk, as dask has them
        edges = [0]
        for a, b in itertools.pairwise(itertools.accumulate(size, initial=0)):
            if b - edges[-1] > max_rows and a > edges[-1]:
                edges.append(a)
        return [*edges, n]
    size = int(size) if isinstance(size, numbers.Integral) else 1
    return [*range(0, n, max(max_rows // size, 1) * size), n]


class _Reader:
    """Reads blocks of a storage, and knows what it was at first."""

    def __init__(self, storage: Storage, name: str):
        self.storage, self.name = storage, name
        self.shape, self.dtype = tuple(storage.shape), storage.dtype
        self._has_sparse_chunks = sp.issparse(getattr(storage, "_meta", None))
        self.unit = "rows" if len(self.shape) == 2 else "entries"

    def read(self, first: int, end: int) -> np.ndarray:
        """Return rows as an array of the storage's dtype, in three tries."""
        for pause in (*PAUSES, None):
            try:
                shape, dtype = tuple(self.storage.shape), self.storage.dtype
                block: np.ndarray = self._to_array(self.storage[first:end])
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

    def _to_array(self, found: Any) -> Any:
        if self._has_sparse_chunks:
            return sp.csr_matrix(found.compute())
        if isinstance(found, np.ma.MaskedArray):
            return found
        if sp.issparse(found):  # of a storage that does not say so
            found = found.toarray()
        return np.array(found, order="C")  # this reads a memory map here, in the thread

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
