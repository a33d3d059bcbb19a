"""New rows a block at a time, so that any number of them can be placed in a map.

No row's place depends on the other rows: blocks of any size give the same bits.
"""

from collections.abc import Iterator
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sp

from fasttsne.linalg.robust import RobustFrame, sample_frame, warn_of_far_new_rows
from fasttsne.nearest_neighbors.dynamic import DynamicIndex
from fasttsne.nearest_neighbors.index import Index, KNNIndex
from fasttsne.runtime.progress import stage
from fasttsne.runtime.rows import (
    StoredSparse,
    as_stored_sparse,
    check_finite,
    check_stored,
    is_memmapped,
    is_sparse,
    is_storage,
    iter_blocks,
    load_sparse,
)
from fasttsne.runtime.typing import Rows, Storage
from fasttsne.runtime.validation import (
    check_data,
    check_shape,
    check_sparse_indices,
    refuse_containers,
)

# Rows of a block, and its bytes in the storage: together with what placing them takes, 100 to
# 200 MB (benchmarks/many_points.py).
BLOCK_ROWS = 2**16
BLOCK_BYTES = 2**26
STAGE = "placing rows"

NewRows: TypeAlias = np.ndarray | sp.csr_matrix | StoredSparse | Storage


def as_new_rows(X: Rows, name: str = "X") -> NewRows:
    """Return rows that ``iter_new_rows`` can read: X itself where it is an array or a storage."""
    refuse_containers(X, name)
    stored = as_stored_sparse(X, name)
    if stored is not None and stored.format == "csr":
        check_shape(stored.shape, name, min_rows=1)
        return stored
    rows = load_sparse(X if stored is None else stored, name)
    if is_sparse(rows):
        rows = rows.tocsr()
    elif isinstance(rows, np.ndarray):
        is_numeric = rows.ndim == 2 and rows.dtype.kind in "fiub" and not np.ma.is_masked(rows)
        rows = rows if is_numeric else check_data(rows, name, min_rows=1)
    elif not is_storage(rows, name):
        rows = check_data(rows, name, min_rows=1)
    check_shape(rows.shape, name, min_rows=1)
    return rows


def check_new_rows(rows: NewRows, name: str = "X") -> None:
    """Raise ValueError for the first number that is not finite, before any work begins."""
    if isinstance(rows, StoredSparse):
        rows.check_finite(name)
    elif is_storage(rows, name):
        check_stored(rows, name)
    elif isinstance(rows, np.ndarray):  # blocks of sparse rows are checked as they are read
        check_finite(rows, name)


def warn_of_far_rows(X: Rows, index: Index | None) -> None:
    """Warn where new rows in memory lie beyond reason of the rows that a search of ours has."""
    first = index.parts[0].index if isinstance(index, DynamicIndex) else index
    if not isinstance(first, KNNIndex) or first.metric == "precomputed":
        return
    data = first.data
    if not isinstance(data, np.ndarray) and not sp.issparse(data):  # it is on a cluster
        return
    rows: sp.csr_matrix = X
    if sp.issparse(X):
        check_sparse_indices(rows, "X")
        rows = rows.tocsr()
        if not rows.has_canonical_format:  # SciPy would put the caller's entries in order
            rows = rows.copy()
            rows.sum_duplicates()
    elif isinstance(X, np.ndarray) and X.dtype.kind in "fiu" and not is_memmapped(X):
        rows = np.asarray(X)  # np.matrix reduces to two dimensions
    else:
        return
    if rows.ndim == 2 and rows.shape[0] and rows.shape[1] == data.shape[1]:
        warn_of_far_new_rows(rows, data, _sample_frame(first))


# By index: single rows are placed one after the other, and the frame would take half of the time.
_SAMPLE_FRAMES: WeakKeyDictionary[KNNIndex, RobustFrame] = WeakKeyDictionary()


def _sample_frame(index: KNNIndex) -> RobustFrame:
    if index not in _SAMPLE_FRAMES:
        _SAMPLE_FRAMES[index] = sample_frame(index.data)
    return _SAMPLE_FRAMES[index]


def iter_new_rows(rows: NewRows) -> Iterator[tuple[int, np.ndarray | sp.csr_matrix]]:
    """Yield all rows once, in order, as (first row, block), in one stage of progress."""
    n_columns, itemsize = max(rows.shape[1], 1), rows.dtype.itemsize
    n_rows = min(BLOCK_ROWS, max(BLOCK_BYTES // (n_columns * itemsize), 1))
    if is_storage(rows, "X"):
        for first, block in iter_blocks(rows, "X", n_rows * n_columns * itemsize, STAGE):
            check_finite(block, "X", first)  # they may have changed since
            yield first, block
        return
    n, step = rows.shape[0], BLOCK_ROWS if sp.issparse(rows) else n_rows
    if isinstance(rows, StoredSparse):
        blocks = rows.iter_blocks("X")
    else:
        blocks = ((first, rows[first : first + step]) for first in range(0, n, step))
    with stage(STAGE, n) as progress:
        for first, block in blocks:
            yield first, block
            progress.advance(block.shape[0])
