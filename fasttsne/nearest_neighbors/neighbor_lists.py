"""Lists of neighbours that follow their rows: new ones are taken in, lost ones replaced.

An old row takes new ones into its list that are nearer than its farthest neighbour; they are looked
for among the pairs that the new rows found, half as many more as they keep.  A row that has lost a
neighbour is searched for again, and what is found is merged with what it still has.  To weight
what is left anew would cost less; but each time that rows leave, lists would be shorter, until no
perplexity fits them.
"""

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from fasttsne import _kernels
from fasttsne.runtime.typing import Matrix

# Indices and distances, (rows, any), nearest first.
Lists: TypeAlias = tuple[np.ndarray, np.ndarray]
# Old rows that a new one looks at, in units of the neighbours that it keeps: it may be a neighbour
# of rows that are none of its own.
REVERSE_FACTOR = 1.5
# New rows that are taken in by one call of a kernel, in which Ctrl-C is not noticed.
TAKEN_IN_ROWS = 2**16


class Change(NamedTuple):
    """What became of an index and its lists.

    Attributes
    ----------
    index : :class:`fasttsne.nearest_neighbors.dynamic.DynamicIndex`.
    lists : of all rows.
    near : (new rows, any) int32, rows that are not new, nearest first, ``-1`` after the last.
    """

    index: Any
    lists: Lists
    near: np.ndarray


def nearest_of(parts: list[Lists], k: int) -> Lists:
    """The k nearest of several lists for the same rows; of equal distances the smaller number."""
    indices = np.concatenate([part[0] for part in parts], axis=1)
    distances = np.concatenate([part[1] for part in parts], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")  # fast: each part is in order
    sorted_ = np.take_along_axis(distances, order, 1)
    tied = np.flatnonzero((sorted_[:, 1:] == sorted_[:, :-1]).any(axis=1))
    order[tied] = np.lexsort((indices[tied], distances[tied]), axis=1)
    order = order[:, :k]
    return (
        np.take_along_axis(indices, order, 1).astype(np.int32),
        np.take_along_axis(distances, order, 1),
    )


def drop_rows(index: Any, lists: Lists, numbers: np.ndarray) -> Change:
    """Leave out rows of an index and its lists; the others are numbered anew, in their order."""
    n = len(lists[0])
    index, lists = _without(index, lists, numbers)
    is_left = np.ones(n, bool)
    is_left[numbers] = False
    new = np.cumsum(is_left) - 1
    width = int(is_left.sum()) - 1
    indices, distances = (table[is_left, :width] for table in lists)
    lists = new[indices].astype(np.int32), np.ascontiguousarray(distances)
    return Change(index.renumbered(new), lists, np.empty((0, 0), np.int32))


def add_rows(index: Any, lists: Lists, X: Matrix) -> Change:
    """Let rows join an index and its lists, after all others."""
    n = len(lists[0])
    numbers = np.arange(n, n + X.shape[0], dtype=np.int32)
    empty = [np.zeros((len(numbers), table.shape[1]), table.dtype) for table in lists]
    indices, distances = (np.concatenate(pair) for pair in zip(lists, empty, strict=True))
    return _with(index, (indices, distances), X, numbers)


def replace_rows(index: Any, lists: Lists, X: Matrix, numbers: np.ndarray) -> Change:
    """Give rows of an index and its lists other values."""
    index, lists = _without(index, lists, numbers)
    return _with(index, lists, X, numbers.astype(np.int32))


def can_search_all(index: Any) -> bool:
    """Return whether all parts of an index have their rows; one of a user's own need not."""
    return all(getattr(part.index, "data", None) is not None for part in index.parts)


def search_all(index: Any, k: int) -> Lists:
    """Return lists of the k nearest neighbours of all rows of an index, searched for anew."""
    rows = np.arange(index.n_samples)
    indices, distances = _others(index.query(index.rows(rows), k + 1), rows)
    return indices.astype(np.int32), distances


def _with(index: Any, lists: Lists, X: Matrix, numbers: np.ndarray) -> Change:
    """Fill lists of new rows, whose numbers are given, and take them into those of others.

    The arrays of ``lists`` are changed.
    """
    k = lists[0].shape[1]
    index, found = index.joined_by(X, numbers, math.ceil(REVERSE_FACTOR * k))
    indices, distances = lists
    is_old = np.ones(len(indices), bool)
    is_old[numbers] = False
    old = is_old[found[0]]
    _take_in(lists, found, old, numbers)
    for table, values in zip((indices, distances), found, strict=True):
        table[numbers] = values[:, :k]
    # Few rows were left, and no new one is near to these.
    _complete(index, lists, np.flatnonzero((indices < 0).any(axis=1)), k + 1)
    # Old rows first, nearest first.
    order = np.argsort(~old, axis=1, kind="stable")
    near = np.take_along_axis(np.where(old, found[0], -1), order, 1)
    return Change(index, (indices, distances), near[:, : old.sum(axis=1).max(initial=0)])


def _take_in(lists: Lists, found: Lists, is_old: np.ndarray, numbers: np.ndarray) -> None:
    """Put new rows into the lists of old ones to which they are nearer than others.

    found, is_old : (m, any), rows near to each new one, and which of them are not new.
    """
    order = np.argsort(numbers)  # of equal distances, the smaller number is the nearer
    for first in range(0, len(order), TAKEN_IN_ROWS):
        some = order[first : first + TAKEN_IN_ROWS]
        _kernels.neighbor_lists.take_in(
            *lists,
            found[0][some],
            found[1][some].astype(np.float64),
            is_old[some].view(np.uint8),
            numbers[some],
        )


def _without(index: Any, lists: Lists, numbers: np.ndarray) -> tuple[Any, Lists]:
    """Leave out rows; the others keep their numbers, and the lists of those left out are void.

    Lists of rows that have too few others end with -1, at an infinite distance.
    """
    n, k = lists[0].shape
    is_gone = np.zeros(n, bool)
    is_gone[numbers] = True
    index = index.without(numbers)
    n_left = n - len(numbers)
    lost = is_gone[lists[0]]
    rows = np.flatnonzero(lost.any(axis=1) & ~is_gone)
    lists = np.where(lost, -1, lists[0]), np.where(lost, np.inf, lists[1])
    _complete(index, lists, rows, min(k + 1, n_left))
    return index, lists


def _complete(index: Any, lists: Lists, rows: np.ndarray, n_asked: int) -> None:
    """Fill the lists of rows that have lost neighbours by a search, in place."""
    if len(rows):
        found = _others(index.query(index.rows(rows), n_asked), rows)
        known = lists[0][rows], lists[1][rows]
        lists[0][rows], lists[1][rows] = _merged(known, found, lists[0].shape[1])


def _others(found: Lists, rows: np.ndarray) -> Lists:
    """What a search found, without each row itself, or else without its farthest neighbour."""
    indices, distances = found
    is_self = indices == rows[:, None]
    is_self[~is_self.any(axis=1), -1] = True
    shape = len(rows), indices.shape[1] - 1
    return indices[~is_self].reshape(shape), distances[~is_self].reshape(shape)


def _merged(known: Lists, found: Lists, k: int) -> Lists:
    """The k nearest of two lists; rows in both count once, with the distance that was known.

    -1 stands for none; it is at an infinite distance.
    """
    indices = np.concatenate([known[0], found[0]], axis=1)
    distances = np.concatenate([known[1], found[1]], axis=1)
    order = np.argsort(indices, axis=1, kind="stable")
    ordered = np.take_along_axis(indices, order, 1)
    is_twice = np.zeros(indices.shape, bool)
    np.put_along_axis(is_twice, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], 1)
    indices, distances = np.where(is_twice, -1, indices), np.where(is_twice, np.inf, distances)
    return nearest_of([(indices, distances)], k)
