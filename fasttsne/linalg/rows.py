"""Rows wherever they are: an array or a file of this process, or blocks on the workers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fasttsne.runtime.progress import stage

# Numbers in a chunk.
CHUNK_SIZE = 2**18


def iter_chunks(X: np.ndarray, size: int = CHUNK_SIZE) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows of X in chunks of about ``size`` numbers, as (first row, chunk)."""
    step = max(size // X.shape[1], 1)
    for a in range(0, X.shape[0], step):
        yield a, X[a : a + step]


class RowSource(ABC):
    """Dense rows that are read in chunks of about ``size`` numbers, in a fixed order.

    Chunks do not depend on where the rows are, so results are bit-identical.

    Attributes
    ----------
    shape : (n, columns).
    dtype : of the numbers.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @abstractmethod
    def fold(self, size: int, function: Callable[..., Any], state: Any, *arguments: Any) -> Any:
        """Return the last state of ``state = function(state, first, chunk, *arguments)``.

        It is called for one chunk after the other, in their order.
        """

    @abstractmethod
    def map(self, size: int, function: Callable[..., Any], *arguments: Any) -> np.ndarray:
        """Return the arrays ``function(first, chunk, *arguments)``, one after the other."""

    @abstractmethod
    def take(self, ids: np.ndarray) -> np.ndarray:
        """Return some rows by their numbers."""


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

    def fold(self, size: int, function: Callable[..., Any], state: Any, *arguments: Any) -> Any:
        for first, chunk in self._chunks(size):
            state = function(state, first, chunk, *arguments)
        return state

    def map(self, size: int, function: Callable[..., Any], *arguments: Any) -> np.ndarray:
        out = None
        for first, chunk in self._chunks(size):
            part = function(first, chunk, *arguments)
            if out is None:
                out = np.empty((self.shape[0], *part.shape[1:]), part.dtype)
            out[first : first + len(part)] = part
        return function(0, self._X[:0], *arguments) if out is None else out

    def take(self, ids: np.ndarray) -> np.ndarray:
        rows: np.ndarray = self._X[ids]
        return rows

    def _chunks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        if self._name is None:
            yield from iter_chunks(self._X, size)
            return
        with stage(self._name, self.shape[0]) as progress:
            for first, chunk in iter_chunks(self._X, size):
                yield first, chunk
                progress.advance(len(chunk))


def as_rows(X: Any, name: str | None = None) -> RowSource:
    """Return rows as a source; ``name`` is of the stage in which an array is read."""
    return X if isinstance(X, RowSource) else ArrayRows(X, name)
