"""Write embeddings and rows to files, and check before a fit that they can be written."""

import contextlib
import csv
import errno
import functools
import io
import json
import math
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.io.archive import write_array
from fasttsne.io.atomic import atomic_write, check_regular
from fasttsne.io.read_tables import handler_for
from fasttsne.io.table import (
    DELIMITERS,
    extension,
    import_arrow,
    import_compression,
    to_metadata,
)
from fasttsne.runtime.typing import FilePath
from fasttsne.runtime.validation import as_labels, is_missing

if TYPE_CHECKING:
    import pyarrow as pa

# Coordinates are the columns of this name and a number.
COORDINATE = "tsne_"


def write_map(
    path: FilePath,
    embedding: ArrayLike,
    labels: ArrayLike | None = None,
    kl_divergence: float | None = None,
    ids: ArrayLike | None = None,
    parameters: Mapping[str, object] | None = None,
    *,
    labels_name: str = "label",
    ids_name: str = "id",
) -> None:
    """Write an embedding to ``.npy``, ``.csv``, ``.tsv``, ``.npz`` or ``.parquet``.

    Tables of text may be compressed: ``.csv.gz``, ``.bz2`` and ``.xz``.

    Tables have the columns tsne_1, tsne_2, ... and, if they are given, ids before and labels after
    them; ``.npz`` files the arrays embedding, labels, kl_divergence, ids and parameters, a JSON
    text, and labels_name and ids_name where they are not "label" and "id".  ``.parquet`` files have
    the parameters in their metadata; other files have none.  An existing file is replaced
    atomically: after an interrupt, or on a full disk, it is unchanged.

    Parameters
    ----------
    path : the file; its extension says the format.
    embedding : (n, d) array.
    labels, ids : (n,) arrays, or None.  Values of arrays of objects that are missing
        (None, NaN, and NA and NaT of pandas) are empty.
    kl_divergence : a number, or None.
    parameters : a dictionary that JSON can express, or None.
    labels_name, ids_name : of their columns in tables.  One that is a coordinate's, or both, gets a
        "_" at its end.

    Raises
    ------
    OSError
        If the file cannot be written; the message names it.
    ValueError
        If its extension is not accepted, or there are more or fewer labels or ids than points.
    """
    writer = handler_for(Path(path), _WRITERS, "write")
    points = np.asarray(embedding)
    ids_name = _free_name(ids_name)
    table = _MapTable(
        points,
        None if labels is None else as_labels(labels, len(points)),
        None if ids is None else as_labels(ids, len(points), "ids"),
        kl_divergence,
        json.dumps(parameters) if parameters else None,
        ids_name,
        _free_name(labels_name, ids_name),
    )
    with atomic_write(path) as temp_path:
        writer(temp_path, table)


@dataclass(frozen=True)
class _MapTable:
    """What is written; labels and ids have names that no other column has."""

    points: np.ndarray
    labels: np.ndarray | None
    ids: np.ndarray | None
    kl_divergence: float | None
    parameters: str | None
    ids_name: str
    labels_name: str

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns of a table by name, None in place of each missing object."""
        columns = {self.ids_name: self.ids}
        columns.update((f"{COORDINATE}{i}", values) for i, values in enumerate(self.points.T, 1))
        columns[self.labels_name] = self.labels
        return {n: _missing_as(None, values) for n, values in columns.items() if values is not None}


def _free_name(name: str, taken: str = "") -> str:
    """Return the name of a column that is no coordinate's, and not taken."""
    while is_coordinate(name) or name == taken:
        name += "_"
    return name


def is_coordinate(name: str) -> bool:
    """Whether a column of such a name has coordinates of an embedding: tsne_1, tsne_2, ..."""
    return re.fullmatch(rf"{COORDINATE}\d+", name) is not None


def _missing_as(value: str | None, values: np.ndarray) -> np.ndarray:
    """Return values; of objects, another in place of each that stands for a missing one."""
    if values.dtype != object:
        return values
    values = values.copy()
    values[is_missing(values)] = value
    return values


def check_output(path: FilePath, endings: tuple[str, ...] | None = None) -> None:
    """Check, before long work, that a file can be written.

    Parameters
    ----------
    path : the file.
    endings : the accepted extensions; None for those of :func:`write_map`.

    Raises
    ------
    OSError, ValueError
        If its extension is not accepted or its folder is not writable; the message names it.
    ImportError
        If a package for this kind of file is missing.
    """
    path = Path(path)
    if endings is None:
        handler_for(path, _WRITERS, "write")
        if extension(path) == ".parquet":
            import_arrow(".parquet")
        import_compression(path)
    elif path.suffix.lower() not in endings:
        raise ValueError(f"{path} must have one of the extensions {' '.join(endings)}")
    check_regular(path)
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} exists and is not writable")
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: no such folder: {folder}")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass  # permissions are not enough: some file systems accept no files
    except OSError as error:
        raise PermissionError(f"{path}: the folder {folder} is not writable") from error


def _write_npy(path: Path, table: _MapTable) -> None:
    # np.save to a file ignores a full disk at the end.
    buffer = io.BytesIO()
    np.save(buffer, table.points)
    path.write_bytes(buffer.getbuffer())


def _write_npz(path: Path, table: _MapTable) -> None:
    has_ids_name = table.ids is not None and table.ids_name != "id"
    has_labels_name = table.labels is not None and table.labels_name != "label"
    arrays = {
        "embedding": table.points,
        "labels": table.labels,
        "kl_divergence": table.kl_divergence,
        "ids": table.ids,
        "parameters": table.parameters,
        "ids_name": table.ids_name if has_ids_name else None,
        "labels_name": table.labels_name if has_labels_name else None,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in arrays.items():
            if value is not None:
                array = np.asarray(value)
                if array.dtype == object:  # as text, which needs no pickle
                    array = _missing_as("", array).astype(np.str_)
                write_array(archive, name, array)


def _write_text(delimiter: str, path: Path, table: _MapTable) -> None:
    # The temporary file says how it is compressed, but not what of.
    with _compressed(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        rows = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        columns = table.columns()
        rows.writerow(columns)
        texts = (_dates_as_text(values).tolist() for values in columns.values())
        rows.writerows(zip(*texts, strict=True))


def _dates_as_text(values: np.ndarray) -> np.ndarray:
    """Return dates and times as texts, where Python would have numbers of nanoseconds."""
    if values.dtype.kind != "M":
        return values
    texts = np.datetime_as_string(values, unit="auto").astype(object)
    texts[is_missing(values)] = None
    return texts


@contextlib.contextmanager
def _compressed(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file, whose bytes are compressed if its extension says so."""
    module = import_compression(path)
    with open(path, "wb") as file:
        if module is None:
            yield file
        elif path.suffix.lower() == ".gz":
            # Without name and time: the same map gives the same bytes.
            with module.GzipFile("", "wb", 6, file, mtime=0) as compressed:
                yield compressed
        else:
            with module.open(file, "wb") as compressed:
                yield compressed


def _write_parquet(path: Path, table: _MapTable) -> None:
    columns = {name: _to_arrow(values) for name, values in table.columns().items()}
    metadata = None if table.parameters is None else to_metadata(table.parameters)
    found = import_arrow().table(columns, metadata=metadata)
    import_arrow(".parquet").write_table(found, path, write_page_checksum=True)


def _to_arrow(values: np.ndarray) -> "np.ndarray | pa.Array":
    """Return a column for Arrow; objects of several types, which it does not take, as text."""
    if values.dtype != object:
        return values
    arrow = import_arrow()
    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError):
        return arrow.array([None if value is None else str(value) for value in values])


_WRITERS: dict[str, Callable[[Path, _MapTable], None]] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    **{kind: functools.partial(_write_text, mark) for kind, mark in DELIMITERS.items()},
    ".parquet": _write_parquet,
}
EXTENSIONS = tuple(_WRITERS)


@runtime_checkable
class RowTarget(Protocol):
    """Where rows are written: an array, or what takes slices of rows as one does."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    def __setitem__(self, rows: slice, values: np.ndarray, /) -> None: ...


@contextlib.contextmanager
def row_writer(
    out: RowTarget | FilePath, shape: tuple[int, int]
) -> Iterator[Callable[[int, np.ndarray], None]]:
    """Yield a function that writes rows, given the index of the first, in order.

    An .npy file gets float64 and is replaced atomically, at the end.  Errors come before the first
    row: of what is no array, cannot be written, or does not fit on the disk.
    """
    if not isinstance(out, (str, os.PathLike)):
        _check_array(out, shape)

        def write_to_array(first: int, rows: np.ndarray) -> None:
            out[first : first + len(rows)] = rows

        yield write_to_array
        return
    path = Path(out)
    check_output(path, (".npy",))
    n_bytes, free = 8 * math.prod(shape), shutil.disk_usage(path.parent).free
    if free < n_bytes:
        message = f"it needs {n_bytes:,} bytes, and {free:,} are free"
        raise OSError(errno.ENOSPC, message, os.fspath(path))
    with atomic_write(path) as temp_path, open(temp_path, "wb") as file:
        np.lib.format.write_array_header_2_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": shape}
        )

        def write_to_file(first: int, rows: np.ndarray) -> None:
            # Not a memory map: to write to one kills the process where the disk is full.
            file.write(np.ascontiguousarray(rows, "<f8").data)

        yield write_to_file


def _check_array(out: object, shape: tuple[int, int]) -> None:
    if not isinstance(out, RowTarget) or not isinstance(out.dtype, np.dtype):
        raise TypeError(
            "out must be None, an array, or the path of an .npy file; got an object of type "
            f"{type(out).__name__}"
        )
    if tuple(out.shape) != shape or out.dtype.kind != "f" or out.dtype.itemsize < 4:
        raise ValueError(
            f"out must have the shape {shape}, of float32 or float64; got {tuple(out.shape)}, "
            f"{out.dtype}"
        )
    try:
        out[:1] = np.full((1, shape[1]), np.nan)
    except Exception as error:  # each library has its own
        raise ValueError(f"out cannot be written: {error}") from error
