"""Names of the columns of data frames, of any library."""

from typing import Any


def column_names(X: Any) -> list[str] | None:
    """Return the names of the columns of pandas, polars and PyArrow tables, None of other rows.

    Numbers, which pandas gives to columns without a name, are no names.
    """
    columns = getattr(X, "column_names", getattr(X, "columns", None))  # PyArrow's, or all others'
    if columns is None or callable(columns):
        return None
    names = list(columns)
    return names if names and all(isinstance(name, str) for name in names) else None
