"""What the commands read: data, embeddings and labels."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse

from fasttsne import files
from fasttsne.embedding.new_rows import as_new_rows, check_new_rows
from fasttsne.io.formats import NO_ADDRESS, has_keys, is_coordinate, read_columns, to_array
from fasttsne.io.table import extension, list_names, no_such_column
from fasttsne.runtime.stored_sparse import load_sparse
from fasttsne.runtime.validation import check_data, is_address

# Options that say where the rows may be.
LIMITS = ("memory_limit", "temp_folder")
# Files whose columns have names.
TABLES = (".csv", ".tsv", ".parquet")


def read_data(path, options, columns=None, key=None):
    """The table of a file; its data are checked, one row per sample.

    Parameters
    ----------
    columns : that are used; None is those of the options.
    key : of the array in the file.
    """
    table, data = _read_rows(path, options, columns, key)
    limits = {name: value for name, value in vars(options).items() if name in LIMITS}
    table.data = check_data(data, str(path), accept_sparse=True, **limits)
    return table


def read_new_data(path, options, columns=None):
    """The table of a file, as by ``read_data``, whose rows stay in the file if they can.

    They are read here, unless they are integers, to see that all are finite.
    """
    table, data = _read_rows(path, options, columns, options.key if has_keys(path) else None)
    table.data = as_new_rows(data, str(path))
    check_new_rows(table.data, str(path))
    return table


def _read_rows(path, options, columns, key):
    left_out = []
    if extension(path) not in TABLES:
        if options.columns or options.drop:
            raise ValueError(f"{path}: only {' '.join(TABLES)} files have columns by name")
        columns = None
    else:
        left_out += options.drop or ()
        if columns is None or options.columns:
            columns, labels = options.columns, getattr(options, "labels", None)
            left_out += [options.id] if options.id else []
            left_out += [labels] if labels and not Path(labels).is_file() else []
    table = files.read_table(path, key, left_out, columns)
    data = table.rows()
    if options.transpose:
        data = load_sparse(data, str(path))
        data = (data if scipy.sparse.issparse(data) else np.asarray(data)).T
    if table.names:
        print(f"{path}: {table.describe()}")
    return table, data


def read_embedding(path, labels=None):
    """The points of an embedding, (n, components), and the table of its file.

    In a table they are the columns that we write, or else all but ``labels``.
    """
    if extension(path) in TABLES:
        table = _read_table_of_map(path, labels or "label")
    else:
        table = files.read_table(path)
    points = table.rows()
    is_sparse = scipy.sparse.issparse(points)
    if is_sparse or points.ndim != 2:
        found = "a sparse matrix" if is_sparse else f"shape {points.shape}"
        raise ValueError(f"{path} must have an embedding, (rows, components); got {found}")
    return to_array(points, path), table


def _read_table_of_map(path, labels):
    names = list(read_columns(path, texts=[labels]))
    coordinates = [name for name in names if is_coordinate(name)]
    if not coordinates:
        return files.read_table(path, leave_out=labels if labels in names else None)
    others = [name for name in names if name not in coordinates]
    table = files.read_table(path, leave_out=others, columns=coordinates)
    table.ids = "" if is_coordinate(names[0]) else names[0]
    return table


class Labels(NamedTuple):
    """A value for each row, and the name of the column that they are from; None for neither."""

    values: np.ndarray | None = None
    name: str | None = None


NO_LABELS = Labels()


def read_labels(name, columns, n_samples, source):
    """One label for each row, from a column or a file; none if no name is given."""
    if name is None:
        return NO_LABELS
    if name in columns:
        labels = Labels(columns[name], name)
    elif is_address(name):
        raise ValueError(NO_ADDRESS.format(name))
    elif Path(name).exists():
        labels = Labels(files.read_vector(name))
    else:
        names = f"; {source} has {list_names(columns)}" if columns else ""
        raise FileNotFoundError(f"labels {name!r}: no such file, column or array{names}")
    if len(labels.values) != n_samples:
        raise ValueError(
            f"labels {name!r} must have a value for each of {n_samples} rows of {source}; "
            f"got {len(labels.values)}"
        )
    return labels


def read_labels_of_map(options, table, n_samples):
    """The labels of a map: from its own file, or from the file of ``--data``, row by row."""
    if options.data is None:
        return read_labels(options.labels, table.columns, n_samples, options.map)
    columns = read_columns(options.data, options.key, [options.labels or "", options.id or ""])
    if options.labels is None:
        raise ValueError(
            f"--data needs --labels, one of its columns; {options.data} has {list_names(columns)}"
        )
    if options.labels not in columns:
        raise ValueError(f"{options.data}: {no_such_column(options.labels, columns)}")
    labels = Labels(columns[options.labels], options.labels)
    if len(labels.values) != n_samples:
        raise ValueError(
            f"{options.map} has {n_samples} points, {options.data} has {len(labels.values)} rows: "
            "they must be the same rows"
        )
    if table.ids in table.columns:
        _check_ids(options, table.columns[table.ids], columns, options.id or table.ids)
    elif options.id:
        raise ValueError(f"{options.map} has no names of rows, with which --id could be compared")
    return labels


def _check_ids(options, of_map, columns, name):
    """Check that both files have the same rows in the same order, where both name them."""
    if name not in columns:
        if options.id:
            raise ValueError(f"{options.data}: {no_such_column(name, columns)}")
        return
    pairs = zip(_as_texts(of_map), _as_texts(columns[name]), strict=True)
    for row, (mapped, found) in enumerate(pairs):
        if mapped != found:
            raise ValueError(
                f"{options.data} has other rows than {options.map}, or in another order: row {row} "
                f"is {found!r}, and {mapped!r} in the map; if {name!r} is no name of rows, give "
                "that by --id"
            )


def _as_texts(names):
    """Names of rows as texts: the same for integers and floats, and for dates of any precision."""
    if names.dtype.kind == "M":
        names = np.datetime_as_string(names, unit="ns")
    is_float = names.dtype.kind == "f"
    return [f"{name:.17g}" if is_float else str(name) for name in names.tolist()]
