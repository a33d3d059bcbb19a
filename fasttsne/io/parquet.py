"""Parquet files: which columns are numbers, and their rows, read in blocks by pyarrow.

A column is what its type says: one of text is no data, whatever is written in it.  One of lists of
numbers, as embeddings are stored, is several columns of the rows, if it is chosen.
"""

import itertools
import json
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fasttsne.io.choose_columns import describe_missing
from fasttsne.io.columns import import_pyarrow
from fasttsne.io.table import ColumnsError, naming
from fasttsne.runtime.stored_rows import UnusableRowsError
from fasttsne.utils import require

# Bytes of a column that are read from the file at a time.
BUFFER_BYTES = 2**16
# Rows of a column that are read at a time to count what is missing.
ROWS = 2**16


class ParquetFile(Mapping[str, np.ndarray]):
    """The columns of a file by name; each is read when it is asked for.

    Raises
    ------
    ValueError
        Where two columns have the same name.
    """

    def __init__(self, path: Path):
        self.path = path
        self._pyarrow, parquet = import_pyarrow()
        # Otherwise whole columns of a row group, a million rows or more, are in memory.
        # Pages have checksums in the files that we write, as in many others.
        self._file = parquet.ParquetFile(
            path, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True
        )
        schema = self._file.schema_arrow
        self.types = dict(zip(schema.names, schema.types, strict=True))
        if len(self.types) < len(schema.names):
            twice = next(name for name in schema.names if schema.names.count(name) > 1)
            raise ValueError(f"it has more than one column {twice!r}")
        self.n_rows = self._file.metadata.num_rows
        self.parameters = _read_parameters(schema.metadata or {})

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.types:
            raise KeyError(name)
        with naming(self.path):
            values: np.ndarray = self._file.read([name]).column(name).to_numpy()
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self.types)

    def __len__(self) -> int:
        return len(self.types)

    def why_unused(self, name: str, is_chosen: bool) -> str | None:
        """Return why a column is no data, None where it is.

        Raises
        ------
        ValueError
            Where it is chosen, but has no numbers.
        """
        types, kind = self._pyarrow.types, self.types[name]
        if types.is_null(kind):
            reason = "empty"  # without a type of its own
        elif self._dtype(kind) is not None:
            if types.is_boolean(kind) and not is_chosen:
                return "true or false"
            is_empty = self.n_rows > 0 and self._n_missing[name] == self.n_rows
            return "empty" if is_empty and not is_chosen else None
        elif types.is_temporal(kind):
            reason = "durations" if types.is_duration(kind) else "dates"
        elif types.is_nested(kind):
            reason = "lists"
            if is_chosen and self._dtype(self.item_type(kind) or kind) is not None:
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
        kinds = [self.types[name] for name in names]
        dtypes = [self._dtype(self.item_type(kind) or kind) for kind in kinds]
        widths = [
            1 if self.item_type(self.types[name]) is None else self._count(name) for name in names
        ]
        return ParquetRows(self, names, is_chosen, widths, np.result_type(*dtypes))

    def describe_missing(self, names: tuple[str, ...], is_chosen: bool) -> str:
        """Return the message for the columns with missing values, which are read to count them."""
        found = {}
        for name in names:
            n_missing, first, start = 0, 0, 0
            for batch in self.iter_batches((name,), 0, ROWS):
                rows = np.flatnonzero(self._has_missing(batch.column(0)))
                if len(rows) and not n_missing:
                    first = start + int(rows[0])
                n_missing += len(rows)
                start += batch.num_rows
            if n_missing:
                found[name] = n_missing, f"in row {first}"
        return describe_missing(found, is_chosen)

    def _has_missing(self, column: Any) -> np.ndarray:
        """Return which rows of a column of a batch are missing or NaN, or have such items."""
        missing: np.ndarray = column.is_null().to_numpy(zero_copy_only=False)
        if self.item_type(column.type) is not None:
            lengths = np.where(missing, 0, self.lengths(column)).astype(np.int64)
            items = self._has_missing(column.flatten())
            missing[np.repeat(np.arange(len(missing)), lengths)[items]] = True
        elif self._pyarrow.types.is_floating(column.type):
            missing |= np.isnan(self.to_numbers(column))
        return missing

    def item_type(self, kind: Any) -> Any:
        """Return the type of what a list has, None for a type that is no list."""
        types = self._pyarrow.types
        is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        return kind.value_type if is_list else None

    def iter_batches(self, names: tuple[str, ...], first: int, n_rows: int) -> Iterator[Any]:
        """Yield record batches of about so many rows, from a row on."""
        metadata = self._file.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        edges = list(itertools.accumulate(sizes, initial=0))
        groups = [i for i in range(len(sizes)) if edges[i + 1] > first]
        skipped = first - edges[groups[0]] if groups else 0
        for batch in self._file.iter_batches(n_rows, groups, list(names), use_threads=False):
            if skipped < batch.num_rows:
                yield batch.slice(skipped)
            skipped = max(skipped - batch.num_rows, 0)

    def to_numbers(self, column: Any) -> np.ndarray:
        """Return a column of numbers of a batch as an array."""
        types, kind = self._pyarrow.types, column.type
        if types.is_dictionary(kind):
            column = column.dictionary_decode()
        if types.is_decimal(column.type):
            column = column.cast(self._pyarrow.float64())
        values: np.ndarray = column.to_numpy(zero_copy_only=False)
        return values

    def lengths(self, column: Any) -> np.ndarray:
        """Return how many items each list of a column of a batch has."""
        compute = require("pyarrow.compute", "a .parquet file", "files")
        lengths: np.ndarray = compute.list_value_length(column).to_numpy(zero_copy_only=False)
        return lengths

    def _count(self, name: str) -> int:
        """Return how many numbers the first list of a column has."""
        batch = next(self.iter_batches((name,), 0, 1), None)
        return 0 if batch is None else len(batch.column(0)[0].as_py() or ())

    def _dtype(self, kind: Any) -> np.dtype | None:
        """Return the dtype of a column of numbers, None of another."""
        types = self._pyarrow.types
        if types.is_dictionary(kind):
            kind = kind.value_type
        if types.is_decimal(kind):
            return np.dtype(np.float64)
        if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
            return np.dtype(kind.to_pandas_dtype())
        return None

    @cached_property
    def _n_missing(self) -> Counter[str]:
        """How many values of each column the file says are missing; not those that are NaN."""
        found: Counter[str] = Counter()
        metadata = self._file.metadata
        for i in range(metadata.num_row_groups):
            group = metadata.row_group(i)
            for j in range(group.num_columns):
                column = group.column(j)
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
    widths : how many columns of the rows each is: 1, or more where it has lists.
    dtype : the smallest that holds all columns.
    """

    ndim = 2

    def __init__(
        self,
        file: ParquetFile,
        names: tuple[str, ...],
        is_chosen: bool,
        widths: list[int],
        dtype: np.dtype,
    ):
        self._file, self._names, self._is_chosen, self._widths = file, names, is_chosen, widths
        self.shape, self.dtype = (file.n_rows, sum(widths)), dtype
        self._lock = threading.Lock()
        # The row that comes next, from where, and what is left of the last batch.
        self._next: int | None = None
        self._batches: Iterator[Any] = iter(())
        self._left: Any = None

    def __len__(self) -> int:
        return self.shape[0]

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
            self._fill(out, first)
            self._next = end
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows of a Parquet file cannot be an array without a copy")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def _fill(self, out: np.ndarray, first: int) -> None:
        """Read the next rows."""
        done = 0
        while done < len(out):
            batch = next(self._batches) if self._left is None else self._left
            part = batch.slice(0, len(out) - done)
            self._copy(part, out[done : done + part.num_rows], first + done)
            done += part.num_rows
            self._left = batch.slice(part.num_rows) if part.num_rows < batch.num_rows else None

    def _copy(self, batch: Any, out: np.ndarray, first: int) -> None:
        start = 0
        for name, width in zip(self._names, self._widths, strict=True):
            column = batch.column(batch.schema.get_field_index(name))
            self._check_none_missing(column)
            if self._file.item_type(column.type) is not None:
                self._check_lengths(name, column, width, first)
                column = column.flatten()
                self._check_none_missing(column)
            values = self._file.to_numbers(column).reshape(-1, width)
            if _may_have_nan(values) and np.isnan(values).any():
                self._refuse_missing()
            out[:, start : start + width] = values
            start += width

    def _check_none_missing(self, column: Any) -> None:
        if column.null_count:
            self._refuse_missing()

    def _refuse_missing(self) -> None:
        message = self._file.describe_missing(self._names, self._is_chosen)
        raise UnusableRowsError(f"{self._file.path}: {message}")

    def _check_lengths(self, name: str, column: Any, width: int, first: int) -> None:
        is_wrong = self._file.lengths(column) != width
        if is_wrong.any():
            raise UnusableRowsError(
                f"{self._file.path}: column {name!r} has not {width} numbers, as in row 0, in row "
                f"{first + int(is_wrong.argmax())}; correct it, or leave out the row or the column"
            )


def to_metadata(parameters: str) -> dict[str, str]:
    """Return the metadata of a file, with the parameters of the fit, a JSON text."""
    return {"fasttsne": parameters, "fasttsne_crc32": str(zlib.crc32(parameters.encode()))}


def _read_parameters(metadata: Mapping[bytes, bytes]) -> dict[str, object]:
    """Return the parameters of the fit."""
    text = metadata.get(b"fasttsne", b"{}")
    if metadata.get(b"fasttsne_crc32", b"") not in (b"", b"%d" % zlib.crc32(text)):
        raise ValueError("its parameters are not those that were written")
    parameters: dict[str, object] = json.loads(text)
    return parameters


def _may_have_nan(values: np.ndarray) -> bool:
    """Whether a sum, which is fast, is NaN, as where one of the numbers is."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.dtype.kind == "f" and bool(np.isnan(values.sum(dtype=np.float64)))
