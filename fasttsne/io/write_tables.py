"""Write embeddings to files, and check before a fit that they can be written."""

import csv
import io
import os
import tempfile
from pathlib import Path

import numpy as np

from fasttsne.io.atomic import atomic_write
from fasttsne.io.read_tables import DELIMITERS, handler_for, import_pyarrow


def write_map(path, embedding, labels=None, kl_divergence: float | None = None) -> None:
    """Write an embedding to ``.npy``, ``.csv``, ``.tsv``, ``.npz`` or ``.parquet``.

    Tables have the columns tsne_1, tsne_2, ... and, if labels are given, label; ``.npz``
    files the arrays embedding, labels and kl_divergence.  An existing file is replaced
    atomically: after an interrupt, or on a full disk, it is unchanged.
    """
    writer = handler_for(Path(path), _WRITERS, "write")
    with atomic_write(path) as temp_path:
        writer(temp_path, np.asarray(embedding), labels, kl_divergence)


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
    """
    path = Path(path)
    if endings is None:
        handler_for(path, _WRITERS, "write")
        if path.suffix.lower() == ".parquet":
            import_pyarrow()
    elif path.suffix.lower() not in endings:
        raise ValueError(f"{path} must have one of the extensions {' '.join(endings)}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
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


def _write_npy(path, points, labels, kl_divergence):
    # np.save to a file ignores a full disk at the end.
    buffer = io.BytesIO()
    np.save(buffer, points)
    with open(path, "wb") as file:
        file.write(buffer.getbuffer())


def _write_npz(path, points, labels, kl_divergence):
    more = {"labels": labels, "kl_divergence": kl_divergence}
    arrays = {name: _objects_to_text(value) for name, value in more.items() if value is not None}
    with open(path, "wb") as file:  # np.savez adds .npz to names in capitals
        np.savez(file, embedding=points, **arrays)


def _objects_to_text(values):
    """Arrays of objects as text, which needs no pickle."""
    values = np.asarray(values)
    return values.astype(np.str_) if values.dtype == object else values


def _write_text(path, points, labels, kl_divergence):
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter=DELIMITERS[path.suffix.lower()], lineterminator="\n")
        names = _column_names(points)
        rows.writerow(names if labels is None else [*names, "label"])
        for i, point in enumerate(points.tolist()):
            rows.writerow(point if labels is None else [*point, labels[i]])


def _write_parquet(path, points, labels, kl_divergence):
    pyarrow, parquet = import_pyarrow()
    columns = dict(zip(_column_names(points), points.T, strict=True))
    if labels is not None:
        columns["label"] = np.asarray(labels)
    parquet.write_table(pyarrow.table(columns), path)


def _column_names(points):
    return [f"tsne_{i + 1}" for i in range(points.shape[1])]


_WRITERS = {
    ".npy": _write_npy, ".npz": _write_npz, ".csv": _write_text, ".tsv": _write_text,
    ".parquet": _write_parquet,
}  # fmt: skip
