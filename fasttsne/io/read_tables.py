"""Read data sets and labels from files.

``.npy``, ``.npz``, ``.csv``, ``.tsv`` and ``.mtx`` need NumPy and SciPy only; ``.parquet``
needs pyarrow and ``.h5ad`` anndata (both in the extra ``files``).  Nothing is unpickled.
"""

import contextlib
import csv
import itertools
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse

from fasttsne.utils import require

DELIMITERS = {".csv": ",", ".tsv": "\t"}
# What is read from a file of several arrays if no key is given.
USUAL_KEYS = ("X", "embedding", "data", "arr_0")
USUAL_LAYER = "X_pca"


@dataclass
class Table:
    """The contents of a data file.

    Attributes
    ----------
    data : (n, columns) array or sparse matrix, the numeric columns; None if there are none.
    columns : the other columns by name, (n,) arrays, such as labels.
    """

    data: object
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def rows(self):
        """The numeric columns; a ValueError if there are none."""
        if self.data is None:
            raise ValueError(f"no column has numbers; the columns are {', '.join(self.columns)}")
        return self.data


def read_table(path, key: str | None = None, leave_out: str | None = None) -> Table:
    """Read a data set from a file.

    Parameters
    ----------
    path : a file whose extension is one of ``.npy .npz .csv .tsv .parquet .h5ad .mtx``.
    key : the array of an ``.npz`` file, or the member of ``obsm`` (or "X") of an ``.h5ad``
        file.  By default the only one or, of ``.npz``, the first of "X", "embedding",
        "data" and "arr_0"; of ``.h5ad``, "X_pca" or else "X".
    leave_out : a column that is no data, such as labels; it is in ``columns``.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read; the message names it.
    ImportError
        With the command that installs the package for this kind of file.
    """
    path = Path(path)
    reader = handler_for(path, _READERS, "read")
    if key is not None and path.suffix.lower() not in (".npz", ".h5ad"):
        raise ValueError(f"{path}: only .npz and .h5ad files have keys; got key {key!r}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        table = reader(path, key, leave_out)
        if table.data is not None and table.data.ndim == 0:
            raise ValueError("it has one value, not rows")
        return table
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # libraries raise many types for damaged files
        message = str(error) or type(error).__name__
        if message.startswith(str(path)):
            raise
        raise ValueError(f"{path}: {message}") from error


def read_rows(path, key: str | None = None):
    """The numeric columns of a data set, (n, columns)."""
    return read_table(path, key).rows()


def read_vector(path, key: str | None = None) -> np.ndarray:
    """One value for each row, a number or text, (n,), from a file with one column."""
    path = Path(path)
    if path.suffix.lower() == ".txt":
        return np.array(path.read_text(encoding="utf-8").splitlines())
    table = read_table(path, key)
    if table.columns:
        name, values = next(iter(table.columns.items()))
        others = len(table.columns) - 1 + (table.data is not None)
        if others:
            raise ValueError(f"{path} must have one column; it has others in addition to {name!r}")
        return values
    values = np.asarray(table.data)
    if values.ndim == 2 and 1 in values.shape:
        values = values.ravel()
    if values.ndim != 1:
        raise ValueError(f"{path} must have one value for each row; got shape {values.shape}")
    return values


def handler_for(path, handlers, verb):
    """The function for the extension of a path; ``verb`` is for the message."""
    try:
        return handlers[path.suffix.lower()]
    except KeyError:
        raise ValueError(
            f"{path}: cannot {verb} the extension {path.suffix!r}, only {' '.join(handlers)}"
        ) from None


def _read_npy(path, key, leave_out):
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)  # a clearer error than that of np.load
    return Table(np.load(path, mmap_mode="r", allow_pickle=False))


def _read_npz(path, key, leave_out):
    with np.load(path, allow_pickle=False) as archive:
        names = archive.files
        if key is None and {"format", "shape", "data"} <= set(names):
            return Table(scipy.sparse.load_npz(path).tocsr())
        data = archive[_select_key(names, key, USUAL_KEYS)]
        columns = {}
        for name in names:
            with contextlib.suppress(ValueError):  # arrays of objects
                if archive[name].shape == data.shape[:1]:
                    columns[name] = archive[name]
    return Table(data, columns)


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


def _read_text(path, key, leave_out):
    delimiter = DELIMITERS[path.suffix.lower()]
    names, first, has_header = _read_header(path, delimiter)
    # A column without a name has row names: pandas and R write it.
    text = [
        i for i, (name, value) in enumerate(zip(names, first, strict=True))
        if name in ("", leave_out) or not _is_number(value)
    ]  # fmt: skip
    numbers = [i for i in range(len(names)) if i not in text]

    def load(columns, dtype):
        return np.loadtxt(
            path, dtype, delimiter=delimiter, skiprows=int(has_header), usecols=columns, ndmin=2,
            comments=None, quotechar='"', encoding="utf-8-sig",
        )  # fmt: skip

    columns = {}
    if text:
        values = load(text, np.str_)
        columns = {names[i]: values[:, j] for j, i in enumerate(text)}
    return Table(load(numbers, np.float64) if numbers else None, columns)


def _read_header(path, delimiter):
    """The column names, the first row of values, and whether the file has a header.

    Rows of another length are an error: NumPy ignores the columns that it does not read.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        lines = list(itertools.islice(rows, 2))
        if not lines or not lines[0]:
            raise ValueError("it is empty")
        width = len(lines[0])
        if width != len(lines[-1]):
            raise ValueError(f"its first line has {width} fields, its second {len(lines[1])}")
        for number, row in enumerate(rows, 3):
            if row and len(row) != width:
                raise ValueError(f"row {number} has {len(row)} fields, the first {width}")
    if len(lines) > 1:
        is_name = [not _is_number(value) or value == "" for value in lines[0]]
        is_value = [_is_number(value) and value != "" for value in lines[1]]
        if all(is_name) or any(n and v for n, v in zip(is_name, is_value, strict=True)):
            return lines[0], lines[1], True
    return [str(i) for i in range(width)], lines[0], False


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return text.strip() == ""  # a missing number: np.loadtxt names the row
    return True


def _read_parquet(path, key, leave_out):
    pyarrow, parquet = import_pyarrow()
    table = parquet.read_table(path)
    data, columns = [], {}
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        values = table[name].to_numpy()
        is_number = pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)
        if is_number and name != leave_out:
            data.append(values)
        else:
            columns[name] = values
    return Table(np.column_stack(data) if data else None, columns)


def import_pyarrow():
    return [require(name, "a .parquet file", "files") for name in ("pyarrow", "pyarrow.parquet")]


def _read_h5ad(path, key, leave_out):
    adata = require("anndata", "an .h5ad file", "files").read_h5ad(path)
    if key is None:
        key = USUAL_LAYER if USUAL_LAYER in adata.obsm else "X"
    members = {"X": adata.X, **adata.obsm}
    data = members[_select_key(list(members), key, ())]
    columns = {name: np.asarray(adata.obs[name]) for name in adata.obs.columns}
    return Table(data if scipy.sparse.issparse(data) else np.asarray(data), columns)


def _read_mtx(path, key, leave_out):
    with warnings.catch_warnings():
        # SciPy warns that it will return sparse arrays instead of matrices: both are fine.
        warnings.simplefilter("ignore", DeprecationWarning)
        matrix = scipy.io.mmread(path)
    return Table(matrix.tocsr() if scipy.sparse.issparse(matrix) else matrix)


_READERS = {
    ".npy": _read_npy, ".npz": _read_npz, ".csv": _read_text, ".tsv": _read_text,
    ".parquet": _read_parquet, ".h5ad": _read_h5ad, ".mtx": _read_mtx,
}  # fmt: skip
