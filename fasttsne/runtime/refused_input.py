"""Messages for input that is not a table of numbers: what it is, and what to pass instead."""

from collections.abc import Sized
from os import PathLike
from typing import Any

import numpy as np


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


def describe_not_numbers(X: Any, array: np.ndarray, name: str) -> str:
    """Return what is wrong with data that are not real numbers, and what to pass instead.

    Parameters
    ----------
    X, array : what the user passed, and the same as an array or sparse matrix.
    """
    message = f"{name} must hold real numbers; got dtype {array.dtype}"
    if array.dtype.kind == "c":
        return f"{message}; pass numpy.hstack([{name}.real, {name}.imag]) or numpy.abs({name})"
    if array.dtype.kind in "US":
        message += f", text; if all of it is numbers, pass {name}.astype(float)"
    columns = getattr(X, "columns", None)
    if columns is not None:
        names = [column for column in columns if not _is_numeric(X[column])]
        return f"{message}; the columns {names} are not numbers: leave them out, or encode them"
    if array.ndim == 2:
        for j, column in enumerate(array.T):
            for i, value in enumerate(column):
                if not _is_numeric(value):
                    return (
                        f"{message}; {name}[{i}, {j}] is {value!r}: leave out column {j}, or "
                        "encode it as numbers"
                    )
    return message


def _is_numeric(values: Any) -> bool:
    try:
        np.asarray(values).astype(np.float64)
    except (TypeError, ValueError):
        return False
    return np.asarray(values).dtype.kind not in "mM"
