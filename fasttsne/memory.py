"""The memory that a fit takes, stage by stage, before it runs: each stage estimates its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike

from fasttsne.affinity import csr
from fasttsne.linalg import pca
from fasttsne.nearest_neighbors import approx
from fasttsne.nearest_neighbors.select import resolve_k_neighbors
from fasttsne.optimize import descent
from fasttsne.runtime.memory import (
    available_memory,
    check_free_space,
    check_memory_limit,
    format_bytes,
)
from fasttsne.runtime.rows import (
    StoredSparse,
    as_stored_sparse,
    estimate_bytes,
    is_sparse_chunks,
    is_storage,
)
from fasttsne.runtime.typing import FilePath, Rows
from fasttsne.runtime.validation import check_number
from fasttsne.utils import log

__all__ = ["estimate_memory"]

# What threads, the BLAS library and the allocator take in every stage, measured by
# ``python benchmarks/memory.py``.
CONSTANT_BYTES = 15_000_000
FLOAT32 = np.dtype(np.float32)
# What is tried, where a fit does not fit.
FITTING_PERPLEXITIES = (50, 30, 20, 15, 10, 5)


@dataclass(frozen=True)
class FitSize:
    """The size of a fit of (n, d) rows; ``nnz`` entries are stored of sparse ones, else None."""

    n: int
    d: int
    perplexity: float
    n_components: int
    nnz: int | None
    dtype: np.dtype = FLOAT32

    @cached_property
    def k(self) -> int:
        """Neighbours of each row."""
        return resolve_k_neighbors("auto", self.perplexity, self.n)

    @cached_property
    def edges(self) -> float:
        """Edges of the graph."""
        return csr.estimate_edges(self.n, self.d, self.k)

    @property
    def rows(self) -> int:
        """Bytes of rows beyond the data: sparse ones, or floats that are made of integers."""
        return estimate_bytes(self.n, self.d, self.dtype, self.nnz)

    @property
    def tables(self) -> int:
        """Bytes of neighbours, distances, conditional affinities, and the graph."""
        return int(12 * self.n * self.k + csr.EDGE_BYTES * self.edges)

    @property
    def prepared(self) -> int:
        """Bytes of what the search keeps of sparse rows."""
        return approx.PREPARED_ENTRY_BYTES * (self.nnz or 0)

    def stages(self) -> dict[str, int]:
        """Return the bytes of each stage, all of them in memory."""
        n, k = self.n, self.k
        kept = self.rows + self.prepared + 8 * n * k + csr.EDGE_BYTES * self.edges
        search = approx.estimate_bytes(n, self.d, k, self.dtype, self.nnz)
        stages = {
            "finding the nearest neighbours": self.rows + 8 * n * k + search,
            # With the conditional affinities.
            "computing affinities": kept + 4 * n * k + csr.estimate_bytes(n, k),
            "computing the principal components": kept + pca.estimate_bytes(self.d),
        }
        phases = descent.estimate_bytes(n, self.edges, self.n_components)
        stages |= {name: kept + value for name, value in phases.items()}
        return {name: int(value) + CONSTANT_BYTES for name, value in stages.items()}

    def needed(self) -> int:
        """Return the bytes at the peak if tables, and rows that are not sparse, are in files."""
        phases = descent.estimate_bytes(self.n, self.edges, self.n_components)
        later = self.prepared + max(csr.estimate_bytes(self.n, self.k), *phases.values())
        search = approx.estimate_bytes(self.n, self.d, self.k, self.dtype, self.nnz)
        rows = 0 if self.nnz is None else self.rows
        return CONSTANT_BYTES + int(rows + max(search, later))


def estimate_memory(
    n_samples: int,
    n_features: int,
    perplexity: float = 30,
    dtype: DTypeLike = "float32",
    n_components: int = 2,
    nnz: int | None = None,
) -> dict[str, int]:
    """Return about how much memory each stage of a fit takes beyond the data.

    It is that of a fit with all defaults, of dense rows within 15 % from 50,000 rows on
    (``python benchmarks/memory.py``).  The data are an array or are in a file; floats that are made
    of integers count.

    Parameters
    ----------
    n_samples, n_features : rows and columns.
    perplexity : of the affinities; rows have three times as many neighbours.
    dtype : of the data.  Integers are taken for ones that float32 holds, as counts are, float64
        for numbers that it does not hold.
    n_components : dimensions of the map.
    nnz : the number of stored entries, where the data are a sparse matrix.  It counts, as one
        that is read from a file: rows stay in memory, 8 bytes an entry.

    Returns
    -------
    dict
        Bytes at the peak of each stage, by the names of the log, and of them all: "peak".

    Examples
    --------
    >>> from fasttsne import estimate_memory
    >>> estimate_memory(1_000_000, 50)["peak"] // 10**9
    2
    """
    n = check_number(n_samples, "n_samples", low=2, integer=True)
    d = check_number(n_features, "n_features", low=1, integer=True)
    perplexity = check_number(perplexity, "perplexity", above=0, finite=True)
    n_components = check_number(n_components, "n_components", low=1, high=3, integer=True)
    kind = _check_dtype(dtype)
    if nnz is not None:
        nnz = check_number(nnz, "nnz", low=0, integer=True)
    stages = FitSize(n, d, perplexity, n_components, nnz, kind).stages()
    return {**stages, "peak": max(stages.values())}


class MemoryPlan(NamedTuple):
    """The bytes of memory that parts of a fit may take; what is larger goes to files.

    rows : floats that are made of the rows.
    tables : neighbours, their distances, and affinities.
    """

    rows: int
    tables: int


def plan_memory(
    X: Rows | StoredSparse,
    memory_limit: float | str,
    temp_folder: FilePath | None,
    perplexity: float | Sequence[float],
    n_components: int,
) -> MemoryPlan:
    """Return how a fit shares its memory, before anything is read.

    What every iteration needs is in memory, whatever the limit is.

    Raises
    ------
    MemoryError
        Where that is more than the machine has.
    OSError
        Where the temporary folder has not enough space for the files.
    """
    limit = check_memory_limit(memory_limit)
    table, nnz = _as_table(X)
    if table is None or len(table.shape) != 2 or table.shape[0] < 2 or table.shape[1] < 1:
        return MemoryPlan(limit, limit)  # which are not used, or what is wrong is said later
    n, d = (int(size) for size in table.shape)
    fit = FitSize(n, d, float(np.max(perplexity)), n_components, nnz)
    peak, needed = max(fit.stages().values()), fit.needed()
    if sp.issparse(X):  # its entries are in memory already
        peak, needed = peak - fit.rows, needed - fit.rows
    free = available_memory()
    if needed > free:
        raise MemoryError(_what_would_fit(fit, needed, free))
    if needed > limit > CONSTANT_BYTES:
        log.warning(
            "memory_limit is %s, but a fit of %d rows takes about %s, besides its files",
            format_bytes(limit),
            n,
            format_bytes(needed),
        )
    plan = MemoryPlan(max(limit - peak, 0), max(limit - needed, 0))
    rows = estimate_bytes(n, d, table.dtype) if nnz is None else 0
    files = (rows if rows > plan.rows else 0) + max(fit.tables - plan.tables, 0)
    check_free_space(files, temp_folder)
    return plan


class _Table(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...


def _as_table(X: object) -> tuple[_Table | None, int | None]:
    """Return rows whose shape is known, or None; and the entries of sparse ones, 0 if unknown."""
    stored = as_stored_sparse(X, "X")
    if stored is not None:
        return stored, stored.nnz
    if is_sparse_chunks(X):
        return X, 0
    if isinstance(X, (sp.spmatrix, sp.sparray)):
        return X, int(X.nnz)
    return (X if isinstance(X, np.ndarray) or is_storage(X, "X") else None), None


def _what_would_fit(fit: FitSize, needed: int, free: int) -> str:
    fitting = [
        perplexity
        for perplexity in FITTING_PERPLEXITIES
        if perplexity < fit.perplexity and replace(fit, perplexity=perplexity).needed() <= free
    ]
    if fitting:
        advice = f"perplexity={max(fitting)} would fit"
    else:
        few = int(fit.n * free / needed)
        advice = f"about {few:,} rows would fit: embed a sample, and place the others by transform"
    size, in_files = f"{fit.n:,} rows and {fit.d:,} columns", "its rows and neighbours"
    if fit.nnz is not None:
        size, in_files = f"{size}, {fit.nnz:,} entries of a sparse matrix,", "its neighbours"
    return (
        f"a fit of {size} takes about {format_bytes(needed)} of memory, even with {in_files} in "
        f"files, and {format_bytes(free)} are free; {advice}"
    )


def _check_dtype(dtype: DTypeLike) -> np.dtype:
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind not in "fiub" or isinstance(dtype, Integral):
        raise TypeError(f"dtype must be one of real numbers; got {dtype!r}")
    return kind
