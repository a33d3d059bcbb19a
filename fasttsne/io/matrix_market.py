"""Matrix Market files, read by SciPy, whose reader ends the process for some that are damaged.

It looks for the end of a line behind what it cannot read of a number, and beyond the end of the
file: in lines with zero bytes, as a disk leaves them, and in the last line where it has no end.
"""

import warnings
from pathlib import Path
from typing import IO, Any

import scipy.io
import scipy.sparse

# Bytes of a file that are looked at together, and of its end.
BLOCK_BYTES, END_BYTES = 2**22, 1000


def read_matrix(path: Path) -> Any:
    """Return the matrix of a file, an array or CSR.

    Raises
    ------
    OSError, ValueError
        Where the file cannot be read, or is damaged.
    """
    end = _check_text(path)
    with open(path, "rb") as file, warnings.catch_warnings():
        # SciPy warns that it will return sparse arrays instead of matrices: both are fine.
        warnings.simplefilter("ignore", DeprecationWarning)
        matrix = scipy.io.mmread(path if end.endswith(b"\n") else _Ended(file))
    return matrix.tocsr() if scipy.sparse.issparse(matrix) else matrix


class _Ended:
    """A file whose last line has an end."""

    def __init__(self, file: IO[bytes]):
        self._file, self._is_at_end = file, False

    def read(self, n: int = -1) -> bytes:
        data = self._file.read(n)
        if data or self._is_at_end:
            return data
        self._is_at_end = True
        return b"\n"


def _check_text(path: Path) -> bytes:
    """Raise ValueError where a file is no text, or ends within a number; return its end."""
    end = b""
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            if b"\0" in block:
                raise ValueError("it is no text, it has bytes that are zero")
            end = (end + block)[-END_BYTES:]
    if not end.endswith(b"\n"):
        try:
            float(end.split()[-1])
        except (IndexError, ValueError):
            raise ValueError("it ends in the middle of a line") from None
    return end
