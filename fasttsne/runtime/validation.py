"""Checks of what users pass in; messages name the parameter, the value and what is accepted."""

import math
import numbers
import os

import numpy as np
import scipy.sparse

from fasttsne import _kernels

# More threads than these are never started: OpenMP ends the process where it cannot.
MOST_THREADS = 64
# From the origin of a map, in each coordinate.
FARTHEST = _kernels.gradient_step.MAX_COORDINATE


def check_data(X, name: str = "X", least_rows: int = 2, accept_sparse: bool = False):
    """Return X as a two-dimensional array of finite float32 or float64 numbers.

    float32 and float64 arrays are returned as they are, never copied; other
    real numbers become float32 if that is exact for their type, else float64.
    Where sparse matrices are accepted, they are returned as CSR with sorted rows.
    """
    if scipy.sparse.issparse(X):
        if not accept_sparse:
            raise TypeError(
                f"{name} is a sparse matrix; pass a dense array (for example X.toarray())"
            )
        return _check_sparse(X, name, least_rows)
    array = np.asarray(X)
    if array.dtype.kind not in "fiub":
        try:
            # Text, dates and complex numbers would be converted, too.
            array = array.astype(np.float64, casting="unsafe" if array.dtype == object else "safe")
        except (TypeError, ValueError):
            raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}") from None
    array = array.astype(_float_type(array.dtype), copy=False)
    _check_shape(array.shape, name, least_rows)
    check_finite(array, name)
    return array


def _check_sparse(X, name, least_rows):
    _check_shape(X.shape, name, least_rows)
    if X.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got dtype {X.dtype}")
    check_structure(X, name)
    rows = scipy.sparse.csr_matrix(X, dtype=_float_type(X.dtype))
    if not rows.has_canonical_format:
        # Merging and sorting happen in place: not in the caller's arrays.
        rows = rows.copy()
        rows.sum_duplicates()
    if not np.isfinite(rows.data).all():
        place = int(np.flatnonzero(~np.isfinite(rows.data))[0])
        row = int(np.searchsorted(rows.indptr, place, side="right")) - 1
        raise ValueError(
            f"{name} must be finite; {name}[{row}, {rows.indices[place]}] is {rows.data[place]}"
        )
    return rows


def check_structure(matrix, name: str) -> None:
    """Raise ValueError where a sparse matrix points outside itself.

    SciPy looks at the parts when they are put together in its constructor, not at those that
    were changed or set later, and its conversions and our kernels trust them.
    """
    if matrix.format == "coo":
        numbers_of: tuple = (matrix.row, matrix.col)
        sizes = matrix.shape
        sound = all(part.shape == matrix.data.shape for part in numbers_of)
    elif matrix.format in ("csr", "csc", "bsr"):
        sizes = [size // block for size, block in zip(matrix.shape, _block(matrix), strict=True)]
        if matrix.format == "csc":
            sizes.reverse()
        indptr = matrix.indptr
        sound = (
            indptr.dtype.kind in "iu" and indptr.shape == (sizes[0] + 1,) and indptr[0] == 0
            and bool((indptr[1:] >= indptr[:-1]).all())
            and indptr[-1] <= min(len(matrix.indices), len(matrix.data))
        )  # fmt: skip
        numbers_of, sizes = (matrix.indices[: indptr[-1]] if sound else indptr[:0],), sizes[1:]
    else:
        return
    if not sound:
        raise ValueError(f"the parts of the sparse matrix {name} do not fit together")
    for part, size in zip(numbers_of, sizes, strict=True):
        if part.dtype.kind not in "iu":
            raise ValueError(f"{name} must have integers as indices; got dtype {part.dtype}")
        if part.size and not (part.min() >= 0 and part.max() < size):
            wrong = part[(part < 0) | (part >= size)][0]
            raise ValueError(f"{name} must have indices from 0 to {size - 1}; got {wrong}")


def _block(matrix):
    return matrix.blocksize if matrix.format == "bsr" else (1, 1)


def _float_type(dtype):
    """The float type that numbers of another are worked on in."""
    if dtype in (np.float32, np.float64):
        return dtype
    return np.dtype(np.float32 if dtype == np.float16 or dtype.itemsize <= 2 else np.float64)


def _check_shape(shape, name, least_rows):
    if len(shape) != 2:
        raise ValueError(f"{name} must be two-dimensional, (rows, columns); got shape {shape}")
    if shape[0] < least_rows:
        raise ValueError(f"{name} needs at least {least_rows} rows; got {shape[0]}")
    if shape[1] < 1:
        raise ValueError(f"{name} needs at least one column; got shape {shape}")


def check_finite(array: np.ndarray, name: str) -> None:
    """Raise ValueError where an array holds NaN or infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum(dtype=np.float64)):
            return
    bad = ~np.isfinite(array)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} must be finite; {name}[{', '.join(map(str, place))}] is {array[place]}"
        )


def check_places(places: np.ndarray, name: str) -> None:
    """Raise ValueError where points are at no place that a map has."""
    check_finite(places, name)
    largest = np.abs(places).max(initial=0)
    if largest > FARTHEST:
        raise ValueError(f"{name} must lie within {FARTHEST:g} of the origin; got {largest:g}")


def check_number(
    value, name, *, low=None, high=None, above=None, integer=False, finite=False
):  # fmt: skip
    """Return a number, an int if ``integer``, within [low, high] or above a bound."""
    kind = numbers.Integral if integer else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind):
        word = "an integer" if integer else "a number"
        raise TypeError(f"{name} must be {word}; got {value!r}")
    value = int(value) if integer else float(value)
    if value != value or (finite and value in (math.inf, -math.inf)):
        raise ValueError(f"{name} must be a {'finite ' * finite}number; got {value}")
    if low is not None and value < low:
        raise ValueError(f"{name} must be at least {low}; got {value}")
    if above is not None and value <= above:
        raise ValueError(f"{name} must be greater than {above}; got {value}")
    if high is not None and value > high:
        raise ValueError(f"{name} must be at most {high}; got {value}")
    return value


def check_choice(value, name: str, choices) -> str:
    """Return a name if it is one of the choices."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {_quoted(choices)}; got {value!r}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {_quoted(choices)}; got {value!r}")
    return value


def _quoted(choices):
    return ", ".join(repr(choice) for choice in choices)


def available_cores() -> int:
    """How many processors this process may run on, and OpenMP be told to use."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    # Without OpenMP kernels have one thread, but numbers of threads still mean what they say.
    return min(cores, _kernels.cpu.max_threads()) if _kernels.cpu.has_openmp() else cores


class _Forked:
    """Whether this process was forked from one whose OpenMP threads it does not have.

    GNU OpenMP's first parallel loop would wait for them for ever.  So they are ended before the
    fork, and start again when they are needed; where the library is too old for that,
    the child works on one thread.
    """

    threads_ended = True
    by_one_thread = False

    @classmethod
    def before(cls):
        cls.threads_ended = _kernels.cpu.end_threads()

    @classmethod
    def in_child(cls):
        cls.by_one_thread = cls.by_one_thread or not cls.threads_ended


if hasattr(os, "register_at_fork") and _kernels.cpu.has_openmp():
    os.register_at_fork(before=_Forked.before, after_in_child=_Forked.in_child)


def resolve_n_jobs(n_jobs) -> int:
    """Turn ``n_jobs`` into a number of threads: -1 all cores, -2 all but one, and so on.

    More threads than cores are allowed, though not without bound; a negative value asks for
    one at least.
    """
    if n_jobs is None:
        return 1
    n_jobs = check_number(n_jobs, "n_jobs", integer=True)
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0; give a number of threads, or -1 for all cores")
    if _Forked.by_one_thread:
        return 1
    cores = available_cores()
    if n_jobs < 0:
        return max(cores + 1 + n_jobs, 1)
    return min(n_jobs, max(cores, MOST_THREADS))


def check_random_state(random_state):
    """Return a NumPy random generator: None is NumPy's global one, an int seeds a new one."""
    if random_state is None:
        return np.random.mtrand._rand
    if isinstance(random_state, (np.random.RandomState, np.random.Generator)):
        return random_state
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        if not 0 <= random_state < 2**32:
            raise ValueError(f"random_state must be in [0, 2**32 - 1]; got {random_state}")
        return np.random.RandomState(int(random_state))
    raise TypeError(
        "random_state must be None, an integer, or a NumPy RandomState or Generator; "
        f"got {random_state!r}"
    )


MAX_COORDINATE = FARTHEST
check_coordinates = check_places
