"""Write embeddings to files, and check before a fit that they can be written."""

import contextlib
import csv
import functools
import io
import json
import os
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from fasttsne.io.archive import write_array
from fasttsne.io.atomic import atomic_write
from fasttsne.io.columns import DELIMITERS, extension, import_compression, import_pyarrow
from fasttsne.io.parquet import to_metadata
from fasttsne.io.read_tables import handler_for
from fasttsne.runtime.validation import as_labels, is_missing

# Coordinates are the columns of this name and a number.
COORDINATE = "tsne_"


def write_map(
    path,
    embedding,
    labels=None,
    kl_divergence: float | None = None,
    ids=None,
    parameters=None,
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
    more = {
        "labels": None if labels is None else as_labels(labels, len(points)),
        "kl_divergence": kl_divergence,
        "ids": None if ids is None else as_labels(ids, len(points), "ids"),
        "parameters": json.dumps(parameters) if parameters else None,
    }
    more.update(_names(ids=ids_name, labels=labels_name))
    with atomic_write(path) as temp_path:
        writer(temp_path, points, {n: v for n, v in more.items() if v is not None})


def check_output(path, endings=None) -> None:
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
            import_pyarrow()
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


def _write_npy(path, points, more):
    # np.save to a file ignores a full disk at the end.
    buffer = io.BytesIO()
    np.save(buffer, points)
    with open(path, "wb") as file:
        file.write(buffer.getbuffer())


def _names(**names):
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


def _write_npz(path, points, more):
    for array, usual in ("labels", "label"), ("ids", "id"):
        if array not in more or more[f"{array}_name"] == usual:
            del more[f"{array}_name"]
    arrays = {name: _objects_to_text(value) for name, value in more.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in {"embedding": points, **arrays}.items():
            write_array(archive, name, array)


def _objects_to_text(values):
    """Return arrays of objects as text, which needs no pickle; missing values are empty."""
    values = np.asarray(values)
    if values.dtype != object or not values.ndim:
        return values
    return np.where(is_missing(values), "", values).astype(np.str_)


def _write_text(delimiter, path, points, more):
    # The temporary file says how it is compressed, but not what of.
    with _compressed(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        rows = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        columns = _named_columns(points, more)
        rows.writerow(columns)
        texts = (_dates_as_text(values).tolist() for values in columns.values())
        rows.writerows(zip(*texts, strict=True))


def _dates_as_text(values):
    """Return dates and times as texts, where Python would have numbers of nanoseconds."""
    if values.dtype.kind != "M":
        return values
    return np.where(is_missing(values), None, np.datetime_as_string(values, unit="auto"))


@contextlib.contextmanager
def _compressed(path):
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


def _write_parquet(path, points, more):
    pyarrow, parquet = import_pyarrow()
    columns = _named_columns(points, more)
    table = pyarrow.table({name: _to_arrow(pyarrow, v) for name, v in columns.items()})
    if "parameters" in more:
        table = table.replace_schema_metadata(to_metadata(more["parameters"]))
    parquet.write_table(table, path, write_page_checksum=True)


def _to_arrow(pyarrow, values):
    """A column for Arrow; objects of several types, which it does not take, as text."""
    if values.dtype != object:
        return values
    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
        return pyarrow.array([None if value is None else str(value) for value in values])


def _named_columns(points, more):
    """The columns of a table by name."""
    columns = {more["ids_name"]: more.get("ids")}
    columns.update((f"{COORDINATE}{i}", values) for i, values in enumerate(points.T, 1))
    columns[more["labels_name"]] = more.get("labels")
    return {name: _missing_as_none(v) for name, v in columns.items() if v is not None}


def _missing_as_none(values):
    """The values, None in place of each object that stands for a missing one."""
    if values.dtype != object:
        return values
    values = values.copy()
    values[is_missing(values)] = None
    return values


_WRITERS = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    **{kind: functools.partial(_write_text, mark) for kind, mark in DELIMITERS.items()},
    ".parquet": _write_parquet,
}
EXTENSIONS = tuple(_WRITERS)
