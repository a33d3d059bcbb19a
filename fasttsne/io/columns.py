"""Columns of text and Parquet files, read by the first of these packages that is installed.

pyarrow, polars and pandas know quotes, dates, missing values and types.  Without them NumPy reads
tables of numbers, and Python's own ``csv`` others.  Python decompresses.
"""

import builtins
import csv
import importlib
import io
import itertools
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np

from fasttsne.utils import is_package_installed, require, warn_user

DELIMITERS = {".csv": ",", ".tsv": "\t"}
# Modules of Python that decompress, imported when one is needed: Python is also built without them.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}
# Texts that stand for a missing value.
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "null", "NULL", "<NA>"]

BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}


def extension(path: Path) -> str:
    """The extension in small letters; of a compressed table, the one before ".gz" and the like."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if len(suffixes) == 2 and suffixes[1] in COMPRESSIONS and suffixes[0] in DELIMITERS:
        return suffixes[0]
    return path.suffix.lower()


def read_text(path: Path, left_out=()) -> tuple[dict[str, np.ndarray], bool]:
    """Return the columns of a .csv or .tsv file by name, and whether its first line has the names.

    Without names they are the numbers "0", "1", ...

    A first line of just these numbers is one of names, too, with a warning.
    Missing numbers are NaN, other missing values None.  ``left_out`` are names of columns that
    are no data: their values may be of several types.
    """
    delimiter = DELIMITERS[extension(path)]
    names, first, n_skipped = _read_header(path, delimiter)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has more than one column {twice!r}")
    numbers = [is_number(v) and n not in left_out for n, v in zip(names, first, strict=True)]
    parse = next(parse for name, parse in _PARSERS.items() if is_package_installed(name))
    try:
        with _open(path) as file:
            columns = parse(file, delimiter, n_skipped, numbers)
        return dict(zip(names, columns, strict=True)), n_skipped > 0
    except (ImportError, MemoryError):
        raise
    except Exception:  # each package has its own, and few name the line
        _check_lengths(path, len(names))
        raise


def line_of(path: Path, record: int) -> int:
    """Return the number of the line, from 1, on which a record of a .csv or .tsv file begins."""
    return next(itertools.islice(_records(path), record, None))[0]


def read_parquet_by_polars(path: Path) -> dict[str, np.ndarray]:
    """The columns of a .parquet file by name, read whole."""
    frame = require("polars", "a .parquet file", "files").read_parquet(path)
    return {column.name: column.to_numpy() for column in frame}


def import_pyarrow():
    return [require(name, "a .parquet file", "files") for name in ("pyarrow", "pyarrow.parquet")]


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def import_compression(path: Path) -> ModuleType | None:
    """The module that reads and writes a compressed file; None for a file that is not.

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


def _open(path):
    return (import_compression(path) or builtins).open(path, "rb")


def _records(path):
    """Yield the number of its first line, from 1, and the fields of each record but empty lines."""
    with _open(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=DELIMITERS[extension(path)])
        line = 1
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1


def _check_lengths(path, n_columns):
    """Raise ValueError for the first record that has not as many fields as there are columns."""
    for line, fields in _records(path):
        if len(fields) != n_columns:
            raise ValueError(f"line {line} has {len(fields)} fields, the first {n_columns}")


def _read_header(path, delimiter):
    """Return the column names, the first row of values, and how many lines are before it."""
    records = list(itertools.islice(_records(path), 2))
    if not records or records[0][0] > 1:
        raise ValueError("it is empty, or its first line is")
    (_, first), (line, second) = records[0], records[-1]
    if len(first) != len(second):
        raise ValueError(f"line {line} has {len(second)} fields, the first {len(first)}")
    if len(records) > 1:
        is_name = [not is_number(value) and value not in MISSING[1:] for value in first]
        is_value = [is_number(value) for value in second]
        if all(is_name) or any(n and v for n, v in zip(is_name, is_value, strict=True)):
            return first, second, line - 1
        if _are_numbered(first):
            if first[0]:  # a row has a value there
                warn_user(
                    f"{path}: its first line, {_shown(first, delimiter)}, is read as names of "
                    "columns, which pandas writes so; if it is a row, put a line of names before it"
                )
            return first, second, line - 1
    return [str(i) for i in range(len(first))], first, 0


def _are_numbered(names):
    """Whether they are 0, 1, 2, ..., of two columns or more; row names may have another name."""
    has_row_names = not is_number(names[0]) and names[0] not in MISSING[1:]
    numbers = names[1:] if has_row_names else names
    return len(numbers) > 1 and numbers == [str(i) for i in range(len(numbers))]


def _shown(fields, delimiter):
    return delimiter.join(fields if len(fields) <= 4 else [*fields[:3], "...", fields[-1]])


def _by_pyarrow(file, delimiter, n_skipped, numbers):
    pyarrow, reader = require("pyarrow", "a table", "files"), require("pyarrow.csv", "", "files")
    keys = [str(i) for i in range(len(numbers))]
    read = reader.ReadOptions(column_names=keys, skip_rows=n_skipped)
    parse = reader.ParseOptions(delimiter=delimiter, newlines_in_values=True)

    def table(types):
        convert = reader.ConvertOptions(
            null_values=MISSING, strings_can_be_null=True, column_types=types
        )
        file.seek(0)
        # Arrow closes what it reads.
        return reader.read_csv(pyarrow.PythonFile(file, "r"), read, parse, convert)

    try:
        # Types are otherwise those of the first block: whole numbers, where fractions follow.
        found = table({key: pyarrow.float64() for key in itertools.compress(keys, numbers)})
    except pyarrow.ArrowInvalid:  # text among numbers
        found = table(dict.fromkeys(keys, pyarrow.string()))
        return [_as_numbers(column.to_numpy()) for column in found.columns]
    return [column.to_numpy() for column in found.columns]


def _by_polars(file, delimiter, n_skipped, numbers):
    frame = require("polars", "a table", "files").read_csv(
        io.BytesIO(file.read()),
        has_header=False,
        skip_rows=int(n_skipped > 0),
        separator=delimiter,
        null_values=MISSING,
        try_parse_dates=True,
        infer_schema_length=None,
    )
    return [column.to_numpy() for column in frame]


def _by_pandas(file, delimiter, n_skipped, numbers):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # rows that are too long
        frame = require("pandas", "a table", "files").read_csv(
            file,
            sep=delimiter,
            header=None,
            names=range(len(numbers)),
            skiprows=int(n_skipped > 0),
            na_values=MISSING,
            keep_default_na=False,
            index_col=False,
            low_memory=False,
        )
    return [frame[column].to_numpy() for column in frame]


def _by_numpy(file, delimiter, n_skipped, numbers):
    if all(numbers):
        try:
            return list(
                np.loadtxt(
                    file,
                    delimiter=delimiter,
                    skiprows=int(n_skipped > 0),
                    ndmin=2,
                    comments=None,
                    quotechar='"',
                    encoding="utf-8-sig",
                ).T
            )
        except ValueError:  # missing values, or text
            file.seek(0)
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    rows = list(itertools.islice(csv.reader(text, delimiter=delimiter), int(n_skipped > 0), None))
    text.detach()  # whoever opened the file closes it
    columns = zip(*filter(None, rows), strict=True)
    return [_as_numbers(np.array(column, object)) for column in columns]


def _as_numbers(texts):
    """A column of texts as numbers, NaN where they are missing, or as booleans, or as it is."""
    texts[[text in MISSING for text in texts]] = None
    if all(text in BOOLEANS for text in texts):
        return np.array([BOOLEANS[text] for text in texts])
    try:
        return texts.astype(np.float64)
    except ValueError:
        return texts


_PARSERS = {"pyarrow": _by_pyarrow, "polars": _by_polars, "pandas": _by_pandas, "numpy": _by_numpy}
