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
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.io.archive import write_array
from fasttsne.io.atomic import atomic_write
from fasttsne.io.columns import (
    DELIMITERS,
    extension,
    import_arrow,
    import_compression,
    import_parquet,
    to_metadata,
)
from fasttsne.io.read_tables import handler_for
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
    more: dict[str, Any] = {
        "labels": None if labels is None else as_labels(labels, len(points)),
        "kl_divergence": kl_divergence,
        "ids": None if ids is None else as_labels(ids, len(points), "ids"),
        "parameters": json.dumps(parameters) if parameters else None,
    }
    more.update(_names(ids=ids_name, labels=labels_name))
    with atomic_write(path) as temp_path:
        writer(temp_path, points, {n: v for n, v in more.items() if v is not None})


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
            import_parquet()
        import_compression(path)
    elif path.suffix.lower() not in endings:
        raise ValueError(f"{path} must have one of the extensions {' '.join(endings)}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a regular file")
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


def _write_npy(path: Path, points: np.ndarray, more: dict[str, Any]) -> None:
    # np.save to a file ignores a full disk at the end.
    buffer = io.BytesIO()
    np.save(buffer, points)
    with open(path, "wb") as file:
        file.write(buffer.getbuffer())


def _names(**names: str) -> dict[str, str]:
    """Return the names of columns, each of which differs from the others and is no coordinate."""
    taken: dict[str, str] = {}
    for array, name in names.items():
        while is_coordinate(name) or name in taken.values():
            name += "_"
        taken[f"{array}_name"] = name
    return taken


def is_coordinate(name: str) -> bool:
    """Whether a column of such a name has coordinates of an embedding: tsne_1, tsne_2, ..."""
    return re.fullmatch(rf"{COORDINATE}\d+", name) is not None


def _write_npz(path: Path, points: np.ndarray, more: dict[str, Any]) -> None:
    for array, usual in ("labels", "label"), ("ids", "id"):
        if array not in more or more[f"{array}_name"] == usual:
            del more[f"{array}_name"]
    arrays = {name: _objects_to_text(value) for name, value in more.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in {"embedding": points, **arrays}.items():
            write_array(archive, name, values)


def _objects_to_text(values: Any) -> np.ndarray:
    """Return arrays of objects as text, which needs no pickle; missing values are empty."""
    array = np.asarray(values)
    if array.dtype != object or not array.ndim:
        return array
    text: np.ndarray = np.where(is_missing(array), "", array).astype(np.str_)
    return text


def _write_text(delimiter: str, path: Path, points: np.ndarray, more: dict[str, Any]) -> None:
    # The temporary file says how it is compressed, but not what of.
    with _compressed(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        rows = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        columns = _named_columns(points, more)
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


def _write_parquet(path: Path, points: np.ndarray, more: dict[str, Any]) -> None:
    pyarrow, parquet = import_arrow(), import_parquet()
    columns = _named_columns(points, more)
    table = pyarrow.table({name: _to_arrow(pyarrow, v) for name, v in columns.items()})
    if "parameters" in more:
        table = table.replace_schema_metadata(to_metadata(more["parameters"]))
    parquet.write_table(table, path, write_page_checksum=True)


def _to_arrow(pyarrow: ModuleType, values: np.ndarray) -> "np.ndarray | pa.Array":
    """Return a column for Arrow; objects of several types, which it does not take, as text."""
    if values.dtype != object:
        return values
    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
        return pyarrow.array([None if value is None else str(value) for value in values])


def _named_columns(points: np.ndarray, more: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the columns of a table by name."""
    columns = {more["ids_name"]: more.get("ids")}
    columns.update((f"{COORDINATE}{i}", values) for i, values in enumerate(points.T, 1))
    columns[more["labels_name"]] = more.get("labels")
    return {name: _missing_as_none(v) for name, v in columns.items() if v is not None}


def _missing_as_none(values: np.ndarray) -> np.ndarray:
    """Return the values, None in place of each object that stands for a missing one."""
    if values.dtype != object:
        return values
    values = values.copy()
    values[is_missing(values)] = None
    return values


_WRITERS: dict[str, Callable[[Path, np.ndarray, dict[str, Any]], None]] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    **{kind: functools.partial(_write_text, mark) for kind, mark in DELIMITERS.items()},
    ".parquet": _write_parquet,
}
EXTENSIONS = tuple(_WRITERS)


@contextlib.contextmanager
def row_writer(out: Any, shape: tuple[int, int]) -> Iterator[Callable[[int, np.ndarray], None]]:
    """Yield a function that writes rows, given the index of the first, in order.

    Parameters
    ----------
    out : an array of floats of this shape, or anything that takes slices of rows as one does; or
        the path of an .npy file, which gets float64 and is replaced atomically, at the end.
    shape : (rows, columns) of all that will be written.

    Raises
    ------
    TypeError, ValueError, OSError
        Before the first row: where ``out`` is something else, cannot be written, or the disk has
        not enough space.
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


def _check_array(out: Any, shape: tuple[int, int]) -> None:
    dtype = getattr(out, "dtype", None)
    if not hasattr(type(out), "__setitem__") or not isinstance(dtype, np.dtype):
        raise TypeError(
            "out must be None, an array, or the path of an .npy file; got an object of type "
            f"{type(out).__name__}"
        )
    if tuple(out.shape) != shape or dtype.kind != "f" or dtype.itemsize < 4:
        raise ValueError(
            f"out must have the shape {shape}, of float32 or float64; got {tuple(out.shape)}, "
            f"{dtype}"
        )
    try:
        out[:1] = np.full((1, shape[1]), np.nan)
    except Exception as error:  # each library has its own
        raise ValueError(f"out cannot be written: {error}") from error
