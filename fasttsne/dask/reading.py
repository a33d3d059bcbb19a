"""Rows of a Dask collection, read by the workers into blocks of their canonical form.

It is that of the local fit (:mod:`fasttsne.runtime.rows`): float32 where every number is
exactly a float32, else float64.
"""

import uuid
from typing import Any

import dask
import dask.array as da
import numpy as np
import scipy.sparse as sp

from fasttsne.dask.cluster import Cluster
from fasttsne.dask.limits import refusal
from fasttsne.dask.remote_rows import RemoteRows
from fasttsne.runtime.rows import check_finite, to_canonical_floats
from fasttsne.runtime.validation import (
    MAX_DENSE_NUMBERS,
    check_shape,
    refuse_containers,
    refuse_masked,
    to_numbers,
)

STAGE = "reading rows"
# Numbers of a block, at most, and rows at least.
BLOCK_NUMBERS, MIN_BLOCK_ROWS = 2**23, 256


def as_dask_array(X: Any, name: str = "X", min_rows: int = 2) -> da.Array:
    """Return rows as a Dask array, nothing of which is computed.

    Parameters
    ----------
    X : (n, columns) Dask array, of dense or sparse chunks; Dask data frame; ``zarr.Array``;
        AnnData with one of them as its ``X``; xarray's ``DataArray`` of Dask; NumPy array.
    name : for messages.

    Raises
    ------
    TypeError, ValueError
        Where it is none of them, its numbers are no real ones, or its chunks have no known sizes.
    """
    X = _unwrapped(X)
    if hasattr(X, "to_dask_array"):  # a data frame
        X = X.to_dask_array(lengths=True)
    elif not isinstance(X, da.Array):
        refuse_containers(X, name)
        if not (hasattr(X, "shape") and hasattr(X, "dtype") and hasattr(X, "__getitem__")):
            raise TypeError(
                f"{name} must be a Dask array, a Dask data frame, a zarr array or AnnData of one; "
                f"got {type(X).__name__}"
            )
        if sp.issparse(X):
            raise TypeError(
                f"{name} is a SciPy sparse matrix in memory: fit it with fasttsne.TSNE, or make a "
                "Dask array of sparse chunks of it"
            )
        X = da.from_array(X, chunks=getattr(X, "chunks", None) or "auto")
    if X.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got dtype {X.dtype}")
    if X.ndim == 2 and any(np.isnan(size) for chunks in X.chunks for size in chunks):
        raise ValueError(
            f"{name} must have chunks of known sizes; got shape {X.shape}: call "
            f"{name}.compute_chunk_sizes() first"
        )
    check_shape(X.shape, name, min_rows)
    return X


def _unwrapped(X: Any) -> Any:
    """Return what AnnData, and xarray's arrays, hold."""
    if hasattr(X, "obsm") and hasattr(X, "X"):
        return X.X
    data = getattr(X, "data", None)
    return data if isinstance(data, da.Array) and not isinstance(X, da.Array) else X


def read_rows(cluster: Cluster, X: da.Array, name: str = "X") -> RemoteRows:
    """Have the workers read all rows, once, and keep them.

    Raises
    ------
    ValueError
        For the first number that is not finite: in which row and column; and for large sparse
        chunks.
    """
    n, d = X.shape
    is_sparse = sp.issparse(X._meta)
    if is_sparse and n * d > MAX_DENSE_NUMBERS:
        raise refusal("X", (n, d))
    n_blocks = cluster.n_parts(n, MIN_BLOCK_ROWS, max(BLOCK_NUMBERS // d, 1))
    edges = np.arange(n_blocks + 1) * n // n_blocks
    rows = X.rechunk((tuple(np.diff(edges).tolist()), (d,)))
    token = uuid.uuid4().hex
    read = [
        dask.delayed(read_block, pure=False)(block, name, dask_key_name=f"{STAGE}-{token}-{i}")
        for i, block in enumerate(rows.to_delayed().ravel())
    ]
    blocks = cluster.compute(read)
    sizes = np.diff(edges).tolist()
    cluster.finish(STAGE, blocks, sizes)
    examined = [
        cluster.submit(STAGE, _examine, block, name, int(first))
        for block, first in zip(blocks, edges[:-1], strict=True)
    ]
    found = cluster.results(STAGE, examined)
    wrong = [message for _, message in found if message]
    if wrong:
        raise ValueError(wrong[0])
    kinds = {dtype for dtype, _ in found}
    dtype = max(kinds, key=lambda kind: kind.itemsize)
    if len(kinds) > 1:
        blocks = [cluster.submit(STAGE, _to_float64, block) for block in blocks]
    return RemoteRows(cluster, blocks, edges, d, dtype)


def read_block(block: Any, name: str = "X") -> np.ndarray:
    """Return a block of rows in its own canonical form.

    Raises
    ------
    TypeError, ValueError
        Where it does not hold real numbers: the dtype that a Dask array declares may be wrong.
    """
    refuse_masked(block, name)
    if sp.issparse(block):
        block = block.toarray()
    elif hasattr(block, "todense"):  # of the package sparse
        block = block.todense()
    rows = to_canonical_floats(to_numbers(block, name))
    # A part of a larger chunk would keep it in memory.
    return rows if rows.base is None else rows.copy()


def _examine(rows: np.ndarray, name: str, first: int) -> tuple[np.dtype, str | None]:
    """Return the type of rows, and what is said of a number that is not finite."""
    try:
        check_finite(rows, name, first)
    except ValueError as error:
        return rows.dtype, str(error)
    return rows.dtype, None


def _to_float64(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.float64)
