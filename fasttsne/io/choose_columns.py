"""Which columns of a table are its data, and why others are not."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import filter as match
from typing import Any, Protocol

import numpy as np

from fasttsne.io.table import Table

# What columns are that are not used as numbers, by the kind of their dtype.
KINDS = {"M": "dates", "m": "durations", "b": "true or false"}
# A column with more numbers than this share of its values is meant to be one of numbers.
MOSTLY = 0.5


class Columns(Protocol):
    """The columns of a file by name."""

    def __getitem__(self, name: str, /) -> np.ndarray: ...
    def __iter__(self) -> Iterator[str]: ...
    def __contains__(self, name: object, /) -> bool: ...

    def why_unused(self, name: str, is_chosen: bool) -> str | None:
        """Return why a column is no data, None where it is; ValueError where it should be."""

    def rows(self, names: tuple[str, ...]) -> Any:
        """Return the rows of some columns of numbers; ValueError where one is missing."""


def choose_columns(found: Columns, left_out: Sequence[str], wanted: Sequence[str] | None) -> Table:
    """Return the columns of a table that are the data, and the others."""
    for name in left_out:
        if name not in found:
            raise ValueError(no_such_column(name, found))
    chosen = None if wanted is None else _match(wanted, found)
    data, table = [], Table(None)
    for name in found if chosen is None else chosen:
        if name in left_out:
            continue
        reason = found.why_unused(name, is_chosen=chosen is not None)
        # A column without a name has row names: pandas and R write it.
        if reason is None and (name or chosen is not None):
            data.append(name)
        else:
            table.unused[name] = reason or "row names"
    if data:
        table.names = tuple(data)
        table.data = found.rows(table.names)
    if chosen is not None:
        more = [name for name in found if name not in chosen and name not in left_out]
        table.unused = dict.fromkeys(more, "not chosen")
    table.columns = _Others(found, data)
    return table


class ColumnsInMemory(dict[str, np.ndarray]):
    """Columns that were read; texts that are numbers become numbers where they are data."""

    def why_unused(self, name: str, is_chosen: bool) -> str | None:
        """As of :class:`Columns`."""
        values, reason = _to_numbers(name, self[name], is_chosen)
        if reason is None:
            self[name] = values
        return reason

    def rows(self, names: tuple[str, ...]) -> np.ndarray:
        """As of :class:`Columns`."""
        for name in names:
            _check_present(name, self[name])
        return np.column_stack([self[name] for name in names])


class _Others(Mapping[str, np.ndarray]):
    """The columns that are no data."""

    def __init__(self, found: Columns, data: Sequence[str]):
        self._found, self._names = found, [name for name in found if name not in data]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _match(wanted, names):
    """The columns of these names, or that match these patterns, in this order."""
    chosen: list[str] = []
    for pattern in wanted:
        matches = [pattern] if pattern in names else match(names, pattern)
        if not matches:
            raise ValueError(no_such_column(pattern, names))
        chosen += [name for name in matches if name not in chosen]
    return chosen


def no_such_column(name, names) -> str:
    """The message for a column that is not there."""
    near = difflib.get_close_matches(name, names, 1)
    shown = ", ".join([*list(names)[:8], *["..."] * (len(names) > 8)])
    return f"it has no column {name!r}, only {shown}" + (f"; {near[0]!r} is near" if near else "")


def _to_numbers(name, values, is_chosen):
    """A column as numbers, or why it is none: (values, None) or (None, reason)."""
    if values.dtype.kind == "f" and np.isnan(values).all() and not is_chosen:
        return None, "empty"
    if values.dtype.kind in "fiu" or (is_chosen and values.dtype.kind == "b"):
        return values, None
    reason = KINDS.get(values.dtype.kind, "text")
    numeric = np.array([value is None or _is_number(value) for value in values], bool)
    present = np.array([value is not None for value in values], bool)
    if reason == "text" and (is_chosen or _mostly(numeric & present, present)):
        if numeric.all() and present.any():
            return np.array([np.nan if v is None else float(v) for v in values]), None
        row = int(numeric.argmin())
        raise ValueError(
            f"column {name!r} has {values[row]!r} in its row {row + 1}, which is no number; "
            "correct it, or leave the column out"
        )
    if is_chosen:
        raise ValueError(f"column {name!r} has no numbers but {reason}")
    return None, reason if present.any() else "empty"


def _mostly(numeric, present):
    return present.any() and numeric.sum() >= MOSTLY * present.sum() > 0


def _is_number(value):
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def _check_present(name, values):
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(1, bool)
    if missing.any():
        raise ValueError(
            f"column {name!r} has {missing.sum()} missing values, the first in its row "
            f"{missing.argmax() + 1}; fill them, or leave out the rows or the column"
        )
