"""Columns of text and Parquet files.

pyarrow reads both: it knows quotes, dates, missing values and types.  Without it NumPy reads
texts of numbers, and Python's ``csv`` others, as it does where columns have values of several
types.  Python decompresses.
"""

import builtins
import contextlib
import csv
import importlib
import io
import itertools
import json
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING

import numpy as np

from fasttsne.io.table import Columns, ColumnsError, describe_missing, errors_name_file
from fasttsne.runtime.stored_rows import UnusableRowsError
from fasttsne.utils import is_package_installed, require, warn_user

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = {".csv": ",", ".tsv": "\t"}
# Modules of Python that decompress, imported when one is needed: Python is also built without them.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}
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


def extension(path: Path) -> str:
    """Return the extension in small letters; of a compressed table, the one before ".gz"."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if len(suffixes) == 2 and suffixes[1] in COMPRESSIONS and suffixes[0] in DELIMITERS:
        return suffixes[0]
    return path.suffix.lower()


def import_compression(path: Path) -> ModuleType | None:
    """Return the module that reads and writes a compressed file; None for a file that is not.

    Raises
    ------
    ImportError
        Where Python was built without it.
    """
    module = COMPRESSIONS.get(path.suffix.lower())
    if module is None:
        return None
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{path}: this Python has no {module!r}, use a file that is not compressed"
        ) from error


class TextColumns(Columns):
    """The columns of a .csv or .tsv file by name, all in memory.

    The first line has the names, or they are the numbers "0", "1", ...  A first line of just these
    numbers is one of names, too, with a warning.  Missing numbers are NaN, other missing values
    None.

    Parameters
    ----------
    path : the file.
    left_out : columns that are no data: their values may be of several types.

    Raises
    ------
    ValueError
        Where the file has no rows, rows of different lengths, or two columns of one name.
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
            columns = _read_texts(path, self._n_skipped, len(names))
        self._columns = dict(zip(names, columns, strict=True))

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

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
                self._columns[name] = values.astype(np.float64)
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
        missing = {name: np.isnan(values) for name, values in floats.items()}
        found = {
            name: (int(rows.sum()), self._place_of(int(rows.argmax())))
            for name, rows in missing.items()
            if rows.any()
        }
        if found:
            raise ColumnsError(describe_missing(found, is_chosen))
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
        line, _ = next(itertools.islice(records, row + (self._n_skipped > 0), None))
        return f"on line {line}"


def _is_number(value: object) -> bool:
    """Whether a value, or a text, is a number."""
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def _refuse_equal_names(names: Sequence[str]) -> None:
    counts = Counter(names)
    twice = [name for name in names if counts[name] > 1]
    if twice:
        raise ValueError(f"it has more than one column {twice[0]!r}")


def _open(path: Path) -> IO[bytes]:
    file: IO[bytes] = (import_compression(path) or builtins).open(path, "rb")
    return file


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of its first line, from 1, and the fields of each record but empty lines."""
    with _open(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=DELIMITERS[extension(path)])
        line = 1
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1


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
        if _are_numbered(first):
            if first[0]:  # a row has a value there
                shown = first if len(first) <= 4 else [*first[:3], "...", first[-1]]
                warn_user(
                    f"{path}: its first line, {DELIMITERS[extension(path)].join(shown)}, "
                    "is read as names of columns, which pandas writes so; if it is a row, put a "
                    "line of names before it"
                )
            return first, second, line - 1
    return [str(i) for i in range(len(first))], first, 0


def _are_numbered(names: Sequence[str]) -> bool:
    """Whether they are 0, 1, 2, ..., of two columns or more; row names may have another name."""
    has_row_names = not _is_number(names[0]) and names[0] not in MISSING[1:]
    numbers = names[1:] if has_row_names else names
    return len(numbers) > 1 and list(numbers) == [str(i) for i in range(len(numbers))]


def _check_length(line: int, fields: Sequence[str], n_columns: int) -> None:
    if len(fields) != n_columns:
        raise ValueError(f"line {line} has {len(fields)} fields, the first {n_columns}")


def _by_pyarrow(
    file: IO[bytes],
    delimiter: str,
    n_skipped: int,
    is_number: list[bool],
    others_are_text: bool = False,
) -> list[np.ndarray]:
    """Return the columns, of which some are numbers; ValueError where these have text."""
    arrow, reader = import_arrow(), require("pyarrow.csv", "a table", "files")
    keys = [str(i) for i in range(len(is_number))]
    # Types are otherwise those of the first block: whole numbers, where fractions follow.
    types = dict.fromkeys(keys, arrow.string()) if others_are_text else {}
    types |= dict.fromkeys(itertools.compress(keys, is_number), arrow.float64())
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


def _read_texts(path: Path, n_skipped: int, n_columns: int) -> list[np.ndarray]:
    """Return the columns of a file whose first values do not say their types."""
    delimiter, is_number = DELIMITERS[extension(path)], [False] * n_columns
    if is_package_installed("pyarrow"):
        # Python's csv names the record of another length, and has a limit of characters.
        with contextlib.suppress(ValueError), _open(path) as file:
            texts = _by_pyarrow(file, delimiter, n_skipped, is_number, others_are_text=True)
            return [_to_typed(column) for column in texts]
    return _by_csv(path, n_skipped > 0)


def _by_csv(path: Path, has_names: bool) -> list[np.ndarray]:
    """Return the columns, of any types; ValueError for a record of another length."""
    columns: list[list[str]] = []
    for line, fields in itertools.islice(_records(path), int(has_names), None):
        columns = columns or [[] for _ in fields]
        _check_length(line, fields, len(columns))
        for column, field in zip(columns, fields, strict=True):
            column.append(field)
    return [_to_typed(np.array(column, object)) for column in columns]


def _to_typed(texts: np.ndarray) -> np.ndarray:
    """Return texts as numbers, NaN where they are missing, as booleans, or as they are."""
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


def import_arrow() -> ModuleType:
    """Return the module of Arrow's tables."""
    return require("pyarrow", "a table", "files")


def import_parquet() -> ModuleType:
    """Return the module that reads and writes Parquet files."""
    require("pyarrow", "a .parquet file", "files")
    return require("pyarrow.parquet", "a .parquet file", "files")


class ParquetColumns(Columns):
    """The columns of a Parquet file by name; each is read when it is asked for.

    A column is what its type says: one of text is no data, whatever is written in it.  One of lists
    of numbers, as embeddings are stored, is several columns of the rows, if it is chosen.

    Raises
    ------
    ValueError
        Where two columns have the same name.
    """

    def __init__(self, path: Path):
        self.path = path
        # Otherwise whole columns of a row group, a million rows or more, are in memory.
        # Pages have checksums in the files that we write, as in many others.
        self._file = import_parquet().ParquetFile(
            path, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True
        )
        schema = self._file.schema_arrow
        _refuse_equal_names(schema.names)
        self.types = dict(zip(schema.names, schema.types, strict=True))
        self.names = tuple(schema.names)
        self.n_rows: int = self._file.metadata.num_rows
        self.parameters = _read_parameters(schema.metadata or {})

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.types:
            raise KeyError(name)
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
        """Return the rows of some columns of numbers; they stay in the file.

        Raises
        ------
        ValueError
            Where the file says that values are missing: how many of each column, and where.
        """
        if any(self._n_missing[name] for name in names):
            raise ColumnsError(self.describe_missing(names, is_chosen))
        return ParquetRows(self, names, is_chosen)

    def describe_missing(self, names: tuple[str, ...], is_chosen: bool) -> str:
        """Return the message for the columns with missing values, which are read to count them."""
        found = {}
        for name in names:
            batches = self.iter_batches((name,), 0, ROWS)
            rows = np.flatnonzero(
                np.concatenate([_is_missing(batch.column(0)) for batch in batches])
            )
            if len(rows):
                found[name] = len(rows), f"in row {rows[0]}"
        return describe_missing(found, is_chosen)

    def iter_batches(
        self, names: tuple[str, ...], first: int, n_rows: int
    ) -> Iterator["pa.RecordBatch"]:
        """Yield record batches of about so many rows, from a row on."""
        metadata = self._file.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
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
        metadata = self._file.metadata
        for i in range(metadata.num_row_groups):
            group = metadata.row_group(i)
            for column in (group.column(j) for j in range(group.num_columns)):
                if column.is_stats_set:
                    found[column.path_in_schema] += column.statistics.null_count or 0
        return found


class ParquetRows:
    """Columns of numbers of a file as rows: a storage (:mod:`fasttsne.runtime.stored_rows`).

    Rows that follow those read last are read once; others from the start of their row group on.

    Parameters
    ----------
    file : the file.
    names : of the columns.
    is_chosen : whether they were asked for by name.
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
        # The row that comes next, from where, and what is left of the last batch.
        self._next: int | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._left: pa.RecordBatch | None = None

    def _first_length(self, name: str) -> int:
        batch = next(self._file.iter_batches((name,), 0, 1), None)
        items: Sequence[object] = () if batch is None else batch.column(0)[0].as_py() or ()
        return len(items)

    def __len__(self) -> int:
        return self._file.n_rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, end, step = rows.indices(self.shape[0])
        if step != 1:
            raise IndexError("rows of a Parquet file are read by slices without steps")
        out = np.empty((max(end - first, 0), self.shape[1]), self.dtype)
        with self._lock:
            if first != self._next:
                self._batches = self._file.iter_batches(self._names, first, max(len(out), 1))
                self._left = None
            self._next = None  # until all is well
            done = 0
            while done < len(out):
                batch = next(self._batches) if self._left is None else self._left
                part = batch.slice(0, len(out) - done)
                self._copy(part, out[done : done + part.num_rows], first + done)
                done += part.num_rows
                self._left = batch.slice(part.num_rows) if part.num_rows < batch.num_rows else None
            self._next = end
        return out

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows of a Parquet file cannot be an array without a copy")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def _copy(self, batch: "pa.RecordBatch", out: np.ndarray, first: int) -> None:
        start = 0
        for name, width in zip(self._names, self._widths, strict=True):
            column = batch.column(batch.schema.get_field_index(name))
            if is_list(column.type) and not column.null_count:
                self._check_lengths(name, column, width, first)
                column = column.flatten()
            values = np.empty(0) if column.null_count else _to_numbers(column)
            if column.null_count or np.isnan(values).any():
                message = self._file.describe_missing(self._names, self._is_chosen)
                raise UnusableRowsError(f"{self._file.path}: {message}")
            out[:, start : start + width] = values.reshape(-1, width)
            start += width

    def _check_lengths(self, name: str, column: "pa.Array", width: int, first: int) -> None:
        is_wrong = _lengths(column) != width
        if is_wrong.any():
            raise UnusableRowsError(
                f"{self._file.path}: column {name!r} has not {width} numbers, as in row 0, in row "
                f"{first + int(is_wrong.argmax())}; correct it, or leave out the row or the column"
            )


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
    arrow, kind = import_arrow(), column.type
    if arrow.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if arrow.types.is_decimal(kind):
        column = column.cast(arrow.float64())
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values


def _lengths(column: "pa.Array") -> np.ndarray:
    """Return how many items each list of a column has; a missing list has 0."""
    compute = require("pyarrow.compute", "a .parquet file", "files")
    lengths: np.ndarray = compute.list_value_length(column).fill_null(0).to_numpy()
    return lengths


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
