"""Which rows of a data set are partners of which rows of the next."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.optimize.target_term import Links

# Rows of a data set and of the next: a dict, or (m, 2) row numbers; None: the first rows of both.
Relation: TypeAlias = Mapping[int, int] | ArrayLike | None

INSTEAD = "give a dict {row: row} or pairs of row numbers, or None where the first rows are shared"


def check_relations(
    relations: Sequence[Relation] | None, weights: Any, sizes: Sequence[int]
) -> list[Links]:
    """Partners of rows of each two consecutive data sets, with weights above 0.

    Parameters
    ----------
    relations : one for each two consecutive data sets, or None for all of them.
    weights : a number, or one for each relation: a number, or one for each pair.
    sizes : the numbers of rows.

    Raises
    ------
    ValueError, TypeError
        With the number of the relation, what is wrong, and what is accepted.
    """
    n = len(sizes) - 1
    if relations is None:
        relations = [None] * n
    if isinstance(relations, Mapping) or not isinstance(relations, Sequence | np.ndarray):
        raise TypeError(
            "relations must be a list with one relation for each two consecutive data sets, or "
            f"None; got {type(relations).__name__}"
        )
    if len(relations) != n:
        raise ValueError(
            f"relations must have {n} entries, one for each two consecutive of {n + 1} data sets; "
            f"got {len(relations)}"
        )
    if np.ndim(weights) == 0 and not isinstance(weights, Mapping):
        weights = [weights] * n
    if len(weights) != n:
        raise ValueError(f"weights must be a number or have {n} entries; got {len(weights)}")
    return [
        check_relation(
            relations[i], weights[i], (sizes[i], sizes[i + 1]), f"relations[{i}]", f"weights[{i}]"
        )
        for i in range(n)
    ]


def check_relation(
    relation: Relation,
    weights: ArrayLike,
    sizes: tuple[int, int],
    name: str = "relation",
    name_of_weights: str = "weights",
) -> Links:
    """The partners of one relation; see :func:`check_relations`.  Errors have the names."""
    pairs = _pairs(relation, sizes, name)
    strengths = np.asarray(weights)
    if strengths.dtype.kind not in "fiu" or strengths.shape not in ((), (len(pairs),)):
        raise ValueError(
            f"{name_of_weights} must be a number or {len(pairs)} numbers, one for each pair; got "
            f"{weights!r}"
        )
    strengths = np.broadcast_to(strengths.astype(np.float64), len(pairs))
    if not (np.isfinite(strengths) & (strengths >= 0)).all():
        raise ValueError(f"{name_of_weights} must be finite and 0 or more; got {weights!r}")
    first, second = pairs[strengths > 0].T
    return first, second, strengths[strengths > 0]


def _pairs(relation: Relation, sizes: tuple[int, int], name: str) -> np.ndarray:
    """(m, 2) int64, checked: in range, and one to one."""
    if relation is None:
        shared = np.arange(min(sizes))
        return np.column_stack([shared, shared])
    if isinstance(relation, Mapping):
        relation = list(relation.items())
    try:
        pairs = np.asarray(relation)
    except ValueError:  # rows of different lengths
        pairs = np.empty(0, object)
    if pairs.size == 0 and pairs.dtype != object:
        pairs = np.empty((0, 2), np.int64)
    if pairs.dtype.kind not in "iu" or pairs.ndim != 2 or pairs.shape[1] != 2:
        raise TypeError(f"{name} must be whole numbers of shape (m, 2); {INSTEAD}")
    pairs = pairs.astype(np.int64)
    for side, (rows, size) in enumerate(zip(pairs.T, sizes, strict=True)):
        which = ("its first", "its second")[side] + " data set"
        wrong = np.flatnonzero((rows < 0) | (rows >= size))
        if len(wrong):
            raise ValueError(
                f"{name} has row {rows[wrong[0]]} of {which}, whose rows are 0 to {size - 1}"
            )
        found, counts = np.unique(rows, return_counts=True)
        if (counts > 1).any():
            raise ValueError(
                f"{name} must be one to one; row {found[counts > 1][0]} of {which} has "
                f"{counts.max()} partners.  Leave all but one of them out"
            )
    return pairs
