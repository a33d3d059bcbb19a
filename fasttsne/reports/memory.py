"""The memory of a report, checked before anything is measured."""

import numpy as np
import scipy.sparse as sp

from fasttsne.memory import estimate_memory
from fasttsne.reports.graph import MAX_SEARCHED, USUAL_PERPLEXITY
from fasttsne.reports.sizes import Sizes
from fasttsne.reports.subject import Subject
from fasttsne.runtime.memory import available_memory, format_bytes

# Beyond data and map, at the peak of 3,000 to 300,000 rows: what each row takes, above all by its
# neighbours in the map, and the blocks of distances and ranks.
ROW_BYTES, CONSTANT_BYTES = 1000, 80_000_000
# Points of the curves that are kept of each row whose ranks are compared.
RANKED_ROW_BYTES = 8500


def check_free_memory(subject: Subject, sizes: Sizes, perplexity: float | None) -> None:
    """Raise MemoryError where a report, with the graph that it needs, takes more than is free."""
    needed, free = _needed_bytes(subject, sizes, perplexity), available_memory()
    if needed > free:
        raise MemoryError(
            f"this report takes about {format_bytes(needed)} of memory, of which "
            f"{format_bytes(free)} are free; fewer rows of data and map take less"
        )


def _needed_bytes(subject: Subject, sizes: Sizes, perplexity: float | None) -> int:
    n = len(subject.points)
    ranked = n if sizes.ranks is None else min(sizes.ranks, n)
    needed = CONSTANT_BYTES + ROW_BYTES * n + RANKED_ROW_BYTES * ranked
    is_precomputed = isinstance(subject.metric, str) and subject.metric == "precomputed"
    if subject.embedding is not None or n > MAX_SEARCHED or is_precomputed:
        return needed  # no search is made
    nnz = subject.X.nnz if sp.issparse(subject.X) else None
    d = np.shape(subject.X)[1]
    graph = estimate_memory(n, d, perplexity or USUAL_PERPLEXITY, nnz=nnz)
    return max(needed, graph["computing affinities"], graph["finding the nearest neighbours"])
