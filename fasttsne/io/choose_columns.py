"""Which columns of a table are its data, and why others are not."""

import csv
import difflib
import io
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import filter as match
from typing import Any, Protocol

import numpy as np

from fasttsne.io.table import ColumnsError, Table, list_names

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

    def rows(self, names: tuple[str, ...], is_chosen: bool) -> Any:
        """Return the rows of some columns of numbers; ValueError where one is missing."""


def choose_columns(found: Columns, left_out: Sequence[str], wanted: Sequence[str] | None) -> Table:
    """Return the columns of a table that are the data, and the others."""
    for name in left_out:
        if name not in found:
            raise ColumnsError(no_such_column(name, found))
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
        table.data = found.rows(table.names, is_chosen=chosen is not None)
    if chosen is not None:
        more = [name for name in found if name not in chosen and name not in left_out]
        table.unused = dict.fromkeys(more, "not chosen")
    table.columns = _Others(found, data)
    return table


class ColumnsInMemory(dict[str, np.ndarray]):
    """Columns that were read; texts that are numbers become numbers where they are data.

    Parameters
    ----------
    columns : by name.
    place_of : a function that says where a row is in the file, as "on line 7".
    """

    def __init__(
        self, columns: Mapping[str, np.ndarray], place_of: Callable[[int], str] = "in row {}".format
    ):
        super().__init__(columns)
        self._place_of = place_of

    def why_unused(self, name: str, is_chosen: bool) -> str | None:
        """As of :class:`Columns`."""
        values, reason = self._to_numbers(name, is_chosen)
        if reason is None:
            self[name] = values
        return reason

    def rows(self, names: tuple[str, ...], is_chosen: bool) -> np.ndarray:
        """As of :class:`Columns`."""
        floats = [name for name in names if self[name].dtype.kind == "f"]
        missing = {name: np.isnan(self[name]) for name in floats}
        found = {
            name: (int(rows.sum()), self._place_of(int(rows.argmax())))
            for name, rows in missing.items()
            if rows.any()
        }
        if found:
            raise ColumnsError(describe_missing(found, is_chosen))
        for name in floats:
            row = int(np.isinf(self[name]).argmax())
            if np.isinf(self[name][row]):
                raise ValueError(
                    f"column {name!r} has {self[name][row]} {self._place_of(row)}; correct it, or "
                    "leave out the row or the column"
                )
        return np.column_stack([self[name] for name in names])

    def _to_numbers(self, name, is_chosen):
        """Return a column as numbers, or why it is none: (values, None) or (None, reason)."""
        values = self[name]
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
                f"column {name!r} has {values[row]!r} {self._place_of(row)}, which is no number; "
                "correct it, or leave the column out"
            )
        if is_chosen:
            raise ValueError(f"column {name!r} has no numbers but {reason}")
        return None, reason if present.any() else "empty"


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
            raise ColumnsError(no_such_column(pattern, names))
        chosen += [name for name in matches if name not in chosen]
    return chosen


def no_such_column(name, names) -> str:
    """Return the message for a column that is not there."""
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; {near[0]!r} is near" if near else ""
    return f"it has no column {name!r}, only {list_names(names)}{hint}"


def describe_missing(found: Mapping[str, tuple[int, str]], is_chosen: bool) -> str:
    """Return the message for columns with missing values.

    found : for each of them the number of its missing values, and the place of the first.
    is_chosen : whether they were asked for, as by a map that was made of them.
    """
    s = "s" * (len(found) > 1)
    counts = [f"{name!r} ({n:,}, the first {place})" for name, (n, place) in found.items()]
    message = f"values are missing in the column{s} {list_names(counts)}; fill them"
    if is_chosen:
        return f"{message}, or leave out the rows"
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(found)
    names = shlex.quote(line.getvalue())
    return f"{message}, leave out the rows, or leave out the column{s}: --drop {names}"


def _mostly(numeric, present):
    return present.any() and numeric.sum() >= MOSTLY * present.sum() > 0


def _is_number(value):
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)
