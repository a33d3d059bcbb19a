"""Tables: columns of text and Parquet files, which of them are the data, and why others are not.

pyarrow reads both kinds: it knows quotes, dates, missing values and types.  Without it NumPy reads
texts of numbers, and Python's ``csv`` others, as it does where columns have values of several
types.  Python decompresses.
"""

import abc
import builtins
import contextlib
import copy
import csv
import difflib
import importlib
import io
import itertools
import json
import shlex
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import filter as match
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, TypeAlias

import numpy as np
import scipy.sparse as sp

from fasttsne.runtime.rows import StoredSparse, UnusableRowsError
from fasttsne.runtime.typing import Storage
from fasttsne.utils import is_package_installed, require, warn_user

if TYPE_CHECKING:
    import pyarrow as pa

# Characters of an error of a library; some have the bytes that they could not read.
MAX_ERROR = 300
# Names of columns that are listed in full, and how one without a name is shown.
MAX_NAMES, NO_NAME = 20, "(no name)"
DELIMITERS = {".csv": ",", ".tsv": "\t"}
# Modules of Python that decompress, imported when one is needed: Python is also built without them.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}
# Characters of a field, of which Python's csv otherwise reads 131,072.
MAX_FIELD = 2**31 - 1
# Texts that stand for a missing value.
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "null", "NULL", "<NA>"]
BOOLEANS = {text: text[0] in "tT" for text in ("true", "True", "TRUE", "false", "False", "FALSE")}
# What columns are that are not used as numbers, by the kind of their dtype.
KINDS = {"M": "dates", "m": "durations", "b": "true or false"}
# A column with more numbers than this share of its values is meant to be one of numbers.
MOSTLY = 0.5
# Bytes of a column of a Parquet file that are read at a time.
BUFFER_BYTES = 2**16
# Rows of a column that are read at a time to count what is missing.
ROWS = 2**16


# What the rows of a file are: in memory, or where they stay in it.
Data: TypeAlias = np.ndarray | sp.csr_matrix | Storage | StoredSparse


class ColumnsError(ValueError):
    """An error of a table's columns, with advice at its end that must not be cut off."""


class Columns(Mapping[str, np.ndarray]):
    """The columns of a file by name; and the parameters of the fit, if it is an embedding."""

    path: Path
    names: tuple[str, ...]
    parameters: dict[str, object]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise KeyError(name)
        return self.values_of(name)

    @abc.abstractmethod
    def values_of(self, name: str) -> np.ndarray:
        """Return the values of a column."""

    @abc.abstractmethod
    def why_unused(self, name: str, is_chosen: bool) -> str | None:
        """Return why a column is no data, None where it is; ValueError where it should be."""

    @abc.abstractmethod
    def rows(self, names: tuple[str, ...], is_chosen: bool) -> "np.ndarray | ParquetRows":
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

    data: Data | None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    unused: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, object] = field(default_factory=dict)
    path: Path | None = None
    ids: str = ""

    def rows(self) -> Data:
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
    others = copy.copy(found)
    others.names = tuple(name for name in found if name not in names)
    rows = found.rows(names, is_chosen) if names else None
    return Table(rows, others, names, unused, found.parameters)


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


def missing_error(found: Mapping[str, tuple[int, str]], is_chosen: bool) -> ColumnsError:
    """Return the error for columns with missing values.

    found : for each of them the number of its missing values, and the place of the first.
    """
    s = "s" * (len(found) > 1)
    counts = [f"{name!r} ({n:,}, the first {place})" for name, (n, place) in found.items()]
    message = f"values are missing in the column{s} {list_names(counts)}; fill them"
    if is_chosen:
        return ColumnsError(f"{message}, or leave out the rows")
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(found)
    advice = (
        f"leave out the rows, or leave out the column{s}: --drop {shlex.quote(line.getvalue())}"
    )
    return ColumnsError(f"{message}, {advice}")


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


def extension(path: Path) -> str:
    """Return the extension in small letters; of a compressed table, the one before ".gz"."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if len(suffixes) == 2 and suffixes[1] in COMPRESSIONS and suffixes[0] in DELIMITERS:
        return suffixes[0]
    return path.suffix.lower()


def import_compression(path: Path) -> ModuleType | None:
    """Return the module that reads and writes a compressed file; None for a file that is not."""
    module = COMPRESSIONS.get(path.suffix.lower())
    if module is None:
        return None
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{path}: this Python has no {module!r}, use a file that is not compressed"
        ) from error


def import_arrow(submodule: str = "") -> ModuleType:
    return require(f"pyarrow{submodule}", "a .parquet file", "files")


def _refuse_equal_names(names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"it has more than one column {name!r}")


class TextColumns(Columns):
    """The columns of a .csv or .tsv file by name, all in memory.

    The first line has the names, or they are the numbers "0", "1", ...  A first line of just these
    numbers is one of names, too, with a warning.  Missing numbers are NaN, other missing values
    None.  Columns that are left out may have values of several types.
    """

    def __init__(self, path: Path, left_out: Sequence[str] = ()):
        self.path, self.parameters = path, {}
        names, first, self._n_skipped = _read_header(path)
        self.names = tuple(names)
        _refuse_equal_names(names)
        is_number = [_is_number(v) and n not in left_out for n, v in zip(names, first, strict=True)]
        read = _by_pyarrow if is_package_installed("pyarrow") else _by_numpy
        try:
            with _open(path) as file:
                columns = read(file, DELIMITERS[extension(path)], self._n_skipped, is_number)
        except ValueError:  # text among numbers, or records of different lengths
            columns = _by_csv(path, self._n_skipped > 0)
        self._values = dict(zip(names, columns, strict=True))

    def values_of(self, name: str) -> np.ndarray:
        return self._values[name]

    def why_unused(self, name: str, is_chosen: bool) -> str | None:
        values = self[name]
        kind = values.dtype.kind
        if kind in "fiu" or (is_chosen and kind == "b"):
            is_empty = kind == "f" and not is_chosen and np.isnan(values).all()
            return "empty" if is_empty else None
        reason = KINDS.get(kind, "text")
        is_number = np.array([value is None or _is_number(value) for value in values], bool)
        is_present = np.array([value is not None for value in values], bool)
        n_numbers = int(np.sum(is_number & is_present))
        is_mostly_numbers = n_numbers >= MOSTLY * is_present.sum() > 0
        if reason == "text" and (is_chosen or is_mostly_numbers):
            if is_number.all() and is_present.any():
                self._values[name] = values.astype(np.float64)
                return None
            row = int(is_number.argmin())
            raise ValueError(
                f"column {name!r} has {values[row]!r} {self._place_of(row)}, which is no number; "
                "correct it, or leave the column out"
            )
        if is_chosen:
            raise ValueError(f"column {name!r} has no numbers but {reason}")
        return reason if is_present.any() else "empty"

    def rows(self, names: tuple[str, ...], is_chosen: bool) -> np.ndarray:
        floats = {name: self[name] for name in names if self[name].dtype.kind == "f"}
        missing = {name: np.flatnonzero(np.isnan(values)) for name, values in floats.items()}
        missing = {name: rows for name, rows in missing.items() if len(rows)}
        found = {name: (len(rows), self._place_of(rows[0])) for name, rows in missing.items()}
        if found:
            raise missing_error(found, is_chosen)
        for name, values in floats.items():
            row = int(np.isinf(values).argmax())
            if np.isinf(values[row]):
                raise ValueError(
                    f"column {name!r} has {values[row]} {self._place_of(row)}; correct it, or "
                    "leave out the row or the column"
                )
        return np.column_stack([self[name] for name in names])

    def _place_of(self, row: int) -> str:
        """Return the line, from 1, on which a row begins."""
        records = _records(self.path)
        line, _ = next(itertools.islice(records, int(row) + (self._n_skipped > 0), None))
        return f"on line {line}"


def _is_number(value: object) -> bool:
    """Whether a value, or a text, is a number."""
    if isinstance(value, bool):
        return False
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _open(path: Path) -> IO[bytes]:
    file: IO[bytes] = (import_compression(path) or builtins).open(path, "rb")
    return file


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of its first line, from 1, and the fields of each record but empty lines."""
    limit = csv.field_size_limit(MAX_FIELD)
    try:
        with _open(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=DELIMITERS[extension(path)])
            line = 1
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
    finally:
        csv.field_size_limit(limit)


def _read_header(path: Path) -> tuple[list[str], list[str], int]:
    """Return the column names, the first row of values, and how many lines are before it."""
    records = list(itertools.islice(_records(path), 2))
    if not records or records[0][0] > 1:
        raise ValueError("it is empty, or its first line is")
    (_, first), (line, second) = records[0], records[-1]
    _check_length(line, second, len(first))
    if len(records) > 1:
        is_name = [not _is_number(value) and value not in MISSING[1:] for value in first]
        is_value = [_is_number(value) for value in second]
        if all(is_name) or any(n and v for n, v in zip(is_name, is_value, strict=True)):
            return first, second, line - 1
        numbers = first[is_name[0] :]  # names of rows may have another name
        if len(numbers) > 1 and numbers == [str(i) for i in range(len(numbers))]:
            if first[0]:  # a row has a value there
                shown = first if len(first) <= 4 else [*first[:3], "...", first[-1]]
                warn_user(
                    f"{path}: its first line, {DELIMITERS[extension(path)].join(shown)}, "
                    "is read as names of columns, which pandas writes so; if it is a row, put a "
                    "line of names before it"
                )
            return first, second, line - 1
    return [str(i) for i in range(len(first))], first, 0


def _check_length(line: int, fields: Sequence[str], n_columns: int) -> None:
    if len(fields) != n_columns:
        raise ValueError(f"line {line} has {len(fields)} fields, the first {n_columns}")


def _by_pyarrow(
    file: IO[bytes], delimiter: str, n_skipped: int, is_number: list[bool]
) -> list[np.ndarray]:
    """Return the columns, of which some are numbers; ValueError where these have text."""
    arrow, reader = import_arrow(), import_arrow(".csv")
    keys = [str(i) for i in range(len(is_number))]
    # Types are otherwise taken from the first block: whole numbers, where fractions follow.
    types = dict.fromkeys(itertools.compress(keys, is_number), arrow.float64())
    found = reader.read_csv(
        arrow.PythonFile(file, "r"),
        reader.ReadOptions(column_names=keys, skip_rows=n_skipped),
        reader.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        reader.ConvertOptions(null_values=MISSING, strings_can_be_null=True, column_types=types),
    )
    return [column.to_numpy() for column in found.columns]


def _by_numpy(
    file: IO[bytes], delimiter: str, n_skipped: int, is_number: list[bool]
) -> list[np.ndarray]:
    """Return the columns, which all are numbers; ValueError where one has others."""
    if not all(is_number):
        raise ValueError("it has columns of text")
    rows = np.loadtxt(
        file,
        delimiter=delimiter,
        skiprows=int(n_skipped > 0),
        ndmin=2,
        comments=None,
        quotechar='"',
        encoding="utf-8-sig",
    )
    return list(rows.T)


def _by_csv(path: Path, has_names: bool) -> list[np.ndarray]:
    """Return the columns, of any types; ValueError for a record of another length."""
    columns: list[list[str]] = []
    for line, fields in itertools.islice(_records(path), int(has_names), None):
        columns = columns or [[] for _ in fields]
        _check_length(line, fields, len(columns))
        for column, text in zip(columns, fields, strict=True):
            column.append(text)
    return [_to_typed(np.array(column, object)) for column in columns]


def _to_typed(texts: np.ndarray) -> np.ndarray:
    """Return texts as numbers, NaN where they are missing, as booleans, or unchanged."""
    texts[[text in MISSING for text in texts]] = None
    if all(text in BOOLEANS for text in texts):
        return np.array([BOOLEANS[text] for text in texts])
    # Python also reads 1_0 and digits of other scripts, which are names.
    if any(text is not None and (not text.isascii() or "_" in text) for text in texts):
        return texts
    try:
        return texts.astype(np.float64)
    except ValueError:
        return texts


class ParquetColumns(Columns):
    """The columns of a Parquet file by name; each is read when it is asked for.

    A column is what its type says: one of text is no data, whatever is written in it.  One of lists
    of numbers, as embeddings are stored, is several columns of the rows, if it is chosen.
    """

    def __init__(self, path: Path):
        self.path = path
        # Otherwise whole columns of a row group, a million rows or more, are in memory.
        # Pages have checksums in the files that we write, as in many others.
        self._file = import_arrow(".parquet").ParquetFile(
            path, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True
        )
        schema, metadata = self._file.schema_arrow, self._file.metadata
        _refuse_equal_names(schema.names)
        self.types = dict(zip(schema.names, schema.types, strict=True))
        self.names = tuple(schema.names)
        self.n_rows: int = metadata.num_rows
        self._groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        self.parameters = _read_parameters(schema.metadata or {})

    def values_of(self, name: str) -> np.ndarray:
        with errors_name_file(self.path):
            values: np.ndarray = self._file.read([name]).column(name).to_numpy()
        return values

    def why_unused(self, name: str, is_chosen: bool) -> str | None:
        types, kind = import_arrow().types, self.types[name]
        if types.is_null(kind):
            reason = "empty"  # without a type of its own
        elif dtype_of(kind) is not None:
            if types.is_boolean(kind) and not is_chosen:
                return "true or false"
            is_empty = self.n_rows > 0 and self._n_missing[name] == self.n_rows
            return "empty" if is_empty and not is_chosen else None
        elif types.is_temporal(kind):
            reason = "durations" if types.is_duration(kind) else "dates"
        elif types.is_nested(kind):
            reason = "lists"
            if is_chosen and is_list(kind) and dtype_of(kind.value_type) is not None:
                return None
        else:
            reason = "text"
        if is_chosen:
            raise ValueError(f"column {name!r} has no numbers, it is of type {kind}")
        return reason

    def rows(self, names: tuple[str, ...], is_chosen: bool) -> "ParquetRows":
        """Return rows of columns of numbers; an error if the file says that some are missing."""
        if any(self._n_missing[name] for name in names):
            raise self.missing_error(names, is_chosen)
        return ParquetRows(self, names, is_chosen)

    def missing_error(self, names: tuple[str, ...], is_chosen: bool) -> ColumnsError:
        """Return the error for the columns with missing values, which are read to count them."""
        found = {}
        for name in names:
            batches = self.iter_batches((name,), 0, ROWS)
            rows = np.flatnonzero(np.concatenate([_is_missing(each.column(0)) for each in batches]))
            if len(rows):
                found[name] = len(rows), f"in row {rows[0]}"
        return missing_error(found, is_chosen)

    def iter_batches(
        self, names: tuple[str, ...], first: int, n_rows: int
    ) -> Iterator["pa.RecordBatch"]:
        """Yield record batches of about so many rows, from a row on."""
        sizes = [group.num_rows for group in self._groups]
        ends = np.cumsum(sizes)
        groups = np.flatnonzero(ends > first).tolist()
        skipped = first - (ends[groups[0]] - sizes[groups[0]]) if groups else 0
        for batch in self._file.iter_batches(n_rows, groups, list(names), use_threads=False):
            if skipped < batch.num_rows:
                yield batch.slice(skipped)
            skipped = max(skipped - batch.num_rows, 0)

    @cached_property
    def _n_missing(self) -> Counter[str]:
        """How many values of each column the file says are missing; not those that are NaN."""
        found: Counter[str] = Counter()
        for group in self._groups:
            for column in (group.column(j) for j in range(group.num_columns)):
                if column.is_stats_set:
                    found[column.path_in_schema] += column.statistics.null_count or 0
        return found


class ParquetRows:
    """Columns of numbers of a file as rows: a storage (:mod:`fasttsne.runtime.rows`).

    Rows that follow the ones read last are read once; others from the start of their row group on.
    """

    ndim = 2

    def __init__(self, file: ParquetColumns, names: tuple[str, ...], is_chosen: bool):
        self._file, self._names, self._is_chosen = file, names, is_chosen
        kinds = [file.types[name] for name in names]
        # How many columns of the rows each is: the length of its first list, or 1.
        self._widths = [
            self._first_length(name) if is_list(kind) else 1
            for name, kind in zip(names, kinds, strict=True)
        ]
        self.shape = file.n_rows, sum(self._widths)
        self.dtype = np.result_type(
            *(dtype_of(kind.value_type if is_list(kind) else kind) for kind in kinds)
        )
        self._lock = threading.Lock()
        # The row that comes next, and what is left of the part before it.
        self._next: int | None = None
        self._parts: Iterator[np.ndarray] = iter(())
        self._left = np.empty((0, self.shape[1]), self.dtype)

    def _first_length(self, name: str) -> int:
        batch = next(self._file.iter_batches((name,), 0, 1), None)
        return 0 if batch is None else len(batch.column(0)[0].as_py() or ())

    def __len__(self) -> int:
        return self._file.n_rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, end, step = rows.indices(self.shape[0])
        if step != 1:
            raise IndexError("rows of a Parquet file are read by slices without steps")
        n = max(end - first, 0)
        with self._lock:
            if first != self._next:
                self._parts, self._left = self._iter_parts(first, max(n, 1)), self._left[:0]
            self._next = None  # until all is well
            parts = [self._left]
            while sum(map(len, parts)) < n:
                parts.append(next(self._parts))
            found = np.concatenate(parts)
            self._left, self._next = found[n:], end
        return found[:n]

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows of a Parquet file cannot be an array without a copy")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def _iter_parts(self, first: int, n_rows: int) -> Iterator[np.ndarray]:
        """Yield the rows from one on, about so many at a time."""
        for batch in self._file.iter_batches(self._names, first, n_rows):
            columns = [
                self._to_columns(name, width, batch.column(name), first)
                for name, width in zip(self._names, self._widths, strict=True)
            ]
            yield np.column_stack(columns)
            first += batch.num_rows

    def _to_columns(self, name: str, width: int, column: "pa.Array", first: int) -> np.ndarray:
        """Return the numbers of a column; errors name its rows, which begin at the first."""
        if is_list(column.type) and not column.null_count:
            is_wrong = _lengths(column) != width
            if is_wrong.any():
                raise UnusableRowsError(
                    f"{self._file.path}: column {name!r} has not {width} numbers, as in row 0, in "
                    f"row {first + int(is_wrong.argmax())}; correct it, or leave out the row or "
                    "the column"
                )
            column = column.flatten()
        values = np.empty(0) if column.null_count else _to_numbers(column)
        if column.null_count or np.isnan(values).any():
            message = self._file.missing_error(self._names, self._is_chosen)
            raise UnusableRowsError(f"{self._file.path}: {message}")
        return values.reshape(-1, width)


def dtype_of(kind: "pa.DataType") -> np.dtype | None:
    """Return the dtype of a column of numbers, None of another."""
    types = import_arrow().types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_decimal(kind):
        return np.dtype(np.float64)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        dtype: np.dtype = np.dtype(kind.to_pandas_dtype())
        return dtype
    return None


def is_list(kind: "pa.DataType") -> bool:
    types = import_arrow().types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _to_numbers(column: "pa.Array") -> np.ndarray:
    dtype = import_arrow().from_numpy_dtype(dtype_of(column.type))
    values: np.ndarray = column.cast(dtype).to_numpy(zero_copy_only=False)
    return values


def _lengths(column: "pa.Array") -> np.ndarray:
    """Return how many items each list of a column has; a missing list has 0."""
    lengths = import_arrow(".compute").list_value_length(column).fill_null(0)
    return np.asarray(lengths)


def _is_missing(column: "pa.Array") -> np.ndarray:
    """Return which rows of a column are missing or NaN, or have such items."""
    missing: np.ndarray = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    if is_list(column.type):
        rows = np.repeat(np.arange(len(missing)), _lengths(column))
        missing[rows[_is_missing(column.flatten())]] = True
    return missing


def to_metadata(parameters: str) -> dict[str, str]:
    """Return the metadata of a Parquet file, with the parameters of the fit, a JSON text."""
    return {"fasttsne": parameters, "fasttsne_crc32": str(zlib.crc32(parameters.encode()))}


def _read_parameters(metadata: Mapping[bytes, bytes]) -> dict[str, object]:
    text = metadata.get(b"fasttsne")
    if text is None:
        return {}
    if metadata.get(b"fasttsne_crc32") != b"%d" % zlib.crc32(text):
        raise ValueError("its parameters are not those that were written")
    parameters: dict[str, object] = json.loads(text)
    return parameters
