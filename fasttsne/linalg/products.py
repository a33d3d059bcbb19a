"""Matrix products that have the same bits whatever BLAS does with its threads.

BLAS libraries split large products among threads, and sums come out in another order; a
process that joblib started has fewer threads, and would end at another map.
"""

import functools

import numpy as np
import scipy.linalg.blas

from fasttsne import _kernels
from fasttsne.runtime.validation import resolve_n_jobs

# OpenBLAS computes products of so few multiplications on one thread: of two matrices, and of
# a matrix with a vector.
ALONE = 2**18
ALONE_WITH_VECTOR = 2**13
# OpenBLAS takes 32 MiB at its first large product; asked for is twice as much, to be safe.
BUFFER = 2**26
# Rows whose products are summed in single precision.
DEPTH = 512
# What the kernel that projects rows is made for.
DIRECTIONS = 64


@functools.cache
def wake_blas() -> None:
    """Have the BLAS libraries of NumPy and SciPy take the memory that they work in.

    They end the process where they get none; asked here first, it is a MemoryError.
    """
    for multiply in (np.matmul, functools.partial(scipy.linalg.blas.dgemm, 1.0)):
        np.empty(BUFFER, np.uint8)
        square = np.zeros((128, 128))
        multiply(square, square)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b for matrices, (m, k) and (k, n) of which n is small."""
    if b.shape[1] == DIRECTIONS and a.dtype == b.dtype == np.float32 and a.flags.c_contiguous:
        return _projected(a, b)
    out = np.empty((len(a), b.shape[1]), np.result_type(a, b))
    most = ALONE if b.shape[1] > 1 else ALONE_WITH_VECTOR
    step = max(most // max(b.size, 1), 1)
    for start in range(0, len(a), step):
        np.matmul(a[start : start + step], b, out=out[start : start + step])
    return out


def _projected(rows, directions):
    out = np.empty((len(rows), DIRECTIONS), np.float32)
    _kernels.knn_dense.project(
        rows, np.zeros(rows.shape[1], np.float32), np.ascontiguousarray(directions), out,
        resolve_n_jobs(-1),
    )  # fmt: skip
    return out


def products_of_columns(chunks, n_columns: int) -> np.ndarray:
    """The sum of chunk.T @ chunk, (columns, columns) float64, over chunks of rows."""
    panel, tile = _kernels.gram.PANEL_COLUMNS, _kernels.gram.TILE_COLUMNS
    padded = -(-n_columns // tile) * tile
    out = np.zeros((padded, padded))
    n_threads = resolve_n_jobs(-1)
    for chunk in chunks:
        chunk = np.ascontiguousarray(chunk, np.float32)
        for start in range(0, len(chunk), DEPTH):
            rows = chunk[start : start + DEPTH]
            packed = np.empty((padded // panel, len(rows), panel), np.float32)
            _kernels.gram.pack_columns(rows, packed, n_threads)
            _kernels.gram.add_gram(packed, out, n_threads)
    out = out[:n_columns, :n_columns]
    return np.triu(out) + np.triu(out, 1).T


def products_of_few_columns(chunks, n_columns: int) -> np.ndarray:
    """The same in double precision, which costs nothing where there are less than 64."""
    out = np.zeros((n_columns, n_columns))
    step = max(ALONE // n_columns**2, 1)
    for chunk in chunks:
        chunk = chunk.astype(np.float64)
        for start in range(0, len(chunk), step):
            rows = chunk[start : start + step]
            out += product(np.ascontiguousarray(rows.T), rows)
    return out
