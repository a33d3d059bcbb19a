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


def check_free_memory(
    subject: Subject, sizes: Sizes, perplexity: float | None, has_graph: bool
) -> None:
    """Raise MemoryError where a report, with the graph that it needs, takes more than is free.

    has_graph : whether there is one that was made for another map of the same rows.
    """
    needed, free = _bytes_of_measures(len(subject.points), sizes), available_memory()
    if subject.embedding is None and not has_graph:
        needed = max(needed, _bytes_of_search(subject, perplexity))
    if needed > free:
        raise MemoryError(
            f"this report takes about {format_bytes(needed)} of memory, but only "
            f"{format_bytes(free)} are free; fewer rows of data and map take less"
        )


def _bytes_of_measures(n: int, sizes: Sizes) -> int:
    ranked = n if sizes.ranks is None else min(sizes.ranks, n)
    return CONSTANT_BYTES + ROW_BYTES * n + RANKED_ROW_BYTES * ranked


def _bytes_of_search(subject: Subject, perplexity: float | None) -> int:
    n, d = np.shape(subject.X)
    if n > MAX_SEARCHED or (isinstance(subject.metric, str) and subject.metric == "precomputed"):
        return 0
    stages = estimate_memory(
        n,
        d,
        perplexity or USUAL_PERPLEXITY,
        getattr(subject.X, "dtype", np.float32),
        nnz=subject.X.nnz if sp.issparse(subject.X) else None,
    )
    return max(stages["computing affinities"], stages["finding the nearest neighbours"])
