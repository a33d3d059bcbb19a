"""An index whose rows change: others join it, and some leave.  What was built is kept.

It consists of parts: the index of the rows that were first, and indexes of those that joined later.
Rows that have left stay in their part, and are passed over in its answers.  Parts of few rows are
joined with the rows that come next, so that n updates leave about log n parts.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from fasttsne.nearest_neighbors.index import Index, KNNIndex
from fasttsne.nearest_neighbors.neighbor_lists import Lists, nearest_of
from fasttsne.nearest_neighbors.select import make_index
from fasttsne.runtime.typing import Matrix, Metric

# Of a row that has left.
REMOVED = -1
SETTINGS = "metric", "metric_params", "n_jobs"


class Part(NamedTuple):
    """The index of some rows, and their numbers, (rows,) int32: ``REMOVED`` of those that left."""

    index: Any
    numbers: np.ndarray

    @property
    def n_left(self) -> int:
        """Rows that have not left."""
        return int(np.count_nonzero(self.numbers != REMOVED))


class DynamicIndex:
    """An index of rows some of which joined later, while others have left.

    Parameters
    ----------
    parts : first the index of the rows that were there first.
    k : neighbours of each row.

    Attributes
    ----------
    k, n_samples, metric : of all rows.
    """

    def __init__(self, parts: list[Part], k: int):
        self.parts, self.k = parts, k
        self.n_samples = sum(part.n_left for part in parts)
        self.metric: Metric = getattr(parts[0].index, "metric", "euclidean")

    @classmethod
    def of(cls, index: Index, k: int) -> "DynamicIndex":
        """Return an index that can change; the given one does not."""
        if isinstance(index, DynamicIndex):
            return cls(index.parts, k)
        if getattr(index, "metric", None) == "precomputed":
            raise NotImplementedError(
                "rows cannot join or leave a map of precomputed distances or neighbours: fit all "
                "rows that there are now, with initialization= the places of those that are known"
            )
        return cls([Part(index, np.arange(index.n_samples, dtype=np.int32))], k)

    def build(self) -> tuple[np.ndarray, np.ndarray]:
        """Raise NotImplementedError: the lists of neighbours are changed beside the index."""
        raise NotImplementedError("an index that has changed is not built anew")

    def query(self, X: Matrix, k: int) -> Lists:
        """Return the k rows nearest to each row of X, nearest first, and their distances."""
        parts = [_query(part, X, k) for part in self.parts if part.n_left]
        return parts[0] if len(parts) == 1 else nearest_of(parts, k)

    def rows(self, numbers: np.ndarray) -> Matrix:
        """Return rows by their numbers, as the parts have them: an array, or a CSR matrix."""
        found, order = [], []
        for part in self.parts:
            place = np.full(max(part.numbers.max(initial=0), numbers.max(initial=0)) + 1, -1)
            is_left = np.flatnonzero(part.numbers != REMOVED)
            place[part.numbers[is_left]] = is_left
            wanted = np.flatnonzero(place[numbers] >= 0)
            if len(wanted):
                found.append(_data_of(part.index)[place[numbers[wanted]]])
                order.append(wanted)
        return stack_rows(found)[np.argsort(np.concatenate(order))]

    def without(self, numbers: np.ndarray) -> "DynamicIndex":
        """Return the index without some rows; the others keep their numbers."""
        changed = [
            Part(index, np.where(np.isin(old, numbers), REMOVED, old).astype(np.int32))
            for index, old in self.parts
        ]
        return DynamicIndex(changed, self.k)

    def renumbered(self, new: np.ndarray) -> "DynamicIndex":
        """Return the index with ``new[i]`` as the number of row i."""
        changed = [
            Part(index, np.where(old == REMOVED, REMOVED, new[old]).astype(np.int32))
            for index, old in self.parts
        ]
        return DynamicIndex(changed, self.k)

    def joined_by(
        self, X: Matrix, numbers: np.ndarray, n_looked_at: int
    ) -> tuple["DynamicIndex", Lists]:
        """Return the index with rows that join it, and the rows that are near to each of them.

        Parameters
        ----------
        X, numbers : (m, columns) and (m,) int32, the rows and their numbers.
        n_looked_at : rows that each looks at in a part that was there.

        Returns
        -------
        The neighbours of each row among all others, nearest first; at least k, if there are as
        many, and the old ones among them are more.
        """
        kept, joined = self._split_parts(X.shape[0])
        found = [_query(part, X, n_looked_at) for part in kept if part.n_left]
        left = [part.numbers != REMOVED for part in joined]
        data = [_data_of(part.index)[is_left] for part, is_left in zip(joined, left, strict=True)]
        own = [part.numbers[is_left] for part, is_left in zip(joined, left, strict=True)]
        # The caller may fill its array with the next batch.
        rows = stack_rows([*data, X]) if data else X.copy()
        new = self._new_part(rows, np.concatenate([*own, numbers]))
        n_others = new.n_left - 1
        if n_others:
            indices, distances = new.index.build()
            first = new.n_left - len(numbers)
            found.append((new.numbers[indices[first:]], distances[first:]))
        result = DynamicIndex([*kept, new], self.k)
        width = sum(indices.shape[1] for indices, _ in found)
        return result, nearest_of(found, width)

    def _split_parts(self, n_new: int) -> tuple[list[Part], list[Part]]:
        """Return the parts that stay, and those that become one with so many new rows."""
        # One with rows stays, so that new rows see old ones, however many others are nearer.
        n_kept = next(i for i, part in enumerate(self.parts, start=1) if part.n_left)
        first = len(self.parts)
        size = n_new
        while first > n_kept and self.parts[first - 1].n_left <= size:
            first -= 1
            size += self.parts[first].n_left
        return self.parts[:first], self.parts[first:]

    def _new_part(self, X: Matrix, numbers: np.ndarray) -> Part:
        first = self.parts[0].index
        settings: dict[str, Any] = {
            name: getattr(first, name) for name in SETTINGS if hasattr(first, name)
        }
        if hasattr(first, "metric_params_of_data"):
            settings["metric_params"] = first.metric_params_of_data()
        if X.shape[0] == 1:  # an index needs a row and a neighbour
            X, numbers = stack_rows([X, X]), np.append(numbers, REMOVED)
        k = min(self.k, X.shape[0] - 1)
        return Part(make_index("auto", X, k, random_state=0, **settings), numbers.astype(np.int32))


def _query(part: Part, X: Matrix, k: int) -> Lists:
    """Return the rows of a part nearest to each row of X that have not left, k or all of them.

    Where too many of those found have left, more are asked for: for each row by itself, so that
    its answer does not depend on the others.
    """
    n, n_left = len(part.numbers), part.n_left
    k = min(k, n_left)
    n_asked = min(k if n == n_left else -(-k * n // n_left), n)
    indices, distances = part.index.query(X, n_asked)
    if n == n_left:
        return part.numbers[indices], distances
    out = np.empty((len(indices), k), np.int32), np.empty((len(indices), k), distances.dtype)
    rows = np.arange(len(indices))
    while True:
        numbers = part.numbers[indices]
        is_left = numbers != REMOVED
        is_enough = is_left.sum(axis=1) >= k
        first = np.argsort(~is_left[is_enough], axis=1, kind="stable")[:, :k]
        for table, values in zip(out, (numbers, distances), strict=True):
            table[rows[is_enough]] = np.take_along_axis(values[is_enough], first, 1)
        rows = rows[~is_enough]
        if len(rows) == 0:
            return out
        n_asked = min(2 * n_asked, n)
        indices, distances = part.index.query(X[rows], n_asked)


def _data_of(index: Index) -> Matrix:
    data = getattr(index, "data", None)
    if data is None:
        raise NotImplementedError(
            f"{type(index).__name__} has no attribute data, the rows that it was made of: "
            "without them the neighbours of rows that lost some cannot be found"
        )
    return index.unchanged_data() if isinstance(index, KNNIndex) else data


def stack_rows(parts: list[Matrix]) -> Matrix:
    """Return rows below each other: an array, or a CSR matrix where any of them is sparse."""
    if len(parts) == 1:
        return parts[0]
    return sp.vstack(parts, "csr") if any(map(sp.issparse, parts)) else np.concatenate(parts)
