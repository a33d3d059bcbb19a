"""What is in a data file, and errors of libraries that read one."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

# Characters of an error of a library; some have the bytes that they could not read.
MAX_ERROR = 300


# Names of columns that are listed in full, and how one without a name is shown.
MAX_NAMES = 20
NO_NAME = "(no name)"


def list_names(names: Iterable[str]) -> str:
    """Return names with commas between them; of many the first ones, and the last."""
    shown = [name or NO_NAME for name in names]
    if len(shown) > MAX_NAMES:
        shown[MAX_NAMES - 2 : -1] = ["..."]
    return ", ".join(shown)


class ColumnsError(ValueError):
    """What is wrong with the columns of a table; the advice at its end must not be cut off."""


@contextlib.contextmanager
def naming(path: object) -> Iterator[None]:
    """Make what libraries raise of a damaged file a ValueError that begins with the file's name."""
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except ColumnsError as error:
        raise ValueError(f"{path}: {error}") from error
    except Exception as error:  # each library has its own
        message = (str(error) or type(error).__name__).splitlines()[0][:MAX_ERROR]
        if message.startswith(str(path)):
            raise
        raise ValueError(f"{path}: {message}") from error


@dataclass
class Table:
    """The contents of a data file.

    Attributes
    ----------
    data : (n, columns) array, sparse matrix, or a storage of either that stays in its file: the
        numeric columns; None if there are none.
    columns : the other columns by name, (n,) arrays, such as labels.
    names : of the columns of ``data``, where the file has names.
    unused : of columns that were neither asked for nor left out, why they are not in ``data``.
    parameters : of the fit, where the file is an embedding that has them.
    path : the file.
    ids : the column that names the rows, if there is one, where the file is an embedding.
    """

    data: Any
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    unused: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, object] = field(default_factory=dict)
    path: Path | None = None
    ids: str = ""

    def rows(self):
        """The numeric columns; a ValueError if there are none."""
        if self.data is None:
            columns = list_names(self.columns)
            raise ValueError(f"{self.path}: no column has numbers; the columns are {columns}")
        return self.data

    def describe(self) -> str:
        """Which columns are used, and which are not, and why; "" without names."""
        if not self.names:
            return ""
        number = f"{len(self.names)} column{'s' * (len(self.names) > 1)}"
        return f"{number} used: {list_names(self.names)}" + self.describe_unused("; ")

    def describe_unused(self, before: str = "") -> str:
        """Which columns are not used, and why; "" if there are none."""
        reasons = [f"{name or NO_NAME} ({why})" for name, why in self.unused.items()]
        return f"{before}not used: {list_names(reasons)}" if reasons else ""
