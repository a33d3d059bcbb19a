"""What the commands read: data, embeddings and labels."""

from pathlib import Path

import numpy as np
import scipy.sparse

from fasttsne import files


def read_data(path, options, leave_out=None):
    """The data of a file, one row per sample, and its other columns."""
    table = files.read_table(path, options.key, leave_out)
    data = table.rows()
    return data.T if options.transpose else data, table.columns


def read_embedding(path, labels=None):
    """The points of an embedding, (n, components), and the other columns of its file.

    The column ``labels``, by default the one that we write, is no coordinate, though it be numbers.
    """
    table = files.read_table(path, leave_out=labels or "label")
    points = table.rows()
    is_sparse = scipy.sparse.issparse(points)
    if is_sparse or points.ndim != 2:
        found = "a sparse matrix" if is_sparse else f"shape {points.shape}"
        raise ValueError(f"{path} must have an embedding, (rows, components); got {found}")
    return np.asarray(points), table.columns


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
            f"labels must have a value for each of {n_samples} rows; got {len(labels)}"
        )
    return labels
