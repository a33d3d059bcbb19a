"""Rows wherever they are, an array or a file of this process or blocks on workers; their hashes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Generic, Protocol, TypeVar

import numpy as np
import scipy.sparse as sp

from fasttsne.runtime.progress import stage
from fasttsne.runtime.typing import Matrix

# Numbers in a chunk.
CHUNK_SIZE = 2**18

# What a pass over rows changes; the value of a block of rows, and what a function makes of it.
State = TypeVar("State")
Value = TypeVar("Value")
Result = TypeVar("Result")


class RowTable(Protocol):
    """Rows that are asked for by number: an array, or rows on workers."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __getitem__(self, rows: slice | np.ndarray, /) -> np.ndarray: ...


Table = TypeVar("Table", bound=RowTable)


def iter_chunks(X: np.ndarray, size: int = CHUNK_SIZE) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows of X in chunks of about ``size`` numbers, as (first row, chunk)."""
    step = max(size // X.shape[1], 1)
    for a in range(0, X.shape[0], step):
        yield a, X[a : a + step]


def to_dense(rows: Matrix) -> np.ndarray:
    """Return a matrix as an array."""
    return rows if isinstance(rows, np.ndarray) else rows.toarray()


class Blocks(ABC, Generic[Value]):
    """A value for each block of rows, where the rows are."""

    @abstractmethod
    def apply(self, function: Callable[..., Result], *arguments: object) -> "Blocks[Result]":
        """Return the values ``function(first row, value, *arguments)``."""

    @abstractmethod
    def results(self) -> Sequence[Value]:
        """Return all values."""

    @abstractmethod
    def rows(self: "Blocks[np.ndarray]", n_columns: int, dtype: np.dtype) -> RowTable:
        """Return values that are arrays of rows as rows, one block after the other."""


class LocalBlocks(Blocks[Value]):
    """One block with all rows."""

    def __init__(self, value: Value):
        self._value = value

    def apply(self, function: Callable[..., Result], *arguments: object) -> "LocalBlocks[Result]":
        return LocalBlocks(function(0, self._value, *arguments))

    def results(self) -> Sequence[Value]:
        return [self._value]

    def rows(self: "LocalBlocks[np.ndarray]", n_columns: int, dtype: np.dtype) -> np.ndarray:
        return self._value


class RowSource(ABC):
    """Dense rows that are read in chunks of about ``size`` numbers, in a fixed order.

    Chunks do not depend on where the rows are, so results are bit-identical.

    Attributes
    ----------
    shape : (n, columns).
    dtype : of the numbers.
    is_spread : whether several processes hold rows, and compute side by side.
    """

    shape: tuple[int, int]
    dtype: np.dtype
    is_spread = False

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def fold(
        self, size: int, function: Callable[..., State], state: State, *arguments: object
    ) -> State:
        """Return the last state of ``state = function(state, first, chunk, *arguments)``.

        It is called for one chunk after the other, in their order.
        """

    @abstractmethod
    def map(self, size: int, function: Callable[..., np.ndarray], *arguments: object) -> np.ndarray:
        """Return the arrays ``function(first, chunk, *arguments)``, one after the other."""

    @abstractmethod
    def take(self, ids: np.ndarray) -> np.ndarray:
        """Return some rows by their numbers."""

    def __getitem__(self, rows: slice | np.ndarray, /) -> np.ndarray:
        """Return some rows by their numbers, or a slice of them."""
        return self.take(np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows)

    @abstractmethod
    def in_blocks(self, name: str) -> Blocks[np.ndarray]:
        """Return the rows as blocks, for a stage of this name."""


class ArrayRows(RowSource):
    """Rows of an array or a memory map.

    Parameters
    ----------
    X : numpy.ndarray, shape (n, columns)
        The rows.
    name : str or None
        Of the stage that reports progress; None reports nothing.
    """

    def __init__(self, X: np.ndarray, name: str | None = None):
        self._X, self._name = X, name
        self.shape, self.dtype = (X.shape[0], X.shape[1]), X.dtype

    def fold(
        self, size: int, function: Callable[..., State], state: State, *arguments: object
    ) -> State:
        for first, chunk in self._chunks(size):
            state = function(state, first, chunk, *arguments)
        return state

    def map(self, size: int, function: Callable[..., np.ndarray], *arguments: object) -> np.ndarray:
        out: np.ndarray | None = None
        for first, chunk in self._chunks(size):
            part = function(first, chunk, *arguments)
            if out is None:
                out = np.empty((self.shape[0], *part.shape[1:]), part.dtype)
            out[first : first + len(part)] = part
        return np.asarray(function(0, self._X[:0], *arguments)) if out is None else out

    def take(self, ids: np.ndarray) -> np.ndarray:
        rows: np.ndarray = self._X[ids]
        return rows

    def in_blocks(self, name: str) -> LocalBlocks[np.ndarray]:
        return LocalBlocks(self._X)

    def _chunks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        if self._name is None:
            yield from iter_chunks(self._X, size)
            return
        with stage(self._name, self.shape[0]) as progress:
            for first, chunk in iter_chunks(self._X, size):
                yield first, chunk
                progress.advance(len(chunk))


def as_rows(X: RowTable, name: str | None = None) -> RowSource:
    """Return rows as a source; ``name`` is of the stage in which an array is read."""
    if isinstance(X, RowSource):
        return X
    assert isinstance(X, np.ndarray)
    return ArrayRows(X, name)


class RowHashIndex:
    """Finds the rows of a data set that equal given rows, by 64-bit hashes: 16 bytes a row.

    Parameters
    ----------
    X : (n, columns) array or CSR matrix.
    before : the index of rows before these, which it has, too.
    """

    def __init__(self, X: Matrix, before: "RowHashIndex | None" = None):
        self._is_sparse: bool = sp.issparse(X) if before is None else before._is_sparse
        digests = _digests(X, self._is_sparse)
        if before is not None:
            digests = np.concatenate([before._digests(), digests])
        self._row = np.argsort(digests, kind="stable")
        self._sorted = digests[self._row]

    def _digests(self) -> np.ndarray:
        digests = np.empty_like(self._sorted)
        digests[self._row] = self._sorted
        return digests

    def find(self, X: Matrix) -> np.ndarray:
        """Return the index of the first row that equals each row of X, -1 without one."""
        wanted = _digests(X, self._is_sparse)
        index = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        return np.where(self._sorted[index] == wanted, self._row[index], -1)


def row_counts(X: Matrix) -> np.ndarray:
    """Return how many rows equal each row of X, itself included, (n,) int64.

    Only rows that have a weighted sum in common with another are hashed.
    """
    counts, alike = np.ones(X.shape[0], np.int64), np.arange(X.shape[0])
    if not sp.issparse(X):
        _, group, n_alike = np.unique(_sums(X), return_inverse=True, return_counts=True)
        alike = np.flatnonzero(n_alike[group] > 1)
        if len(alike) == 0:
            return counts
    _, group, n_equal = np.unique(
        _digests(X[alike], sp.issparse(X)), return_inverse=True, return_counts=True
    )
    counts[alike] = n_equal[group]
    return counts


def _sums(X: np.ndarray) -> np.ndarray:
    """Return sums of the rows' entries with weights, which are equal where rows are."""
    weights = np.random.RandomState(0).uniform(1, 2, X.shape[1])
    return np.concatenate([(chunk * weights).sum(1) for _, chunk in iter_chunks(X)])


def _digests(X: Matrix, is_sparse: bool) -> np.ndarray:
    """Return the rows' hashes, of their stored entries or of all; X may be either."""
    rows: Iterator[bytes] = _sparse_rows(X) if is_sparse else _dense_rows(X)
    digests = b"".join(blake2b(row, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, np.uint64)


def _dense_rows(X: Matrix) -> Iterator[bytes]:
    for _, chunk in iter_chunks(X):
        dense = to_dense(chunk)
        for row in np.add(dense, 0.0, dtype=np.float64, order="C"):  # -0.0 becomes 0.0
            yield row.tobytes()


def _sparse_rows(X: sp.csr_matrix) -> Iterator[bytes]:
    X = sp.csr_matrix(X, dtype=np.float64, copy=True)
    X.sum_duplicates()
    X.eliminate_zeros()
    columns = X.indices.astype(np.int64)
    for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        yield columns[a:b].tobytes() + X.data[a:b].tobytes()
