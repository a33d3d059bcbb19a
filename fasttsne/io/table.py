"""The contents of a data file: its rows, which columns they are, and why others are not used."""

import abc
import contextlib
import csv
import difflib
import io
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import filter as match
from pathlib import Path
from typing import Any

import numpy as np

# Characters of an error of a library; some have the bytes that they could not read.
MAX_ERROR = 300
# Names of columns that are listed in full, and how one without a name is shown.
MAX_NAMES = 20
NO_NAME = "(no name)"


class ColumnsError(ValueError):
    """An error of a table's columns, with advice at its end that must not be cut off."""


class Columns(Mapping[str, np.ndarray]):
    """The columns of a file by name.

    Attributes
    ----------
    names : of all columns, in their order.
    parameters : of the fit, where the file is an embedding that has them.
    """

    names: tuple[str, ...]
    parameters: dict[str, object]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @abc.abstractmethod
    def why_unused(self, name: str, is_chosen: bool) -> str | None:
        """Return why a column is no data, None where it is; ValueError where it should be."""

    @abc.abstractmethod
    def rows(self, names: tuple[str, ...], is_chosen: bool) -> Any:
        """Return the rows of some columns of numbers; ValueError where one is missing."""


@dataclass
class Table:
    """The contents of a data file.

    Attributes
    ----------
    data : (n, columns) array, sparse matrix, or a storage of either that stays in its file: the
        numeric columns; None if there are none.
    columns : the other columns by name, (n,) arrays, such as labels.
    names : of the columns of ``data``, where the file has names.
    unused : of columns that were neither asked for nor left out, why they are not in ``data``.
    parameters : of the fit, where the file is an embedding that has them.
    path : the file.
    ids : the column that names the rows, if there is one, where the file is an embedding.
    """

    data: Any
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    unused: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, object] = field(default_factory=dict)
    path: Path | None = None
    ids: str = ""

    def rows(self) -> Any:
        """Return the numeric columns; a ValueError if there are none."""
        if self.data is None:
            columns = list_names(self.columns)
            raise ValueError(f"{self.path}: no column has numbers; the columns are {columns}")
        return self.data

    def describe(self) -> str:
        """Return which columns are used, and which are not, and why; "" without names."""
        if not self.names:
            return ""
        number = f"{len(self.names)} column{'s' * (len(self.names) > 1)}"
        return f"{number} used: {list_names(self.names)}" + self.describe_unused("; ")

    def describe_unused(self, before: str = "") -> str:
        """Return which columns are not used, and why; "" if there are none."""
        reasons = [f"{name or NO_NAME} ({why})" for name, why in self.unused.items()]
        return f"{before}not used: {list_names(reasons)}" if reasons else ""


def choose_columns(found: Columns, left_out: Sequence[str], wanted: Sequence[str] | None) -> Table:
    """Return the columns of a table that are the data, and the others."""
    for name in left_out:
        if name not in found:
            raise ColumnsError(no_such_column(name, found))
    is_chosen = wanted is not None
    chosen = list(found) if wanted is None else _match(wanted, found)
    data, unused = [], {}
    for name in chosen:
        if name in left_out:
            continue
        reason = found.why_unused(name, is_chosen)
        # A column without a name has row names: pandas and R write it.
        if reason is None and (name or is_chosen):
            data.append(name)
        else:
            unused[name] = reason or "row names"
    if is_chosen:
        more = [name for name in found if name not in chosen and name not in left_out]
        unused = dict.fromkeys(more, "not chosen")
    names = tuple(data)
    rows = found.rows(names, is_chosen) if names else None
    others = _Others(found, [name for name in found if name not in names])
    return Table(rows, others, names, unused, found.parameters)


class _Others(Mapping[str, np.ndarray]):
    """The columns that are no data."""

    def __init__(self, found: Columns, names: Sequence[str]):
        self._found, self._names = found, names

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _match(wanted: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return the columns of these names, or that match these patterns, in this order."""
    chosen: list[str] = []
    for pattern in wanted:
        matches = [pattern] if pattern in names else match(names, pattern)
        if not matches:
            raise ColumnsError(no_such_column(pattern, names))
        chosen += [name for name in matches if name not in chosen]
    return chosen


def list_names(names: Iterable[str]) -> str:
    """Return names with commas between them; of many the first ones, and the last."""
    shown = [name or NO_NAME for name in names]
    if len(shown) > MAX_NAMES:
        shown[MAX_NAMES - 2 : -1] = ["..."]
    return ", ".join(shown)


def no_such_column(name: str, names: Iterable[str]) -> str:
    """Return the message for a column that is not there."""
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; {near[0]!r} is near" if near else ""
    return f"it has no column {name!r}, only {list_names(names)}{hint}"


def describe_missing(found: Mapping[str, tuple[int, str]], is_chosen: bool) -> str:
    """Return the message for columns with missing values.

    Parameters
    ----------
    found : for each of them the number of its missing values, and the place of the first.
    is_chosen : whether the columns were asked for by name.
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


@contextlib.contextmanager
def errors_name_file(path: object) -> Iterator[None]:
    """Raise errors of libraries as ValueErrors that begin with the name of the file."""
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except ColumnsError as error:
        raise ValueError(f"{path}: {error}") from error
    except Exception as error:  # each library has its own
        message = (str(error) or type(error).__name__).splitlines()[0][:MAX_ERROR]
        if message.startswith(str(path)):
            raise
        raise ValueError(f"{path}: {message}") from error
