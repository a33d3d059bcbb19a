"""Checks of user input; messages name the parameter, the value and what is accepted."""

import math
import numbers
import os
import re
import sys
from collections.abc import Iterable, Sequence, Sized
from os import PathLike
from pathlib import Path
from typing import Literal, NoReturn, overload

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne import _kernels
from fasttsne.runtime.rows import (
    as_stored_sparse,
    check_finite,
    fits_float32,
    is_sparse,
    is_sparse_chunks,
    is_storage,
    load_sparse,
    read_canonical,
    to_canonical_floats,
)
from fasttsne.runtime.typing import FilePath, Matrix, RandomGenerator, RandomState, Rows

# Largest absolute value of an embedding's coordinates.
MAX_COORDINATE = _kernels.gradient_step.MAX_COORDINATE
# Numbers of a sparse matrix, zeros included, up to which it may be made dense: 32 MiB of float64.
MAX_DENSE_NUMBERS = 2**22


@overload
def check_data(
    X: object,
    name: str = "X",
    min_rows: int = 2,
    accept_sparse: Literal[False] = False,
    *,
    memory_limit: float | str = "auto",
    temp_folder: FilePath | None = None,
) -> np.ndarray: ...
@overload
def check_data(
    X: object,
    name: str = "X",
    min_rows: int = 2,
    accept_sparse: bool = False,
    dense_if_small: bool = False,
    memory_limit: float | str = "auto",
    temp_folder: FilePath | None = None,
) -> Matrix: ...


def check_data(
    X: object,
    name: str = "X",
    min_rows: int = 2,
    accept_sparse: bool = False,
    dense_if_small: bool = False,
    memory_limit: float | str = "auto",
    temp_folder: FilePath | None = None,
) -> Matrix:
    """Return rows of finite numbers in their canonical form, which depends on the values only.

    An array becomes C-contiguous, float32 if every number is exactly a float32, else float64;
    one that is so already is returned as it is, never copied.  Rows that are stored elsewhere
    (:mod:`fasttsne.runtime.rows`) are read once, in blocks.  Where sparse matrices are
    accepted they become CSR, of the same types: rows sorted, duplicates summed, zeros removed.

    Parameters
    ----------
    dense_if_small : make sparse matrices of up to ``MAX_DENSE_NUMBERS`` numbers, zeros
        included, dense: results are then those of the array to the bit.
    memory_limit : bytes of an array, beyond which the result is a memory map of a temporary file;
        see :func:`fasttsne.runtime.memory.check_memory_limit`.
    temp_folder : where that file is; None is the system's.
    """
    refuse_containers(X, name)
    sparse = as_stored_sparse(X, name) or (X if is_sparse_chunks(X) or is_sparse(X) else None)
    if sparse is not None:
        if not accept_sparse:
            raise TypeError(
                f"{name} is a sparse matrix; pass a dense array (for example X.toarray())"
            )
        check_shape(sparse.shape, name, min_rows)
        may_change = not is_sparse(sparse)
        rows = check_sparse(load_sparse(sparse, name), name, min_rows, may_change)
        if not rows.data.all():
            rows = rows.copy()
            rows.eliminate_zeros()
        is_small = rows.shape[0] * rows.shape[1] <= MAX_DENSE_NUMBERS
        return rows.toarray() if dense_if_small and is_small else rows
    refuse_masked(X, name)
    if is_storage(X, name):
        check_shape(X.shape, name, min_rows)
        return read_canonical(X, name, memory_limit, temp_folder)
    array = to_numbers(X, name)
    check_shape(array.shape, name, min_rows)
    return read_canonical(array, name, memory_limit, temp_folder)


def to_numbers(X: object, name: str) -> np.ndarray:
    """Return an array of real numbers, objects as float64.

    Raises
    ------
    TypeError, ValueError
        Where it has others, or some are missing.
    """
    array = np.asarray(X)
    if array.dtype.kind not in "fiub":
        try:
            # Text, dates and complex numbers would be converted, too.
            array = array.astype(np.float64, casting="unsafe" if array.dtype == object else "safe")
        except (TypeError, ValueError):
            refuse_not_numbers(X, array, name)
    columns = _columns_of(X)
    if columns is not None and array.ndim == 2 and array.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            may_be_missing = np.isnan(array.sum(dtype=np.float64))
        if may_be_missing:
            refuse_missing(array, name, columns)
    return array


def refuse_masked(X: object, name: str) -> None:
    """Raise ValueError for masked entries, whose values ``np.asarray`` would take."""
    if np.ma.is_masked(X):
        raise ValueError(f"{name} is a masked array with masked entries; fill or remove them first")


def check_sparse(
    X: sp.spmatrix, name: str, min_rows: int, may_change: bool = False
) -> sp.csr_matrix:
    """Return a sparse matrix of finite numbers as CSR, sorted, with the zeros that it stores.

    may_change : whether the arrays of X may be sorted in place.
    """
    check_shape(X.shape, name, min_rows)
    if X.dtype.kind not in "fiub":
        refuse_not_numbers(X, X, name)
    check_sparse_indices(X, name)
    rows = sp.csr_matrix(X, dtype=np.float32 if fits_float32(X.dtype) else np.float64)
    if not rows.has_canonical_format:
        # Merging and sorting happen in place: not in the caller's arrays.
        rows = rows if may_change else rows.copy()
        rows.sum_duplicates()
    n_stored = rows.indptr[-1]
    rows.data = to_canonical_floats(rows.data[:n_stored])
    is_wide = max(n_stored, *rows.shape) > np.iinfo(np.int32).max
    for part, array in ("indices", rows.indices[:n_stored]), ("indptr", rows.indptr):
        setattr(rows, part, array.astype(np.int64 if is_wide else np.int32, copy=False))
    if not np.isfinite(rows.data).all():
        entry = int(np.flatnonzero(~np.isfinite(rows.data))[0])
        row = int(np.searchsorted(rows.indptr, entry, side="right")) - 1
        raise ValueError(
            f"{name} must be finite; {name}[{row}, {rows.indices[entry]}] is {rows.data[entry]}"
        )
    return rows


def check_sparse_indices(matrix: sp.spmatrix, name: str) -> None:
    """Raise ValueError where the index arrays of a sparse matrix are inconsistent.

    SciPy checks them in its constructor only, not when they are changed or replaced later; its
    conversions and our kernels trust them.
    """
    if matrix.format == "coo":
        index_arrays: tuple[np.ndarray, ...] = (matrix.row, matrix.col)
        sizes = matrix.shape
        consistent = all(indices.shape == matrix.data.shape for indices in index_arrays)
    elif matrix.format in ("csr", "csc", "bsr"):
        blocks = matrix.blocksize if matrix.format == "bsr" else (1, 1)
        sizes = [size // block for size, block in zip(matrix.shape, blocks, strict=True)]
        if matrix.format == "csc":
            sizes.reverse()
        indptr = matrix.indptr
        consistent = (
            indptr.dtype.kind in "iu"
            and indptr.shape == (sizes[0] + 1,)
            and indptr[0] == 0
            and bool((indptr[1:] >= indptr[:-1]).all())
            and indptr[-1] <= min(len(matrix.indices), len(matrix.data))
        )
        index_arrays = (matrix.indices[: indptr[-1]] if consistent else indptr[:0],)
        sizes = sizes[1:]
    else:
        return
    if not consistent:
        raise ValueError(
            f"{name} is not a valid sparse matrix: its indices and its data do not fit together"
        )
    for indices, size in zip(index_arrays, sizes, strict=True):
        if indices.dtype.kind not in "iu":
            raise ValueError(f"{name} must have integers as indices; got dtype {indices.dtype}")
        if indices.size and not (indices.min() >= 0 and indices.max() < size):
            wrong = indices[(indices < 0) | (indices >= size)][0]
            raise ValueError(f"{name} must have indices from 0 to {size - 1}; got {wrong}")


def check_shape(shape: tuple[int, ...], name: str, min_rows: int) -> None:
    """Raise ValueError for a shape that is not that of rows, or of too few."""
    if len(shape) != 2:
        raise ValueError(f"{name} must be two-dimensional, (rows, columns); got shape {shape}")
    if shape[0] < min_rows:
        raise ValueError(f"{name} needs at least {min_rows} rows; got {shape[0]}")
    if shape[1] < 1:
        raise ValueError(f"{name} needs at least one column; got shape {shape}")


def is_permutation(order: np.ndarray) -> bool:
    """Whether an array of integers is one of 0 to n - 1."""
    n = len(order)
    is_within = n == 0 or 0 <= order.min() <= order.max() < n
    return bool(is_within and (np.bincount(order, minlength=n) == 1).all())


def check_coordinates(points: np.ndarray, name: str) -> None:
    """Raise ValueError where coordinates are not finite or exceed ``MAX_COORDINATE``."""
    check_finite(points, name)
    largest = np.abs(points).max(initial=0)
    if largest > MAX_COORDINATE:
        raise ValueError(
            f"{name} must lie within {MAX_COORDINATE:g} of the origin; got {largest:g}"
        )


@overload
def check_number(
    value: object,
    name: str,
    *,
    integer: Literal[True],
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    finite: bool = False,
) -> int: ...
@overload
def check_number(
    value: object,
    name: str,
    *,
    integer: Literal[False] = False,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    finite: bool = False,
) -> float: ...


def check_number(
    value: object,
    name: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    integer: bool = False,
    finite: bool = False,
) -> float:
    """Return a number, an int if ``integer``, within [low, high] or above a bound."""
    number: float
    if integer and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
    elif not integer and isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
    else:
        raise TypeError(f"{name} must be {'an integer' if integer else 'a number'}; got {value!r}")
    if number != number or (finite and number in (math.inf, -math.inf)):
        raise ValueError(f"{name} must be a {'finite ' * finite}number; got {number}")
    if low is not None and number < low:
        raise ValueError(f"{name} must be at least {low}; got {number}")
    if above is not None and number <= above:
        raise ValueError(f"{name} must be greater than {above}; got {number}")
    if high is not None and number > high:
        raise ValueError(f"{name} must be at most {high}; got {number}")
    return number


def check_file_path(path: object, name: str) -> None:
    """Raise, before long work, where a file cannot be written; None is accepted.

    Addresses, as "s3://bucket/name.npz", are accepted as they are.

    Raises
    ------
    TypeError
        Where it is no path.
    OSError
        Where its folder does not exist or may not be written to, or it is a folder itself.
    """
    if path is None:
        return
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name} must be the path of a file, or None; got {path!r}")
    if is_address(path):  # of which only its file system knows
        return
    file = Path(path).resolve()
    if not file.parent.is_dir():
        raise FileNotFoundError(f"{name} {os.fspath(path)!r}: there is no folder {file.parent}")
    if file.is_dir():
        raise IsADirectoryError(f"{name} {os.fspath(path)!r} is a folder; give a file")
    if not os.access(file.parent, os.W_OK):
        raise PermissionError(f"{name} {os.fspath(path)!r}: its folder may not be written to")


def check_output_path(path: FilePath, name: str) -> FilePath:
    """Return the path of a file that will be written, absolute: a program may change its folder.

    A text stays a text, and a Path a Path; addresses are returned as they are.  Errors are those
    of :func:`check_file_path`.
    """
    check_file_path(path, name)
    if is_address(path):
        return path
    absolute = os.path.abspath(path)
    return absolute if isinstance(path, str) else Path(absolute)


def is_address(path: object) -> bool:
    """Whether it is an address: a protocol, "://", and what that knows the file by.

    A single letter is no protocol but a drive of Windows.
    """
    return isinstance(path, str) and re.match(r"[A-Za-z][\w+.:-]+://", path) is not None


def check_choice(value: object, name: str, choices: Iterable[str]) -> str:
    """Return a name if it is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")
    return value


def check_random_state(random_state: RandomState) -> RandomGenerator:
    """Return a NumPy random generator: None is NumPy's global one, an int seeds a new one."""
    if random_state is None:
        return np.random.mtrand._rand
    if isinstance(random_state, (np.random.RandomState, np.random.Generator)):
        return random_state
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        if not 0 <= random_state < 2**32:
            raise ValueError(f"random_state must be in [0, 2**32 - 1]; got {random_state}")
        return np.random.RandomState(int(random_state))
    raise TypeError(
        "random_state must be None, an integer, or a NumPy RandomState or Generator; "
        f"got {random_state!r}"
    )


def refuse_containers(X: object, name: str) -> None:
    """Raise TypeError for what holds the rows but is not the rows, ValueError for ragged lists."""
    if isinstance(X, (str, bytes, PathLike)):
        raise TypeError(
            f"{name} is a file name or text, {X!r}; pass its rows: fasttsne.files.read_rows({X!r})"
        )
    if hasattr(X, "obsm") and hasattr(X, "X"):
        layers = ", ".join(f"{name}.obsm[{key!r}]" for key in X.obsm) or "no obsm"
        raise TypeError(
            f"{name} is an AnnData; pass {name}.X or one of its layers ({layers}), or use "
            "fasttsne.scanpy.tsne"
        )
    if isinstance(X, (list, tuple)):
        _refuse_texts(X, name)  # before an array with the room of the longest for each is made
        lengths = [len(row) if isinstance(row, Sized) else -1 for row in X]
        if len(set(lengths)) > 1:
            row = next(i for i, length in enumerate(lengths) if length != lengths[0])
            values = ["one number" if n < 0 else f"{n} values" for n in lengths]
            raise ValueError(
                f"{name} must have rows of the same length; {name}[0] has {values[0]}, "
                f"{name}[{row}] has {values[row]}"
            )


def _refuse_texts(X: Sequence[object] | np.ndarray, name: str) -> None:
    """Raise TypeError for texts in one dimension."""
    first = X[0] if len(X) else None
    if isinstance(first, (str, bytes)):
        raise TypeError(
            f"{name} has texts, the first {first[:40]!r}; make vectors of them first, as "
            f"scikit-learn's TfidfVectorizer().fit_transform({name}) or sentence embeddings"
        )


def refuse_not_numbers(X: object, array: np.ndarray, name: str) -> NoReturn:
    """Raise for data that are not real numbers: what is wrong, and what to pass instead.

    Parameters
    ----------
    X, array : what the user passed, and the same as an array or sparse matrix.

    Raises
    ------
    TypeError
        For what is no number.
    ValueError
        Where all are numbers, but some are missing.
    """
    message = f"{name} must hold real numbers; got dtype {array.dtype}"
    if array.dtype.kind == "c":
        raise TypeError(
            f"{message}; pass numpy.hstack([{name}.real, {name}.imag]) or numpy.abs({name})"
        ) from None
    if array.ndim == 1:
        _refuse_texts(array, name)
    if array.ndim != 2:
        raise TypeError(message) from None
    columns = _columns_of(X)
    others = [j for j, column in enumerate(array.T) if not _is_numeric(column)]
    if array.dtype.kind in "US":
        message += ", text" if others else f", text; pass {name}.astype(float)"
    if others and columns is not None:
        names = [columns[j] for j in others]
        message += f"; the columns {names} are not numbers: leave them out, or encode them"
    elif others and len(array):
        i, j = _first_other(array[:, others[0]]), others[0]
        value = array[i].tolist()[j]
        message += f"; {name}[{i}, {j}] is {value!r}: leave out column {j}, or encode it as numbers"
    elif array.dtype == object:
        refuse_missing(array, name, columns)
    raise TypeError(message) from None


def refuse_missing(array: np.ndarray, name: str, columns: Sequence[object] | None) -> None:
    """Raise ValueError where numbers are missing: in which row, and in which columns.

    columns : their names, or None.
    """
    rows = [int(missing.argmax()) if missing.any() else -1 for missing in map(is_missing, array.T)]
    wrong = [j for j, row in enumerate(rows) if row >= 0]
    if wrong:
        j, i = wrong[0], rows[wrong[0]]
        where, others = f"{name}[{i}, {j}]", ""
        if columns is not None:
            where = f"row {i} of the column {columns[j]!r}"
            more = [str(columns[j]) for j in wrong[1:]]
            others = f" (others are missing in {', '.join(more)})" if more else ""
        raise ValueError(
            f"{name} must be finite; {where} is {array[i, j]}, a missing value{others}: replace "
            "such values, or leave out the rows or the columns"
        ) from None


def _first_other(column: np.ndarray) -> int:
    """Return the row of the first value that is not a number."""
    return next((i for i in range(len(column)) if not _is_numeric(column[i : i + 1])), 0)


def _is_numeric(values: np.ndarray) -> bool:
    """Return whether values, (n,), are numbers where they are not missing."""
    try:
        if values.dtype == object:
            values = values[~is_missing(values)]
        values.astype(np.float64)
    except (TypeError, ValueError):
        return False
    return values.dtype.kind not in "mM"


def is_missing(values: np.ndarray) -> np.ndarray:
    """Return which values of an array, (n,) of any type, are missing: (n,) bool."""
    found = np.zeros(len(values), bool)
    if values.dtype.kind in "fc":
        found = np.isnan(values)
    elif values.dtype.kind in "mM":
        found = np.isnat(values)
    elif values.dtype.kind == "O":
        # Who has a value of pandas has imported it.  NA != NA is NA, which is no truth value.
        NA = getattr(sys.modules.get("pandas"), "NA", None)
        each = (v is None or v is NA or (_is_single(v) and v != v) for v in values)
        found = np.fromiter(each, bool, len(values))
    return found


def _is_single(value: object) -> bool:
    """Whether a value is no array: SciPy compares matrices without a look at their indices."""
    return bool(getattr(value, "shape", ()) == ())


def as_labels(labels: ArrayLike, n: int, name: str = "labels") -> np.ndarray:
    """Return labels as an array in which missing ones can be told from the others.

    Parameters
    ----------
    labels : (n,) numbers or text: an array, a list, or a column of a data frame.  Missing are
        those of :func:`is_missing`.
    n : number of rows.
    name : of the argument, for the message.

    Raises
    ------
    ValueError
        If there is not one for each row.
    """
    listed = labels if isinstance(labels, (list, tuple)) else ()
    has_text = any(isinstance(label, (str, bytes)) for label in listed)
    # Of text in a list NumPy would make an array with the room of the longest for each, and of NaN
    # beside it text, too.
    array = np.asarray(labels, object if has_text else None)
    if array.shape != (n,):
        raise ValueError(f"{name} must have the shape ({n},), one a row; got {array.shape}")
    return array


def n_rows_or_none(data: Rows | None) -> int | None:
    """Return the number of rows; None where it is not known."""
    if data is None:
        return None
    if isinstance(data, (list, tuple)):
        return len(data)
    stored = as_stored_sparse(data, "data")  # whose group has a length of its own
    shape = np.shape(data) if stored is None else stored.shape
    return shape[0] if shape else None


def column_names(X: object) -> list[str] | None:
    """Return the names of the columns of pandas, polars and PyArrow tables, None of other rows.

    Numbers, which pandas gives to columns without a name, are no names.
    """
    columns = _columns_of(X)
    if columns is None or callable(columns):
        return None
    listed = list(columns)
    names = [name for name in listed if isinstance(name, str)]
    return names if names and len(names) == len(listed) else None


def _columns_of(X: object) -> Sequence[object] | None:
    """Return what a data frame or table calls its columns, None of anything else."""
    found: Sequence[object] | None = getattr(X, "column_names", getattr(X, "columns", None))
    return found  # PyArrow's, or all others'
