"""Types of parameters that many modules take."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike


@runtime_checkable
class Storage(Protocol):
    """Rows that are read by slices, (n, columns), or single numbers, (n,)."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


# Rows in memory.
Matrix: TypeAlias = np.ndarray | sp.csr_matrix
# A data set: what NumPy makes an array of, a data frame too, a sparse matrix, or rows in a file.
Rows: TypeAlias = ArrayLike | sp.spmatrix | sp.sparray | Storage
Metric: TypeAlias = str | Callable[..., float]
RandomGenerator: TypeAlias = np.random.RandomState | np.random.Generator
RandomState: TypeAlias = int | RandomGenerator | None
# Parameters by name.
Params: TypeAlias = Mapping[str, Any]
Settings: TypeAlias = Params | None
FilePath: TypeAlias = str | os.PathLike[str]
