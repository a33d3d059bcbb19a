"""Matrix products whose bits do not depend on the number of threads.

BLAS libraries split large products among threads, which changes the order of the sums: a process
that joblib started has fewer threads, and would end with another embedding.
"""

import functools
from collections.abc import Iterable

import numpy as np
import scipy.linalg.blas

from fasttsne import _kernels

# OpenBLAS uses one thread for products of at most so many multiplications: of two matrices, and
# of a matrix with a vector.
SINGLE_THREAD_MATMUL = 2**18
SINGLE_THREAD_MATVEC = 2**13
# OpenBLAS allocates 32 MiB at its first large product; twice as much is tried, to be safe.
BLAS_BUFFER_BYTES = 2**26
# Rows whose products are summed in single precision.
GRAM_BLOCK_ROWS = 512
# The kernel that projects rows is made for multiples of so many directions.
KERNEL_DIRECTIONS = 32


@functools.cache
def preallocate_blas_buffers() -> None:
    """Have the BLAS libraries of NumPy and SciPy allocate their buffers.

    OpenBLAS ends the process where it cannot allocate them; here that is a MemoryError.
    """
    for multiply in (np.matmul, functools.partial(scipy.linalg.blas.dgemm, 1.0)):
        np.empty(BLAS_BUFFER_BYTES, np.uint8)
        square = np.zeros((128, 128))
        multiply(square, square)


def matmul(a: np.ndarray, b: np.ndarray, n_threads: int = 1) -> np.ndarray:
    """Return a @ b for matrices, (m, k) and (k, n) of which n is small."""
    is_float32 = a.dtype == b.dtype == np.float32
    is_multiple = b.shape[1] % KERNEL_DIRECTIONS == 0 < b.size
    if is_multiple and is_float32 and a.flags.c_contiguous:
        out = np.empty((len(a), b.shape[1]), np.float32)
        origin = np.zeros(a.shape[1], np.float32)
        _kernels.knn_dense.project(a, origin, np.ascontiguousarray(b), out, n_threads)
        return out
    out = np.empty((len(a), b.shape[1]), np.result_type(a, b))
    max_size = SINGLE_THREAD_MATMUL if b.shape[1] > 1 else SINGLE_THREAD_MATVEC
    step = max(max_size // max(b.size, 1), 1)
    for start in range(0, len(a), step):
        np.matmul(a[start : start + step], b, out=out[start : start + step])
    return out


def gram_matrix(chunks: Iterable[np.ndarray], n_columns: int, n_threads: int) -> np.ndarray:
    """Return the sum of chunk.T @ chunk over chunks of rows, (columns, columns) float64."""
    out = empty_gram(n_columns)
    for chunk in chunks:
        out = add_gram(out, chunk, n_threads)
    return finished_gram(out, n_columns)


def empty_gram(n_columns: int) -> np.ndarray:
    """Return zeros for ``add_gram``."""
    tile = _kernels.gram.TILE_COLUMNS
    padded = -(-n_columns // tile) * tile
    return np.zeros((padded, padded))


def add_gram(out: np.ndarray, chunk: np.ndarray, n_threads: int) -> np.ndarray:
    """Add chunk.T @ chunk to the upper half, in place; return it."""
    panel = _kernels.gram.PANEL_COLUMNS
    chunk = np.ascontiguousarray(chunk, np.float32)
    for start in range(0, len(chunk), GRAM_BLOCK_ROWS):
        rows = chunk[start : start + GRAM_BLOCK_ROWS]
        packed = np.empty((len(out) // panel, len(rows), panel), np.float32)
        _kernels.gram.pack_columns(rows, packed, n_threads)
        _kernels.gram.add_gram(packed, out, n_threads)
    return out


def finished_gram(out: np.ndarray, n_columns: int) -> np.ndarray:
    """Return the whole matrix, of which ``add_gram`` writes half."""
    own = out[:n_columns, :n_columns]
    whole: np.ndarray = np.triu(own) + np.triu(own, 1).T
    return whole


def add_gram_float64(out: np.ndarray, chunk: np.ndarray) -> np.ndarray:
    """Add chunk.T @ chunk in double precision, in place; return it."""
    step = max(SINGLE_THREAD_MATMUL // len(out) ** 2, 1)
    chunk = chunk.astype(np.float64)
    for start in range(0, len(chunk), step):
        rows = chunk[start : start + step]
        out += matmul(np.ascontiguousarray(rows.T), rows)
    return out
