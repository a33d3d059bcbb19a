"""Sparse matrices that are stored elsewhere: in files as AnnData writes them, in chunks of dask.

They are read in blocks, never as dense rows.  The search needs all entries of its rows: in memory
an entry takes 8 bytes, a float32 value and an int32 column, whatever it takes in the file.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, TypeGuard

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike

from fasttsne.runtime.canonical import check_finite, read_entries, to_canonical_floats
from fasttsne.runtime.stored_rows import Storage, is_storage, iter_blocks
from fasttsne.runtime.typing import Rows

# How such a matrix names its format, in the attributes of its group.
ENCODINGS = {"csr_matrix": "csr", "csc_matrix": "csc"}
# Rows of a block, and its bytes in memory, about.
BLOCK_ROWS = 2**16
BLOCK_BYTES = 2**24
ENTRY_BYTES = 8


def estimate_bytes(n: int, nnz: int) -> int:
    """Return the bytes of a CSR matrix in memory: float32 values, int32 columns, row starts."""
    return ENTRY_BYTES * nnz + 8 * n


class StoredSparse:
    """A sparse matrix of a group of three arrays of an HDF5 file or a zarr store.

    Parameters
    ----------
    group : of "data", "indices" and "indptr", with the attributes "encoding-type" and "shape".

    Attributes
    ----------
    shape, dtype, format : as of SciPy's matrices; "csr" or "csc".
    nnz : the number of stored entries.
    """

    ndim = 2

    def __init__(self, group: Any):
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
            last_entry = self.indptr[first] + BLOCK_BYTES // ENTRY_BYTES
            end = int(np.searchsorted(self.indptr, last_entry, side="right")) - 1
            edges.append(min(max(end, first + 1), first + BLOCK_ROWS, n))
        return edges


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
        group: Any = getattr(X, "group", X) if hasattr(type(X), "to_memory") else X
        kind = type(group)  # data frames have attributes of any name
        if not (hasattr(kind, "keys") and hasattr(kind, "attrs")):
            return None
        if hasattr(kind, "file") and not group:  # of h5py
            raise ValueError("it is no open group")
        encoding = group.attrs.get("encoding-type")
        return StoredSparse(group) if encoding in tuple(ENCODINGS) else None
    except Exception as error:  # each library has its own
        raise ValueError(f"{name} cannot be read, its file may be closed: {error}") from error


def is_elsewhere(X: object, name: str) -> bool:
    """Whether rows, sparse or not, are in a file or in chunks, and not in memory."""
    return is_storage(X, name) or is_sparse_chunks(X) or as_stored_sparse(X, name) is not None


def load_sparse(X: Rows | StoredSparse, name: str) -> Any:
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


def is_sparse_chunks(X: object) -> TypeGuard[Storage]:
    """Whether X is a dask array whose chunks are sparse matrices."""
    return bool(sp.issparse(getattr(X, "_meta", None)))


def _read(storage: Storage, name: str, dtype: DTypeLike) -> np.ndarray:
    """Return an array of a file in memory."""
    out = np.empty(storage.shape, dtype)
    for first, block in iter_blocks(storage, name, purpose=None):
        out[first : first + len(block)] = block
    return out
