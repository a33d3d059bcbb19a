"""Types of parameters that many modules take."""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.runtime.stored_rows import Storage

# A data set: what NumPy makes an array of, a data frame too, a sparse matrix, or rows in a file.
Rows: TypeAlias = ArrayLike | sp.spmatrix | sp.sparray | Storage
Metric: TypeAlias = str | Callable[..., float]
RandomGenerator: TypeAlias = np.random.RandomState | np.random.Generator
RandomState: TypeAlias = int | RandomGenerator | None
# Parameters by name.
Params: TypeAlias = Mapping[str, Any]
Settings: TypeAlias = Params | None
FilePath: TypeAlias = str | os.PathLike[str]
