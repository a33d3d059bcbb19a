"""The memory that a fit takes, stage by stage, before it runs."""

import logging
from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from fasttsne.affinity.csr import BLOCK_EDGES, MAX_BLOCKS
from fasttsne.linalg.pca import SAMPLE_SIZE
from fasttsne.nearest_neighbors.approx import EXACT_MAX_SAMPLES
from fasttsne.nearest_neighbors.builtin.candidates import BUFFER_RANGE, N_EXTRA_CANDIDATES
from fasttsne.nearest_neighbors.builtin.cells import SEARCH_BATCH
from fasttsne.nearest_neighbors.builtin.reduction import N_COMPONENTS
from fasttsne.nearest_neighbors.select import resolve_k_neighbors
from fasttsne.runtime.memory import (
    available_memory,
    check_free_space,
    check_memory_limit,
    format_bytes,
)
from fasttsne.runtime.stored_rows import is_storage
from fasttsne.runtime.stored_sparse import (
    ENTRY_BYTES,
    StoredSparse,
    as_stored_sparse,
    is_sparse_chunks,
)
from fasttsne.runtime.typing import FilePath
from fasttsne.runtime.validation import check_number

__all__ = ["estimate_memory"]

log = logging.getLogger("fasttsne")

# Measured by ``python benchmarks/memory.py``, where no array of ours says it.
# What threads, the BLAS library and the allocator take in every stage.
CONSTANT_BYTES = 15_000_000
# Candidates kept for each neighbour where rows are reduced: 1.25 to 3, by the data.
REDUCED_CANDIDATES = 1.5
# Packed rows for each row, as cells are padded; and bytes of a row in the tables of near cells.
PADDING, CELL_BYTES = 1.13, 100
# Edges after the neighbours are made symmetric, for each row and neighbour: 1.1 for two columns,
# 1.4 to 1.5 for ten to a thousand.
EDGES_PER_NEIGHBOR = {"plane": 1.1, "more": 1.45}
# Bytes of a point: its coordinates, forces and what the optimizer remembers of it; and in the main
# phase, with the mesh of a map that has grown.
POINT_BYTES = {"early exaggeration": 350, "main phase": 570}
# An edge is an int32 column and a float32 value; in the order of the map, it has mostly half.
EDGE_BYTES, PACKED_EDGE_BYTES = 8, 4.1
# Bytes of an entry of a sparse matrix, besides those of the matrix itself: at the peak of its
# search, in float64 for a while, and of what the search keeps for new rows.
SEARCH_ENTRY_BYTES, PREPARED_ENTRY_BYTES = 48, 12
# What is tried, where a fit does not fit.
FITTING_PERPLEXITIES = (50, 30, 20, 15, 10, 5)
# Of edges that are made symmetric together: both directions, and both as one.
BLOCK_EDGE_BYTES = 14


def estimate_memory(
    n_samples: int,
    n_features: int,
    perplexity: float = 30,
    dtype: Any = "float32",
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
    k = resolve_k_neighbors("auto", perplexity, n)
    edges = _count_edges(n, d, k)
    is_reduced = d > N_COMPONENTS * 3 // 2 and n > EXACT_MAX_SAMPLES
    # What stays: floats of other types, neighbours, distances, and the graph.
    rows = canonical_bytes(n, d, kind) if nnz is None else csr_bytes(n, nnz)
    prepared = PREPARED_ENTRY_BYTES * (nnz or 0)
    graph = rows + prepared + 8 * n * k + EDGE_BYTES * edges
    stages = {
        "finding the nearest neighbours": (
            rows + 8 * n * k + _search_bytes(n, d, k, kind, is_reduced, nnz)
        ),
        # With the conditional affinities.
        "computing affinities": graph + 4 * n * k + _symmetrizing_bytes(n, k),
        "computing the principal components": graph + 24 * min(d, 1000) ** 2,
    }
    for name in POINT_BYTES:
        stages[name] = graph + _descent_bytes(name, n, edges, n_components)
    result = {name: int(value) + CONSTANT_BYTES for name, value in stages.items()}
    return {**result, "peak": max(result.values())}


class MemoryPlan(NamedTuple):
    """The bytes of memory that parts of a fit may take; what is larger goes to files.

    rows : floats that are made of the rows.
    tables : neighbours, their distances, and affinities.
    """

    rows: int
    tables: int


def plan_memory(
    X: Any,
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
    stored = as_stored_sparse(X, "X")
    X = X if stored is None else stored
    nnz = _count_entries(X)
    is_table = nnz is not None or is_storage(X, "X") or isinstance(X, np.ndarray)
    if not is_table or len(X.shape) != 2 or X.shape[0] < 2 or X.shape[1] < 1:
        return MemoryPlan(limit, limit)  # which are not used, or what is wrong is said later
    n, d, u = int(X.shape[0]), int(X.shape[1]), float(np.max(perplexity))
    peak = estimate_memory(n, d, u, "float32", n_components, nnz)["peak"]
    needed = _needed_bytes(n, d, u, n_components, nnz)
    if sp.issparse(X):  # its entries are in memory already
        peak, needed = (value - csr_bytes(n, X.nnz) for value in (peak, needed))
    free = available_memory()
    if needed > free:
        raise MemoryError(_what_would_fit(n, d, u, n_components, nnz, needed, free))
    if needed > limit > CONSTANT_BYTES:
        log.warning(
            "memory_limit is %s, but a fit of %d rows takes about %s, besides its files",
            format_bytes(limit),
            n,
            format_bytes(needed),
        )
    plan = MemoryPlan(max(limit - peak, 0), max(limit - needed, 0))
    rows = canonical_bytes(n, d, X.dtype) if nnz is None else 0
    files = (rows if rows > plan.rows else 0) + max(_table_bytes(n, d, u) - plan.tables, 0)
    check_free_space(files, temp_folder)
    return plan


def _count_entries(X: Any) -> int | None:
    """Return the stored entries of a sparse matrix, 0 where they are not known, else None."""
    if is_sparse_chunks(X):
        return 0
    return int(X.nnz) if sp.issparse(X) or isinstance(X, StoredSparse) else None


def _needed_bytes(
    n: int, d: int, perplexity: float, n_components: int, nnz: int | None = None
) -> int:
    """Return what a fit has in memory at its peak if rows and tables are in files.

    Sparse rows are never in files.
    """
    k = resolve_k_neighbors("auto", perplexity, n)
    is_reduced = d > N_COMPONENTS * 3 // 2 and n > EXACT_MAX_SAMPLES
    edges = _count_edges(n, d, k)
    rows = 0 if nnz is None else csr_bytes(n, nnz)
    later = [_symmetrizing_bytes(n, k)]
    later += [_descent_bytes(stage, n, edges, n_components) for stage in POINT_BYTES]
    return CONSTANT_BYTES + int(
        rows
        + max(
            _search_bytes(n, d, k, np.dtype(np.float32), is_reduced, nnz),
            PREPARED_ENTRY_BYTES * (nnz or 0) + max(later),
        )
    )


def _table_bytes(n: int, d: int, perplexity: float) -> int:
    """Return the bytes of neighbours, distances, conditional affinities, and the graph."""
    k = resolve_k_neighbors("auto", perplexity, n)
    return int(12 * n * k + EDGE_BYTES * _count_edges(n, d, k))


def _count_edges(n: int, d: int, k: int) -> float:
    return n * k * EDGES_PER_NEIGHBOR["plane" if d <= 2 else "more"]


def _what_would_fit(
    n: int, d: int, perplexity: float, n_components: int, nnz: int | None, needed: int, free: int
) -> str:
    fitting = [
        u
        for u in FITTING_PERPLEXITIES
        if u < perplexity and _needed_bytes(n, d, u, n_components, nnz) <= free
    ]
    if fitting:
        advice = f"perplexity={max(fitting)} would fit"
    else:
        few = int(n * free / needed)
        advice = f"about {few:,} rows would fit: embed a sample, and place the others by transform"
    size = f"{n:,} rows and {d:,} columns"
    in_files = "its rows and neighbours"
    if nnz is not None:
        size, in_files = f"{size}, {nnz:,} entries of a sparse matrix,", "its neighbours"
    return (
        f"a fit of {size} takes about {format_bytes(needed)} of memory, even with {in_files} in "
        f"files, and {format_bytes(free)} are free; {advice}"
    )


def canonical_bytes(n: int, d: int, dtype: np.dtype) -> int:
    """Return the bytes of rows that become floats of their own; 0 where they are so already."""
    return 0 if dtype in (np.float32, np.float64) else 4 * n * d


def csr_bytes(n: int, nnz: int) -> int:
    """Return the bytes of a sparse matrix in memory: float32 values, int32 columns, row starts."""
    return ENTRY_BYTES * nnz + 8 * n


def _search_bytes(
    n: int, d: int, k: int, dtype: np.dtype, is_reduced: bool, nnz: int | None
) -> float:
    """Return what the approximate search takes at its peak, without its result."""
    n_kept = int(k * (REDUCED_CANDIDATES if is_reduced else 1)) + N_EXTRA_CANDIDATES
    batch = min(n, SEARCH_BATCH)
    candidates = 8 * batch * (n_kept + int(np.clip(n_kept, *BUFFER_RANGE)))
    # Rows packed in padded cells; of those that are reduced, the components too.
    packed = 4 * n * (PADDING * N_COMPONENTS + N_COMPONENTS if is_reduced else PADDING * d)
    search: float = candidates + packed + CELL_BYTES * n
    if is_reduced and dtype == np.uint8:  # in place of components, which are packed by then
        search += max(d - 4 * N_COMPONENTS, 0) * n
    if is_reduced:  # before, directions of a sample of rows, which is copied, and partly centered
        sample = SAMPLE_SIZE if n > SAMPLE_SIZE and nnz is None else 0
        before = 4 * n * N_COMPONENTS + 5 * sample * d - 8 * n * k
        search = max(search, before)
    if nnz is not None:
        return search + SEARCH_ENTRY_BYTES * nnz
    return search + (4 * n * d if dtype == np.float64 else 0)


def _symmetrizing_bytes(n: int, k: int) -> float:
    """Return what is in memory of a graph that is made symmetric, besides the graph."""
    return BLOCK_EDGE_BYTES * min(max(BLOCK_EDGES, 2 * n * k / MAX_BLOCKS), 2 * n * k)


def _descent_bytes(stage: str, n: int, edges: float, n_components: int) -> float:
    """Return what a stage of the descent has: the edges in the map's order, padded, and points."""
    return PACKED_EDGE_BYTES * (edges + 8 * n) + POINT_BYTES[stage] * n * n_components / 2


def _check_dtype(dtype: Any) -> np.dtype:
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind not in "fiub" or isinstance(dtype, Integral):
        raise TypeError(f"dtype must be one of real numbers; got {dtype!r}")
    return kind
