"""Rows that are computed in blocks, written to an array of the caller's or to an .npy file."""

import contextlib
import errno
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fasttsne.io.atomic import atomic_write
from fasttsne.io.write_tables import check_output


@contextlib.contextmanager
def row_writer(out: Any, shape: tuple[int, int]) -> Iterator[Callable[[int, np.ndarray], None]]:
    """Yield a function that writes rows, given the index of the first, in order.

    Parameters
    ----------
    out : an array of floats of this shape, or anything that takes slices of rows as one does; or
        the path of an .npy file, which gets float64 and is replaced atomically, at the end.
    shape : (rows, columns) of all that will be written.

    Raises
    ------
    TypeError, ValueError, OSError
        Before the first row: where ``out`` is something else, cannot be written, or the disk has
        not enough space.
    """
    if not isinstance(out, (str, os.PathLike)):
        _check_array(out, shape)

        def write_to_array(first: int, rows: np.ndarray) -> None:
            out[first : first + len(rows)] = rows

        yield write_to_array
        return
    path = Path(out)
    check_output(path, (".npy",))
    n_bytes, free = 8 * math.prod(shape), shutil.disk_usage(path.parent).free
    if free < n_bytes:
        message = f"it needs {n_bytes:,} bytes, and {free:,} are free"
        raise OSError(errno.ENOSPC, message, os.fspath(path))
    with atomic_write(path) as temp_path, open(temp_path, "wb") as file:
        np.lib.format.write_array_header_2_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": shape}
        )

        def write_to_file(first: int, rows: np.ndarray) -> None:
            # Not a memory map: to write to one kills the process where the disk is full.
            file.write(np.ascontiguousarray(rows, "<f8").data)

        yield write_to_file


def _check_array(out: Any, shape: tuple[int, int]) -> None:
    dtype = getattr(out, "dtype", None)
    if not hasattr(type(out), "__setitem__") or not isinstance(dtype, np.dtype):
        raise TypeError(
            "out must be None, an array, or the path of an .npy file; got an object of type "
            f"{type(out).__name__}"
        )
    if tuple(out.shape) != shape or dtype.kind != "f" or dtype.itemsize < 4:
        raise ValueError(
            f"out must have the shape {shape}, of float32 or float64; got {tuple(out.shape)}, "
            f"{dtype}"
        )
    try:
        out[:1] = np.full((1, shape[1]), np.nan)
    except Exception as error:  # each library has its own
        raise ValueError(f"out cannot be written: {error}") from error
