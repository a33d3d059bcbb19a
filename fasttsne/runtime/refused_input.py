"""Messages for input that is not a table of numbers: what it is, and what to pass instead."""

from collections.abc import Sized
from os import PathLike
from typing import Any, NoReturn

import numpy as np

from fasttsne.runtime.missing import is_missing


def refuse_containers(X: Any, name: str) -> None:
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


def _refuse_texts(X: Any, name: str) -> None:
    """Raise TypeError for texts in one dimension."""
    if len(X) and isinstance(X[0], (str, bytes)):
        raise TypeError(
            f"{name} has texts, the first {X[0][:40]!r}; make vectors of them first, as "
            f"scikit-learn's TfidfVectorizer().fit_transform({name}) or sentence embeddings"
        )


def refuse_not_numbers(X: Any, array: np.ndarray, name: str) -> NoReturn:
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
    columns = column_names(X)
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


def column_names(X: Any) -> Any:
    """Return the names of the columns of a data frame or table, None of anything else."""
    return getattr(X, "column_names", getattr(X, "columns", None))  # PyArrow's, or all others'


def refuse_missing(array: np.ndarray, name: str, columns: Any) -> None:
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
