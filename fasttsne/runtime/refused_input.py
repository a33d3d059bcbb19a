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
        lengths = [len(row) if isinstance(row, Sized) else -1 for row in X]
        if len(set(lengths)) > 1 and not isinstance(X[0], (str, bytes)):
            row = next(i for i, length in enumerate(lengths) if length != lengths[0])
            values = ["one number" if n < 0 else f"{n} values" for n in lengths]
            raise ValueError(
                f"{name} must have rows of the same length; {name}[0] has {values[0]}, "
                f"{name}[{row}] has {values[row]}"
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
    if array.dtype.kind in "US":
        message += f", text; if all of it is numbers, pass {name}.astype(float)"
    if array.ndim != 2:
        raise TypeError(message) from None
    columns = getattr(X, "column_names", getattr(X, "columns", None))  # PyArrow's, or all others'
    others = [j for j, column in enumerate(array.T) if not _is_numeric(column)]
    if others and columns is not None:
        names = [columns[j] for j in others]
        message += f"; the columns {names} are not numbers: leave them out, or encode them"
    elif others:
        i, j = _first_other(array[:, others[0]]), others[0]
        message += (
            f"; {name}[{i}, {j}] is {array[i, j]!r}: leave out column {j}, or encode it as numbers"
        )
    elif array.dtype == object:
        _refuse_missing(array, name, columns)
    raise TypeError(message) from None


def _refuse_missing(array: np.ndarray, name: str, columns: Any) -> None:
    """Raise ValueError where numbers are missing: in which row and column."""
    for j, column in enumerate(array.T):
        rows = np.flatnonzero(is_missing(column))
        if len(rows):
            i = rows[0]
            where = f"{name}[{i}, {j}]"
            if columns is not None:
                where = f"row {i} of the column {columns[j]!r}"
            raise ValueError(
                f"{name} must be finite; {where} is {array[i, j]}, a missing value: replace such "
                "values, or leave out the rows or the columns"
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
