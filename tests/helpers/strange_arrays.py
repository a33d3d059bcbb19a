"""Arrays that callers pass by mistake, and layouts that hold the values that they should."""

import numpy as np
import scipy.sparse as sp

from fasttsne.utils import is_package_installed


def _pandas(X):
    import pandas

    return pandas.DataFrame(X)


def _with(X, value):
    X = np.array(X, np.float64)
    X[len(X) // 2, -1] = value
    return X


def _strided(X):
    wide = np.zeros((2 * len(X), 3 * X.shape[1]), X.dtype)
    wide[::2, ::3] = X
    return wide[::2, ::3]


def _read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


def _masked(X):
    mask = np.zeros(X.shape, bool)
    mask[1, 1] = True
    return np.ma.masked_array(X, mask)


def _sparse_out_of_range(X):
    matrix = sp.csr_matrix(X)
    matrix.indices[0] = X.shape[1] + 7
    return matrix


def _sparse_with_nan(X):
    matrix = sp.csr_matrix(X)
    matrix.data[3] = np.nan
    return matrix


# The same values, from an array of small whole numbers: every result must be the same bits.
LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "strided": _strided,
    "backwards": lambda X: X[::-1].copy()[::-1],
    "read-only": _read_only,
    "big-endian": lambda X: X.astype(">f4"),
    "float16": lambda X: X.astype(np.float16),
    "float64": lambda X: X.astype(np.float64),
    "long double": lambda X: X.astype(np.longdouble),
    "int8": lambda X: X.astype(np.int8),
    "objects": lambda X: X.astype(object),
    "list": lambda X: X.tolist(),
    "a view of a memory map": lambda X: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
}
if is_package_installed("pandas"):
    LAYOUTS["pandas"] = _pandas

# Anything but a result that is finite, or an error that says what is wrong, is a fault.
STRANGE = {
    "NaN": lambda X: _with(X, np.nan),
    "infinity": lambda X: _with(X, np.inf),
    "1e300": lambda X: _with(X, 1e300),
    "all 1e300": lambda X: X * np.float64(1e300),
    "1e-320": lambda X: X * np.float64(1e-320),
    "no rows": lambda X: X[:0],
    "one row": lambda X: X[:1],
    "two rows": lambda X: X[:2],
    "three rows": lambda X: X[:3],
    "no columns": lambda X: X[:, :0],
    "one column": lambda X: X[:, :1],
    "one dimension": lambda X: X[0],
    "three dimensions": lambda X: X[None],
    "constant columns": lambda X: np.where(np.arange(X.shape[1]) < 2, X, 3.0),
    "equal rows": np.ones_like,
    "zeros": np.zeros_like,
    "complex": lambda X: X + 1j,
    "text": lambda X: X.astype("U8"),
    "bytes": lambda X: X.astype("S8"),
    "objects of text": lambda X: np.full(X.shape, "a", object),
    "objects, one None": lambda X: np.where(X[3, 1] == X, None, X.astype(object)),
    "dates": lambda X: X.astype("M8[s]"),
    "durations": lambda X: X.astype("m8[s]"),
    "fields": lambda X: np.zeros(len(X), [("a", "f8"), ("b", "f8")]),
    "void": lambda X: np.zeros(X.shape, "V4"),
    "booleans": lambda X: X > 3,
    "largest integers": lambda X: np.full(X.shape, np.iinfo(np.int64).max),
    "largest of uint64": lambda X: np.where(X > 4, np.uint64(2**64 - 1), np.uint64(1)),
    "masked": _masked,
    "ragged": lambda X: [[1.0, 2.0], [1.0]],
    "None": lambda X: None,
    "a number": lambda X: 3.0,
    "a text": lambda X: "rows.npy",
    "a dictionary": lambda X: {"a": [1, 2]},
    "an iterator": lambda X: iter(X),
    "an empty list": lambda X: [],
    "sparse": lambda X: sp.csr_matrix(X),
    "sparse, COO": lambda X: sp.coo_matrix(X),
    "sparse, no rows": lambda X: sp.csr_matrix(X[:0]),
    "sparse, all zero": lambda X: sp.csr_matrix(np.zeros_like(X)),
    "sparse, NaN": _sparse_with_nan,
    "sparse, indices out of range": _sparse_out_of_range,
    "more columns": lambda X: np.column_stack([X, X]),
}
if is_package_installed("pandas"):
    STRANGE["pandas with text"] = lambda X: _pandas(X).assign(name="a")
    STRANGE["pandas with NaN"] = lambda X: _pandas(_with(X, np.nan))
    STRANGE["pandas with dates"] = lambda X: _pandas(X).assign(when=np.datetime64("2020-01-01"))
