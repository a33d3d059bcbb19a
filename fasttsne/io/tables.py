"""Rows, labels and maps in files: what the command line reads and writes.

Reading ``.npy``, ``.npz``, ``.csv``, ``.tsv`` and ``.mtx`` needs NumPy and SciPy only;
``.parquet`` needs pyarrow and ``.h5ad`` anndata (both in the extra ``files``).  Nothing is
ever unpickled.
"""

import contextlib
import io
import os
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse

from fasttsne.io.atomic import whole_file
from fasttsne.utils import require

DELIMITERS = {".csv": ",", ".tsv": "\t"}
# Where a file holds several arrays and nobody says which.
USUAL_KEYS = ("X", "embedding", "data", "arr_0")
USUAL_LAYER = "X_pca"


@dataclass
class Table:
    """What a file of rows holds.

    Attributes
    ----------
    data : (n, columns) array or sparse matrix; the columns with numbers.
    columns : other columns by name, (n,) arrays: what labels may come from.
    """

    data: object
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def rows(self):
        """The numbers; a ValueError where there are none."""
        if self.data is None:
            raise ValueError(f"no column holds numbers; there are {', '.join(self.columns)}")
        return self.data


def read_table(path, key: str | None = None, leave_out: str | None = None) -> Table:
    """Read a data set.

    Parameters
    ----------
    path : a file whose extension is one of ``.npy .npz .csv .tsv .parquet .h5ad .mtx``.
    key : which array of an ``.npz``, or which member of ``obsm`` (or "X") of an ``.h5ad``
        file.  By default the only one, or one with a usual name: "X" or "embedding";
        "X_pca" in ``.h5ad`` files, else "X".
    leave_out : a column that is no data, such as labels; it is found in ``columns``.

    Raises
    ------
    OSError, ValueError
        Where the file cannot be read, naming it.
    ImportError
        With the command that installs what this kind of file needs.
    """
    path = Path(path)
    reader = _of_kind(path, _READERS, "read")
    if key is not None and path.suffix.lower() not in (".npz", ".h5ad"):
        raise ValueError(f"{path}: only .npz and .h5ad files have keys; got key {key!r}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        table = reader(path, key, leave_out)
        if table.data is not None and table.data.ndim == 0:
            raise ValueError("it holds one value, not rows")
        return table
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # libraries raise all sorts of things for damaged files
        message = str(error) or type(error).__name__
        if message.startswith(str(path)):
            raise
        raise ValueError(f"{path}: {message}") from error


def read_rows(path, key: str | None = None):
    """The rows of a data set, (n, columns), without the columns that are no numbers."""
    return read_table(path, key).rows()


def read_vector(path, key: str | None = None) -> np.ndarray:
    """One value for each row, numbers or text, from a file with one column of them."""
    path = Path(path)
    if path.suffix.lower() == ".txt":
        return np.array(path.read_text(encoding="utf-8").splitlines())
    table = read_table(path, key)
    if table.columns:
        name, values = next(iter(table.columns.items()))
        others = len(table.columns) - 1 + (table.data is not None)
        if others:
            raise ValueError(f"{path} has other columns beside {name!r}; give one column")
        return values
    values = np.asarray(table.data)
    if values.ndim == 2 and 1 in values.shape:
        values = values.ravel()
    if values.ndim != 1:
        raise ValueError(f"{path} must hold one value for each row; got shape {values.shape}")
    return values


def write_map(path, embedding, labels=None, kl_divergence: float | None = None) -> None:
    """Write a map to ``.npy``, ``.csv``, ``.tsv``, ``.npz`` or ``.parquet``.

    Tables have the columns tsne_1, tsne_2, ... and, where there are labels, label; ``.npz``
    files the arrays embedding, labels and kl_divergence.  A file that exists is replaced, as
    a whole: an interrupt, or a full disk, leaves the old one.
    """
    writer = _of_kind(Path(path), _WRITERS, "write")
    with whole_file(path) as part:
        writer(part, np.asarray(embedding), labels, kl_divergence)


def check_output(path, endings=None) -> None:
    """Make sure, before long work, that a file can be written.

    Raises
    ------
    OSError, ValueError
        Naming the file, where its folder or ending is not one to write to.
    """
    path = Path(path)
    if endings is None:
        _of_kind(path, _WRITERS, "write")
        if path.suffix.lower() == ".parquet":
            _pyarrow()
    elif path.suffix.lower() not in endings:
        raise ValueError(f"{path} must end in {' '.join(endings)}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is there, and may not be written to")
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {folder}")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass  # the one proof: some file systems take nothing even from those who may write
    except OSError as error:
        raise PermissionError(f"{path}: nothing can be written to the folder {folder}") from error


def _of_kind(path, kinds, verb):
    try:
        return kinds[path.suffix.lower()]
    except KeyError:
        ending = f"files that end in {path.suffix!r}" if path.suffix else "files without an ending"
        raise ValueError(f"{path}: cannot {verb} {ending}; known are {' '.join(kinds)}") from None


def _read_npy(path, key, leave_out):
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)  # says what is wrong with other files; pickles are these
    return Table(np.load(path, mmap_mode="r", allow_pickle=False))


def _read_npz(path, key, leave_out):
    with np.load(path, allow_pickle=False) as archive:
        names = archive.files
        if key is None and {"format", "shape", "data"} <= set(names):
            return Table(scipy.sparse.load_npz(path).tocsr())
        data = archive[_chosen(names, key, USUAL_KEYS)]
        columns = {}
        for name in names:
            with contextlib.suppress(ValueError):  # arrays of objects
                if archive[name].shape == data.shape[:1]:
                    columns[name] = archive[name]
    return Table(data, columns)


def _chosen(names, key, usual):
    """The array that is meant."""
    if key is None:
        found = [name for name in usual if name in names] or names
        if len(names) == 1 or (found is not names and found):
            return found[0]
        raise ValueError(f"it holds {', '.join(names) or 'nothing'}: say which by the key")
    if key not in names:
        raise ValueError(f"it has no {key!r}; it holds {', '.join(names) or 'nothing'}")
    return key


def _read_text(path, key, leave_out):
    delimiter = DELIMITERS[path.suffix.lower()]
    names, first, has_header = _head(path, delimiter)
    # A column without a name holds row names: pandas and R write them so.
    text = [
        i for i, (name, value) in enumerate(zip(names, first, strict=True))
        if name in ("", leave_out) or not _is_number(value)
    ]  # fmt: skip
    numbers = [i for i in range(len(names)) if i not in text]

    _check_widths(path, delimiter, len(names))

    def load(columns, dtype):
        return np.loadtxt(
            path, dtype, delimiter=delimiter, skiprows=int(has_header), usecols=columns, ndmin=2,
            comments=None, quotechar='"', encoding="utf-8-sig",
        )  # fmt: skip

    columns = {}
    if text:
        values = load(text, np.str_)
        columns = {names[i]: values[:, place] for place, i in enumerate(text)}
    return Table(load(numbers, np.float64) if numbers else None, columns)


def _head(path, delimiter):
    """Names of the columns, the first row of values, and whether the file has a header."""
    import csv

    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        lines = [row for row, _ in zip(rows, range(2), strict=False)]
    if not lines or not lines[0]:
        raise ValueError("it is empty")
    if len(lines) > 1:
        if len(lines[0]) != len(lines[1]):
            raise ValueError(
                f"its first line has {len(lines[0])} fields, its second {len(lines[1])}"
            )
        is_name = [not _is_number(value) or value == "" for value in lines[0]]
        is_value = [_is_number(value) and value != "" for value in lines[1]]
        if all(is_name) or any(n and v for n, v in zip(is_name, is_value, strict=True)):
            return lines[0], lines[1], True
    return [str(i) for i in range(len(lines[0]))], lines[0], False


def _check_widths(path, delimiter, n_columns):
    """NumPy takes the columns it is told to, and does not see that a row has more."""
    import csv

    with open(path, encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.reader(file, delimiter=delimiter), 1):
            if row and len(row) != n_columns:
                raise ValueError(f"row {number} has {len(row)} fields, the first {n_columns}")


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return text.strip() == ""  # a missing number: loading will say where
    return True


def _read_parquet(path, key, leave_out):
    pyarrow, parquet = _pyarrow()
    table = parquet.read_table(path)
    is_number = {
        name: pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)
        for name, kind in zip(table.column_names, table.schema.types, strict=True)
    }
    data, columns = [], {}
    for name in table.column_names:
        values = table[name].to_numpy()
        if is_number[name] and name != leave_out:
            data.append(values)
        else:
            columns[name] = values
    return Table(np.column_stack(data) if data else None, columns)


def _pyarrow():
    return (
        require("pyarrow", "a .parquet file", "files"),
        require("pyarrow.parquet", "a .parquet file", "files"),
    )


def _read_h5ad(path, key, leave_out):
    adata = require("anndata", "an .h5ad file", "files").read_h5ad(path)
    if key is None:
        key = USUAL_LAYER if USUAL_LAYER in adata.obsm else "X"
    members = {"X": adata.X, **adata.obsm}
    data = members[_chosen(list(members), key, ())]
    columns = {name: np.asarray(adata.obs[name]) for name in adata.obs.columns}
    return Table(data if scipy.sparse.issparse(data) else np.asarray(data), columns)


def _read_mtx(path, key, leave_out):
    with warnings.catch_warnings():
        # SciPy announces that it will read arrays in place of matrices: both will do.
        warnings.simplefilter("ignore", DeprecationWarning)
        matrix = scipy.io.mmread(path)
    return Table(matrix.tocsr() if scipy.sparse.issparse(matrix) else matrix)


def _write_npy(path, points, labels, kl_divergence):
    # NumPy writes to files of its own accord, and on a full disk may lose the end in silence.
    buffer = io.BytesIO()
    np.save(buffer, points)
    with open(path, "wb") as file:
        file.write(buffer.getbuffer())


def _write_npz(path, points, labels, kl_divergence):
    more = {"labels": labels, "kl_divergence": kl_divergence}
    arrays = {name: _without_objects(value) for name, value in more.items() if value is not None}
    with open(path, "wb") as file:  # to a name in capitals NumPy would add an ending
        np.savez(file, embedding=points, **arrays)


def _without_objects(values):
    """Text as NumPy's own type, which needs no pickle."""
    values = np.asarray(values)
    return values.astype(np.str_) if values.dtype == object else values


def _write_text(path, points, labels, kl_divergence):
    import csv

    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter=DELIMITERS[path.suffix.lower()], lineterminator="\n")
        names = _column_names(points)
        rows.writerow(names if labels is None else [*names, "label"])
        for i, point in enumerate(points.tolist()):
            rows.writerow(point if labels is None else [*point, labels[i]])


def _write_parquet(path, points, labels, kl_divergence):
    pyarrow, parquet = _pyarrow()
    columns = dict(zip(_column_names(points), points.T, strict=True))
    if labels is not None:
        columns["label"] = np.asarray(labels)
    parquet.write_table(pyarrow.table(columns), path)


def _column_names(points):
    return [f"tsne_{i + 1}" for i in range(points.shape[1])]


_READERS = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": _read_text,
    ".tsv": _read_text,
    ".parquet": _read_parquet,
    ".h5ad": _read_h5ad,
    ".mtx": _read_mtx,
}

_WRITERS = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".csv": _write_text,
    ".tsv": _write_text,
    ".parquet": _write_parquet,
}
