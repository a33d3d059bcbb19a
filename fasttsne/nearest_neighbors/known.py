"""Neighbours that somebody may know already: those of a fit that goes on."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeAlias

import numpy as np

from fasttsne.nearest_neighbors.index import Index

Finder: TypeAlias = Callable[[Index], tuple[np.ndarray, np.ndarray]]
_FINDER: ContextVar[Finder | None] = ContextVar("fasttsne_finder", default=None)


def find_neighbors(index: Index) -> tuple[np.ndarray, np.ndarray]:
    """Return the neighbours of all rows: what ``index.build()`` gives, or gave."""
    finder = _FINDER.get()
    return index.build() if finder is None else finder(index)


@contextlib.contextmanager
def found_by(finder: Finder | None) -> Iterator[None]:
    """Within the block, neighbours are what a function of the index returns; None builds it."""
    token = _FINDER.set(finder)
    try:
        yield
    finally:
        _FINDER.reset(token)
