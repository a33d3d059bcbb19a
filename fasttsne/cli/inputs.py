"""What the commands read: data, embeddings and labels."""

from pathlib import Path

import numpy as np
import scipy.sparse

from fasttsne import files
from fasttsne.embedding.new_rows import as_new_rows, check_new_rows
from fasttsne.io.columns import extension
from fasttsne.io.read_tables import has_keys
from fasttsne.io.write_tables import COORDINATE
from fasttsne.runtime.stored_sparse import load_sparse
from fasttsne.runtime.validation import check_data

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
    left_out = None
    if extension(path) not in TABLES:
        if options.columns or options.drop:
            raise ValueError(f"{path}: only {' '.join(TABLES)} files have columns by name")
        columns = None
    elif columns is None or options.columns or options.drop:
        columns, labels = options.columns, getattr(options, "labels", None)
        left_out = [*(options.drop or ()), *([options.id] if options.id else ())]
        if labels and not Path(labels).is_file():
            left_out.append(labels)
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
    table = files.read_table(path)
    if any(name.startswith(COORDINATE) for name in table.names):
        table = files.read_table(path, columns=[f"{COORDINATE}*"])
    elif (labels or "label") in table.names:
        table = files.read_table(path, leave_out=labels or "label")
    points = table.rows()
    is_sparse = scipy.sparse.issparse(points)
    if is_sparse or points.ndim != 2:
        found = "a sparse matrix" if is_sparse else f"shape {points.shape}"
        raise ValueError(f"{path} must have an embedding, (rows, components); got {found}")
    return files.to_array(points, path), table


def read_labels(name, columns, n_samples, source):
    """One label for each row, from a column or a file; None if no name is given."""
    if name is None:
        return None
    if name in columns:
        labels = columns[name]
    elif Path(name).exists():
        labels = files.read_vector(name)
    else:
        names = f"; {source} has {', '.join(columns)}" if columns else ""
        raise FileNotFoundError(f"labels {name!r}: no such file, column or array{names}")
    if len(labels) != n_samples:
        raise ValueError(
            f"labels {name!r} must have a value for each of {n_samples} rows of {source}; "
            f"got {len(labels)}"
        )
    return labels
