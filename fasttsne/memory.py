"""The memory that a fit takes, stage by stage, before it runs."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from fasttsne.linalg.pca import SAMPLE_SIZE
from fasttsne.nearest_neighbors.approx import EXACT_MAX_SAMPLES
from fasttsne.nearest_neighbors.builtin.candidates import BUFFER_RANGE, N_EXTRA_CANDIDATES
from fasttsne.nearest_neighbors.builtin.cells import SEARCH_BATCH
from fasttsne.nearest_neighbors.builtin.reduction import N_COMPONENTS
from fasttsne.nearest_neighbors.select import resolve_k_neighbors
from fasttsne.runtime.memory import check_memory_limit
from fasttsne.runtime.stored_rows import is_storage
from fasttsne.runtime.validation import check_number

__all__ = ["estimate_memory"]

# Measured by ``python benchmarks/memory.py``, where no array of ours says it.
# What threads, the BLAS library and the allocator take in every stage.
CONSTANT_BYTES = 15_000_000
# Candidates kept for each neighbour where rows are reduced: 1.25 to 3, by the data.
REDUCED_CANDIDATES = 1.5
# Packed rows for each row, as cells are padded.
PADDING = 1.13
# Edges after the neighbours are made symmetric, for each row and neighbour: 1.1 for two columns,
# 1.4 to 1.5 for ten to a thousand.
EDGES_PER_NEIGHBOR = {"plane": 1.1, "more": 1.45}
# Bytes of a point: its coordinates, forces and what the optimizer remembers of it; and in the main
# phase, with the mesh of a map that has grown.
POINT_BYTES = {"early exaggeration": 200, "main phase": 600}
# An edge is an int32 column and a float32 value.
EDGE_BYTES = 8


def estimate_memory(
    n_samples: int, n_features: int, perplexity: float = 30, dtype: Any = "float32",
    n_components: int = 2,
) -> dict[str, int]:  # fmt: skip
    """Return about how much memory each stage of a fit takes beyond the data.

    It is that of a fit with all defaults, within 15 % from 50,000 rows on
    (``python benchmarks/memory.py``).  The data are an array or are in a file; floats that are made
    of integers count.

    Parameters
    ----------
    n_samples, n_features : rows and columns.
    perplexity : of the affinities; rows have three times as many neighbours.
    dtype : of the data.  Integers are taken for ones that float32 holds, as counts are, float64
        for numbers that it does not hold.
    n_components : dimensions of the map.

    Returns
    -------
    dict
        Bytes at the peak of each stage, by the names of the log, and of them all: "peak".

    Examples
    --------
    >>> from fasttsne import estimate_memory
    >>> estimate_memory(1_000_000, 50)["peak"] // 10**9
    3
    """
    n = check_number(n_samples, "n_samples", low=2, integer=True)
    d = check_number(n_features, "n_features", low=1, integer=True)
    perplexity = check_number(perplexity, "perplexity", above=0, finite=True)
    n_components = check_number(n_components, "n_components", low=1, high=3, integer=True)
    kind = _check_dtype(dtype)
    k = resolve_k_neighbors("auto", perplexity, n)
    edges = n * k * EDGES_PER_NEIGHBOR["plane" if d <= 2 else "more"]
    is_reduced = d > N_COMPONENTS * 3 // 2 and n > EXACT_MAX_SAMPLES
    # What stays: floats of other types, neighbours and distances, reduced rows for queries.
    rows = canonical_bytes(n, d, kind)
    found = rows + 8 * n * k + is_reduced * 4 * n * N_COMPONENTS
    graph = found + EDGE_BYTES * edges
    stages = {
        "finding the nearest neighbours": rows + _search_bytes(n, d, k, kind, is_reduced),
        # Conditional affinities, the graph of both directions, and both as one.
        "computing affinities": graph + 4 * n * k + EDGE_BYTES * n * k + 4 * n * k,
        "computing the principal components": graph + 24 * min(d, 1000) ** 2,
    }
    for name, point_bytes in POINT_BYTES.items():
        # The graph once more, in the order of the map, rows padded.
        copy = EDGE_BYTES * (edges + 4 * n)
        stages[name] = graph + copy + point_bytes * n * n_components / 2
    result = {name: int(value) + CONSTANT_BYTES for name, value in stages.items()}
    return {**result, "peak": max(result.values())}


def memory_for_rows(
    X: Any, memory_limit: float | str, perplexity: float | Sequence[float], n_components: int
) -> int:
    """Return the bytes that the stages of a fit leave, of a limit, for floats made of the rows."""
    limit = check_memory_limit(memory_limit)
    is_table = is_storage(X, "X") or (isinstance(X, np.ndarray) and X.ndim == 2)
    if not is_table or X.shape[0] < 2 or X.shape[1] < 1:
        return limit  # which is not used, or what is wrong is said later
    n, d = map(int, X.shape)
    others = estimate_memory(n, d, float(np.max(perplexity)), "float32", n_components)
    return max(limit - others["peak"], 0)


def canonical_bytes(n: int, d: int, dtype: np.dtype) -> int:
    """Return the bytes of rows that become floats of their own; 0 where they are so already."""
    return 0 if dtype in (np.float32, np.float64) else 4 * n * d


def _search_bytes(n: int, d: int, k: int, dtype: np.dtype, is_reduced: bool) -> float:
    """Return what the approximate search takes at its peak, with its result."""
    n_kept = int(k * (REDUCED_CANDIDATES if is_reduced else 1)) + N_EXTRA_CANDIDATES
    batch = min(n, SEARCH_BATCH)
    candidates = 8 * batch * (n_kept + int(np.clip(n_kept, *BUFFER_RANGE)))
    # Rows packed in padded cells; of those that are reduced, the components too.
    packed = 4 * n * (PADDING * N_COMPONENTS + N_COMPONENTS if is_reduced else PADDING * d)
    search: float = candidates + packed + 8 * n * k
    if is_reduced:  # before, directions of a sample of rows, which is copied, and partly centered
        sample = SAMPLE_SIZE if n > SAMPLE_SIZE else 0
        search = max(search, 4 * n * N_COMPONENTS + 5 * sample * d)
    return search + (4 * n * d if dtype == np.float64 else 0)


def _check_dtype(dtype: Any) -> np.dtype:
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind not in "fiub" or isinstance(dtype, Integral):
        raise TypeError(f"dtype must be one of real numbers; got {dtype!r}")
    return kind
