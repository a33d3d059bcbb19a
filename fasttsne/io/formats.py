"""Files of rows and embeddings, read and written by their extension.

``.npy``, ``.npz`` and ``.mtx`` need NumPy and SciPy only; ``.csv`` and ``.tsv``, which may be
compressed, are read by pyarrow or, without it, by NumPy; ``.parquet`` needs pyarrow, ``.h5ad``
anndata, ``.h5`` h5py and ``.zarr`` zarr (all in the extra ``files``).
Nothing is unpickled.  Rows stay in ``.npy``, ``.h5`` and ``.zarr`` files, and in ``.h5ad`` and
``.parquet`` files but for ``read_rows``.
"""

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
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import numpy as np
import scipy.io
import scipy.sparse
from numpy.typing import ArrayLike

from fasttsne.io.archive import array_names, open_zip, read_array, write_array
from fasttsne.io.atomic import atomic_write, check_regular
from fasttsne.io.table import (
    DELIMITERS,
    Columns,
    Data,
    ParquetColumns,
    Table,
    TextColumns,
    choose_columns,
    errors_name_file,
    extension,
    import_arrow,
    import_compression,
    to_metadata,
)
from fasttsne.runtime.rows import StoredSparse, as_stored_sparse, load_sparse
from fasttsne.runtime.typing import FilePath, Storage
from fasttsne.runtime.validation import as_labels, is_address, is_missing
from fasttsne.utils import require, warn_user

if TYPE_CHECKING:
    import pyarrow as pa

Handler = TypeVar("Handler")

# Coordinates are the columns of this name and a number.
COORDINATE = "tsne_"
# What is read from a file of several arrays if no key is given.
USUAL_KEYS = ("X", "embedding", "data", "arr_0")
USUAL_LAYER = "X_pca"
# Files of many data sets, which are left where they are.
CHUNKED = (".h5", ".hdf5", ".zarr")
# Files of several arrays.
KEYED = (".npz", ".h5ad", *CHUNKED)
# Bytes of the end of a Matrix Market file that has none of its last line.
END_BYTES = 1000
NO_ADDRESS = "{} is an address; only files are read and written: download it first"


def read_table(
    path: FilePath,
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
    path = _check_path(path, key)
    kind = extension(path)
    if columns and kind not in _TABLES:
        raise ValueError(f"{path}: only .csv, .tsv and .parquet files have columns by name")
    left_out = [leave_out] if isinstance(leave_out, str) else list(leave_out or ())
    with errors_name_file(path):
        if kind in _TABLES:
            table = choose_columns(_TABLES[kind](path, left_out), left_out, columns)
        else:
            table = _ARRAYS[kind](path, key)
        if table.data is not None and len(table.data.shape) == 0:
            raise ValueError("it has one value, not rows")
        table.path = path
        return table


def read_columns(
    path: FilePath, key: str | None = None, texts: Sequence[str] = ()
) -> Mapping[str, np.ndarray]:
    """Return the columns of a file by name, (n,) arrays; of a table all, also the ones of numbers.

    texts : columns that need not have numbers only.
    """
    path = _check_path(path, key)
    with errors_name_file(path):
        if extension(path) in _TABLES:
            return _TABLES[extension(path)](path, texts)
        return _ARRAYS[extension(path)](path, key).columns


def _check_path(path: FilePath, key: str | None) -> Path:
    """Return the path of a file that can be read."""
    if is_address(path):
        raise ValueError(NO_ADDRESS.format(path))
    path = Path(path)
    handler_for(path, dict.fromkeys(READABLE), "read")
    if key is not None and not has_keys(path):
        raise ValueError(f"{path}: only {' '.join(KEYED)} files have keys; got key {key!r}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not (path.is_dir() and extension(path) == ".zarr"):
        check_regular(path)
    return path


def has_keys(path: FilePath) -> bool:
    """Whether the arrays of such a file have names."""
    return extension(Path(path)) in KEYED


def read_rows(path: FilePath, key: str | None = None) -> Data:
    """Return the numeric columns of a data set, (n, columns); a warning names the other columns.

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


def to_array(values: object, path: FilePath) -> np.ndarray:
    """Return rows or values of a file as an array; errors of its library name the file."""
    with errors_name_file(path):
        return np.asarray(values)


def read_vector(path: FilePath, key: str | None = None) -> np.ndarray:
    """Return one value for each row, a number or text, (n,), from a file with one column.

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
        with errors_name_file(path):
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


def handler_for(path: Path, handlers: Mapping[str, Handler], verb: str) -> Handler:
    """Return the function for the extension of a path; ``verb`` is for the message."""
    try:
        return handlers[extension(path)]
    except KeyError:
        raise ValueError(
            f"{path}: cannot {verb} the extension {path.suffix!r}, only {' '.join(handlers)}"
        ) from None


def _read_npy(path: Path, key: str | None) -> Table:
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)  # a clearer error than np.load has
    return Table(np.load(path, mmap_mode="r", allow_pickle=False))


def _read_npz(path: Path, key: str | None) -> Table:
    with open(path, "rb") as file:
        archive = open_zip(file)
        names = array_names(archive)
        if key is None and {"format", "shape", "data"} <= set(names):
            damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"its {damaged} is damaged")
            return Table(scipy.sparse.load_npz(path).tocsr())
        data = read_array(archive, _select_key(names, key, USUAL_KEYS))
        columns, texts = {}, {}
        for name in names:
            with contextlib.suppress(TypeError):  # arrays of objects
                array = read_array(archive, name)
                if array.shape == ():
                    texts[name] = str(array)
                elif array.shape == data.shape[:1]:
                    columns[name] = array
    for name in {"labels", "ids"} & columns.keys():
        columns[name] = _empty_as_none(columns[name])
    own = {name: texts[f"{name}_name"] for name in columns if f"{name}_name" in texts}
    columns = {own.get(name, name): values for name, values in columns.items()}
    parameters = json.loads(texts.get("parameters", "{}"))
    return Table(data, columns, parameters=parameters, ids=own.get("ids", "ids"))


def _empty_as_none(values: np.ndarray) -> np.ndarray:
    """Return texts with None in place of empty ones, which are missing, as in a table of text."""
    if values.dtype.kind != "U" or values.all():
        return values
    texts = values.astype(object)
    texts[values == ""] = None
    return texts


def _select_key(names: Sequence[str], key: str | None, usual: Sequence[str]) -> str:
    """Return the key, or the one to read if it is None."""
    if key is None:
        found = names if len(names) == 1 else [name for name in usual if name in names]
        if found:
            return found[0]
        raise ValueError(f"it has the arrays {', '.join(names) or '(none)'}: choose one by key")
    if key not in names:
        raise ValueError(f"it has no {key!r}, only {', '.join(names) or 'nothing'}")
    return key


def _read_h5ad(path: Path, key: str | None) -> Table:
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
    elif not isinstance(data, Storage) or len(data.shape) != 2:  # a data frame
        data = anndata.io.read_elem(data)
        data = data if scipy.sparse.issparse(data) else np.asarray(data)
    # Old versions stored the table of observations as one array.
    is_old = isinstance(file["obs"], Storage)
    obs = anndata.read_h5ad(path).obs if is_old else anndata.io.read_elem(file["obs"])
    return Table(data, {name: np.asarray(obs[name]) for name in obs.columns})


def _read_chunked(path: Path, key: str | None) -> Table:
    arrays = _with_sparse(_members_of(path), path)
    rows = arrays.pop(_choose_rows(arrays, key))
    columns = {}
    for name, array in arrays.items():
        if isinstance(array, Storage) and array.shape == rows.shape[:1]:
            # The texts of an HDF5 file are bytes.
            as_texts = getattr(array, "asstr", None) if array.dtype.kind == "O" else None
            columns[name] = np.asarray((as_texts() if as_texts else array)[:])
    return Table(rows, columns)


def _members_of(path: Path) -> dict[str, object]:
    """Return groups and data sets by name with slashes, as open objects of h5py or zarr."""
    if path.suffix.lower() != ".zarr":
        file = require("h5py", "an .h5 file", "files").File(path, "r")
        members = {"": file}
        file.visititems(members.__setitem__)
        return members
    store = require("zarr", "a .zarr store", "files").open(path, mode="r")
    is_array = isinstance(store, Storage)
    members = {"": store, **({} if is_array else dict(store.members(max_depth=None)))}
    for name, member in members.items():
        is_array = isinstance(member, Storage)
        codecs = (*(member.filters or ()), *(member.compressors or ())) if is_array else ()
        # Older versions of zarr's packages would unpickle.
        if any(getattr(codec, "codec_id", None) == "pickle" for codec in codecs):
            raise ValueError(f"its array {name!r} is pickled, which could execute anything")
    return members


def _with_sparse(members: Mapping[str, object], path: Path) -> dict[str, Storage | StoredSparse]:
    """Return the data sets among members of a file; groups of a sparse matrix are one."""
    groups = {name: as_stored_sparse(member, str(path)) for name, member in members.items()}
    sparse = {name: stored for name, stored in groups.items() if stored is not None}
    found: dict[str, Storage | StoredSparse] = {**sparse}
    for name, member in members.items():
        if isinstance(member, Storage) and name.rpartition("/")[0] not in sparse:
            found[name] = member
    return {name: found[name] for name in members if name in found}


def _choose_rows(arrays: Mapping[str, Storage | StoredSparse], name: str | None) -> str:
    """Return the name of the data set that has the rows: the given, the only one, a usual one."""
    tables = [each for each, array in arrays.items() if len(array.shape) == 2]
    if name is not None:
        if name.strip("/") not in arrays:
            raise ValueError(f"it has no data set {name!r}, only {_list(arrays)}")
        return name.strip("/")
    for each in tables if len(tables) == 1 else USUAL_KEYS:
        if each in tables:
            return each
    raise ValueError(
        f"it has the two-dimensional data sets {_list(tables)}: choose one by --dataset, or key"
    )


def _list(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join([*shown[:8], *["..."] * (len(shown) > 8)]) or "none"


def _read_mtx(path: Path, key: str | None) -> Table:
    """Return the matrix of a Matrix Market file.

    SciPy's reader ends the process for some damaged files: it looks for the end of a line behind
    what it cannot read of a number, and beyond the end of the file, in lines with zero bytes, as a
    disk leaves them, and in the last line where it has no end.
    """
    text = path.read_bytes()
    if b"\0" in text:
        raise ValueError("it is no text, it has bytes that are zero")
    if not text.endswith(b"\n"):
        try:
            float(text[-END_BYTES:].split()[-1])
        except (IndexError, ValueError):
            raise ValueError("it ends in the middle of a line") from None
        text += b"\n"
    with warnings.catch_warnings():
        # SciPy warns that it will return sparse arrays instead of matrices: both are fine.
        warnings.simplefilter("ignore", DeprecationWarning)
        matrix = scipy.io.mmread(io.BytesIO(text))
    return Table(matrix.tocsr() if scipy.sparse.issparse(matrix) else matrix)


# Readers of arrays, and of columns by name.
_ARRAYS: dict[str, Callable[[Path, str | None], Table]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".h5ad": _read_h5ad,
    ".mtx": _read_mtx,
    **dict.fromkeys(CHUNKED, _read_chunked),
}
_TABLES: dict[str, Callable[[Path, Sequence[str]], Columns]] = {
    ".csv": TextColumns,
    ".tsv": TextColumns,
    ".parquet": lambda path, left_out: ParquetColumns(path),
}
READABLE = (".npy", ".npz", *_TABLES, ".h5ad", ".mtx", *CHUNKED)


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


def _free_name(name: str, taken: str | None = None) -> str:
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
    endings : the accepted extensions; None for the ones of :func:`write_map`.

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
WRITABLE = tuple(_WRITERS)


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
