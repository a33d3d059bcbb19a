"""Read data sets and labels from files.

``.npy``, ``.npz`` and ``.mtx`` need NumPy and SciPy only; ``.csv`` and ``.tsv``, which may be
compressed, are read by pyarrow, polars, pandas or NumPy, whichever is installed; ``.parquet`` needs
pyarrow or polars, ``.h5ad`` anndata, ``.h5`` h5py and ``.zarr`` zarr (all in the extra ``files``).
Nothing is unpickled.  The rows of ``.npy``, ``.h5`` and ``.zarr`` stay where they are,
and those of ``.h5ad`` and ``.parquet``, but for ``read_rows``.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.sparse

from fasttsne.io import read_chunked
from fasttsne.io.archive import check_directory, check_size
from fasttsne.io.choose_columns import ColumnsInMemory, choose_columns
from fasttsne.io.columns import extension, line_of, read_parquet_by_polars, read_text
from fasttsne.io.matrix_market import read_matrix
from fasttsne.io.parquet import ParquetFile
from fasttsne.io.table import Table, naming
from fasttsne.runtime.stored_sparse import as_stored_sparse, load_sparse
from fasttsne.runtime.validation import is_address
from fasttsne.utils import is_package_installed, require, warn_user

# What is read from a file of several arrays if no key is given.
USUAL_KEYS = ("X", "embedding", "data", "arr_0")
USUAL_LAYER = "X_pca"
# Files of several arrays.
KEYED = (".npz", ".h5ad", *read_chunked.ENDINGS)
NO_ADDRESS = "{} is an address; only files are read and written: download it first"


def read_table(
    path,
    key: str | None = None,
    leave_out: str | Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> Table:
    """Read a data set from a file.

    Parameters
    ----------
    path : a file whose extension is one of ``.npy .npz .csv .tsv .parquet .h5ad .h5 .hdf5 .mtx``,
        or a ``.zarr`` store; of a table of text, compressed, also ``.csv.gz``, ``.bz2`` and
        ``.xz``.  A first line of text, or of the numbers 0, 1, 2, ... (with a warning), has names.
    key : the array of an ``.npz`` file, the data set of an ``.h5`` file or ``.zarr`` store, or the
        member of ``obsm`` (or "X") of an ``.h5ad`` file.  By default the only one or, of ``.npz``,
        ``.h5`` and ``.zarr``, the first of "X", "embedding", "data" and "arr_0"; of ``.h5ad``,
        "X_pca" or else "X".
    leave_out : columns of a table that are no data, such as labels; they are in ``columns``.
    columns : the columns that are the data, in this order; names may have the wildcards * and ?.
        None is all columns of numbers that are not left out.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, has no such column, or numbers are missing in a column that is
        used; the message names the file and the column.
    ImportError
        With the command that installs the package for this kind of file.
    """
    path, reader = _open_path(path, key)
    kind = extension(path)
    if columns and kind not in _TABLES:
        raise ValueError(f"{path}: only .csv, .tsv and .parquet files have columns by name")
    left_out = [leave_out] if isinstance(leave_out, str) else list(leave_out or ())
    with naming(path):
        if kind in _TABLES:
            found = reader(path, left_out)
            table = choose_columns(found, left_out, columns)
            table.parameters = getattr(found, "parameters", {})
        else:
            table = reader(path, key)
        if table.data is not None and table.data.ndim == 0:
            raise ValueError("it has one value, not rows")
        table.path = path
        return table


def read_columns(
    path, key: str | None = None, texts: Sequence[str] = ()
) -> Mapping[str, np.ndarray]:
    """Return the columns of a file by name, (n,) arrays; of a table all, also those of numbers.

    Parameters
    ----------
    path, key : as for :func:`read_table`.
    texts : columns that need not have numbers only.
    """
    path, reader = _open_path(path, key)
    with naming(path):
        return reader(path, texts) if extension(path) in _TABLES else reader(path, key).columns


def _open_path(path, key):
    """Return the path of a file, and the function that reads it; errors where there is none."""
    if is_address(path):
        raise ValueError(NO_ADDRESS.format(path))
    path = Path(path)
    reader = handler_for(path, _READERS, "read")
    if key is not None and not has_keys(path):
        raise ValueError(f"{path}: only {' '.join(KEYED)} files have keys; got key {key!r}")
    if path.is_dir() and extension(path) != ".zarr":
        raise IsADirectoryError(f"{path} is a folder")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not (path.is_file() or path.is_dir()):
        raise OSError(f"{path} is not a regular file")
    return path, reader


def has_keys(path) -> bool:
    """Whether the arrays of such a file have names."""
    return extension(Path(path)) in KEYED


def read_rows(path, key: str | None = None):
    """The numeric columns of a data set, (n, columns); a warning names the other columns.

    Parameters
    ----------
    path : the file; its extension says the format.
    key : name of the array, where the file has several; None is the usual one.
    """
    table = read_table(path, key)
    if table.data is not None and table.unused:
        warn_user(f"{path}: columns {table.describe_unused()}")
    rows = load_sparse(table.rows(), str(path))
    # An array, as it was before others were left in their files.
    is_stored = extension(Path(path)) in (".h5ad", ".parquet") and not scipy.sparse.issparse(rows)
    return to_array(rows, path) if is_stored else rows


def to_array(values, path) -> np.ndarray:
    """Rows or values of a file as an array; errors of the library that reads them name the file."""
    with naming(path):
        return np.asarray(values)


def read_vector(path, key: str | None = None) -> np.ndarray:
    """One value for each row, a number or text, (n,), from a file with one column.

    Parameters
    ----------
    path : the file; the lines of a ``.txt`` are text.
    key : name of the array, where the file has several.

    Raises
    ------
    ValueError
        Where the file has more than one column.
    """
    path = Path(path)
    if path.suffix.lower() == ".txt":
        return np.array(path.read_text(encoding="utf-8").splitlines(), object)
    table = read_table(path, key)
    if table.columns:
        with naming(path):
            name, values = next(iter(table.columns.items()))
        others = len(table.columns) - 1 + (table.data is not None)
        if others:
            raise ValueError(f"{path} must have one column; it has others in addition to {name!r}")
        return values
    values = to_array(table.data, path)
    if values.ndim == 2 and 1 in values.shape:
        values = values.ravel()
    if values.ndim != 1:
        raise ValueError(f"{path} must have one value for each row; got shape {values.shape}")
    return values


def handler_for(path, handlers, verb):
    """The function for the extension of a path; ``verb`` is for the message."""
    try:
        return handlers[extension(path)]
    except KeyError:
        raise ValueError(
            f"{path}: cannot {verb} the extension {path.suffix!r}, only {' '.join(handlers)}"
        ) from None


def _read_npy(path, key):
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)  # a clearer error than that of np.load
    return Table(np.load(path, mmap_mode="r", allow_pickle=False))


def _read_npz(path, key):
    with np.load(path, allow_pickle=False) as archive:
        names = archive.files
        check_directory(archive)
        for name in names:
            check_size(archive, name)
        if key is None and {"format", "shape", "data"} <= set(names):
            return Table(scipy.sparse.load_npz(path).tocsr())
        data = archive[_select_key(names, key, USUAL_KEYS)]
        columns = {}
        for name in names:
            with contextlib.suppress(ValueError):  # arrays of objects
                if archive[name].shape == data.shape[:1]:
                    columns[name] = archive[name]
        text = str(archive["parameters"]) if "parameters" in names else "{}"
        for name in {"labels", "ids"} & columns.keys():
            columns[name] = _empty_as_none(columns[name])
        own = {name: str(archive[f"{name}_name"]) for name in columns if f"{name}_name" in names}
    columns = {own.get(name, name): values for name, values in columns.items()}
    return Table(data, columns, parameters=json.loads(text), ids=own.get("ids", "ids"))


def _empty_as_none(values):
    """Return texts with None in place of empty ones, which are missing, as in a table of text."""
    if values.dtype.kind != "U" or values.all():
        return values
    return np.where(values == "", None, values.astype(object))


def _select_key(names, key, usual):
    """The key, or the one to read if it is None."""
    if key is None:
        found = names if len(names) == 1 else [name for name in usual if name in names]
        if found:
            return found[0]
        raise ValueError(f"it has the arrays {', '.join(names) or '(none)'}: choose one by key")
    if key not in names:
        raise ValueError(f"it has no {key!r}, only {', '.join(names) or 'nothing'}")
    return key


def _read_h5ad(path, key):
    anndata = require("anndata", "an .h5ad file", "files")
    file = require("h5py", "an .h5ad file", "files").File(path, "r")
    members = {name: group for name, group in file.items() if name == "X"}
    members |= file.get("obsm", {})
    if key is None:
        key = USUAL_LAYER if USUAL_LAYER in members else "X"
    data = members[_select_key(list(members), key, ())]
    stored = as_stored_sparse(data, str(path))
    if stored is not None:
        data = stored
    elif not (hasattr(data, "dtype") and len(data.shape) == 2):  # a data frame
        data = anndata.io.read_elem(data)
        data = data if scipy.sparse.issparse(data) else np.asarray(data)
    # Old versions stored the table of observations as one array.
    is_old = hasattr(file["obs"], "dtype")
    obs = anndata.read_h5ad(path).obs if is_old else anndata.io.read_elem(file["obs"])
    return Table(data, {name: np.asarray(obs[name]) for name in obs.columns})


def _read_chunked(path, key):
    arrays = read_chunked.find_arrays(path)
    name = read_chunked.choose_rows(arrays, key, USUAL_KEYS)
    rows = arrays.pop(name)
    return Table(rows, read_chunked.read_columns(arrays, rows.shape[0] if rows.ndim else 0))


def _read_text(path, left_out):
    columns, has_header = read_text(path, left_out)
    return ColumnsInMemory(columns, lambda row: f"on line {line_of(path, row + has_header)}")


def _read_parquet(path, left_out):
    if is_package_installed("polars") and not is_package_installed("pyarrow"):
        return ColumnsInMemory(read_parquet_by_polars(path))
    return ParquetFile(path)


def _read_mtx(path, key):
    return Table(read_matrix(path))


# Readers of columns by name.
_TABLES = {".csv": _read_text, ".tsv": _read_text, ".parquet": _read_parquet}
_READERS = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    **_TABLES,
    ".h5ad": _read_h5ad,
    ".mtx": _read_mtx,
    **dict.fromkeys(read_chunked.ENDINGS, _read_chunked),
}
EXTENSIONS = tuple(_READERS)
